/** Arrays in a cpu device's memory. */
import { allocating } from "../../../core/allocate.ts";
import { type DType, sizeOf } from "../../../core/dtype.ts";
import { type Shape, sizeOfShape } from "../../../core/shape.ts";
import { showAsText } from "../../../core/inspect.ts";
import { type ArrayRecord, describeArray, type Device, type DeviceArray, recordOf } from "../../device.ts";
import { fromDeviceBytes, type Gone, goneError, type HostArray } from "../../host_data.ts";
import type { CpuMemory } from "./memory.ts";

/** An array that owns a range of its device's memory until it is disposed. */
export class CpuArray implements DeviceArray {
  #memory: CpuMemory;
  #address: number | undefined;
  #gone: Gone = "disposed";

  /**
   * Use `device.upload` or a program's `launch`.
   * @internal
   */
  constructor(
    readonly device: Device,
    memory: CpuMemory,
    address: number,
    readonly shape: Shape,
    readonly dtype: DType,
  ) {
    this.#memory = memory;
    this.#address = address;
  }

  /**
   * Where its elements lie.
   * @throws {DeviceError} if the array was disposed or donated.
   * @internal
   */
  get address(): number {
    if (this.#address === undefined) throw goneError(this, this.#gone);
    return this.#address;
  }

  /**
   * Takes the memory away: it was donated.
   * @internal
   */
  take(): number {
    const { address } = this;
    this.#address = undefined;
    this.#gone = "donated";
    return address;
  }

  /** Bytes of the elements. */
  get sizeBytes(): number {
    return sizeOfShape(this.shape) * sizeOf(this.dtype);
  }

  /** Type and device, such as `f32[2, 3] on cpu`. */
  toString(): string {
    return describeArray(this);
  }

  /** The same for JSON; {@link read} gives the elements. */
  toJSON(): ArrayRecord {
    return recordOf(this);
  }

  static {
    showAsText(this);
  }

  /** Copies the elements to the host. */
  read(): Promise<HostArray> {
    try {
      const bytes = allocating("read", [this], sizeOf(this.dtype), () => new Uint8Array(this.sizeBytes));
      bytes.set(this.#memory.bytes(this.address, this.sizeBytes));
      return Promise.resolve(fromDeviceBytes(bytes.buffer, this));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Gives the memory back to the device. Disposing twice does nothing. */
  dispose(): void {
    if (this.#address !== undefined) this.#memory.free(this.#address, this.sizeBytes);
    this.#address = undefined;
  }
}
