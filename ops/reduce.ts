/** Reductions besides the sum: extremes, mean and variance, products, and truth. */
import { ShapeError } from "../core/errors.ts";
import type { Combine } from "../core/expr.ts";
import { apply, type Tensor } from "../core/graph.ts";
import { isFloat, type Type } from "../core/dtype.ts";
import { fill } from "../core/linear.ts";
import type { Attrs, ReduceOp } from "../core/op.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatType, normalizeAxis, sizeOfShape } from "../core/shape.ts";
import { axisOf } from "./axes.ts";
import { div, mul, sub } from "./binary.ts";
import { type AxesAttrs, broadcastTo, type ReduceOptions, reduction, sum } from "./broadcast.ts";
import { compareExactly, equalOp } from "./compare.ts";
import { checkDomain, dropAxes, keepAxes, noGradient, pullback } from "./define.ts";
import { cast, inF32, where } from "./select.ts";
import { sliceAxis } from "./slice.ts";
import { rowsOf } from "./strided.ts";
import { neg } from "./unary.ts";
import { reshape } from "./views.ts";

function checkNotEmpty(action: string, x: Type, axes: readonly number[]): void {
  const empty = axes.find((axis) => x.shape[axis] === 0);
  if (empty !== undefined) {
    throw new ShapeError(
      `Cannot take the ${action} of ${formatType(x)} over axis ${empty}: its extent must be at least 1, it is 0`,
      [x.shape],
    );
  }
}

function defineExtreme(name: "max" | "min", better: (x: number, y: number) => number): ReduceOp<AxesAttrs> {
  const op: ReduceOp<AxesAttrs> = {
    name,
    kind: "reduce",
    infer: ([x], { axes }) => {
      checkDomain(name, x, "number");
      checkNotEmpty(name, x, axes);
      return [{ shape: dropAxes(x.shape, axes), dtype: x.dtype }];
    },
    reference: ([x], { axes }) => {
      const { rows, rowCount, rowSize } = rowsOf(x.data, x.shape, axes);
      return [
        new Float64Array(rowCount).map((_, row) =>
          rows.subarray(row * rowSize, (row + 1) * rowSize).reduce((best, value) => better(best, value))
        ),
      ];
    },
    lower: ({ axes }) => ({ combine: name as Combine, axes }),
    vjp: pullback((g, { inputs: [x], attrs }) => {
      const { axes } = attrs, kept = keepAxes(x.shape, axes);
      // Not the output that the caller has: a loop's gradient may have kept it from another kernel, which rounded x differently.
      const isBest = compareExactly(equalOp, x, broadcastTo(reshape(apply(op, [x], attrs), kept), x.shape));
      const ties = sum(cast(isBest, x.dtype), { axes });
      return [where(isBest, broadcastTo(reshape(div(g, ties), kept), x.shape), 0)];
    }),
    rewrite: (
      [x],
      { axes },
    ) => (axes.every((axis) => x.shape[axis] === 1) ? reshape(x, dropAxes(x.shape, axes)) : undefined),
  };
  return op;
}

export const maxOp: ReduceOp<AxesAttrs> = defineExtreme("max", (x, y) => Math.max(x, y));
export const minOp: ReduceOp<AxesAttrs> = defineExtreme("min", (x, y) => Math.min(x, y));

interface ArgmaxAttrs extends Attrs {
  readonly axis: number;
}

/** The index of the first largest element along an axis, or of the first NaN if there is one. */
export const argmaxOp: ReduceOp<ArgmaxAttrs> = {
  name: "argmax",
  kind: "reduce",
  infer: ([x], { axis }) => {
    checkDomain("argmax", x, "number");
    checkNotEmpty("argmax", x, [axis]);
    return [{ shape: dropAxes(x.shape, [axis]), dtype: "i32" }];
  },
  reference: ([x], { axis }) => {
    const { rows, rowCount, rowSize } = rowsOf(x.data, x.shape, [axis]);
    return [new Float64Array(rowCount).map((_, row) => {
      const from = row * rowSize;
      let best = 0;
      // NaN is never replaced, not even by another NaN.
      for (let i = 1; i < rowSize && !Number.isNaN(rows[from + best]); i++) {
        if (!(rows[from + i] <= rows[from + best])) best = i;
      }
      return best;
    })];
  },
  lower: ({ axis }) => ({ combine: "argmax", axes: [axis] }),
  vjp: noGradient("an index is piecewise constant"),
};

