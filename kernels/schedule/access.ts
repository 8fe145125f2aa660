/**
 * Determines what each prospective kernel reads: the materialized tensors that a tensor's expression reaches, and the
 * indices at which it reads them, in terms of the tensor's own index.
 */
import { type Expr, ExprBuilder } from "../../core/expr.ts";
import type { Node, Tensor } from "../../core/graph.ts";
import {
  type Index,
  linearIndex,
  makeVar,
  splitIndex,
  substituteIndex,
  type Var,
  varIndex,
} from "../../core/index_expr.ts";
import type { ScanAttrs } from "../../core/loop.ts";
import { type Shape, sizeOfShape } from "../../core/shape.ts";
import { splitVariables, substituteStages } from "./index_tools.ts";
import { MAX_INDEX_SIZE } from "./limits.ts";
import type { Materialized } from "./materialize.ts";
import { reductionOf } from "./normalize.ts";
import { Puller } from "./pull.ts";
import { isAnchor, isConstant, isLoaded } from "./scope.ts";

/** The reads of a node whose results are materialized. */
export interface Reads {
  readonly node: Node;
  /** Variables of the result's index, outermost first. For reductions, only the kept axes. */
  readonly vars: readonly Var[];
  /** For reductions: the variable along the row. */
  readonly row?: Var;
  /** The result's index in terms of `vars`. */
  readonly index: readonly Index[];
  /** Materialized tensors of the same scope, each with the distinct indices at which it is read. */
  readonly stored: ReadonlyMap<Tensor, readonly (readonly Index[])[]>;
  /** Everything else that is read: inputs, constants, tensors of enclosing scopes. */
  readonly others: ReadonlySet<unknown>;
  /** Materialized tensors of the same scope that must be computed first although they are not read. */
  readonly after: readonly Tensor[];
  /** Tensors that must be materialized because the index at which they would be read is too complex. */
  readonly cuts: readonly Tensor[];
}

/** The index into a reduction's operand for an element of a row. */
export function bodyIndex(node: Node, kept: readonly Index[], row: Index): Index[] {
  const { axes, rowShape } = reductionOf(node);
  const inRow = splitIndex(row, rowShape);
  let next = 0;
  return node.inputs[0].shape.map((_, axis) => (axes.includes(axis) ? inRow[axes.indexOf(axis)] : kept[next++]));
}

/** Records the tensors that are reached while pulling. */
class Recorder {
  readonly #stored = new Map<Tensor, (readonly Index[])[]>();
  readonly others = new Set<unknown>();
  readonly cuts: Tensor[] = [];
  readonly puller: Puller<Materialized>;
  #numbers = new Map<Tensor, number>();

