/** Values as WGSL text: conversions, and one lane or four. */
import { isFloat } from "../../../core/dtype.ts";
import { type RegisterType, typeName } from "./print_literal.ts";
import type { Value } from "./print_writer.ts";

/** Lane numbers as component names. */
export const LANES = "xyzw";

/** Broadcasts a scalar to four lanes; vectors are returned unchanged. */
export function splat(value: Value, width: 1 | 4 = 4): Value {
  if (value.width === width) return value;
  return { ...value, text: `${typeName(value.dtype, 4)}(${value.text})`, width: 4, atomic: false };
}

/** Converts between types. To bool it is a comparison with zero, which is true for NaN. */
export function convert(value: Value, dtype: RegisterType): Value {
  if (value.dtype === dtype) return value;
  const type = typeName(value.dtype, value.width);
  const isTrue = isFloat(value.dtype) ? `(!(${value.text} == ${type}(0)))` : `(${value.text} != ${type}(0))`;
  const text = dtype === "bool" ? isTrue : `${typeName(dtype, value.width)}(${value.text})`;
  return { ...value, text, dtype, atomic: false };
}

/** Converts a value to its type in memory: bool to u32. */
export function storable(value: Value): Value {
  return value.dtype === "bool" ? convert(value, "u32") : value;
}

/** Combines four scalars into a vec4. */
export function joinLanes(lanes: readonly Value[]): Value {
  const { dtype } = lanes[0];
  return {
    text: `${typeName(dtype, 4)}(${lanes.map(({ text }) => text).join(", ")})`,
    dtype,
    width: 4,
    depth: Math.max(...lanes.map(({ depth }) => depth)),
    atomic: false,
  };
}
