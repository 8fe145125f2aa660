/**
 * Sums whose terms a machine may add in another order: WGSL lets drivers reassociate, and Mesa's brings constants
 * together, so that `(3 - 2) - 0.1` becomes `(3 - 0.1) - 2` and is off by a rounding of 2.9 rather than of 0.9. The
 * bound of such a sum goes by the sizes of its terms, not of its result.
 */
import { isFloat } from "../../../core/dtype.ts";
import type { Node } from "../../../core/graph.ts";
import type { NdArray } from "../../../core/op.ts";
import { sizeOfShape } from "../../../core/shape.ts";
import { type Bounded, radiusOf } from "./bounded.ts";
import type { Precision } from "./precision.ts";

/** What a value is the sum of. */
export interface Terms {
  /** How many terms. */
  readonly count: number;
  /** For each element, the sizes of its terms added up. */
  readonly sizes: Float64Array;
  /** For each element, the errors of its terms added up. */
  readonly spread: Float64Array;
  /** Whether all terms are exact whole numbers, so that any order is exact. */
  readonly isWhole: boolean;
}

/** The terms of a value: itself, if it is no sum. */
function termsOf(value: Bounded): Terms {
  return value.terms ?? {
    count: 1,
    sizes: value.data.map(Math.abs),
    spread: radiusOf(value),
    isWhole: !value.radius && value.data.every((x) => Number.isInteger(x) && Math.abs(x) < 2 ** 22),
  };
}

/** The terms of an op's result; undefined where it is no sum. */
export function sumTerms(
  { op, attrs, outputs }: Node,
  args: readonly Bounded[],
  { shape, dtype }: NdArray,
): Terms | undefined {
  if (!isFloat(dtype)) return undefined;
  const moved = (each: (terms: Terms, arg: Bounded) => Float64Array): Float64Array =>
    op.reference(args.map((arg): NdArray => ({ shape: arg.shape, dtype: "f32", data: each(termsOf(arg), arg) })), {
      ...attrs,
      ...("value" in attrs && { value: 0 }),
    }, outputs)[0];
  const isWhole = args.every((arg) => termsOf(arg).isWhole);
  switch (op.kind) {
    case "map": {
      if (["neg", "stopGradient"].includes(op.name)) return args[0].terms;
      if (op.name !== "add" && op.name !== "sub") return undefined;
      const [x, y] = args.map(termsOf);
      return {
        count: x.count + y.count,
        sizes: x.sizes.map((size, i) => size + y.sizes[i]),
        spread: x.spread.map((r, i) => r + y.spread[i]),
        isWhole,
      };
    }
    case "view": {
      if (!args.some(({ terms }) => terms)) return undefined;
      const count = Math.max(...args.map((arg) => termsOf(arg).count));
      return {
        count,
        sizes: moved(({ sizes }) => sizes).slice(),
        spread: moved(({ spread }) => spread).slice(),
        isWhole,
      };
    }
    case "reduce":
    case "contract": {
      if (op.kind === "reduce" && op.name !== "sum") return undefined;
      const size = moved((_terms, { data, radius }) => data.map((x, i) => Math.abs(x) + (radius ? radius[i] : 0)));
      const count = op.kind === "contract"
        ? args[0].shape[args[0].shape.length - 1]
        : args[0].data.length / Math.max(1, sizeOfShape(shape));
      return { count: Math.max(1, count), sizes: size, spread: new Float64Array(size.length), isWhole };
    }
    default:
      return undefined;
  }
}

/** The error of a sum in any order; 0 where no other order is possible, or all are exact. */
export function reorderingError({ count, sizes, spread, isWhole }: Terms, i: number, unit: number): number {
  return isWhole || count <= 2 || !Number.isFinite(sizes[i]) ? 0 : spread[i] + (count - 1) * unit * sizes[i];
}

/** How far the sides of a comparison may move against each other, because terms may go from one side to the other. */
export function comparisonSlack([x, y]: readonly Bounded[], precision: Precision): ((i: number) => number) | undefined {
  if (!precision.reassociates || (!x.terms && !y.terms)) return undefined;
  const [left, right] = [termsOf(x), termsOf(y)], count = left.count + right.count - 1, unit = precision.unit(x.dtype);
  if (left.isWhole && right.isWhole) return undefined;
  return (i) => left.spread[i] + right.spread[i] + count * unit * (left.sizes[i] + right.sizes[i]);
}
