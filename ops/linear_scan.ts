/** The linear recurrence, and cumulative sums and products. */
import { isFloat, roundTo } from "../core/dtype.ts";
import { apply, type Tensor } from "../core/graph.ts";
import { splatValue } from "../core/linear.ts";
import type { Attrs, RecurrenceOp } from "../core/op.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { normalizeAxis, sizeOfShape } from "../core/shape.ts";
import { type OneAxis, requiredAxis } from "./axes.ts";
import { mul } from "./binary.ts";
import { checkDomain, checkSameDType, checkSameShape, pullback } from "./define.ts";
import { pair, type TensorLike } from "./operands.ts";
import { pad, sliceAxis } from "./slice.ts";
import { onesLike } from "./sources.ts";

interface LinearScanAttrs extends Attrs {
  readonly axis: number;
  readonly reverse: boolean;
}

/** The axis and direction of {@link linearScan} and the cumulative sums. */
export type LinearScanOptions = OneAxis & {
  /** Whether to run from the last element to the first. */
  readonly reverse?: boolean;
};

const LINEAR_SCAN_OPTIONS = optionNames<LinearScanOptions>({ axis: true, axes: true, reverse: true });

/** The axis, and whether to run from the end. */
function course(
  of: string,
  options: LinearScanOptions,
  x: Tensor,
): { readonly axis: number; readonly reverse: boolean } {
  checkOptions(of, options, LINEAR_SCAN_OPTIONS);
  return {
    axis: normalizeAxis(requiredAxis(options ?? {}, of), x, "scan along"),
    reverse: options.reverse ?? false,
  };
}

/**
 * `h_t = a_t h_{t-1} + b_t` from `h_0 = b_0` on. Nothing precedes the first step, so the first factor is not read, even
 * if it is infinite or NaN.
 *
 * Its gradient is another recurrence in the opposite direction. If g_t is the cotangent of h_t from outside, the total
 * cotangent is `l_t = g_t + a_{t+1} l_{t+1}`; then `db_t = l_t` and `da_t = l_t h_{t-1}`, 0 at the first step. There is
 * no division, so zeros in a need no special case.
 */
export const linearScanOp: RecurrenceOp<LinearScanAttrs> = {
  name: "linearScan",
  kind: "recurrence",
  infer: ([a, b]) => {
    checkSameDType("linearScan", a, b);
    checkDomain("linearScan", a, "number");
    checkSameShape("linearScan", a, b);
    return [{ shape: b.shape, dtype: b.dtype }];
  },
  reference: ([a, b], { axis, reverse }, [{ shape, dtype }]) => {
    const out = new Float64Array(b.data.length);
    const extent = shape[axis], inner = sizeOfShape(shape.slice(axis + 1)), outer = sizeOfShape(shape.slice(0, axis));
    const times = isFloat(dtype) ? (x: number, y: number) => x * y : Math.imul;
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let h = 0;
        for (let t = 0; t < extent; t++) {
          const at = (o * extent + (reverse ? extent - 1 - t : t)) * inner + i;
          out[at] = h = t === 0 ? b.data[at] : roundTo(dtype, times(a.data[at], h) + b.data[at]);
        }
      }
    }
    return [out];
  },
  lower: ({ axis, reverse }) => ({ axis, reverse }),
  vjp: pullback((g, { inputs: [a], outputs: [h], attrs: { axis, reverse }, needs }) => {
    // A constant factor equals its own shift: the factor of the first step is not read.
    const factors = splatValue(a) === undefined ? shiftAgainst(a, axis, reverse) : a;
    const arriving = linearScan(factors, g, { axis, reverse: !reverse });
    return [needs[0] ? timesBefore(arriving, h, axis, reverse) : undefined, needs[1] ? arriving : undefined];
  }),
};

/** Pads with one zero along an axis. */
function padded(x: Tensor, axis: number, atStart: boolean): Tensor {
  return pad(x, x.shape.map((_, at) => (at !== axis ? [0, 0] : atStart ? [1, 0] : [0, 1])));
}

/** The element of the next step (in the direction of travel), 0 after the last. */
function shiftAgainst(x: Tensor, axis: number, reverse: boolean): Tensor {
  const extent = x.shape[axis];
  return extent === 0 ? x : padded(sliceAxis(x, axis, reverse ? 0 : 1, extent - 1), axis, reverse);
}

/** Each element of `l` times that of `h` at the previous step; 0 at the first step. */
function timesBefore(l: Tensor, h: Tensor, axis: number, reverse: boolean): Tensor {
  const extent = h.shape[axis];
  if (extent === 0) return h;
  const later = sliceAxis(l, axis, reverse ? 0 : 1, extent - 1),
    earlier = sliceAxis(h, axis, reverse ? 1 : 0, extent - 1);
  return padded(mul(later, earlier), axis, !reverse);
}

/**
 * `h_t = a_t h_{t-1} + b_t` along an axis, from `h_0 = b_0` on; from the end if `reverse`. The first factor is not
 * read. Shapes: `a` and `b` broadcast by NumPy's rule, the result alike. Cost: one sequential pass. Gradient: a
 * recurrence in the opposite direction, also correct where `a` is zero.
 * @throws {ShapeError} if the shapes do not broadcast or the axis is out of range.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function linearScan(a: TensorLike, b: TensorLike, options: LinearScanOptions): Tensor {
  const [factors, terms] = pair("linearScan", a, b);
  return apply(linearScanOp, [factors, terms], course("linearScan", options, terms));
}

/**
 * The cumulative sum along an axis; from the end if `reverse`. Shapes: like `x`. Gradient: the cumulative sum in the
 * opposite direction.
 * @throws {ShapeError} if the axis is out of range.
 * @throws {DTypeError} for bool.
 */
export function cumsum(x: Tensor, options: LinearScanOptions): Tensor {
  const along = course("cumsum", options, x);
  return linearScan(onesLike(x), x, along);
}

/**
 * The cumulative product along an axis; from the end if `reverse`. Shapes: like `x`. Gradient: without division, so
 * also correct where elements are zero.
 * @throws {ShapeError} if the axis is out of range.
 * @throws {DTypeError} for bool.
 */
export function cumprod(x: Tensor, options: LinearScanOptions): Tensor {
  const { axis: at, reverse } = course("cumprod", options, x), extent = x.shape[at];
  if (extent === 0) return x;
  // The first element starts the recurrence as its term; as a factor it is not read.
  const first = sliceAxis(x, at, reverse ? extent - 1 : 0, 1);
  const start = pad(first, x.shape.map((_, i) => (i !== at ? [0, 0] : reverse ? [extent - 1, 0] : [0, extent - 1])));
  return linearScan(x, start, { axis: at, reverse });
}
