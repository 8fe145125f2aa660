/** One graph being scheduled: the program, or a loop's body inside the scope of the loop. */
import { hostArray } from "../../core/dtype.ts";
import { invariant } from "../../core/errors.ts";
import type { Node, Tensor } from "../../core/graph.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { type PlanGraph, type PlanNode, reductionOf } from "./normalize.ts";
import { type Place, type Storage, temporary, wholePlace } from "./storage.ts";

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

/** What the scheduler knows of one graph. */
export class Scope {
  /** Tensors that live in memory, if anything reads them. */
  readonly roots = new Set<Tensor>();
  /** Concatenations whose pieces are stored in place. */
  readonly assembled = new Set<Node>();
  /** Reshapes whose operand is stored where the reshape is wanted: they take no kernel. */
  readonly passing = new Set<Node>();
  /** Roots that are loaded by all who read them, in their own kernel too; see exact.ts. */
  readonly exact = new Set<Tensor>();
  readonly consumers = new Map<Tensor, PlanNode[]>();
  readonly outputs: ReadonlySet<Tensor>;
  readonly loops: readonly Var[];
  #places = new Map<Tensor, Place>();

  /**
   * @param graph What to schedule.
   * @param bindings What the graph's inputs are.
   * @param parent The scope of the loop whose body this is, and the loop's variable.
   */
  constructor(
    readonly graph: PlanGraph,
    readonly bindings: ReadonlyMap<Tensor, Binding>,
    readonly parent?: Scope,
    variable?: Var,
  ) {
    this.outputs = new Set(graph.outputs);
    this.loops = [...(parent?.loops ?? []), ...(variable ? [variable] : [])];
    this.indexConsumers();
  }

  /** Finds each tensor's consumers anew, after nodes were added or rewired. */
  indexConsumers(): void {
    this.consumers.clear();
    for (const node of this.graph.nodes) {
      for (const input of new Set(node.inputs)) {
        const present = this.consumers.get(input);
        if (present) present.push(node);
        else this.consumers.set(input, [node]);
      }
    }
  }

  /** Whether a tensor is read from memory: an input, a root or a constant, but no tensor of an enclosing scope. */
  isLoaded(tensor: Tensor): boolean {
    const binding = this.bindings.get(tensor);
    return binding ? binding.kind === "place" : this.roots.has(tensor) || isConstant(tensor);
  }

  /** Says where a root lives. */
  setPlace(tensor: Tensor, place: Place): void {
    invariant(!this.#places.has(tensor), `${tensor} is placed twice`);
    this.#places.set(tensor, place);
  }

  /** Whether a root has been told where to live. */
  hasPlace(tensor: Tensor): boolean {
    return this.#places.has(tensor);
  }

  /** Where a loaded tensor lives; a root has a temporary of its own unless it was placed. */
  placeOf(tensor: Tensor): Place {
    const binding = this.bindings.get(tensor);
    if (binding?.kind === "place") return binding.place;
    let place = this.#places.get(tensor);
    if (!place) {
      place = wholePlace(
        isConstant(tensor) ? constantStorage(tensor) : temporary(tensor, labelOf(tensor)),
        tensor.shape,
      );
      this.#places.set(tensor, place);
    }
    return place;
  }
}

/** Whether a tensor, if it is no input, has data known when the program is compiled and no expression. */
export function isConstant(tensor: Tensor): boolean {
  return tensor.node.op.kind === "source" && tensor.node.op.lower === undefined;
}

function constantStorage(tensor: Tensor): Storage {
  const { op, attrs, outputs } = tensor.node;
  const values = op.reference([], attrs, outputs)[tensor.output];
  const data = hostArray(tensor.dtype, values.length);
  data.set(values);
  return { type: { shape: [...tensor.shape], dtype: tensor.dtype }, kind: "constant", data, label: "constant" };
}

/** A value's label: the op that made it, and which of its results it is. */
export function labelOf(tensor: Tensor): string {
  return tensor.node.outputs.length > 1 ? `${tensor.node.op.name} ${tensor.output}` : tensor.node.op.name;
}
