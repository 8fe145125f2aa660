/** A graph being scheduled: the program, or the body of a loop inside the loop's scope. */
import type { Node, Tensor } from "../../core/graph.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { type PlanGraph, reductionOf } from "./normalize.ts";
import type { Placed } from "./places.ts";
import type { Place } from "./storage.ts";

/** The binding of a graph input: memory, or a tensor of the enclosing scope at indices that start with `prefix`. */
export type Binding =
  | { readonly kind: "place"; readonly place: Place }
  | { readonly kind: "outer"; readonly tensor: Tensor; readonly prefix: readonly Index[] };

/** Sums of at most this many elements are unrolled: a kernel of their own would only load and store. */
const SHORT_ROW = 2;

/** Reductions that are expressions like any other: over no or one element, a sum of two, a product over nothing. */
export function isTrivial(node: Node): boolean {
  if (node.op.kind === "reduce") {
    const { combine, rowShape } = reductionOf(node);
    return sizeOfShape(rowShape) <= (combine === "sum" ? SHORT_ROW : 1);
  }
  return node.op.kind === "contract" && node.inputs[0].shape[node.inputs[0].rank - 1] === 0;
}

/** Whether a node's result cannot be pulled as an expression, because it needs a kernel of its own kind. */
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

/** A graph to schedule. Each pass extends it with its results: see the passes. */
export interface Scope {
  readonly graph: PlanGraph;
  /** The bindings of the graph's inputs. */
  readonly bindings: ReadonlyMap<Tensor, Binding>;
  readonly outputs: ReadonlySet<Tensor>;
  /** The variables of the enclosing loops, outermost first. */
  readonly loops: readonly Var[];
  /** For the body of a loop: the loop's scope, after all its passes. */
  readonly parent?: Placed;
}

/**
 * Creates the scope of a graph.
 * @param loop For the body of a loop: the loop's scope and variable.
 */
export function scopeOf(
  graph: PlanGraph,
  bindings: ReadonlyMap<Tensor, Binding>,
  loop?: { readonly parent: Placed; readonly variable: Var },
): Scope {
  const loops = loop ? [...loop.parent.loops, loop.variable] : [];
  return { graph, bindings, outputs: new Set(graph.outputs), loops, parent: loop?.parent };
}

/** Whether a tensor is read from memory: an input, a materialized tensor or a constant of this scope. */
export function isLoaded(
  { bindings, stored }: Pick<Scope, "bindings"> & { readonly stored: ReadonlySet<Tensor> },
  tensor: Tensor,
): boolean {
  const binding = bindings.get(tensor);
  return binding ? binding.kind === "place" : stored.has(tensor) || isConstant(tensor);
}

/** Whether a tensor that is not an input has data at compile time and no expression. */
export function isConstant(tensor: Tensor): boolean {
  return tensor.node.op.kind === "source" && tensor.node.op.lower === undefined;
}

/** The label of a value: the op that computes it, and which of its results it is. */
export function labelOf(tensor: Tensor): string {
  return tensor.node.outputs.length > 1 ? `${tensor.node.op.name} ${tensor.output}` : tensor.node.op.name;
}
