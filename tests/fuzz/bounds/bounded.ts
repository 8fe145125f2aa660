/**
 * Values with bounds: the f64 reference of each element, and how far a machine's result may be from it.
 *
 * A radius of 0 says that the element is exact, Infinity that it is undecided: anything may stand there, because a step
 * (a comparison, floor, a conversion to integers, an overflow) lies within the bound. An array without radius is exact
 * throughout.
 */
import { isFloat } from "../../../core/dtype.ts";
import type { NdArray } from "../../../core/op.ts";
import type { Precision } from "./precision.ts";
import type { Terms } from "./terms.ts";

/** An array with the greatest error of each element. */
export interface Bounded extends NdArray {
  readonly radius?: Float64Array;
  /** What it is the sum of, where a machine may reorder sums. */
  readonly terms?: Terms;
}

/** An array with radii, those of overflown elements made Infinity; without any if all are 0. */
export function withRadius(value: NdArray, radius: Float64Array | undefined, precision: Precision): Bounded {
  if (!radius) return value;
  const { data, dtype } = value;
  let exact = true;
  const largest = isFloat(dtype) ? precision.largest(dtype) : Infinity;
  for (let i = 0; i < radius.length; i++) {
    const r = radius[i];
    if (r === 0) {
      // An exact NaN or infinity stays one; what is finite in doubles only overflows.
      if (Math.abs(data[i]) > largest && Math.abs(data[i]) !== Infinity) radius[i] = Infinity, exact = false;
      continue;
    }
    exact = false;
    if (!(Math.abs(data[i]) + r <= largest)) radius[i] = Infinity;
  }
  return exact ? value : { ...value, radius };
}

/** The radii of an array, zeros if it is exact. */
export function radiusOf({ data, radius }: Bounded): Float64Array {
  return radius ?? new Float64Array(data.length);
}

/**
 * The rounding of one operation whose result is `value`, computed from operands whose errors make it off by `radius`
 * already.
 */
export function rounding(precision: Precision, { dtype }: NdArray, value: number, radius: number): number {
  const size = Math.abs(value) + radius;
  const relative = precision.unit(dtype) * size;
  return Math.abs(value) - radius < precision.tiny(dtype) * 2 ** 24 ? relative + precision.tiny(dtype) : relative;
}
