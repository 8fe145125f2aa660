/**
 * Prepares a graph for scheduling: a clone whose nodes this scheduler may rewire, with copies where a tensor must also live somewhere else, and long
 * reductions to few elements cut in two stages.
 */
import { type DType, isFloat } from "../../core/dtype.ts";
import { identityOf } from "../../core/expr.ts";
import type { Combine } from "../../core/expr.ts";
import { type Graph, type Node, Tensor } from "../../core/graph.ts";
import { addIndex, scaleIndex, splitIndex } from "../../core/index_expr.ts";
import { invariant } from "../../core/errors.ts";
import type { Attrs, MapOp, OpDef, ReduceOp, ViewOp } from "../../core/op.ts";
import type { ScanAttrs } from "../../core/scan.ts";
import { type Shape, sizeOfShape } from "../../core/shape.ts";

/** Reductions to fewer elements than this, over longer rows than {@link LONG_ROW}, leave a processor idle: they run in two stages. */
const FEW_ROWS = 64;
const LONG_ROW = 4096;
/** Elements that one invocation sums in the first stage. */
const PART = 512;

/** A node that the scheduler may rewire. */
export interface PlanNode extends Node {
  readonly inputs: Tensor[];
}

/** A graph as the scheduler sees it: nodes of its own, in topological order. */
export interface PlanGraph {
  readonly nodes: PlanNode[];
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

function neverEvaluated(): never {
  invariant(false, "a node of the scheduler was evaluated: it only exists in schedules");
}

const NO_GRADIENT = { zero: false, reason: "it only exists in schedules" } as const;

/** The same tensor once more, to live in a place of its own. */
export const copyOp: MapOp<Attrs> = {
  name: "copy",
  kind: "map",
  infer: ([x]) => [x],
  reference: ([x]) => [x.data],
  lower: (_e, [x]) => x,
  vjp: NO_GRADIENT,
};

interface PartsAttrs extends Attrs {
  readonly axes: readonly number[];
  readonly parts: number;
  readonly part: number;
  readonly fill: number;
}

/** Rows along `axes` cut in `parts` of `part` elements: `[...kept, parts, part]`; what lies past the row's end is `fill`. */
const partsOp: ViewOp<PartsAttrs> = {
  name: "parts",
  kind: "view",
  infer: ([x], { axes, parts, part }) => [{ shape: [...keptOf(x.shape, axes), parts, part], dtype: x.dtype }],
  reference: neverEvaluated,
  lower: (index, { axes, part, fill }, [shape]) => {
    const rowShape = axes.map((axis) => shape[axis]);
    const rowSize = sizeOfShape(rowShape);
    const at = addIndex(scaleIndex(index[index.length - 2], part), index[index.length - 1]);
    const row = splitIndex(at, rowShape);
    let kept = 0;
    const into = shape.map((_, axis) => (axes.includes(axis) ? row[axes.indexOf(axis)] : index[kept++]));
    return { pieces: [{ input: 0, index: into, where: at.max < rowSize ? [] : [{ index: at, lo: 0, hi: rowSize }] }], fill };
  },
  vjp: NO_GRADIENT,
};

interface StageAttrs extends Attrs {
  readonly combine: Combine;
  readonly axes: readonly number[];
}

/** One stage of a reduction. */
function stageOp(name: string): ReduceOp<StageAttrs> {
  return {
    name,
    kind: "reduce",
    infer: ([x], { axes }) => [{ shape: keptOf(x.shape, axes), dtype: x.dtype }],
    reference: neverEvaluated,
    lower: (attrs) => attrs,
    vjp: NO_GRADIENT,
  };
}

/** The extents along the axes that a reduction keeps. */
export function keptOf(shape: Shape, axes: readonly number[]): number[] {
  return shape.filter((_, axis) => !axes.includes(axis));
}

/** How a reduce node reduces. */
export function reductionOf(node: Node): { readonly combine: Combine; readonly axes: readonly number[]; readonly rowShape: readonly number[] } {
  const { op } = node;
  invariant(op.kind === "reduce", `${op.name} is no reduction`);
  const [x] = node.inputs;
  const { combine, axes } = op.lower(node.attrs);
  return { combine, axes, rowShape: axes.map((axis) => x.shape[axis]) };
}

/** Makes the nodes of one schedule; ids ascend in order of making. */
export class NodeMaker {
  #nextId = 0;

