/** The matrix product. */
import type { Type } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { apply, type Tensor } from "../core/graph.ts";
import { fill } from "../core/linear.ts";
import type { Attrs, ContractOp } from "../core/op.ts";
import { broadcastShapes, formatType, sameShape, type Shape, sizeOfShape } from "../core/shape.ts";
import { broadcastTo } from "./broadcast.ts";
import { checkDomain, checkSameDType, pullback } from "./define.ts";
import { reshape, swapAxes } from "./views.ts";

function checkInner(lhs: Type, rhs: Type): void {
  const lhsAxis = lhs.shape.length - 1, rhsAxis = Math.max(0, rhs.shape.length - 2);
  const [left, right] = [lhs.shape[lhsAxis], rhs.shape[rhsAxis]];
  if (left !== right) {
    throw new ShapeError(
      `Cannot multiply lhs ${formatType(lhs)} by rhs ${
        formatType(rhs)
      }: inner axes must be equal, lhs axis ${lhsAxis} is ${left} and rhs axis ${rhsAxis} is ${right}`,
      [lhs.shape, rhs.shape],
    );
  }
}

/** Batched matrix product: `[...batch, M, K]` by `[...batch, K, N]`. */
export const matmulOp: ContractOp<Attrs> = {
  name: "matmul",
  kind: "contract",
  infer: ([lhs, rhs]) => {
    checkSameDType("multiply", lhs, rhs);
    checkDomain("multiply", lhs, "float");
    const batch = lhs.shape.slice(0, -2);
    if (lhs.shape.length < 2 || !sameShape(batch, rhs.shape.slice(0, -2))) {
      throw new ShapeError(
        `Cannot multiply lhs ${formatType(lhs)} by rhs ${
          formatType(rhs)
        }: the primitive needs equal leading axes before two inner ones`,
        [
          lhs.shape,
          rhs.shape,
        ],
      );
    }
    checkInner(lhs, rhs);
    return [{ shape: [...lhs.shape.slice(0, -1), rhs.shape[rhs.shape.length - 1]], dtype: lhs.dtype }];
  },
  reference: ([lhs, rhs], _attrs, [{ shape }]) => {
    const out = new Float64Array(sizeOfShape(shape));
    const [M, K] = lhs.shape.slice(-2), N = shape[shape.length - 1];
    for (let row = 0; row < out.length / Math.max(1, N); row++) {
      const batch = Math.floor(row / M);
      for (let k = 0; k < K; k++) {
        const factor = lhs.data[row * K + k], from = (batch * K + k) * N;
        for (let n = 0; n < N; n++) out[row * N + n] += factor * rhs.data[from + n];
      }
    }
    return [out];
  },
  vjp: pullback((g, { inputs: [lhs, rhs], needs }) => [
    needs[0] ? apply(matmulOp, [g, swapAxes(rhs, -1, -2)]) : undefined,
    needs[1] ? apply(matmulOp, [swapAxes(lhs, -1, -2), g]) : undefined,
  ]),
  rewrite: ([lhs, rhs]) => {
    const isEmptySum = lhs.shape[lhs.rank - 1] === 0;
    return isEmptySum
      ? fill({ shape: [...lhs.shape.slice(0, -1), rhs.shape[rhs.rank - 1]], dtype: lhs.dtype }, 0)
      : undefined;
  },
};

/**
 * The matrix product, by NumPy's rule: the last axis of `lhs` against the second to last of `rhs`, leading axes
 * broadcast; a vector is a row on the left, a column on the right, and its axis is removed. A matrix `[K, N]` on the
 * right of `[..., M, K]` multiplies the leading axes as rows, so it is not repeated. Accumulates in f32. Gradient: `g
 * rhs^T` and `lhs^T g`.
 * @throws {ShapeError} if the inner extents differ, the leading axes do not broadcast, or an operand is a scalar.
 * @throws {DTypeError} if the dtypes differ or are not floats.
 */
export function matmul(lhs: Tensor, rhs: Tensor): Tensor {
  checkSameDType("multiply", lhs, rhs);
  checkDomain("multiply", lhs, "float");
  if (lhs.rank === 0 || rhs.rank === 0) {
    throw new ShapeError(
      `Cannot multiply lhs ${formatType(lhs)} by rhs ${formatType(rhs)}: both need an axis; use mul for scalars`,
      [lhs.shape, rhs.shape],
    );
  }
  checkInner(lhs, rhs);
  const left = lhs.rank === 1 ? reshape(lhs, [1, -1]) : lhs;
  const right = rhs.rank === 1 ? reshape(rhs, [-1, 1]) : rhs;
  const batch = broadcastShapes(left.shape.slice(0, -2), right.shape.slice(0, -2), "multiply leading axes of");
  const rows = lhs.rank === 1 ? [] : [left.shape[left.rank - 2]];
  const columns = rhs.rank === 1 ? [] : [right.shape[right.rank - 1]];
  return reshape(product(left, right, batch), [...batch, ...rows, ...columns]);
}

function product(lhs: Tensor, rhs: Tensor, batch: Shape): Tensor {
  const [M, K] = lhs.shape.slice(-2), N = rhs.shape[rhs.rank - 1];
  if (sizeOfShape(rhs.shape.slice(0, -2)) === 1) {
    return apply(matmulOp, [reshape(lhs, [sizeOfShape(lhs.shape.slice(0, -1)), K]), reshape(rhs, [K, N])]);
  }
  return apply(matmulOp, [broadcastTo(lhs, [...batch, M, K]), broadcastTo(rhs, [...batch, K, N])]);
}
