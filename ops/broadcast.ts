/** Sum and broadcast, each the other's gradient. */
import { roundTo } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { apply, type Tensor } from "../core/graph.ts";
import { constantIndex } from "../core/index_expr.ts";
import { fill, splatValue } from "../core/linear.ts";
import type { Attrs, ReduceOp, ViewOp } from "../core/op.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import {
  checkShape,
  checkType,
  formatShape,
  formatType,
  normalizeAxes,
  sameShape,
  type Shape,
  sizeOfShape,
  stridesOf,
} from "../core/shape.ts";
import { axesOf } from "./axes.ts";
import { mul } from "./binary.ts";
import { checkDomain, dropAxes, keepAxes, pullback } from "./define.ts";
import { readStrided, rowsOf } from "./strided.ts";
import { reshape } from "./views.ts";

/** The attributes of reductions: the reduced axes, sorted. */
export interface AxesAttrs extends Attrs {
  readonly axes: readonly number[];
}

/** Options of reductions over several axes. */
export interface ReduceOptions {
  /** Which axes to reduce. Default: all. */
  readonly axes?: number | readonly number[];
  /** Another name of `axes`. */
  readonly axis?: number | readonly number[];
  /** Whether reduced axes are kept with extent 1. */
  readonly keepDims?: boolean;
}

const REDUCE_OPTIONS = optionNames<ReduceOptions>({ axes: true, axis: true, keepDims: true });

/** The axes to reduce, sorted, and whether they are kept. @throws {OptionError} for an unknown option. */
export function reduction(
  of: string,
  x: Tensor,
  options: ReduceOptions,
  action = of,
): { readonly axes: number[]; readonly keepDims: boolean } {
  checkOptions(of, options, REDUCE_OPTIONS);
  return { axes: normalizeAxes(axesOf(options, of), x, action), keepDims: options.keepDims ?? false };
}

/** The sum over axes. */
export const sumOp: ReduceOp<AxesAttrs> = {
  name: "sum",
  kind: "reduce",
  infer: ([x], { axes }) => {
    checkDomain("sum", x, "number");
    return [{ shape: dropAxes(x.shape, axes), dtype: x.dtype }];
  },
  reference: ([x], { axes }, [{ dtype }]) => {
    const { rows, rowCount, rowSize } = rowsOf(x.data, x.shape, axes);
    const out = new Float64Array(rowCount);
    for (let row = 0, at = 0; row < rowCount; row++) {
      let sum = 0;
      for (let i = 0; i < rowSize; i++) sum += rows[at++];
      out[row] = roundTo(dtype, sum);
    }
    return [out];
  },
  lower: ({ axes }) => ({ combine: "sum", axes }),
  vjp: pullback((g, { inputs: [x], attrs: { axes } }) => [broadcastTo(reshape(g, keepAxes(x.shape, axes)), x.shape)]),
  rewrite: ([x], { axes }) => rewriteSum(x, axes),
};

function rewriteSum(x: Tensor, axes: readonly number[]): Tensor | undefined {
  const shape = dropAxes(x.shape, axes);
  if (axes.every((axis) => x.shape[axis] === 1)) return reshape(x, shape);
  const count = sizeOfShape(axes.map((axis) => x.shape[axis]));
  if (count === 0) return fill({ shape, dtype: x.dtype }, 0);
  const value = splatValue(x);
  if (value !== undefined && roundTo(x.dtype, value * count) === value * count) {
    return fill({ shape, dtype: x.dtype }, value * count);
  }
  if (x.node.op === sumOp) {
    const kept = [...x.node.inputs[0].shape.keys()].filter((axis) => !(x.node.attrs as AxesAttrs).axes.includes(axis));
    return sum(x.node.inputs[0], { axes: [...(x.node.attrs as AxesAttrs).axes, ...axes.map((axis) => kept[axis])] });
  }
  return x.node.op === broadcastOp ? sumOfBroadcast(x, x.node.inputs[0], axes) : undefined;
}

