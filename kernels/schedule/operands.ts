/** Keeps kernels within the number of operands that a device can bind. */
import { CompileError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import type { Reads } from "./access.ts";
import type { Materialized } from "./materialize.ts";
import { isConstant } from "./scope.ts";

/**
 * Returns a tensor to materialize so that the kernel of `reads.node` needs fewer operands; undefined if it is within
 * the limit.
 */
export function findSplit(scope: Materialized, reads: Reads, maxOperands: number): Tensor | undefined {
  const { node } = reads;
  if (node.op.kind === "loop" || scope.assembled.has(node) || scope.passing.has(node)) return undefined;
  const written = node.op.kind === "scatter" ? 0 : 1;
  if (reads.stored.size + reads.others.size + written <= maxOperands) return undefined;
  const leaves = new Map<Tensor, Set<Tensor>>();
  const visit = (tensor: Tensor): Set<Tensor> => {
    const present = leaves.get(tensor);
    if (present) return present;
    const found = new Set<Tensor>();
    leaves.set(tensor, found);
    const isLeaf = scope.bindings.has(tensor) || isConstant(tensor) ||
      (scope.stored.has(tensor) && tensor.node !== node);
    if (isLeaf) found.add(tensor);
    else for (const input of tensor.node.inputs) for (const leaf of visit(input)) found.add(leaf);
    return found;
  };
  node.inputs.forEach(visit);
  // The largest part that forms a kernel on its own: the rest then reads one tensor instead of all of its leaves.
  let best: Tensor | undefined, most = 1;
  for (const [tensor, { size }] of leaves) {
    if (scope.stored.has(tensor) || scope.bindings.has(tensor) || size + 1 > maxOperands || size < most) continue;
    if (size > most || (best && tensor.node.id > best.node.id)) [best, most] = [tensor, size];
  }
  if (best) return best;
  throw new CompileError(
    `Cannot compute ${node.outputs[0]} in one kernel: it reads ${
      reads.stored.size + reads.others.size
    } tensors and may read ${maxOperands - 1}`,
  );
}
