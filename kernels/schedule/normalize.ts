/**
 * Prepares a graph for scheduling: clones it so that the scheduler may rewire its nodes, inserts copies where a tensor
 * needs a second location, and splits long reductions and products into two stages (stages.ts).
 */
import type { DType } from "../../core/dtype.ts";
import { type Graph, type Node, Tensor } from "../../core/graph.ts";
import { invariant } from "../../core/errors.ts";
import type { Attrs, MapOp, OpDef } from "../../core/op.ts";
import type { ScanAttrs } from "../../core/loop.ts";
import type { Shape } from "../../core/shape.ts";
import { withSavedCarries } from "./narrow.ts";
import { type Emit, emitProduct, emitReduction, type Reduction } from "./stages.ts";

/** A node that the scheduler may rewire. */
export interface PlanNode extends Node {
  readonly inputs: Tensor[];
}

/** A graph owned by the scheduler, in topological order. */
export interface PlanGraph {
  readonly nodes: PlanNode[];
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

const NO_GRADIENT = { zero: false, reason: "it only exists in schedules" } as const;

/** A copy of a tensor, for a second location in memory. */
export const copyOp: MapOp<Attrs> = {
  name: "copy",
  kind: "map",
  infer: ([x]) => [x],
  reference: ([x]) => [x.data],
  lower: (_e, [x]) => x,
  vjp: NO_GRADIENT,
};

/** The reduction that a reduce node performs. */
export function reductionOf(node: Node): Reduction {
  const { op } = node;
  invariant(op.kind === "reduce", `${op.name} is no reduction`);
  const [x] = node.inputs;
  const { combine, axes } = op.lower(node.attrs);
  return { combine, axes, rowShape: axes.map((axis) => x.shape[axis]) };
}

/** Creates the nodes of one schedule. Ids increase in order of creation. */
export class NodeMaker {
  #nextId = 0;

  /** A node with outputs of the given types. */
  make(
    like: Node,
    op: OpDef,
    inputs: readonly Tensor[],
    attrs: Attrs,
    types: readonly { readonly shape: Shape; readonly dtype: DType }[],
  ): PlanNode {
    const outputs: Tensor[] = [];
    const node: PlanNode = {
      id: this.#nextId++,
      op,
      attrs,
      inputs: [...inputs],
      outputs,
      scope: like.scope,
      context: like.context,
    };
    types.forEach((type, i) => outputs.push(new Tensor(node, i, type.shape, type.dtype)));
    return node;
  }

  /** A copy of a tensor. */
  copy(tensor: Tensor): PlanNode {
    return this.make(tensor.node, copyOp, [tensor], {}, [tensor]);
  }
}

/**
 * Clones a graph for scheduling. Inputs stay the tensors they are.
 * @param savesCarries Whether loops save their carries apart from the carries themselves (narrow.ts).
 */
export function normalize(graph: Graph, maker: NodeMaker, savesCarries = false): PlanGraph {
  const nodes: PlanNode[] = [];
  const map = new Map<Tensor, Tensor>(graph.inputs.map((tensor) => [tensor, tensor]));
  const emit = (node: PlanNode): PlanNode => {
    nodes.push(node);
    return node;
  };
  const copied = (tensor: Tensor): Tensor => emit(maker.copy(tensor)).outputs[0];
  for (const node of graph.nodes) {
    let inputs = node.inputs.map((input) => map.get(input)!), { attrs } = node;
    if (node.op.kind === "loop") {
      const loop = node.attrs as ScanAttrs, { carryCount } = loop;
      if (savesCarries) attrs = withSavedCarries(loop);
      inputs = inputs.map((input, i) => (i < carryCount ? copied(input) : input));
    } else if (node.op.kind === "scatter") inputs[0] = copied(inputs[0]);
    const made = emitLong(node, inputs, maker, emit) ??
      emit(maker.make(node, node.op, inputs, attrs, node.outputs));
    node.outputs.forEach((tensor, i) => map.has(tensor) || map.set(tensor, made.outputs[i]));
  }
  const taken = new Set<Tensor>();
  const outputs = graph.outputs.map((original) => {
    const tensor = map.get(original)!;
    const output = !isPlaceable(tensor, graph.inputs) || taken.has(tensor) ? copied(tensor) : tensor;
    taken.add(output);
    return output;
  });
  return { nodes, inputs: graph.inputs, outputs };
}

/** Whether the kernel that computes a tensor can store it at a given place. */
export function isPlaceable(tensor: Tensor, inputs: readonly Tensor[]): boolean {
  const { op, attrs, outputs } = tensor.node;
  if (inputs.includes(tensor)) return false;
  if (op.kind === "source") return op.lower !== undefined;
  if (op.kind !== "loop") return true;
  const { carryCount, history } = attrs as ScanAttrs;
  return tensor.output >= carryCount && tensor.output < outputs.length - history.length;
}

/** Emits a reduction or product, in two stages if it is long. */
function emitLong(node: Node, inputs: readonly Tensor[], maker: NodeMaker, emit: Emit): PlanNode | undefined {
  if (node.op.kind === "reduce") return emitReduction(node, inputs[0], reductionOf(node), maker, emit);
  return node.op.kind === "contract" ? emitProduct(node, inputs, maker, emit) : undefined;
}
