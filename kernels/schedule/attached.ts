/** Finds tensors that an earlier kernel of the same size can store, which saves a launch. */
import type { Tensor } from "../../core/graph.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { PlanGraph } from "./normalize.ts";
import { isAnchor } from "./scope.ts";
import { viewShape } from "./views.ts";

/** The tensors that an earlier kernel of the same size can store. */
export function attachedTensors({ nodes }: PlanGraph): ReadonlySet<Tensor> {
  const attached = new Set<Tensor>();
  for (const node of nodes) {
    const [output] = node.outputs;
    const { kind } = node.op;
    if (kind === "contract" || kind === "recurrence" || (kind === "reduce" && isAnchor(node))) attached.add(output);
    else if (kind === "map" || viewShape(node)?.isBijective) {
      const size = sizeOfShape(output.shape);
      if (node.inputs.some((input) => attached.has(input) && sizeOfShape(input.shape) === size)) attached.add(output);
    }
  }
  return attached;
}
