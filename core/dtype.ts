/** Element types and tensor types. */
import { DTypeError } from "./errors.ts";
import type { Shape } from "./shape.ts";

/** An element type. `f16` exists only on devices that have it. */
export type DType = "f32" | "f16" | "i32" | "u32" | "bool";

const DTYPES: readonly DType[] = ["f32", "f16", "i32", "u32", "bool"];

/**
 * Checks that a value is a dtype, where it comes from outside.
 * @throws {DTypeError} if it is not.
 */
export function checkDType(dtype: DType, action: string): void {
  if (DTYPES.includes(dtype)) return;
  throw new DTypeError(
    `Cannot ${action}: ${JSON.stringify(dtype) ?? String(dtype)} is not a dtype; use f32, f16, i32, u32 or bool`,
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

/** Bytes of one element in device memory: 4 for each dtype but f16. */
export function sizeOf(dtype: DType): number {
  return dtype === "f16" ? 2 : 4;
}

/** Whether gradients flow through tensors of this dtype. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16";
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
      return value;
    case "i32":
      return value | 0;
    case "u32":
      return value >>> 0;
    case "bool":
      return value ? 1 : 0;
  }
}

/** A host array of `size` zeros for a dtype (f16 values are held in a Float32Array). */
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
