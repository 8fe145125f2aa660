/**
 * The optimisation barrier: returns a tensor unchanged as a different node. What is computed from it is recomputed,
 * even if it was computed before, and only after another tensor is available.
 */
import { apply, type Tensor } from "./graph.ts";
import type { Attrs, ViewOp } from "./op.ts";

/** `x`, available only after `after` was computed. Gradient: passes to `x`. */
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