/** A sum over axes along which elements repeat is a product with the repeat count. */
function sumOfBroadcast(x: Tensor, from: Tensor, axes: readonly number[]): Tensor | undefined {
  const lead = x.rank - from.rank;
  const repeats = (axis: number) => x.shape[axis] !== 1 && (axis < lead || from.shape[axis - lead] === 1);
  const repeated = axes.filter(repeats);
  if (repeated.length === 0) return undefined;
  const rest = axes.filter((axis) => axis >= lead && !repeats(axis));
  const partial = sum(from, { axes: rest.map((axis) => axis - lead), keepDims: true });
  const kept = partial.shape.filter((_, axis) => !axes.includes(axis + lead));
  const count = sizeOfShape(repeated.map((axis) => x.shape[axis]));
  return broadcastTo(mul(reshape(partial, kept), count), dropAxes(x.shape, axes));
}

interface BroadcastAttrs extends Attrs {
  readonly shape: readonly number[];
}

/** Repeats elements along axes of extent 1 and along new leading axes. */
export const broadcastOp: ViewOp<BroadcastAttrs> = {
  name: "broadcastTo",
  kind: "view",
  infer: ([x], { shape }) => {
    const lead = shape.length - x.shape.length;
    const wrong = x.shape.findIndex((extent, axis) => extent !== 1 && extent !== shape[lead + axis]);
    if (lead < 0 || wrong >= 0) {
      const rule = lead < 0
        ? `the target has rank ${shape.length}, below ${x.shape.length}`
        : `extents must be equal or 1, axis ${wrong} is ${x.shape[wrong]} and the target's axis ${lead + wrong} is ${
          shape[lead + wrong]
        }`;
      throw new ShapeError(`Cannot broadcast ${formatType(x)} to ${formatShape(shape)}: ${rule}`, [x.shape, shape]);
    }
    return [{ shape, dtype: x.dtype }];
  },
  reference: ([x], { shape }) => {
    const lead = shape.length - x.shape.length, strides = stridesOf(x.shape);
    return [
      readStrided(
        x.data,
        shape,
        shape.map((_, axis) => (axis < lead || x.shape[axis - lead] === 1 ? 0 : strides[axis - lead])),
      ),
    ];
  },
  lower: (index, { shape }, [from]) => ({
    pieces: [{
      input: 0,
      index: from.map((extent, axis) => (extent === 1 ? constantIndex(0) : index[shape.length - from.length + axis])),
      where: [],
    }],
    fill: 0,
  }),
  vjp: pullback((g, { inputs: [x] }) => [sumTo(g, x.shape)]),
  rewrite: ([x], { shape }) => {
    if (sameShape(x.shape, shape)) return x;
    const value = splatValue(x);
    if (value !== undefined) return fill({ shape, dtype: x.dtype }, value);
    return x.node.op === broadcastOp ? broadcastTo(x.node.inputs[0], shape) : undefined;
  },
};

/** Sums `x` down to a shape that broadcasts to its own. */
function sumTo(x: Tensor, shape: Shape): Tensor {
  const lead = x.rank - shape.length;
  const axes = [...x.shape.keys()].filter((axis) => axis < lead || (shape[axis - lead] === 1 && x.shape[axis] !== 1));
  return reshape(sum(x, { axes }), shape);
}

/**
 * The sum over axes. Shapes: the axes are removed, or kept with extent 1 (`keepDims`); an empty sum is 0. Accumulates
 * in the dtype of `x`. Gradient: broadcast.
 * @throws {ShapeError} if an axis is out of range or named twice.
 * @throws {DTypeError} for bool.
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  const { axes, keepDims } = reduction("sum", x, options);
  checkDomain("sum", x, "number");
  const reduced = axes.length === 0 ? x : apply(sumOp, [x], { axes });
  return keepDims ? reshape(reduced, keepAxes(x.shape, axes)) : reduced;
}

/**
 * Repeats elements along axes of extent 1 and along new leading axes, by NumPy's rule.
 * Gradient: summed over what was repeated.
 * @throws {ShapeError} if an extent is neither 1 nor that of the target.
 */
export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor {
  checkType("broadcast", x);
  checkShape(shape, `broadcast ${formatType(x)} to a tensor`);
  return sameShape(x.shape, shape) ? x : apply(broadcastOp, [x], { shape: [...shape] });
}
