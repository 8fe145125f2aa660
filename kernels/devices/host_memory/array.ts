/** Arrays in host memory, for devices that compute on the CPU. */
import { allocating } from "../../../core/allocate.ts";
import { type DType, sizeOf } from "../../../core/dtype.ts";
import type { Shape } from "../../../core/shape.ts";
import type { Device } from "../../device.ts";
import { fromDeviceBytes, type HostArray } from "../../host_data.ts";
import { StoredArray } from "../stored_array.ts";
import type { HostMemory } from "./memory.ts";

/** An array that owns a range of its device's memory, stored by its address. */
export class CpuArray extends StoredArray<number> {
  #memory: HostMemory;

  /**
   * Use `device.upload` or a program's `launch`.
   * @internal
   */
  constructor(device: Device, memory: HostMemory, address: number, shape: Shape, dtype: DType) {
    super(device, address, shape, dtype);
    this.#memory = memory;
  }

  /** Copies the elements to the host. */
  read(): Promise<HostArray> {
    try {
      const bytes = allocating("read", [this], sizeOf(this.dtype), () => new Uint8Array(this.sizeBytes));
      bytes.set(this.#memory.bytes(this.storage, this.sizeBytes));
      return Promise.resolve(fromDeviceBytes(bytes.buffer, this));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Frees the range. */
  protected release(address: number): void {
    this.#memory.free(address, this.sizeBytes);
  }
}
