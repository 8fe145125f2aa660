/** Between host arrays and the bytes of device memory. */
import { type DType, hostArray, type HostData, type Type } from "../core/dtype.ts";
import { DeviceError, ShapeError } from "../core/errors.ts";
import { formatType, sizeOfShape } from "../core/shape.ts";

/** A result on the host: row-major elements with their type. Bool is 0 or 1 in a Uint32Array, f16 widened in a Float32Array. */
export interface HostTensor extends Type {
  /** The elements. */
  readonly data: Float32Array | Int32Array | Uint32Array;
}

/** What became of an array that can no longer be used. */
export type Gone = "disposed" | "donated";

/** The error of using an array that is gone. */
export function goneError(type: Type, gone: Gone): DeviceError {
  const how = gone === "disposed" ? "disposed" : "donated to a launch, which may have overwritten it; use what the launch returned, or pass a copy";
  return new DeviceError(`Cannot use the array ${formatType(type)}: it was ${how}`, "disposed");
}

/** @throws {ShapeError} if `data` does not have the elements of the type. */
export function checkLength(data: ArrayLike<number>, type: Type, action: string): void {
  const size = sizeOfShape(type.shape);
  if (data.length !== size) {
    throw new ShapeError(`Cannot ${action} ${data.length} numbers as ${formatType(type)}: the shape has ${size} elements`, [type.shape]);
  }
}

/** The elements as a device stores them, padded to a multiple of 4 bytes. Shares memory with `data` where it can. */
export function toDeviceBytes(data: HostData, dtype: DType): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  if (dtype === "f16") {
    const padded = new Float16Array(data.length + (data.length & 1));
    padded.set(data);
    return new Uint32Array(padded.buffer);
  }
  const target = hostArray(dtype, 0);
  const same = target.constructor === data.constructor && data.buffer instanceof ArrayBuffer;
  if (same) return data as Float32Array<ArrayBuffer>;
  const converted = hostArray(dtype, data.length);
  converted.set(data);
  return converted as Float32Array<ArrayBuffer>;
}

/** The elements that a device stored, as a host array of the dtype. */
export function fromDeviceBytes(bytes: ArrayBuffer, type: Type): HostTensor["data"] {
  const size = sizeOfShape(type.shape);
  switch (type.dtype) {
    case "f16":
      return Float32Array.from(new Float16Array(bytes, 0, size));
    case "f32":
      return new Float32Array(bytes, 0, size);
    case "i32":
      return new Int32Array(bytes, 0, size);
    case "u32":
    case "bool":
      return new Uint32Array(bytes, 0, size);
  }
}
