/**
 * Comparisons and logic. Shapes: operands broadcast by NumPy's rule; results are bool. None has a gradient: they are
 * piecewise constant.
 */
import type { BinaryOp } from "../core/expr.ts";
import { apply, type Tensor } from "../core/graph.ts";
import type { Attrs, MapOp } from "../core/op.ts";
import { checkDomain, checkSameDType, checkSameShape, type Domain, noGradient } from "./define.ts";
import { pair, type TensorLike } from "./operands.ts";

/** The attributes of comparisons. */
export interface CompareAttrs extends Attrs {
  /** See `isExact` of MapOp. */
  readonly exact?: boolean;
}

function define(
  name: string,
  lower: BinaryOp,
  domain: Domain,
  holds: (x: number, y: number) => boolean,
): MapOp<CompareAttrs> {
  return {
    name,
    kind: "map",
    infer: ([x, y]) => {
      checkSameDType(name, x, y);
      checkDomain(name, x, domain);
      checkSameShape(name, x, y);
      return [{ shape: x.shape, dtype: "bool" }];
    },
    reference: ([x, y]) => [x.data.map((value, i) => (holds(value, y.data[i]) ? 1 : 0))],
    lower: (e, [x, y]) => e.binary(lower, x, y),
    isExact: ({ exact }) => exact === true,
    vjp: noGradient("a bool has no gradient"),
  };
}

/**
 * A comparison on which a gradient depends: whether an element is the extreme of its row, or which of two is selected.
 * All such comparisons of a tensor see the same rounding of it, the one from which the extreme was computed. Takes
 * tensors of one type.
 */
export function compareExactly(op: MapOp<CompareAttrs>, lhs: Tensor, rhs: Tensor): Tensor {
  return apply(op, [lhs, rhs], { exact: true });
}

export const equalOp: MapOp<CompareAttrs> = define("equal", "eq", "any", (x, y) => x === y);
export const notEqualOp: MapOp<CompareAttrs> = define("notEqual", "ne", "any", (x, y) => x !== y);
export const lessOp: MapOp<CompareAttrs> = define("less", "lt", "number", (x, y) => x < y);
export const lessEqualOp: MapOp<CompareAttrs> = define("lessEqual", "le", "number", (x, y) => x <= y);
export const greaterOp: MapOp<CompareAttrs> = define("greater", "gt", "number", (x, y) => x > y);
export const greaterEqualOp: MapOp<CompareAttrs> = define("greaterEqual", "ge", "number", (x, y) => x >= y);
export const logicalAndOp: MapOp<CompareAttrs> = define("logicalAnd", "and", "bool", (x, y) => x !== 0 && y !== 0);
export const logicalOrOp: MapOp<CompareAttrs> = define("logicalOr", "or", "bool", (x, y) => x !== 0 || y !== 0);

export const logicalNotOp: MapOp<Attrs> = {
  name: "logicalNot",
  kind: "map",
  infer: ([x]) => {
    checkDomain("logicalNot", x, "bool");
    return [{ shape: x.shape, dtype: "bool" }];
  },
  reference: ([x]) => [x.data.map((value) => (value === 0 ? 1 : 0))],
  lower: (e, [x]) => e.unary("not", x),
  vjp: noGradient("a bool has no gradient"),
  rewrite: ([x]) => (x.node.op === logicalNotOp ? x.node.inputs[0] : undefined),
};

/**
 * Whether `lhs == rhs`. Gradient: zero. @throws {ShapeError | DTypeError} if shapes do not broadcast or dtypes differ.
 */
export function equal(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(equalOp, pair("equal", lhs, rhs));
}

/**
 * Whether `lhs != rhs`. Gradient: zero. @throws {ShapeError | DTypeError} if shapes do not broadcast or dtypes differ.
 */
export function notEqual(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(notEqualOp, pair("notEqual", lhs, rhs));
}

/**
 * Whether `lhs < rhs`. Gradient: zero. @throws {ShapeError | DTypeError} if shapes do not broadcast, dtypes differ or
 * are bool.
 */
export function less(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(lessOp, pair("less", lhs, rhs));
}

/**
 * Whether `lhs <= rhs`. Gradient: zero. @throws {ShapeError | DTypeError} if shapes do not broadcast, dtypes differ or
 * are bool.
 */
export function lessEqual(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(lessEqualOp, pair("lessEqual", lhs, rhs));
}

/**
 * Whether `lhs > rhs`. Gradient: zero. @throws {ShapeError | DTypeError} if shapes do not broadcast, dtypes differ or
 * are bool.
 */
export function greater(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(greaterOp, pair("greater", lhs, rhs));
}

/**
 * Whether `lhs >= rhs`. Gradient: zero. @throws {ShapeError | DTypeError} if shapes do not broadcast, dtypes differ or
 * are bool.
 */
export function greaterEqual(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(greaterEqualOp, pair("greaterEqual", lhs, rhs));
}

/** Whether both are true. Gradient: zero. @throws {ShapeError | DTypeError} if shapes do not broadcast or an operand is not
 * bool.
 */
export function logicalAnd(lhs: Tensor, rhs: Tensor): Tensor {
  return apply(logicalAndOp, pair("logicalAnd", lhs, rhs));
}

/** Whether at least one is true. Gradient: zero. @throws {ShapeError | DTypeError} if shapes do not broadcast or an
 * operand is not bool.
 */
export function logicalOr(lhs: Tensor, rhs: Tensor): Tensor {
  return apply(logicalOrOp, pair("logicalOr", lhs, rhs));
}

/** Logical not. Gradient: zero. @throws {DTypeError} if `x` is not bool. */
export function logicalNot(x: Tensor): Tensor {
  return apply(logicalNotOp, [x]);
}
