/** The elements of a program's arguments. */
import type { NdArray } from "../../core/op.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { DType } from "../../core/dtype.ts";
import { roundToHalf } from "../../core/half.ts";
import { parseNumber } from "./text.ts";
import type { Fill, FuzzType, Input } from "./program.ts";
import { Random } from "./random.ts";

/** The nearest value that a dtype holds. */
export function hold(dtype: DType, value: number): number {
  switch (dtype) {
    case "f32":
      return Math.fround(value);
    case "f16":
    case "bf16":
      return roundToHalf(dtype, value);
    case "i32":
      return value | 0;
    case "u32":
      return value >>> 0;
    case "bool":
      return value !== 0 ? 1 : 0;
  }
}

const EDGES = [NaN, Infinity, -Infinity, 0, -0, 1, -1, 1e30, -1e30, 1e-30, 65504];

/** The elements that a fill describes. */
export function fillValues(fill: Fill, { shape, dtype }: FuzzType): Float64Array {
  const size = sizeOfShape(shape);
  if (fill.kind === "list") return Float64Array.from(fill.values, (value) => hold(dtype, parseNumber(value)));
  const random = new Random(fill.seed), { low, high } = fill;
  return Float64Array.from({ length: size }, () => {
    if (dtype === "bool") return random.integer(0, 1);
    if (fill.kind === "integers") return hold(dtype, random.integer(low, high));
    if (fill.kind === "edges" && random.chance(0.25)) return hold(dtype, random.of(EDGES));
    return hold(dtype, low + (high - low) * random.unit());
  });
}

/** The arguments of a program, as the interpreter takes them. */
export function inputArrays(inputs: readonly Input[]): NdArray[] {
  return inputs.map((input) => ({ shape: input.shape, dtype: input.dtype, data: fillValues(input.fill, input) }));
}
