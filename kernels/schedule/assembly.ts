/**
 * Tensors stored in place: a concatenation's pieces go straight to their ranges of it, a scatter updates the copy that
 * it starts from, a loop's results are slots of its storage, and a reshape of any of these is the same memory.
 */
import type { Tensor } from "../../core/graph.ts";
import {
  addIndex,
  constantIndex,
  linearIndex,
  modIndex,
  splitIndex,
  type Var,
  varIndex,
} from "../../core/index_expr.ts";
import type { ScanAttrs } from "../../core/scan.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { isPlaceable, type NodeMaker, type PlanNode } from "./normalize.ts";
import { attachedTensors } from "./materialize.ts";
import { labelOf, type Scope } from "./scope.ts";
import { type Place, slotPlace, stackedPlace, type Storage, temporary } from "./storage.ts";
import { viewShape } from "./views.ts";

/**
 * A concatenation of this many elements or more is stored piece by piece rather than computed with a choice at every
 * element.
 */
const LARGE = 16384;
const MANY_PIECES = 4;

/** Decides which concatenations are stored in place, and gives each piece a tensor of its own to be stored there. */
export function planAssembly(scope: Scope, maker: NodeMaker, maxOperands: number): void {
  const attached = attachedTensors(scope);
  const wanted = new Set<Tensor>(scope.outputs);
  const inputs = [...scope.bindings.keys()];
  const { nodes } = scope.graph;
  for (let at = nodes.length - 1; at >= 0; at--) {
    const node = nodes[at], [output] = node.outputs;
    const view = viewShape(node);
    if (view?.isReshape && wanted.has(output)) {
      const [from] = node.inputs;
      if (ownsMemory(scope, from, maxOperands, attached) && isPlaceable(from, inputs) && !wanted.has(from)) {
        scope.passing.add(node);
        wanted.add(from);
      }
    }
    if (!view?.concat || !isAssembled(scope, node, maxOperands, attached, wanted.has(output))) continue;
    scope.assembled.add(node);
    node.inputs.forEach((piece, i) => {
      if (isPlaceable(piece, inputs) && !wanted.has(piece)) wanted.add(piece);
      else {
        const copy = maker.copy(piece);
        node.inputs[i] = copy.outputs[0];
        nodes.splice(at, 0, copy);
      }
    });
  }
  scope.indexConsumers();
}

function ownsMemory(scope: Scope, tensor: Tensor, maxOperands: number, attached: ReadonlySet<Tensor>): boolean {
  const node = tensor.node as PlanNode;
  if (node.op.kind === "loop" || node.op.kind === "scatter") return true;
  return viewShape(node)?.concat !== undefined && isAssembled(scope, node, maxOperands, attached, true);
}

function isAssembled(
  scope: Scope,
  node: PlanNode,
  maxOperands: number,
  attached: ReadonlySet<Tensor>,
  isWanted = false,
): boolean {
  const { inputs, outputs: [output] } = node;
  if (inputs.length >= maxOperands - 1) return true;
  const isMade = (piece: Tensor): boolean =>
    attached.has(piece) || piece.node.op.kind === "loop" || piece.node.op.kind === "scatter";
  if (inputs.every(isMade)) return true;
  if (inputs.some(isMade) && (isWanted || mustBeStored(scope, output))) return true;
  return inputs.length >= MANY_PIECES && sizeOfShape(output.shape) >= LARGE;
}

/** Whether a tensor is an output, or is read by products and loops, perhaps through views. */
function mustBeStored(scope: Scope, tensor: Tensor): boolean {
  const stack = [tensor];
  for (let current = stack.pop(); current; current = stack.pop()) {
    if (scope.outputs.has(current)) return true;
    for (const consumer of scope.consumers.get(current) ?? []) {
      if (consumer.op.kind === "contract" || consumer.op.kind === "loop") return true;
      if (viewShape(consumer)?.pieces.length === 1) stack.push(consumer.outputs[0]);
    }
  }
  return false;
}

/** The memory of a loop. */
export interface LoopMemory {
  /** For each carry, where step i finds it and where it leaves the next one. */
  readonly current: readonly Place[];
  readonly next: readonly Place[];
  /** For each y, where step i leaves its slice. */
  readonly ys: readonly Place[];
  readonly variable: Var;
}

/** Says where outputs and all that is stored in place lives. Returns the memory of each loop. */
export function assignPlaces(
  scope: Scope,
  outputs: readonly Place[],
  makeVariable: (node: PlanNode) => Var,
): Map<PlanNode, LoopMemory> {
  const loops = new Map<PlanNode, LoopMemory>();
  scope.graph.outputs.forEach((tensor, i) => scope.setPlace(tensor, outputs[i]));
  for (const node of scope.graph.nodes.toReversed()) {
    const [output] = node.outputs, [input] = node.inputs;
    if (scope.passing.has(node)) {
      const { storage, at } = scope.placeOf(output);
      scope.setPlace(input, { storage, at: (index) => at(splitIndex(linearIndex(index, input.shape), output.shape)) });
    } else if (scope.assembled.has(node)) {
      const { axis, pieces } = viewShape(node)!.concat!, { storage, at } = scope.placeOf(output);
      for (const { input, offset } of pieces) {
        scope.setPlace(node.inputs[input], {
          storage,
          at: (index) => at(index.map((where, other) => (other === axis ? addIndex(where, offset) : where))),
        });
      }
    } else if (node.op.kind === "scatter") scope.setPlace(input, scope.placeOf(output));
    else if (node.op.kind === "loop") loops.set(node, placeLoop(scope, node, makeVariable(node)));
  }
  return loops;
}

/**
 * Slots of carries. Without a history two slots alternate; with one there are N + 1: ascending, step i reads slot i and
 * writes slot i + 1; descending, it reads slot i + 1 and writes slot i. So the values that entered the steps lie
 * stacked in order, and keeping them costs no copy.
 */
function placeLoop(scope: Scope, node: PlanNode, variable: Var): LoopMemory {
  const { length, carryCount, reverse, history } = node.attrs as ScanAttrs;
  const step = varIndex(variable), after = addIndex(step, 1);
  const [from, to] = reverse ? [after, step] : [step, after];
  const current: Place[] = [], next: Place[] = [];
  const yCount = node.outputs.length - carryCount - history.length;
  for (let carry = 0; carry < carryCount; carry++) {
    const tensor = node.outputs[carry], { shape, dtype } = tensor;
    const past = history.indexOf(carry);
    const isKept = past >= 0;
    const storage: Storage = temporary({ shape: [isKept ? length + 1 : 2, ...shape], dtype }, labelOf(tensor));
    const slot = (number: typeof step): Place => slotPlace(storage, shape, isKept ? number : modIndex(number, 2));
    current.push(slot(from));
    next.push(slot(to));
    const [start, end] = reverse ? [length, 0] : [0, length];
    scope.setPlace(node.inputs[carry], slot(constantIndex(start)));
    scope.setPlace(tensor, slot(constantIndex(end)));
    if (isKept) scope.setPlace(node.outputs[carryCount + yCount + past], stackedPlace(storage, shape, reverse ? 1 : 0));
  }
  const ys = node.outputs.slice(carryCount, carryCount + yCount).map((tensor): Place => {
    const { storage, at } = scope.placeOf(tensor);
    return { storage, at: (index) => at([step, ...index]) };
  });
  return { current, next, ys, variable };
}
