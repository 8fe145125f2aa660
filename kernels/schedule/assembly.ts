/**
 * Decides which tensors are stored as parts of others: the pieces of a concatenation are written directly to their
 * ranges, and a reshape of a materialized tensor aliases its memory.
 */
import type { Node, Tensor } from "../../core/graph.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { attachedTensors } from "./attached.ts";
import { isPlaceable, type NodeMaker, type PlanGraph, type PlanNode } from "./normalize.ts";
import type { Scope } from "./scope.ts";
import { viewShape } from "./views.ts";

/**
 * Concatenations of at least this many elements are stored piece by piece; smaller ones select their input per element.
 */
const LARGE = 16384;
const MANY_PIECES = 4;

/** A scope and what it stores in place. */
export interface Assembled extends Scope {
  /** Concatenations whose pieces are stored in place. */
  readonly assembled: ReadonlySet<Node>;
  /** Reshapes that alias their operand, which is stored in the place of the reshape. They need no kernel. */
  readonly passing: ReadonlySet<Node>;
  /** The nodes that read each tensor. */
  readonly consumers: Consumers;
}

/** Maps each tensor to the nodes that read it. */
export type Consumers = ReadonlyMap<Tensor, readonly PlanNode[]>;

function consumersOf({ nodes }: PlanGraph): Consumers {
  const consumers = new Map<Tensor, PlanNode[]>();
  for (const node of nodes) {
    for (const input of new Set(node.inputs)) {
      const present = consumers.get(input);
      if (present) present.push(node);
      else consumers.set(input, [node]);
    }
  }
  return consumers;
}

/**
 * Decides which concatenations are stored in place and gives each piece its own tensor, copying it if necessary.
 * Rewires the nodes of the graph.
 */
export function assemble(scope: Scope, maker: NodeMaker, maxOperands: number): Assembled {
  const attached = attachedTensors(scope.graph), consumers = consumersOf(scope.graph);
  const assembled = new Set<Node>(), passing = new Set<Node>();
  const wanted = new Set<Tensor>(scope.outputs);
  const inputs = [...scope.bindings.keys()];
  const { nodes } = scope.graph;
  const isInPlace = (node: PlanNode, isWanted: boolean): boolean =>
    isAssembled(node, { maxOperands, attached, mustBeStored: () => isWanted || mustBeStored(scope, consumers, node) });
  for (let at = nodes.length - 1; at >= 0; at--) {
    const node = nodes[at], [output] = node.outputs;
    const view = viewShape(node);
    if (view?.isReshape && wanted.has(output)) {
      const [from] = node.inputs;
      if (ownsMemory(from, isInPlace) && isPlaceable(from, inputs) && !wanted.has(from)) {
        passing.add(node);
        wanted.add(from);
      }
    }
    if (!view?.concat || !isInPlace(node, wanted.has(output))) continue;
    assembled.add(node);
    node.inputs.forEach((piece, i) => {
      if (isPlaceable(piece, inputs) && !wanted.has(piece)) wanted.add(piece);
      else {
        const copy = maker.copy(piece);
        node.inputs[i] = copy.outputs[0];
        nodes.splice(at, 0, copy);
      }
    });
  }
  return { ...scope, assembled, passing, consumers: consumersOf(scope.graph) };
}

function ownsMemory(tensor: Tensor, isInPlace: (node: PlanNode, isWanted: boolean) => boolean): boolean {
  const node = tensor.node as PlanNode;
  if (node.op.kind === "loop" || node.op.kind === "scatter") return true;
  return viewShape(node)?.concat !== undefined && isInPlace(node, true);
}

function isAssembled(
  { inputs, outputs: [output] }: PlanNode,
  { maxOperands, attached, mustBeStored }: {
    readonly maxOperands: number;
    readonly attached: ReadonlySet<Tensor>;
    readonly mustBeStored: () => boolean;
  },
): boolean {
  if (inputs.length >= maxOperands - 1) return true;
  const isMade = (piece: Tensor): boolean =>
    attached.has(piece) || piece.node.op.kind === "loop" || piece.node.op.kind === "scatter";
  if (inputs.every(isMade)) return true;
  if (inputs.some(isMade) && mustBeStored()) return true;
  return inputs.length >= MANY_PIECES && sizeOfShape(output.shape) >= LARGE;
}

/** Whether a tensor is an output or is read by products or loops, possibly through views. */
function mustBeStored(scope: Scope, consumers: Consumers, node: PlanNode): boolean {
  const stack = [node.outputs[0]];
  for (let current = stack.pop(); current; current = stack.pop()) {
    if (scope.outputs.has(current)) return true;
    for (const consumer of consumers.get(current) ?? []) {
      if (consumer.op.kind === "contract" || consumer.op.kind === "loop") return true;
      if (viewShape(consumer)?.pieces.length === 1) stack.push(consumer.outputs[0]);
    }
  }
  return false;
}
