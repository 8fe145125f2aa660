/** Views that keep every element: reshape, transpose and flip, each its own dual. */
import { ShapeError } from "../core/errors.ts";
import { apply, type Tensor } from "../core/graph.ts";
import { addIndex, constantIndex, linearIndex, scaleIndex, splitIndex } from "../core/index_expr.ts";
import { fill, splatValue } from "../core/linear.ts";
import type { Attrs, ViewOp } from "../core/op.ts";
import {
  checkList,
  checkShape,
  checkType,
  formatShape,
  formatType,
  normalizeAxes,
  normalizeAxis,
  sameShape,
  sizeOfShape,
  stridesOf,
} from "../core/shape.ts";
import { pullback } from "./define.ts";
import { readStrided } from "./strided.ts";

interface ReshapeAttrs extends Attrs {
  readonly shape: readonly number[];
}

/** The same elements in row-major order with another shape. */
export const reshapeOp: ViewOp<ReshapeAttrs> = {
  name: "reshape",
  kind: "view",
  infer: ([x], { shape }) => {
    if (sizeOfShape(shape) !== sizeOfShape(x.shape)) {
      throw new ShapeError(
        `Cannot reshape ${formatType(x)} to ${formatShape(shape)}: the sizes must be equal, they are ${
          sizeOfShape(x.shape)
        } and ${sizeOfShape(shape)}`,
        [x.shape, shape],
      );
    }
    return [{ shape, dtype: x.dtype }];
  },
  reference: ([x]) => [x.data],
  lower: (index, { shape }, [from]) => {
    // An empty tensor has no elements, and its extents of 0 cannot be divisors.
    const at = sizeOfShape(from) === 0 ? from.map(() => constantIndex(0)) : splitIndex(linearIndex(index, shape), from);
    return { pieces: [{ input: 0, index: at, where: [] }], fill: 0 };
  },
  vjp: pullback((g, { inputs: [x] }) => [reshape(g, x.shape)]),
  rewrite: ([x], { shape }) => {
    if (sameShape(x.shape, shape)) return x;
    const value = splatValue(x);
    if (value !== undefined) return fill({ shape, dtype: x.dtype }, value);
    return x.node.op === reshapeOp ? reshape(x.node.inputs[0], shape) : undefined;
  },
};

interface TransposeAttrs extends Attrs {
  readonly axes: readonly number[];
}

/** Permutes the axes: axis `i` of the result is axis `axes[i]` of the input. */
export const transposeOp: ViewOp<TransposeAttrs> = {
  name: "transpose",
  kind: "view",
  infer: ([x], { axes }) => {
    const seen = [...axes].sort((a, b) => a - b);
    if (axes.length !== x.shape.length || seen.some((axis, i) => axis !== i)) {
      throw new ShapeError(
        `Cannot transpose ${formatType(x)} by axes [${
          axes.join(", ")
        }]: they must name each of its ${x.shape.length} axes once`,
        [x.shape],
      );
    }
    return [{ shape: axes.map((axis) => x.shape[axis]), dtype: x.dtype }];
  },
  reference: ([x], { axes }, [{ shape }]) => {
    const strides = stridesOf(x.shape);
    return [readStrided(x.data, shape, axes.map((axis) => strides[axis]))];
  },
  lower: (index, { axes }) => ({
    pieces: [{ input: 0, index: inversePermutation(axes).map((from) => index[from]), where: [] }],
    fill: 0,
  }),
  vjp: pullback((g, { attrs: { axes } }) => [transpose(g, inversePermutation(axes))]),
  rewrite: ([x], { axes }) => {
    if (axes.every((axis, i) => axis === i)) return x;
    const value = splatValue(x);
    if (value !== undefined) return fill({ shape: axes.map((axis) => x.shape[axis]), dtype: x.dtype }, value);
    if (x.node.op !== transposeOp) return undefined;
    const inner = x.node.attrs as TransposeAttrs;
    return transpose(x.node.inputs[0], axes.map((axis) => inner.axes[axis]));
  },
};

function inversePermutation(axes: readonly number[]): number[] {
  const inverse = new Array<number>(axes.length);
  axes.forEach((axis, i) => inverse[axis] = i);
  return inverse;
}

interface FlipAttrs extends Attrs {
  readonly axes: readonly number[];
}

