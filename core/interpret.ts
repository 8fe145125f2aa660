/**
 * Evaluates a graph in f64 with the reference implementations of its ops: slow and simple, the oracle for everything
 * faster.
 */
import { allocating } from "./allocate.ts";
import { invariant, ShapeError } from "./errors.ts";
import type { Graph, Tensor } from "./graph.ts";
import type { NdArray } from "./op.ts";
import { formatType, sameShape, sizeOfShape } from "./shape.ts";

/**
 * Evaluates a graph.
 * @param graph What to evaluate.
 * @param inputs One value for each input of the graph, of its shape.
 * @returns The values of the outputs.
 * @throws {ShapeError} if an input does not have the graph's shape.
 * @throws {DeviceError} with reason `out-of-memory` if a tensor is too large to be held.
 */
export function interpret(graph: Graph, inputs: readonly NdArray[]): NdArray[] {
  invariant(
    inputs.length === graph.inputs.length,
    `a graph of ${graph.inputs.length} inputs is given ${inputs.length}`,
  );
  const values = new Map<Tensor, NdArray>();
  graph.inputs.forEach((tensor, i) => {
    if (!sameShape(tensor.shape, inputs[i].shape) || inputs[i].data.length !== sizeOfShape(tensor.shape)) {
      throw new ShapeError(
        `Cannot run with ${formatType(inputs[i])} (${inputs[i].data.length} elements) as input ${
          graph.names[i] ?? i
        }: the program expects ${formatType(tensor)}`,
      );
    }
    values.set(tensor, inputs[i]);
  });
  const lastUse = lastUses(graph);
  graph.nodes.forEach((node, position) => {
    const { op, attrs, outputs } = node, args = node.inputs.map((input) => values.get(input)!);
    const results = allocating(
      `compute ${op.name}`,
      outputs,
      Float64Array.BYTES_PER_ELEMENT,
      () => op.reference(args, attrs, outputs),
    );
    node.outputs.forEach((tensor, i) => {
      invariant(
        results[i].length === sizeOfShape(tensor.shape),
        `the reference of ${node.op.name} gave ${results[i].length} elements for ${formatType(tensor)}`,
      );
      if (!values.has(tensor)) values.set(tensor, { shape: tensor.shape, dtype: tensor.dtype, data: results[i] });
    });
    for (const dead of lastUse[position]) values.delete(dead);
  });
  return graph.outputs.map((tensor) => values.get(tensor)!);
}

/** For each node, the tensors that are dead after it. */
function lastUses(graph: Graph): Tensor[][] {
  const last = new Map<Tensor, number>();
  graph.nodes.forEach((node, position) => {
    for (const tensor of [...node.inputs, ...node.outputs]) last.set(tensor, position);
  });
  for (const output of graph.outputs) last.delete(output);
  const dead: Tensor[][] = graph.nodes.map(() => []);
  for (const [tensor, position] of last) dead[position].push(tensor);
  return dead;
}
