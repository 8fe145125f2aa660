/** Converts user arguments into operands of one shape and dtype. */
import { isFloat, roundTo, type Type } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { isTensor, type Tensor } from "../core/graph.ts";
import { fill } from "../core/linear.ts";
import { broadcastShapes, formatType } from "../core/shape.ts";
import { broadcastTo } from "./broadcast.ts";
import { checkSameDType } from "./define.ts";

/** A tensor, or a number that takes the shape and dtype of the other operand (f32 if there is none). */
export type TensorLike = Tensor | number;

/** A number as a tensor of a type. @throws {DTypeError} if an integer dtype cannot hold it. */
export function fillLike(action: string, value: number, type: Type): Tensor {
  if (typeof value === "number" && !isFloat(type.dtype) && roundTo(type.dtype, value) !== value) {
    throw new DTypeError(
      `Cannot ${action} ${formatType(type)} and ${value}: ${type.dtype} cannot hold ${value}; use cast`,
      [type.dtype],
    );
  }
  return fill(type, value, action);
}

const SCALAR = { shape: [], dtype: "f32" } as const;

/**
 * Two operands of one dtype, broadcast to one shape.
 * @throws {DTypeError | ShapeError} if their dtypes differ or their shapes do not broadcast.
 */
export function pair(action: string, lhs: TensorLike, rhs: TensorLike): [Tensor, Tensor] {
  if (!isTensor(lhs)) {
    if (isTensor(rhs)) return [fillLike(action, lhs, rhs), rhs];
    return [fill(SCALAR, lhs, action), fill(SCALAR, rhs, action)];
  }
  if (!isTensor(rhs)) return [lhs, fillLike(action, rhs, lhs)];
  checkSameDType(action, lhs, rhs);
  const shape = broadcastShapes(lhs.shape, rhs.shape, action);
  return [broadcastTo(lhs, shape), broadcastTo(rhs, shape)];
}