  constructor(readonly scope: Materialized, own: ReadonlySet<Tensor>) {
    this.puller = new Puller(new ExprBuilder(), (scope, tensor, index) => this.#leaf(scope, tensor, index, own));
  }

  #leaf(scope: Materialized, tensor: Tensor, index: readonly Index[], own: ReadonlySet<Tensor>): Expr | undefined {
    const isLocal = scope === this.scope;
    if (isLocal && own.has(tensor)) return undefined;
    const binding = scope.bindings.get(tensor);
    const isIntricate = isLocal && !binding && tensor.node.op.kind !== "source" &&
      index.some(({ size }) => size > MAX_INDEX_SIZE);
    if (!isLoaded(scope, tensor) && !isIntricate) return undefined;
    if (isIntricate && !scope.stored.has(tensor)) this.cuts.push(tensor);
    if (isLocal && !binding && scope.stored.has(tensor)) {
      const indices = this.#stored.get(tensor);
      if (indices) indices.push(index);
      else this.#stored.set(tensor, [index]);
    } else if (binding?.kind === "place") this.others.add(binding.place.storage);
    else this.others.add(tensor);
    if (!this.#numbers.has(tensor)) this.#numbers.set(tensor, this.#numbers.size);
    return this.puller.e.load(this.#numbers.get(tensor)!, linearIndex(index, tensor.shape), tensor.dtype);
  }

  /** The materialized tensors that were read, each with its distinct indices. */
  stored(): Map<Tensor, readonly (readonly Index[])[]> {
    const { guards } = this.puller;
    const resolve = (
      index: readonly Index[],
    ): readonly Index[] => (guards.size === 0 ? index : index.map((axis) => substituteIndex(axis, guards)));
    const keyOf = (index: readonly Index[]): string => index.map((axis) => axis.key).join(",");
    return new Map(
      [...this.#stored].map((
        [tensor, indices],
      ) => [tensor, [...new Map(indices.map(resolve).map((index) => [keyOf(index), index])).values()]]),
    );
  }
}

function variablesOf(shape: Shape): Var[] {
  return shape.map((extent, axis) => makeVar(`v${axis}`, extent));
}

/** Finds what the kernel of a node reads. */
export function readsOf(scope: Materialized, node: Node): Reads {
  const [output] = node.outputs;
  const vars = variablesOf(output.shape), index = vars.map(varIndex);
  const recorder = new Recorder(scope, new Set(isAnchor(node) ? [] : node.outputs));
  let row: Var | undefined;
  if (node.outputs.every(({ shape }) => sizeOfShape(shape) === 0)) {
    return { node, vars, index, stored: new Map(), others: new Set(), after: [], cuts: [] };
  }
  // Pieces are stored in place; they only have to be computed first.
  if (scope.assembled.has(node)) {
    const stored = new Map(node.inputs.map((piece) => [piece, []]));
    return { node, vars, index, stored, others: new Set(), after: [], cuts: [] };
  }
  if (node.op.kind === "reduce" && isAnchor(node)) {
    row = makeVar("r", sizeOfShape(reductionOf(node).rowShape));
    recorder.puller.pull(scope, node.inputs[0], bodyIndex(node, index, varIndex(row)));
  } else if (node.op.kind === "recurrence") node.inputs.forEach((input) => recorder.puller.pull(scope, input, index));
  else if (isAnchor(node)) pullInputs(recorder, node);
  else recorder.puller.pull(scope, output, index);
  const { others, cuts, puller } = recorder, after = storedBehind(scope, puller);
  return { node, row, others, after, cuts, ...split(vars, index, recorder.stored()) };
}

/** The materialized tensors of a scope that must be computed before the pulled ones. */
function storedBehind(scope: Materialized, { awaited }: Puller<Materialized>): Tensor[] {
  const local = new Set(awaited.flatMap((each) => (each.scope === scope ? [each.tensor] : [])));
  return [...local].flatMap((tensor) => {
    if (scope.bindings.has(tensor) || isConstant(tensor)) return [];
    if (scope.stored.has(tensor)) return [tensor];
    const { stored, after } = readsOf(scope, tensor.node);
    return [...stored.keys(), ...after];
  });
}

/** Reads each input of a node at arbitrary indices: only the set of tensors matters. */
function pullInputs({ puller, scope }: Recorder, node: Node): void {
  const carryCount = node.op.kind === "loop" ? (node.attrs as ScanAttrs).carryCount : 0;
  node.inputs.forEach((input, i) => {
    // Initial carries are stored separately. The other inputs are read by the loop's body.
    if (sizeOfShape(input.shape) === 0 && i >= carryCount) return;
    puller.pull(scope, input, variablesOf(input.shape).map(varIndex));
  });
}

/** The reads of a scope's materialized tensors. */
export interface Accesses {
  /** Keyed by node, in topological order. */
  readonly reads: ReadonlyMap<Node, Reads>;
  /** The nodes that read each materialized tensor. */
  readonly readers: ReadonlyMap<Tensor, readonly Node[]>;
}

/** Finds what each node with materialized results reads. */
export function findAccesses(scope: Materialized): Accesses {
  const all = new Map<Node, Reads>(), readers = new Map<Tensor, Node[]>();
  for (const node of scope.graph.nodes) {
    if (!node.outputs.some((tensor) => scope.stored.has(tensor))) continue;
    const reads = readsOf(scope, node);
    all.set(node, reads);
    for (const tensor of reads.stored.keys()) {
      const known = readers.get(tensor);
      if (known) known.push(node);
      else readers.set(tensor, [node]);
    }
  }
  return { reads: all, readers };
}

/** Splits variables that reads divide, so that layouts can be inverted. */
function split(
  vars: readonly Var[],
  index: readonly Index[],
  stored: Reads["stored"],
): Pick<Reads, "vars" | "index" | "stored"> {
  const all = [...stored.values()].flat(2);
  const { vars: parts, stages } = splitVariables(vars, all);
  const apply = (indices: readonly Index[]): Index[] => indices.map((axis) => substituteStages(axis, stages));
  return {
    vars: parts.filter(({ extent }) => extent !== 1),
    index: apply(index),
    stored: new Map([...stored].map(([tensor, indices]) => [tensor, indices.map(apply)])),
  };
}
