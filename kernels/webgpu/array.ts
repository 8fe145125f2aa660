/** Arrays in a WebGPU device's memory. */
import { type DType, sizeOf } from "../../core/dtype.ts";
import { DeviceError } from "../../core/errors.ts";
import { formatType, type Shape, sizeOfShape } from "../../core/shape.ts";
import type { Device, DeviceArray } from "../device.ts";
import { fromDeviceBytes, type HostTensor } from "../host_data.ts";
import type { PoolBuffer } from "./buffers.ts";
import type { GpuContext } from "./context.ts";

/** An array that owns a buffer of its device's pool until it is disposed. */
export class WebGpuArray implements DeviceArray {
  #context: GpuContext;
  #buffer: PoolBuffer | undefined;

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
   * @throws {DeviceError} if the array was disposed.
   * @internal
   */
  get buffer(): PoolBuffer {
    if (!this.#buffer) throw new DeviceError(`Cannot use the array ${formatType(this)}: it was disposed`, "disposed");
    return this.#buffer;
  }

  /** Bytes of the elements. */
  get sizeBytes(): number {
    return sizeOfShape(this.shape) * sizeOf(this.dtype);
  }

  /** Copies the elements to the host. */
  async read(): Promise<HostTensor["data"]> {
    return fromDeviceBytes(await this.#context.read(this.buffer.gpu, this.sizeBytes), this);
  }

  /** Gives the memory back to the device. Disposing twice does nothing. */
  dispose(): void {
    if (this.#buffer) this.#context.release(this.#buffer);
    this.#buffer = undefined;
  }
}