/** Reverses the order of elements along `axes`. */
export const flipOp: ViewOp<FlipAttrs> = {
  name: "flip",
  kind: "view",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  reference: ([x], { axes }) => {
    const strides = stridesOf(x.shape);
    const offset = axes.reduce((sum, axis) => sum + Math.max(0, x.shape[axis] - 1) * strides[axis], 0);
    return [
      readStrided(x.data, x.shape, strides.map((stride, axis) => (axes.includes(axis) ? -stride : stride)), offset),
    ];
  },
  lower: (index, { axes }, [shape]) => ({
    pieces: [{
      input: 0,
      index: index.map((at, axis) => (axes.includes(axis) ? addIndex(scaleIndex(at, -1), shape[axis] - 1) : at)),
      where: [],
    }],
    fill: 0,
  }),
  vjp: pullback((g, { attrs: { axes } }) => [flip(g, axes)]),
  rewrite: ([x], { axes }) => {
    if (axes.every((axis) => x.shape[axis] === 1) || splatValue(x) !== undefined) return x;
    const inner = x.node.op === flipOp ? (x.node.attrs as FlipAttrs).axes : undefined;
    return inner && sameShape(inner, axes) ? x.node.inputs[0] : undefined;
  },
};

/**
 * The same elements in row-major order with another shape; one extent can be -1 and is inferred from the others.
 * Gradient: reshaped back.
 * @throws {ShapeError} if the sizes differ.
 */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  checkType("reshape", x);
  checkList("reshape to", shape);
  const holes = shape.filter((extent) => extent === -1).length;
  let target = [...shape];
  if (holes > 1) {
    throw new ShapeError(
      `Cannot reshape ${formatType(x)} to ${formatShape(shape)}: at most one extent may be -1, there are ${holes}`,
      [x.shape],
    );
  }
  if (holes === 1) {
    const known = shape.reduce((size, extent) => (extent === -1 ? size : size * extent), 1);
    if (known === 0 || sizeOfShape(x.shape) % known !== 0) {
      throw new ShapeError(
        `Cannot reshape ${formatType(x)} to ${formatShape(shape)}: ${
          sizeOfShape(x.shape)
        } elements are not a multiple of the other extents' ${known}`,
        [x.shape, shape],
      );
    }
    target = target.map((extent) => (extent === -1 ? sizeOfShape(x.shape) / known : extent));
  }
  checkShape(target, `reshape ${formatType(x)} to a tensor`);
  return sameShape(x.shape, target) ? x : apply(reshapeOp, [x], { shape: target });
}

/**
 * Permutes the axes: axis `i` of the result is axis `axes[i]` of `x`. Without `axes`, reverses them. Gradient:
 * transposed back.
 * @throws {ShapeError} if `axes` does not name each axis once.
 */
export function transpose(x: Tensor, axes?: readonly number[]): Tensor {
  checkType("transpose", x);
  if (axes) checkList("transpose by", axes);
  const order = axes ? axes.map((axis) => normalizeAxis(axis, x, "transpose")) : [...x.shape.keys()].reverse();
  return order.length === x.rank && order.every((axis, i) => axis === i) ? x : apply(transposeOp, [x], { axes: order });
}

/** `x` with two axes exchanged. Gradient: exchanged back. @throws {ShapeError} if an axis is out of range. */
export function swapAxes(x: Tensor, a: number, b: number): Tensor {
  const [from, to] = [normalizeAxis(a, x, "swap"), normalizeAxis(b, x, "swap")];
  return transpose(x, [...x.shape.keys()].map((axis) => (axis === from ? to : axis === to ? from : axis)));
}

/**
 * Reverses the order of elements along `axes` (default: all). Gradient: flipped back. @throws {ShapeError} if an axis
 * is out of range.
 */
export function flip(x: Tensor, axes?: number | readonly number[]): Tensor {
  const sorted = normalizeAxes(axes, x, "flip");
  return sorted.length === 0 ? x : apply(flipOp, [x], { axes: sorted });
}

/**
 * `x` with a new axis of extent 1 at `axis` of the result. Gradient: squeezed. @throws {ShapeError} if the axis is out
 * of range.
 */
export function expandDims(x: Tensor, axis: number): Tensor {
  checkType("insert an axis into", x);
  const at = normalizeAxis(axis, { shape: [...x.shape, 1] }, "insert");
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

/**
 * `x` without axes of extent 1. Gradient: reshaped back. @throws {ShapeError} if an axis is out of range or its extent
 * is not 1.
 */
export function squeeze(x: Tensor, axis: number | readonly number[]): Tensor {
  const axes = normalizeAxes(axis, x, "squeeze");
  for (const at of axes) {
    if (x.shape[at] !== 1) {
      throw new ShapeError(
        `Cannot squeeze axis ${at} of ${formatType(x)}: its extent must be 1, it is ${x.shape[at]}`,
        [x.shape],
      );
    }
  }
  return reshape(x, x.shape.filter((_, at) => !axes.includes(at)));
}
