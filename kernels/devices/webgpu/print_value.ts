/** Values as WGSL text: conversions, and one lane or four. */
import { type DType, isFloat } from "../../../core/dtype.ts";
import { typeName } from "./print_literal.ts";
import type { Value } from "./print_writer.ts";

/** Lane numbers as component names. */
export const LANES = "xyzw";

/** A value with four lanes, equal if it was a scalar. */
export function splat(value: Value, width: 1 | 4 = 4): Value {
  if (value.width === width) return value;
  return { ...value, text: `${typeName(value.dtype, 4)}(${value.text})`, width: 4, atomic: false };
}

/** A conversion; to bool it is a comparison with zero, which holds of NaN too. */
export function convert(value: Value, dtype: DType): Value {
  if (value.dtype === dtype) return value;
  const type = typeName(value.dtype, value.width);
  const isTrue = isFloat(value.dtype) ? `(!(${value.text} == ${type}(0)))` : `(${value.text} != ${type}(0))`;
  const text = dtype === "bool" ? isTrue : `${typeName(dtype, value.width)}(${value.text})`;
  return { ...value, text, dtype, atomic: false };
}

/** A value as it is kept in memory: bool as u32. */
export function storable(value: Value): Value {
  return value.dtype === "bool" ? convert(value, "u32") : value;
}

/** Four scalars as one vec4. */
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
