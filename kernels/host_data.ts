/** Between host arrays and the bytes of device memory. */
import { checkDType, type DType, hostArray, type HostData, isHalf, type Type } from "../core/dtype.ts";
import { DeviceError, ShapeError } from "../core/errors.ts";
import { fromHalfBits, halfBits } from "../core/half.ts";
import { checkShape, formatShape, formatType, type Shape, sizeOfShape } from "../core/shape.ts";
import { checkKind } from "../core/describe.ts";

/**
 * What arrays of all dtypes can do in the same way. The engines' own types say it of each array with its own name in
 * it, which TypeScript cannot call on an array whose dtype it does not know.
 */
export interface NumberMethods {
  /** As of any array. */
  reduce(fn: (previous: number, current: number, index: number) => number): number;
  /** As of any array. */
  reduce<U>(fn: (previous: U, current: number, index: number) => U, initial: U): U;
  /** As of any array. */
  reduceRight(fn: (previous: number, current: number, index: number) => number): number;
  /** As of any array. */
  reduceRight<U>(fn: (previous: U, current: number, index: number) => U, initial: U): U;
  /** As of any array. */
  forEach(fn: (value: number, index: number) => void): void;
  /** As of any array. */
  map(fn: (value: number, index: number) => number): Float32Array | Int32Array | Uint32Array;
  /** As of any array. */
  filter(keep: (value: number, index: number) => boolean): Float32Array | Int32Array | Uint32Array;
}

/** The arrays that hold elements of each dtype on the host. */
export interface HostArrays {
  /** As they are. */
  readonly f32: Float32Array;
  /** Widened. */
  readonly f16: Float32Array;
  /** Widened. */
  readonly bf16: Float32Array;
  /** As they are. */
  readonly i32: Int32Array;
  /** As they are. */
  readonly u32: Uint32Array;
  /** 0 or 1. */
  readonly bool: Uint32Array;
}

/**
 * Elements on the host, by dtype: a Float32Array for f32. Bool is 0 or 1 in a Uint32Array, f16 and bf16
 * are widened in a Float32Array.
 */
export type HostArray<D extends DType = DType> = { readonly [K in D]: HostArrays[K] & NumberMethods }[D];

/**
 * A result on the host: row-major elements with their type. Where only the program knows the dtype, the array's type is
 * known once `dtype` is compared.
 * @example
 * ```ts
 * import type { HostTensor } from "@mneme/titans";
 *
 * const total = ({ data }: HostTensor): number => data.reduce((sum, x) => sum + x, 0);
 * const floats = (result: HostTensor): Float32Array => result.dtype === "f32" ? result.data : Float32Array.from(result.data);
 * const result: HostTensor = { data: Float32Array.of(1, 2), shape: [2], dtype: "f32" };
 * if (total(result) !== 3 || floats(result).length !== 2) throw new Error("3 was expected");
 * ```
 */
export type HostTensor<D extends DType = DType> = {
  readonly [K in D]: {
    /** The elements. */
    readonly data: HostArray<K>;
    /** Extents, outermost first. */
    readonly shape: Shape;
    /** Element type. */
    readonly dtype: K;
  };
}[D];

/** What became of an array that can no longer be used. */
export type Gone = "disposed" | "donated";

/** The error of using an array that is gone. */
export function goneError(type: Type, gone: Gone): DeviceError {
  const how = gone === "disposed"
    ? "disposed"
    : "donated to a launch, which may have overwritten it; use what the launch returned, or pass a copy";
  return new DeviceError(`Cannot use the array ${formatType(type)}: it was ${how}`, "disposed");
}

/** @throws {ShapeError} if `data` does not have the elements of the type. @throws {DTypeError} if its dtype is invalid. */
export function checkLength(data: ArrayLike<number>, type: Type, action: string): void {
  checkShape(type?.shape, action);
  checkDType(type.dtype, `${action} an array of shape ${formatShape(type.shape)}`);
  checkKind(typeof data?.length === "number", action, data, "a typed array");
  const size = sizeOfShape(type.shape);
  if (data.length !== size) {
    throw new ShapeError(
      `Cannot ${action} ${data.length} numbers as ${formatType(type)}: the shape has ${size} elements`,
      [type.shape],
    );
  }
}

/** Truth values as 0 and 1: whatever is not 0 is true, NaN too. Shares memory with `data` where it has nothing else. */
export function toTruthValues(data: HostData): HostData {
  for (let i = 0; i < data.length; i++) {
    if (data[i] !== 0 && data[i] !== 1) return Uint32Array.from(data, (value) => (value === 0 ? 0 : 1));
  }
  return data;
}

/** The elements as a device stores them, padded to a multiple of 4 bytes. Shares memory with `data` where it can. */
export function toDeviceBytes(
  data: HostData,
  dtype: DType,
): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  if (isHalf(dtype)) return new Uint32Array(halfBits(dtype, data, data.length + (data.length & 1)).buffer);
  const target = hostArray(dtype, 0), elements = dtype === "bool" ? toTruthValues(data) : data;
  const same = target.constructor === elements.constructor && elements.buffer instanceof ArrayBuffer;
  if (same) return elements as Float32Array<ArrayBuffer>;
  const converted = hostArray(dtype, elements.length);
  converted.set(elements);
  return converted as Float32Array<ArrayBuffer>;
}

/** The elements that a device stored, as a host array of the dtype. */
export function fromDeviceBytes(bytes: ArrayBuffer, type: Type): HostArray {
  const size = sizeOfShape(type.shape);
  switch (type.dtype) {
    case "f16":
    case "bf16":
      return fromHalfBits(type.dtype, new Uint16Array(bytes, 0, size));
    case "f32":
      return new Float32Array(bytes, 0, size);
    case "i32":
      return new Int32Array(bytes, 0, size);
    case "u32":
    case "bool":
      return new Uint32Array(bytes, 0, size);
  }
}
