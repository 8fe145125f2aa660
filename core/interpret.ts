/**
 * Evaluates a graph in f64 with the reference implementations of its ops: slow and simple, the oracle for everything
 * faster.
 */
import { allocating } from "./allocate.ts";
import { invariant, ShapeError } from "./errors.ts";
import type { Graph, Node, Tensor } from "./graph.ts";
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
  const values: (NdArray | undefined)[] = [];
  graph.inputs.forEach((tensor, i) => {
    if (!sameShape(tensor.shape, inputs[i].shape) || inputs[i].data.length !== sizeOfShape(tensor.shape)) {
      throw new ShapeError(
        `Cannot run with ${formatType(inputs[i])} (${inputs[i].data.length} elements) as input ${
          graph.names[i] ?? i
        }: the program expects ${formatType(tensor)}`,
      );
    }
    values.push(inputs[i]);
  });
  const { steps, outputs } = orderOf(graph);
  for (const { node, reads, writes, dead } of steps) {
    const { op, attrs } = node, args = reads.map((at) => values[at]!);
    const results = allocating(
      `compute ${op.name}`,
      node.outputs,
      Float64Array.BYTES_PER_ELEMENT,
      () => op.reference(args, attrs, node.outputs),
    );
    node.outputs.forEach(({ shape, dtype }, i) => {
      const size = sizeOfShape(shape);
      invariant(
        results[i].length === size,
        `the reference of ${op.name} gave ${results[i].length} elements of ${size}`,
      );
      if (writes[i] >= 0) values[writes[i]] = { shape, dtype, data: results[i] };
    });
    for (const at of dead) values[at] = undefined;
  }
  return outputs.map((at) => values[at]!);
}

/** A node with the places of what it reads and writes in the list of values, and what is dead after it. */
interface Step {
  readonly node: Node;
  readonly reads: readonly number[];
  /** One for each output; -1 where the tensor is an input of the graph, whose value stays. */
  readonly writes: readonly number[];
  readonly dead: readonly number[];
}

/** In which order a graph's nodes run, with values by their places: first the graph's inputs. */
interface Order {
  readonly steps: readonly Step[];
  readonly outputs: readonly number[];
}

/** The body of a loop is evaluated once per step. */
const orders = new WeakMap<Graph, Order>();

function orderOf(graph: Graph): Order {
  const known = orders.get(graph);
  if (known) return known;
  const places = new Map<Tensor, number>(), last = new Map<number, number>();
  graph.inputs.forEach((tensor, i) => places.set(tensor, i));
  let count = graph.inputs.length;
  const placed = graph.nodes.map((node, position) => {
    const reads = node.inputs.map((input) => places.get(input)!);
    const writes = node.outputs.map((tensor) => {
      if (places.has(tensor)) return -1;
      places.set(tensor, count);
      return count++;
    });
    for (const at of [...reads, ...writes]) if (at >= 0) last.set(at, position);
    return { node, reads, writes, dead: [] as number[] };
  });
  const outputs = graph.outputs.map((tensor) => places.get(tensor)!);
  for (const at of outputs) last.delete(at);
  for (const [at, position] of last) placed[position].dead.push(at);
  const order = { steps: placed, outputs };
  orders.set(graph, order);
  return order;
}
