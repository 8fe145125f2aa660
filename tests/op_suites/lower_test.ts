import { ExprBuilder } from "../../core/expr.ts";
import { grad } from "../../core/grad.ts";
import { Graph, type Node, type Tensor } from "../../core/graph.ts";
import { linearIndex, makeVar, varIndex } from "../../core/index_expr.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { assertClose, build } from "../numeric.ts";
import { OP_CASES } from "../op_cases.ts";
import { type Environment, evaluateExpr, evaluateIndex } from "./evaluate_expr.ts";
import { forEachCase, graphsOf, lossOf } from "./evaluate.ts";

/** The elements of a node's output by its `lower`; undefined for kinds that lower to no expression. */
function lowered(node: Node, inputs: readonly NdArray[]): number[] | undefined {
  const { op, attrs, outputs: [{ shape }] } = node;
  const space = shape.map((extent, axis) => makeVar(`i${axis}`, extent));
  const index = space.map(varIndex);
  const e = new ExprBuilder();
  const bind = (place: readonly number[]): Environment => ({
    variables: new Map(space.map((variable, axis) => [variable.id, place[axis]])),
    load: (operand, offset) => inputs[operand].data[offset],
  });
  if (sizeOfShape(shape) === 0) return undefined;
  if (op.kind === "map") {
    const expr = op.lower(e, inputs.map(({ dtype, shape }, i) => e.load(i, linearIndex(index, shape), dtype)), attrs);
    return build(shape, (place) => evaluateExpr(expr, bind(place)));
  }
  if (op.kind === "source" && op.lower) {
    const expr = op.lower(e, index, attrs);
    return build(shape, (place) => evaluateExpr(expr, bind(place)));
  }
  if (op.kind !== "view") return undefined;
  const { pieces, fill } = op.lower(index, attrs, inputs.map((input) => input.shape));
  return build(shape, (place) => {
    const environment = bind(place);
    const piece = pieces.find(({ where }) =>
      where.every(({ index, lo, hi }) => {
        const value = evaluateIndex(index, environment);
        return lo <= value && value < hi;
      })
    );
    if (!piece) return fill;
    const from = inputs[piece.input];
    const at = piece.index.map((index) => evaluateIndex(index, environment));
    at.forEach((i, axis) => {
      if (i < 0 || i >= from.shape[axis]) {
        throw new Error(`reads index ${i} of axis ${axis}, extent ${from.shape[axis]}`);
      }
    });
    return from.data[at.reduce((offset, i, axis) => offset * from.shape[axis] + i, 0)];
  });
}

/** Evaluates every node of a graph, and those that lower to expressions a second time by them. Returns how many. */
function checkGraph(graph: Graph, inputs: readonly NdArray[], label: string): number {
  const tensors: Tensor[] = [...graph.inputs, ...graph.nodes.flatMap((node) => node.outputs)];
  const values = new Map<Tensor, NdArray>();
  interpret(new Graph(graph.inputs, tensors), inputs).forEach((value, i) => values.set(tensors[i], value));
  let checked = 0;
  for (const node of graph.nodes) {
    if (graph.inputs.includes(node.outputs[0])) continue;
    const result = lowered(node, node.inputs.map((input) => values.get(input)!));
    if (!result) continue;
    assertClose(
      result,
      values.get(node.outputs[0])!.data,
      { relative: 1e-11, absolute: 1e-12 },
      `${label}: lower of ${node.op.name}`,
      node.outputs[0].shape,
    );
    checked++;
  }
  return checked;
}

Deno.test("op table: expressions that ops lower to agree with their references", () => {
  let checked = 0;
  forEachCase(OP_CASES, (opCase) => {
    const { name, fn, inputs, differentiable } = opCase;
    checked += checkGraph(graphsOf(fn, inputs).simplified, inputs, name);
    if (differentiable.length > 0) {
      checked += checkGraph(
        graphsOf(grad(lossOf(opCase), { argnums: differentiable }), inputs).simplified,
        inputs,
        name,
      );
    }
  });
  console.log(`op table, lowered expressions: ${OP_CASES.length} cases, ${checked} nodes`);
});
