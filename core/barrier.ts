/**
 * The optimisation barrier: a tensor as it is, that is not the same node. What is computed from it is computed anew,
 * however often it was computed before, and not before another tensor is there.
 */
import { apply, type Tensor } from "./graph.ts";
import type { Attrs, ViewOp } from "./op.ts";

/** `x`, once `after` was computed. Gradient: passes to `x`. */
export const barrierOp: ViewOp<Attrs> = {
  name: "barrier",
  kind: "view",
  infer: ([x]) => [x],
  reference: ([x]) => [x.data],
  lower: (index) => ({ pieces: [{ input: 0, index, where: [] }], fill: 0 }),
  vjp: ({ cotangents: [g] }) => [g, undefined],
};

/**
 * A tensor behind a barrier.
 * @param x Any tensor.
 * @param after What is computed first; it is not read.
 */
export function barrier(x: Tensor, after: Tensor): Tensor {
  return apply(barrierOp, [x, after]);
}
