/** Layouts as numbers: offsets, and the digits that they are made of. */
import { type Index, linearIndex, recombine, type Var } from "../../core/index_expr.ts";
import type { Shape } from "../../core/shape.ts";

/** The row-major offset of a multi-index, simplified. */
export function offsetOf(index: readonly Index[], shape: Shape): Index {
  return recombine(linearIndex(index, shape));
}

/** One digit of a mixed-radix number. */
export interface Digit {
  readonly variable: Var;
  readonly coefficient: number;
}

/**
 * Interprets an index as a mixed-radix number of loop variables, such as `12 i + 4 j + k` with extents 2, 3, 4, which
 * takes every value below the product of the extents exactly once and can therefore be inverted. Returns the digits,
 * least significant first, or undefined for any other index.
 */
export function digitsOf(index: Index): Digit[] | undefined {
  if (index.constant !== 0) return undefined;
  const digits: Digit[] = [];
  for (const { atom, coefficient } of index.terms) {
    if (atom.kind !== "var") return undefined;
    digits.push({ variable: atom.variable, coefficient });
  }
  digits.sort((a, b) => a.coefficient - b.coefficient);
  let stride = 1;
  for (const { variable, coefficient } of digits) {
    if (coefficient !== stride) return undefined;
    stride *= variable.extent;
  }
  return digits;
}
