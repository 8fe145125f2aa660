/** Element types and tensor types. */
import { DTypeError } from "./errors.ts";
import type { Shape } from "./shape.ts";

/**
 * An element type. `f16` and `bf16` save memory: an element takes two bytes, and every device computes it in f32 and
 * rounds the result of each primitive once.
 */
export type DType = "f32" | "f16" | "bf16" | "i32" | "u32" | "bool";

/** The floats of 16 bits. */
export type Half = "f16" | "bf16";

const DTYPES: readonly DType[] = ["f32", "f16", "bf16", "i32", "u32", "bool"];

/**
 * Checks that a value is a dtype, where it comes from outside.
 * @throws {DTypeError} if it is not.
 */
export function checkDType(dtype: DType, action: string): void {
  if (DTYPES.includes(dtype)) return;
  throw new DTypeError(
    `Cannot ${action}: ${JSON.stringify(dtype) ?? String(dtype)} is not a dtype; use f32, f16, bf16, i32, u32 or bool`,
    [String(dtype)],
  );
}

/** The typed array that holds elements of a dtype on the host; `bool` is stored as 0 or 1 in u32. */
export type HostData = Float32Array | Int32Array | Uint32Array | Float64Array;

/** The type of a tensor while tracing: its static shape and its element type. */
export interface Type {
  /** Extents, outermost first. */
  readonly shape: Shape;
  /** Element type. */
  readonly dtype: DType;
}

/** Bytes of one element in device memory: 4 for each dtype but the 16-bit floats. */
export function sizeOf(dtype: DType): number {
  return isHalf(dtype) ? 2 : 4;
}

/** Whether gradients flow through tensors of this dtype. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || isHalf(dtype);
}

/** Whether the dtype is a float of 16 bits, which is computed in f32. */
export function isHalf(dtype: DType): dtype is Half {
  return dtype === "f16" || dtype === "bf16";
}

/** Whether the dtype is a signed or unsigned integer. */
export function isInteger(dtype: DType): boolean {
  return dtype === "i32" || dtype === "u32";
}

/** Rounds a double to the nearest value that the dtype holds. */
export function roundTo(dtype: DType, value: number): number {
  switch (dtype) {
    case "f32":
    case "f16":
    case "bf16":
      return value;
    case "i32":
      return value | 0;
    case "u32":
      return value >>> 0;
    case "bool":
      return value ? 1 : 0;
  }
}

/** A host array of `size` zeros for a dtype (16-bit floats are held in a Float32Array). */
export function hostArray(dtype: DType, size: number): Float32Array | Int32Array | Uint32Array {
  switch (dtype) {
    case "i32":
      return new Int32Array(size);
    case "u32":
    case "bool":
      return new Uint32Array(size);
    default:
      return new Float32Array(size);
  }
}
