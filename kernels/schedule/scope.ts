/** One graph being scheduled: the program, or a loop's body inside the scope of the loop. */
import type { Node, Tensor } from "../../core/graph.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { type PlanGraph, reductionOf } from "./normalize.ts";
import type { Placed } from "./places.ts";
import type { Place } from "./storage.ts";

/** What a graph input is: memory, or a tensor of the enclosing scope at indices that start with `prefix`. */
export type Binding =
  | { readonly kind: "place"; readonly place: Place }
  | { readonly kind: "outer"; readonly tensor: Tensor; readonly prefix: readonly Index[] };

/** Sums of at most this many elements are written out: a kernel of their own would only load and store. */
const SHORT_ROW = 2;

/** A reduction of nothing or of one element, a sum of two, a product over nothing: an expression like any other. */
export function isTrivial(node: Node): boolean {
  if (node.op.kind === "reduce") {
    const { combine, rowShape } = reductionOf(node);
    return sizeOfShape(rowShape) <= (combine === "sum" ? SHORT_ROW : 1);
  }
  return node.op.kind === "contract" && node.inputs[0].shape[node.inputs[0].rank - 1] === 0;
}

/** Whether a node's result cannot be pulled as an expression: it is computed by a kernel of its own kind. */
export function isAnchor(node: Node): boolean {
  switch (node.op.kind) {
    case "reduce":
    case "contract":
      return !isTrivial(node);
    case "recurrence":
    case "scatter":
    case "loop":
      return true;
    default:
      return false;
  }
}

/** One graph to schedule. Each pass makes a record of it and of what it found: see the passes for these. */
export interface Scope {
  readonly graph: PlanGraph;
  /** What the graph's inputs are. */
  readonly bindings: ReadonlyMap<Tensor, Binding>;
  readonly outputs: ReadonlySet<Tensor>;
  /** The variables of the loops around it, outermost first. */
  readonly loops: readonly Var[];
  /** The scope of the loop whose body this is, after all its passes. */
  readonly parent?: Placed;
}

/**
 * The scope of a graph.
 * @param loop Of a loop's body: the scope of the loop, and the loop's variable.
 */
export function scopeOf(
  graph: PlanGraph,
  bindings: ReadonlyMap<Tensor, Binding>,
  loop?: { readonly parent: Placed; readonly variable: Var },
): Scope {
  const loops = loop ? [...loop.parent.loops, loop.variable] : [];
  return { graph, bindings, outputs: new Set(graph.outputs), loops, parent: loop?.parent };
}

/** Whether a tensor is read from memory: an input, a stored one or a constant, but no tensor of an enclosing scope. */
export function isLoaded(
  { bindings, stored }: Pick<Scope, "bindings"> & { readonly stored: ReadonlySet<Tensor> },
  tensor: Tensor,
): boolean {
  const binding = bindings.get(tensor);
  return binding ? binding.kind === "place" : stored.has(tensor) || isConstant(tensor);
}

/** Whether a tensor, if it is no input, has data known when the program is compiled and no expression. */
export function isConstant(tensor: Tensor): boolean {
  return tensor.node.op.kind === "source" && tensor.node.op.lower === undefined;
}

/** A value's label: the op that made it, and which of its results it is. */
export function labelOf(tensor: Tensor): string {
  return tensor.node.outputs.length > 1 ? `${tensor.node.op.name} ${tensor.output}` : tensor.node.op.name;
}
