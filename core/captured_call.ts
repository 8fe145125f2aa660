/** A call of a function while tracing, with what it takes and gives as flat lists: what replaces its gradient needs. */
import { currentContext, Graph, isTensor, type Tensor } from "./graph.ts";
import { mark } from "./grad.ts";
import { closedTest } from "./closed.ts";
import { flatten, isContainer, type TreeSpec, unflatten } from "./tree.ts";

/** A tree of tensors and of other values, with the tensors as a list. */
export class MixedTree {
  readonly tensors: readonly Tensor[];
  /** How errors call the leaves: `argument 0 at w`. */
  readonly paths: readonly string[];
  readonly leaves: readonly unknown[];
  readonly spec: TreeSpec;

  constructor(tree: unknown, what: string) {
    const { leaves, paths, spec } = flatten(tree, (value): value is unknown => !isContainer(value), what);
    this.leaves = leaves;
    this.paths = paths;
    this.spec = spec;
    this.tensors = leaves.filter(isTensor);
  }

  /** The tree with other tensors in the places of its own. */
  with(tensors: readonly Tensor[]): unknown {
    let next = 0;
    return unflatten(this.spec, this.leaves.map((leaf) => (isTensor(leaf) ? tensors[next++] : leaf)));
  }
}

/** What a call did. */
export interface CapturedCall<Args = unknown> {
  /** The arguments' tensors. */
  readonly inputs: readonly Tensor[];
  /**
   * The arguments as the function saw them: each tensor marked, so that it is distinguished from the same one in a
   * closure.
   */
  readonly marked: Args;
  /** The function's result, as it returned it. */
  readonly result: MixedTree;
  /** Tensors from outside that the function used without their being arguments. */
  readonly captured: readonly Tensor[];
  /** From the marked arguments and what was captured to the tensors of the result. */
  readonly graph: Graph;
}

/** Calls a function on trees of tensors and of other values. */
export function captureCall<Args extends readonly unknown[]>(
  fn: (...args: Args) => unknown,
  args: Args,
): CapturedCall<Args> {
  const given = new MixedTree(args, "an argument");
  const firstId = currentContext().nodeCount;
  const marks = given.tensors.map(mark), marked = given.with(marks) as unknown as Args;
  const result = new MixedTree(fn(...marked), "a function's result");
  const captured = capturedBy(result.tensors, new Set(marks), firstId);
  return { inputs: given.tensors, marked, result, captured, graph: new Graph([...marks, ...captured], result.tensors) };
}

/** What `outputs` need of tensors that were there before the node `firstId`, constants aside. */
function capturedBy(outputs: readonly Tensor[], marks: ReadonlySet<Tensor>, firstId: number): Tensor[] {
  const isClosed = closedTest(), captured: Tensor[] = [], seen = new Set<Tensor>(marks), stack = [...outputs];
  for (let tensor = stack.pop(); tensor; tensor = stack.pop()) {
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    if (tensor.node.id >= firstId) stack.push(...tensor.node.inputs);
    else if (!isClosed(tensor.node)) captured.push(tensor);
  }
  return captured.sort((a, b) => a.node.id - b.node.id || a.output - b.output);
}
