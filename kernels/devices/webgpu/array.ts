/** Arrays in a WebGPU device's memory. */
import type { DType } from "../../../core/dtype.ts";
import type { Shape } from "../../../core/shape.ts";
import type { Device } from "../../device.ts";
import { fromDeviceBytes, type HostArray } from "../../host_data.ts";
import { StoredArray } from "../stored_array.ts";
import type { PoolBuffer } from "./buffers.ts";
import type { GpuContext } from "./context.ts";

/** An array that owns a buffer of its device's pool. */
export class WebGpuArray extends StoredArray<PoolBuffer> {
  #context: GpuContext;

  /**
   * Use `device.upload` or a program's `launch`.
   * @internal
   */
  constructor(device: Device, context: GpuContext, buffer: PoolBuffer, shape: Shape, dtype: DType) {
    super(device, buffer, shape, dtype);
    this.#context = context;
  }

  /** Copies the elements to the host. */
  async read(): Promise<HostArray> {
    return fromDeviceBytes(await this.#context.read(this.storage.gpu, this.sizeBytes), this);
  }

  /** Returns the buffer to the pool. */
  protected release(buffer: PoolBuffer): void {
    this.#context.release(buffer);
  }
}