  /** A node with the given outputs' types. */
  make(like: Node, op: OpDef, inputs: readonly Tensor[], attrs: Attrs, types: readonly { readonly shape: Shape; readonly dtype: DType }[]): PlanNode {
    const outputs: Tensor[] = [];
    const node: PlanNode = { id: this.#nextId++, op, attrs, inputs: [...inputs], outputs, scope: like.scope, context: like.context };
    types.forEach((type, i) => outputs.push(new Tensor(node, i, type.shape, type.dtype)));
    return node;
  }

  /** A copy of a tensor. */
  copy(tensor: Tensor): PlanNode {
    return this.make(tensor.node, copyOp, [tensor], {}, [tensor]);
  }
}

/** Clones a graph for scheduling. Inputs stay the tensors they are. */
export function normalize(graph: Graph, maker: NodeMaker): PlanGraph {
  const nodes: PlanNode[] = [];
  const map = new Map<Tensor, Tensor>(graph.inputs.map((tensor) => [tensor, tensor]));
  const emit = (node: PlanNode): PlanNode => {
    nodes.push(node);
    return node;
  };
  const copied = (tensor: Tensor): Tensor => emit(maker.copy(tensor)).outputs[0];
  for (const node of graph.nodes) {
    let inputs = node.inputs.map((input) => map.get(input)!);
    if (node.op.kind === "loop") {
      const { carryCount } = node.attrs as ScanAttrs;
      inputs = inputs.map((input, i) => (i < carryCount ? copied(input) : input));
    } else if (node.op.kind === "scatter") inputs[0] = copied(inputs[0]);
    const made = node.op.kind === "reduce" && isLong(node)
      ? emitStages(node, inputs[0], maker, emit)
      : emit(maker.make(node, node.op, inputs, node.attrs, node.outputs));
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

/** Whether the kernel that makes a tensor can be told where to store it. */
export function isPlaceable(tensor: Tensor, inputs: readonly Tensor[]): boolean {
  const { op, attrs, outputs } = tensor.node;
  if (inputs.includes(tensor)) return false;
  if (op.kind === "source") return op.lower !== undefined;
  if (op.kind !== "loop") return true;
  const { carryCount, history } = attrs as ScanAttrs;
  return tensor.output >= carryCount && tensor.output < outputs.length - history.length;
}

function isLong(node: Node): boolean {
  const { combine, rowShape } = reductionOf(node);
  const space = sizeOfShape(node.outputs[0].shape);
  return combine !== "argmax" && space > 0 && space < FEW_ROWS && sizeOfShape(rowShape) > LONG_ROW;
}

function emitStages(node: Node, x: Tensor, maker: NodeMaker, emit: (node: PlanNode) => PlanNode): PlanNode {
  const { combine, axes, rowShape } = reductionOf(node);
  const { shape, dtype } = node.outputs[0];
  const rowSize = sizeOfShape(rowShape);
  // At most a long row of parts, so that the second stage is short; parts that divide the row need no mask.
  const wanted = Math.min(LONG_ROW / 4, Math.ceil(rowSize / PART));
  let parts = wanted;
  while (parts > wanted / 2 && rowSize % parts !== 0) parts--;
  if (rowSize % parts !== 0) parts = wanted;
  const part = Math.ceil(rowSize / parts);
  const fill = identityOf(combine, isFloat(dtype) ? "f32" : dtype);
  const cut = emit(maker.make(node, partsOp, [x], { axes, parts, part, fill }, [{ shape: [...shape, parts, part], dtype }]));
  const partial = emit(
    maker.make(node, stageOp(`${node.op.name} parts`), cut.outputs, { combine, axes: [shape.length + 1] }, [{ shape: [...shape, parts], dtype }]),
  );
  return emit(maker.make(node, stageOp(node.op.name), partial.outputs, { combine, axes: [shape.length] }, [{ shape, dtype }]));
}
