/**
 * Tensors of which all kernels must see one rounding, because an op compares them to the last bit (`isExact` of MapOp).
 *
 * Two kernels that compute the same element may round it otherwise: one contracts a product and a sum, the other does
 * not; one computes it in a vector, the other in the rest of a row. So such a tensor is stored, and its consumers,
 * its own kernel included, loads it. Views only move elements: what they look at is stored in their place. Tensors that
 * are in memory in any case cost nothing.
 */
import { isFloat } from "../../core/dtype.ts";
import type { Graph, Node, Tensor } from "../../core/graph.ts";
import type { ScanAttrs } from "../../core/scan.ts";

/**
 * The tensors behind views that some node of a graph, or of the loops in it, compares exactly. Sources are none of
 * them: they round nothing.
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

/** The positions of a loop body's inputs that it compares exactly. */
function exactInputs(body: Graph): readonly number[] {
  let positions = known.get(body);
  if (!positions) {
    const exact = exactTensors(body);
    known.set(body, positions = [...body.inputs.keys()].filter((position) => exact.has(body.inputs[position])));
  }
  return positions;
}
