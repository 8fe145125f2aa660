/** Checks the invariants of graphs that every pass must preserve. Runs between passes in tests. */
import { invariant } from "./errors.ts";
import { type Graph, isParameter, type Tensor } from "./graph.ts";
import { isLoop, type ScanAttrs } from "./loop.ts";
import { formatType, sameShape } from "./shape.ts";

/**
 * Verifies a graph and the bodies of its loops.
 * @throws {Error} prefixed `Internal:` at the first thing that is wrong: an operand used before it is made, a type that
 * the op would not infer, a parameter that is not an input, a loop whose body does not fit.
 */
export function verify(graph: Graph): void {
  const known = new Set<Tensor>(graph.inputs);
  invariant(known.size === graph.inputs.length, "a graph names an input twice");
  for (const node of graph.nodes) {
    invariant(
      !node.outputs.some((output) => isParameter(output)),
      `parameter #${node.id} is used but is no input of the graph`,
    );
    for (const input of node.inputs) {
      invariant(known.has(input), `${node.op.name} #${node.id} uses ${input} before it is made`);
    }
    const types = node.op.infer(node.inputs, node.attrs);
    invariant(
      types.length === node.outputs.length,
      `${node.op.name} #${node.id} has ${node.outputs.length} outputs and infers ${types.length}`,
    );
    types.forEach((type, i) => {
      const output = node.outputs[i];
      const same = type.dtype === output.dtype && sameShape(type.shape, output.shape);
      invariant(same, `${node.op.name} #${node.id} is ${formatType(output)} and infers ${formatType(type)}`);
      known.add(output);
    });
    if (isLoop(node)) verifyScan(node.inputs, node.attrs as ScanAttrs);
  }
  for (const output of graph.outputs) invariant(known.has(output), `output ${output} is not made by the graph`);
}

function verifyScan(inputs: readonly Tensor[], { body, length, carryCount, xsCount, history }: ScanAttrs): void {
  invariant(
    inputs.length === body.inputs.length,
    `a scan has ${inputs.length} inputs and its body ${body.inputs.length}`,
  );
  inputs.forEach((input, i) => {
    const expected = body.inputs[i];
    const shape = i >= carryCount && i < carryCount + xsCount ? [length, ...expected.shape] : expected.shape;
    invariant(
      input.dtype === expected.dtype && sameShape(input.shape, shape),
      `input ${i} of a scan is ${formatType(input)} and its body takes ${formatType(expected)}`,
    );
  });
  for (let c = 0; c < carryCount; c++) {
    const next = body.outputs[c], carry = body.inputs[c];
    invariant(
      next.dtype === carry.dtype && sameShape(next.shape, carry.shape),
      `carry ${c} of a scan enters as ${formatType(carry)} and leaves as ${formatType(next)}`,
    );
  }
  invariant(
    history.every((c) => c >= 0 && c < carryCount),
    "a scan keeps the history of a carry that it does not have",
  );
  verify(body);
}
