/** Rematerialisation: what a function computes is computed again for its gradient rather than kept. */
import { aliasOp } from "./alias.ts";
import { barrier } from "./barrier.ts";
import { captureCall } from "./captured_call.ts";
import { backpropagate, mark } from "./grad.ts";
import { applyAll, currentContext, type Tensor } from "./graph.ts";
import type { Attrs, VjpCall } from "./op.ts";
import { inline } from "./scan.ts";
import { checkFunction } from "./describe.ts";

/**
 * A function whose gradient computes its intermediate values again instead of keeping them: for deep models, less
 * memory for one more forward pass. Values and gradients stay what they are, to any order.
 *
 * What the backward pass starts from is what the function was given: its arguments and the tensors that it takes from
 * outside. Wrap each block of a model, not the whole of it: the whole, computed again at once, needs as much memory as
 * it did. In the body of a `scan`, whose gradient computes the body again in any case, its option `rematerialize` says
 * what is kept.
 *
 * Source: Chen et al., "Training deep nets with sublinear memory cost", arXiv 1604.06174; `jax.checkpoint`.
 * @param fn A function of trees of tensors that returns a tree of tensors. Arguments that are not tensors are passed to
 * it as they are.
 * @returns A function of the same arguments with the same result.
 * @example
 * ```ts
 * import { checkpoint, compile, grad, requestDevice, spec, type Tensor } from "@mneme/titans";
 * import { matmul, sum, tanh } from "@mneme/titans/ops";
 *
 * const block = checkpoint((w: Tensor, x: Tensor) => tanh(matmul(tanh(matmul(x, w)), w)));
 * const loss = (w: Tensor, x: Tensor) => sum(block(w, block(w, x)));
 * const device = await requestDevice({ kind: "reference" });
 * const program = await compile(device, grad(loss), [spec([1, 1]), spec([1, 1])]);
 * const { data } = await program.run([0], [3]);
 * if (data[0] !== 0) throw new Error(`0 was expected, not ${data[0]}`);
 * device.dispose();
 * ```
 */
export function checkpoint<Args extends readonly unknown[], R>(fn: (...args: Args) => R): (...args: Args) => R {
  checkFunction("checkpoint", fn);
  return (...args) => {
    const { inputs, captured, graph, result } = captureCall(fn, args);
    const used = [...inputs, ...captured];
    const recompute = ({ inputs, cotangents, needs }: VjpCall<Attrs>): (Tensor | undefined)[] => {
      const after = latest(cotangents);
      const again = inputs.slice(0, used.length).map((x) => mark(barrier(x, after)));
      const wanted = again.filter((_, i) => needs[i]), found = backpropagate(inline(graph, again), cotangents, wanted);
      let next = 0;
      return inputs.map((_, i) => (i < used.length && needs[i] ? found[next++] : undefined));
    };
    const op = aliasOp("checkpoint", { start: used.length, end: used.length + result.tensors.length }, recompute);
    // A number of its own: no other call's node, whose gradient would be another, may stand for this one.
    const outputs = applyAll(op, [...used, ...result.tensors], { id: currentContext().unique() });
    return result.with(outputs) as R;
  };
}

/**
 * The cotangent that was made last, or what it is computed from elementwise: once it is there, the backward pass has
 * come as far as the function.
 */
function latest(cotangents: readonly (Tensor | undefined)[]): Tensor {
  const last = (tensors: readonly (Tensor | undefined)[]): Tensor =>
    tensors.filter((tensor) => tensor !== undefined).reduce((a, b) => (b.node.id > a.node.id ? b : a));
  let tensor = last(cotangents);
  while (tensor.node.op.kind === "map" || tensor.node.op.kind === "view" || tensor.node.op.kind === "alias") {
    tensor = last(tensor.node.inputs);
  }
  return tensor;
}
