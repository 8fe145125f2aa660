/**
 * Finds tensors that all kernels must see with the same rounding, because an op compares them bit by bit (`isExact` of
 * MapOp).
 *
 * Two kernels that compute the same element may round it differently: one may contract a product and a sum into a fused
 * multiply-add, or compute it in a vector and the other in a scalar remainder loop. Such a tensor is therefore
 * materialized, and all its consumers load it, including those in the kernel that computes it. Views only move
 * elements, so their operands are materialized instead. This is free for tensors that are in memory anyway.
 */
import { isFloat } from "../../core/dtype.ts";
import type { Graph, Node, Tensor } from "../../core/graph.ts";
import type { ScanAttrs } from "../../core/loop.ts";

/**
 * The tensors, views removed, that a node of the graph or of a nested loop compares exactly. Sources are excluded: they
 * involve no rounding.
 */
export function exactTensors({ nodes }: { readonly nodes: readonly Node[] }): Set<Tensor> {
  const found = new Set<Tensor>(), seen = new Set<Tensor>();
  const visit = (start: Tensor): void => {
    const stack = [start];
    while (stack.length > 0) {
      const tensor = stack.pop()!;
      if (seen.has(tensor) || !isFloat(tensor.dtype)) continue;
      seen.add(tensor);
      const { op, inputs } = tensor.node;
      if (op.kind === "view") stack.push(...inputs.toReversed());
      else if (op.kind !== "source" || op.lower === undefined) found.add(tensor);
    }
  };
  for (const { op, attrs, inputs } of nodes) {
    if (op.kind === "map" && op.isExact?.(attrs)) inputs.forEach(visit);
    else if (op.kind === "loop") exactInputs((attrs as ScanAttrs).body).forEach((position) => visit(inputs[position]));
  }
  return found;
}

const known = new WeakMap<Graph, readonly number[]>();

/** The positions of the inputs that a loop body compares exactly. */
function exactInputs(body: Graph): readonly number[] {
  let positions = known.get(body);
  if (!positions) {
    const exact = exactTensors(body);
    known.set(body, positions = [...body.inputs.keys()].filter((position) => exact.has(body.inputs[position])));
  }
  return positions;
}
