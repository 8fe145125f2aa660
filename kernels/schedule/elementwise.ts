/**
 * Schedules programs that are one small elementwise kernel. The scheduler (kernels/schedule.ts) gives the same, but has
 * to decide much that is no question here; pages that compute nothing else need not load it (parts.ts).
 */
import { type Expr, ExprBuilder } from "../../core/expr.ts";
import type { Graph, Node, Tensor } from "../../core/graph.ts";
import { type Index, makeVar, recombine, varIndex } from "../../core/index_expr.ts";
import { sameShape, sizeOfShape } from "../../core/shape.ts";
import type { Schedule } from "../plan.ts";
import { canonicalise } from "./canonicalise.ts";
import { elementOf } from "./element.ts";
import { type BindingLimits, placeEnds, ValueTable } from "./storage.ts";

/** Kernels of so few operations and operands are within the limits of size, whatever the operations are (limits.ts). */
const MOST = 16;

/**
 * The schedule of a simplified graph with one result, whose elements are a few elementwise operations on elements of
 * inputs, which may be broadcast, transposed or sliced; undefined for any other graph.
 * @param limits Of the device.
 */
export function scheduleElementwise(
  graph: Graph,
  limits: BindingLimits & { readonly maxOperands: number },
): Schedule | undefined {
  const { nodes, outputs } = graph, [output] = outputs;
  if (outputs.length !== 1 || nodes.length > MOST || sizeOfShape(output.shape) === 0) return undefined;
  const table = new ValueTable(limits), ends = placeEnds(graph, table), e = new ExprBuilder();
  const space = output.shape.map((extent, axis) => makeVar(`v${axis}`, extent)), index = space.map(varIndex);
  const load = (input: Tensor, at: readonly Index[]): Expr | undefined => {
    const operand = graph.inputs.indexOf(input);
    return operand < 0 ? undefined : e.load(operand, ends.inputs[operand].at(at), input.dtype);
  };
  const elements = new Map<Tensor, Expr>();
  for (const node of nodes) {
    // Tensors of other shapes are read at other indices, and what is compared to the last bit, by all kernels alike.
    if (!sameShape(node.outputs[0].shape, output.shape) || (node.op.kind === "map" && node.op.isExact?.(node.attrs))) {
      return undefined;
    }
    const read = readByView(node, index);
    const element = read
      ? load(read.tensor, read.index)
      : elementOf(e, node, index, (input) => elements.get(input) ?? load(input, index)!);
    if (!element) return undefined;
    elements.set(node.outputs[0], element);
  }
  const value = elements.get(output), { storage, at } = ends.outputs[0];
  if (!value) return undefined;
  const made = canonicalise(
    {
      storages: ends.inputs.map(({ storage }) => storage),
      stores: [{ storage, index: at(index), value }],
      exprs: [],
      space,
      fixed: [],
      loops: [],
      guards: new Map(),
    },
    table,
    [],
  );
  const { operands, stores, loops } = made;
  if (operands.length > Math.min(limits.maxOperands, MOST)) return undefined;
  const kernel = { kind: "map", space: made.space, stores, operands, loops, origins: originsOf(nodes) } as const;
  return { values: table.values, steps: [{ kind: "kernel", kernel, operands: made.values }], ...ends.values };
}

/** What a view reads for the element at an index; undefined unless that is always an element of one tensor. */
function readByView(
  { op, inputs, attrs }: Node,
  at: readonly Index[],
): { readonly tensor: Tensor; readonly index: readonly Index[] } | undefined {
  if (op.kind !== "view" || inputs.length !== 1) return undefined;
  const { pieces: [{ index, where }, ...others] } = op.lower(at, attrs, inputs.map(({ shape }) => shape));
  return others.length > 0 || where.length > 0 ? undefined : { tensor: inputs[0], index: index.map(recombine) };
}

/** The names of operations. Data movement is listed only if there is nothing else. */
function originsOf(nodes: readonly Node[]): string[] {
  const working = nodes.filter(({ op }) => op.kind === "map");
  return (working.length > 0 ? working : nodes).map(({ op }) => op.name);
}
