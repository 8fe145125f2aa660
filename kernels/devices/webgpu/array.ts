/** Arrays in a WebGPU device's memory. */
import { type DType, sizeOf } from "../../../core/dtype.ts";
import { type Shape, sizeOfShape } from "../../../core/shape.ts";
import { showAsText } from "../../../core/inspect.ts";
import { type ArrayRecord, describeArray, type Device, type DeviceArray, recordOf } from "../../device.ts";
import { fromDeviceBytes, type Gone, goneError, type HostArray } from "../../host_data.ts";
import type { PoolBuffer } from "./buffers.ts";
import type { GpuContext } from "./context.ts";

/** An array that owns a buffer of its device's pool until it is disposed. */
export class WebGpuArray implements DeviceArray {
  #context: GpuContext;
  #buffer: PoolBuffer | undefined;
  #gone: Gone = "disposed";

  /**
   * Use `device.upload` or a program's `launch`.
   * @internal
   */
  constructor(
    readonly device: Device,
    context: GpuContext,
    buffer: PoolBuffer,
    readonly shape: Shape,
    readonly dtype: DType,
  ) {
    this.#context = context;
    this.#buffer = buffer;
  }

  /**
   * The buffer.
   * @throws {DeviceError} if the array was disposed or donated.
   * @internal
   */
  get buffer(): PoolBuffer {
    if (!this.#buffer) throw goneError(this, this.#gone);
    return this.#buffer;
  }

  /**
   * Takes the buffer away: it was donated.
   * @internal
   */
  take(): PoolBuffer {
    const { buffer } = this;
    this.#buffer = undefined;
    this.#gone = "donated";
    return buffer;
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
  async read(): Promise<HostArray> {
    return fromDeviceBytes(await this.#context.read(this.buffer.gpu, this.sizeBytes), this);
  }

  /** Gives the memory back to the device. Disposing twice does nothing. */
  dispose(): void {
    if (this.#buffer) this.#context.release(this.#buffer);
    this.#buffer = undefined;
  }
}