function reduceExtreme(op: ReduceOp<AxesAttrs>, x: Tensor, options: ReduceOptions): Tensor {
  const { axes, keepDims } = reduction(op.name, x, options, `take the ${op.name} over`);
  checkDomain(op.name, x, "number");
  const reduced = axes.length === 0 ? x : apply(op, [x], { axes });
  return keepDims ? reshape(reduced, keepAxes(x.shape, axes)) : reduced;
}

/**
 * The largest element over axes; NaN if one is. Shapes: the axes are removed, or kept with extent 1 (`keepDims`).
 * Gradient: to the largest, in equal parts where several tie.
 * @throws {ShapeError} if an axis is out of range, named twice, or empty.
 * @throws {DTypeError} for bool.
 */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceExtreme(maxOp, x, options);
}

/**
 * The smallest element over axes; NaN if one is. Shapes: the axes are removed, or kept with extent 1 (`keepDims`).
 * Gradient: to the smallest, in equal parts where several tie.
 * @throws {ShapeError} if an axis is out of range, named twice, or empty.
 * @throws {DTypeError} for bool.
 */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceExtreme(minOp, x, options);
}

/**
 * The arithmetic mean over axes; NaN if empty. For f16, computed in f32 and rounded once. Shapes: the axes are removed,
 * or kept with extent 1 (`keepDims`). Gradient: broadcast over the number of elements.
 * @throws {ShapeError} if an axis is out of range or named twice.
 * @throws {DTypeError} if `x` is not a float.
 */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkDomain("take the mean of", x, "float");
  const { axes, keepDims } = reduction("mean", x, options, "take the mean over");
  return inF32(x, (wide) => div(sum(wide, { axes, keepDims }), sizeOfShape(axes.map((axis) => x.shape[axis]))));
}

/** Options of {@link variance}. */
export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the number of elements in the divisor. Default: 0; use 1 for the sample variance. */
  readonly ddof?: number;
}

const VARIANCE_OPTIONS = optionNames<VarianceOptions>({ axes: true, axis: true, keepDims: true, ddof: true });

/**
 * The mean of squared deviations from the mean over axes, in two passes, so that a large mean does not cost precision:
 * the sum of squares over `n - ddof`; NaN or infinite where that is not above 0. For f16, computed in f32 and rounded
 * once. Shapes: the axes are removed, or kept with extent 1 (`keepDims`).
 * @throws {ShapeError} if an axis is out of range or named twice.
 * @throws {DTypeError} if `x` is not a float.
 */
export function variance(x: Tensor, options: VarianceOptions = {}): Tensor {
  checkDomain("take the variance of", x, "float");
  checkOptions("variance", options, VARIANCE_OPTIONS);
  const { ddof = 0, ...rest } = options;
  const { axes, keepDims } = reduction("variance", x, rest, "take the variance over");
  const count = sizeOfShape(axes.map((axis) => x.shape[axis]));
  return inF32(x, (wide) => {
    const deviations = sub(wide, mean(wide, { axes, keepDims: true }));
    return div(sum(mul(deviations, deviations), { axes, keepDims }), Math.max(0, count - ddof));
  });
}

/**
 * The product over axes, by pairs of halves, so that its rounding errors grow with the logarithm of the number of
 * elements; 1 of none. Shapes: the axes are removed, or kept with extent 1 (`keepDims`). Gradient: the product of the
 * others, also where some are 0.
 * @throws {ShapeError} if an axis is out of range or named twice.
 * @throws {DTypeError} for bool.
 */
export function prod(x: Tensor, options: ReduceOptions = {}): Tensor {
  const { axes, keepDims } = reduction("prod", x, options, "take the product over");
  checkDomain("prod", x, "number");
  const reduced = axes.reduce(productAlong, x);
  return keepDims ? reduced : reshape(reduced, dropAxes(x.shape, axes));
}

