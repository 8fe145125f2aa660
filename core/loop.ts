/**
 * The loop node: what it computes. `scan` (scan.ts) makes loops of users' functions and differentiates them; passes
 * that come after gradients make loops of their own.
 */
import type { Type } from "./dtype.ts";
import type { Graph, Node } from "./graph.ts";
import { interpret } from "./interpret.ts";
import type { Attrs, LoopOp, NdArray } from "./op.ts";
import { pruneLoop } from "./prune_loop.ts";
import { sizeOfShape } from "./shape.ts";

/**
 * The attributes of a loop node.
 *
 * Inputs: initial carries, xs (stacked on a leading axis of extent `length`), invariants. Body inputs: carries, slices
 * of xs, invariants. Body outputs: next carries, slices of ys. Outputs: final carries, ys (stacked), and for each carry
 * named in `history` its values as they enter the steps (stacked). The step of index i reads `xs[i]` and writes
 * `ys[i]`; i ascends, or descends if `reverse`.
 */
export interface ScanAttrs extends Attrs {
  readonly body: Graph;
  readonly length: number;
  readonly carryCount: number;
  readonly xsCount: number;
  readonly reverse: boolean;
  readonly history: readonly number[];
  /** The last `savedCount` ys are results inside the body that the gradient reuses. */
  readonly savedCount: number;
}

function stacked(type: Type, length: number): Type {
  return { shape: [length, ...type.shape], dtype: type.dtype };
}

/** The types of a loop's outputs. */
export function inferLoop(_inputs: readonly Type[], { body, length, carryCount, history }: ScanAttrs): readonly Type[] {
  return [
    ...body.inputs.slice(0, carryCount),
    ...body.outputs.slice(carryCount).map((y) => stacked(y, length)),
    ...history.map((carry) => stacked(body.inputs[carry], length)),
  ].map(({ shape, dtype }) => ({ shape, dtype }));
}

/** The values of a loop's outputs. */
export function interpretLoop(inputs: readonly NdArray[], attrs: ScanAttrs, outputs: readonly Type[]): Float64Array[] {
  const { body, length, carryCount, xsCount, reverse, history } = attrs;
  const results = outputs.map((type) => new Float64Array(sizeOfShape(type.shape)));
  const yCount = body.outputs.length - carryCount;
  const xs = inputs.slice(carryCount, carryCount + xsCount), consts = inputs.slice(carryCount + xsCount);
  let carry = inputs.slice(0, carryCount);
  for (let step = 0; step < length; step++) {
    const i = reverse ? length - 1 - step : step;
    const slices = xs.map((x, n): NdArray => {
      const type = body.inputs[carryCount + n], size = sizeOfShape(type.shape);
      return { shape: type.shape, dtype: type.dtype, data: x.data.subarray(i * size, (i + 1) * size) };
    });
    history.forEach((c, h) => results[carryCount + yCount + h].set(carry[c].data, i * carry[c].data.length));
    const out = interpret(body, [...carry, ...slices, ...consts]);
    carry = out.slice(0, carryCount);
    out.slice(carryCount).forEach((y, n) => results[carryCount + n].set(y.data, i * y.data.length));
  }
  carry.forEach((value, c) => results[c].set(value.data));
  return results;
}

/** A loop that no gradient passes through. */
export const loopOp: LoopOp<ScanAttrs> = {
  name: "scan",
  kind: "loop",
  infer: inferLoop,
  reference: interpretLoop,
  rebuild: pruneLoop,
  vjp: { zero: false, reason: "it was made after gradients" },
};

/** Whether a node is a rolled loop; its attributes are {@link ScanAttrs}. */
export function isLoop(node: Node): boolean {
  return node.op.kind === "loop";
}
