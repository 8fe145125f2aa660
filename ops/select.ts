/** Selection, conversion and stopping of gradients. */
import { type DType, isFloat, isHalf, roundTo, type Type } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { apply, type Tensor } from "../core/graph.ts";
import { splatValue } from "../core/linear.ts";
import type { Attrs, MapOp } from "../core/op.ts";
import { broadcastShapes, checkType, formatType } from "../core/shape.ts";
import { broadcastTo } from "./broadcast.ts";
import { checkSameDType, checkSameShape, noGradient, pullback } from "./define.ts";
import { pair, type TensorLike } from "./operands.ts";

/** Takes elements of one tensor where a condition is true, and of another elsewhere. */
export const whereOp: MapOp<Attrs> = {
  name: "where",
  kind: "map",
  infer: ([cond, x, y]) => {
    checkCondition(cond);
    checkSameDType("choose between", x, y);
    checkSameShape("choose between", x, y);
    checkSameShape("choose by", cond, x);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: ([cond, x, y]) => [cond.data.map((chosen, i) => (chosen !== 0 ? x.data[i] : y.data[i]))],
  lower: (e, [cond, x, y]) => e.select(cond, x, y),
  vjp: pullback((
    g,
    { inputs: [cond], needs },
  ) => [undefined, needs[1] ? where(cond, g, 0) : undefined, needs[2] ? where(cond, 0, g) : undefined]),
  rewrite: ([cond, x, y]) => {
    if (x === y) return x;
    const chosen = splatValue(cond);
    return chosen === undefined ? undefined : chosen !== 0 ? x : y;
  },
};

interface CastAttrs extends Attrs {
  readonly dtype: DType;
}

function converted(value: number, from: DType, to: DType): number {
  // NaN is not 0, so it becomes true, although it is falsy in JavaScript.
  if (to === "bool") return Number(value !== 0);
  if (!isFloat(from) || isFloat(to)) return roundTo(to, value);
  const [lowest, highest] = to === "i32" ? [-2147483648, 2147483647] : [0, 4294967295];
  return Number.isNaN(value) ? 0 : Math.min(Math.max(Math.trunc(value), lowest), highest) + 0;
}

/** Converts between dtypes. */
export const castOp: MapOp<CastAttrs> = {
  name: "cast",
  kind: "map",
  infer: ([x], { dtype }) => [{ shape: x.shape, dtype }],
  reference: ([x], { dtype }) => [x.data.map((value) => converted(value, x.dtype, dtype))],
  lower: (e, [x], { dtype }) => e.cast(x, dtype),
  vjp: pullback((g, { inputs: [x] }) => [isFloat(g.dtype) ? cast(g, x.dtype) : undefined]),
  rewrite: ([x], { dtype }) => {
    if (x.dtype === dtype) return x;
    // 0 and 1 survive any numeric dtype on the way.
    return x.node.op === castOp && x.node.inputs[0].dtype === "bool" ? cast(x.node.inputs[0], dtype) : undefined;
  },
};

/** The identity, through which no gradient passes. */
export const stopGradientOp: MapOp<Attrs> = {
  name: "stopGradient",
  kind: "map",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  reference: ([x]) => [x.data],
  lower: (_e, [x]) => x,
  vjp: noGradient("stopGradient passes none"),
  // Differentiation is over when a graph is simplified.
  rewrite: ([x]) => x,
};

function checkCondition(cond: Type): void {
  checkType("choose by", cond);
  if (cond.dtype !== "bool") {
    throw new DTypeError(`Cannot choose by ${formatType(cond)}: the condition must be bool; compare it with 0`, [
      cond.dtype,
    ]);
  }
}

/**
 * `cond ? x : y` for each element. Shapes: all three broadcast by NumPy's rule. Both sides are computed. Gradient:
 * passes to the selected side, zero to the other. That zero still propagates through the other side's computation,
 * where it becomes NaN if a derivative is infinite (0 times infinity). Make the argument safe first, then select: to
 * get 0 for `sqrt(x)` below 0 write `where(ok, sqrt(where(ok, x, 1)), 0)` rather than `where(ok, sqrt(x), 0)`.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if `cond` is not bool, or `x` and `y` differ in dtype.
 */
export function where(cond: Tensor, x: TensorLike, y: TensorLike): Tensor {
  checkCondition(cond);
  const [left, right] = pair("choose between", x, y);
  const shape = broadcastShapes(cond.shape, left.shape, "choose between");
  return apply(whereOp, [cond, left, right].map((operand) => broadcastTo(operand, shape)));
}

/**
 * Converts to a dtype: floats to integers truncate towards zero, out-of-range values are clamped and NaN gives 0;
 * integers to each other keep their bits; anything to bool is `x != 0`, so NaN is true. Gradient: cast back between
 * floats, zero through integers and bool.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x?.dtype === dtype ? x : apply(castOp, [x], { dtype });
}

/**
 * Applies `fn` to a float tensor in f32, and rounds the result to the dtype of `x`. Squares and sums of f16 overflow
 * from 256 and 2,048 on, although their roots and means are ordinary numbers; widening is free within a fused kernel.
 */
export function inF32(x: Tensor, fn: (wide: Tensor) => Tensor): Tensor {
  return isHalf(x?.dtype) ? cast(fn(cast(x, "f32")), x.dtype) : fn(x);
}

/** `x` itself, as a constant for differentiation. Gradient: zero. */
export function stopGradient(x: Tensor): Tensor {
  return apply(stopGradientOp, [x]);
}