/** The product along one axis, which is kept with extent 1: halves are multiplied, an odd element comes last. */
function productAlong(x: Tensor, axis: number): Tensor {
  let rest = x;
  const single: Tensor[] = [];
  while (rest.shape[axis] > 1) {
    const extent = rest.shape[axis], half = extent >> 1;
    if (extent % 2 === 1) single.push(sliceAxis(rest, axis, extent - 1, 1));
    rest = mul(sliceAxis(rest, axis, 0, half), sliceAxis(rest, axis, half, half));
  }
  if (rest.shape[axis] === 0) return fill({ shape: keepAxes(x.shape, [axis]), dtype: x.dtype }, 1);
  return single.reduce((product, element) => mul(product, element), rest);
}

function reduceBool(of: "any" | "all", x: Tensor, options: ReduceOptions): Tensor {
  const { axes, keepDims } = reduction(of, x, options, `take ${of} over`);
  checkDomain(of, x, "bool");
  const isEmpty = axes.some((axis) => x.shape[axis] === 0);
  const shape = keepDims ? keepAxes(x.shape, axes) : dropAxes(x.shape, axes);
  if (isEmpty) return fill({ shape, dtype: "bool" }, of === "all" ? 1 : 0);
  const numbers = cast(x, "i32");
  return cast(of === "any" ? max(numbers, { axes, keepDims }) : min(numbers, { axes, keepDims }), "bool");
}

/**
 * Whether at least one element is true, over axes; false of none. Shapes: the axes are removed, or kept with extent 1
 * (`keepDims`). Gradient: none.
 * @throws {ShapeError} if an axis is out of range or named twice.
 * @throws {DTypeError} if `x` is not bool.
 */
export function any(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceBool("any", x, options);
}

/**
 * Whether every element is true, over axes; true of none. Shapes: the axes are removed, or kept with extent 1
 * (`keepDims`). Gradient: none.
 * @throws {ShapeError} if an axis is out of range or named twice.
 * @throws {DTypeError} if `x` is not bool.
 */
export function all(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceBool("all", x, options);
}

/** Options of {@link argmax} and {@link argmin}. */
export interface ArgmaxOptions {
  /** The axis. Default: all elements in row-major order. */
  readonly axis?: number;
  /** Another name of `axis`. */
  readonly axes?: number | readonly [number];
  /** Whether the axis is kept with extent 1. */
  readonly keepDims?: boolean;
}

const ARGMAX_OPTIONS = optionNames<ArgmaxOptions>({ axis: true, axes: true, keepDims: true });

/**
 * The index (i32) of the first largest element along `axis`, or among all elements in row-major order; that of the
 * first NaN if there is one. Shapes: the axis is removed, or kept with extent 1 (`keepDims`). Gradient: none.
 * @throws {ShapeError} if the axis is out of range or empty.
 * @throws {DTypeError} for bool.
 */
export function argmax(x: Tensor, options: ArgmaxOptions = {}): Tensor {
  return argExtreme("argmax", x, options);
}

/**
 * The index (i32) of the first smallest element along `axis`, or among all elements in row-major order; that of the
 * first NaN if there is one. Shapes: the axis is removed, or kept with extent 1 (`keepDims`). Gradient: none.
 * @throws {ShapeError} if the axis is out of range or empty.
 * @throws {DTypeError} for bool.
 */
export function argmin(x: Tensor, options: ArgmaxOptions = {}): Tensor {
  checkDomain("argmin", x, "number");
  return argExtreme("argmin", reversed(x), options);
}

/**
 * The elements with their order reversed, without collisions: integers are counted from the other end of their range,
 * since the least i32 has no negative and no u32 has one.
 */
export function reversed(x: Tensor): Tensor {
  return isFloat(x.dtype) ? neg(x) : sub(x.dtype === "i32" ? -1 : 4294967295, x);
}

function argExtreme(of: "argmax" | "argmin", x: Tensor, options: ArgmaxOptions): Tensor {
  checkOptions(of, options, ARGMAX_OPTIONS);
  const axis = axisOf(options, of), { keepDims = false } = options;
  if (axis === undefined) {
    const flat = apply(argmaxOp, [reshape(x, [-1])], { axis: 0 });
    return keepDims ? reshape(flat, x.shape.map(() => 1)) : flat;
  }
  const at = normalizeAxis(axis, x, `take the ${of} along`);
  const reduced = apply(argmaxOp, [x], { axis: at });
  return keepDims ? reshape(reduced, keepAxes(x.shape, [at])) : reduced;
}
