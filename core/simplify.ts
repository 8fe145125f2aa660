/**
 * Rebuilds a smaller graph in a fresh context: removes dead code and aliases, folds constants, applies the ops'
 * rewrites, and prunes unused outputs, carries and inputs of loops. Runs until nothing changes.
 */
import { apply, Graph, type Node, parameter, type Tensor, TraceContext, withContext } from "./graph.ts";
import { fill, splatValue } from "./linear.ts";
import type { KnownBodies } from "./op.ts";

const MAX_ROUNDS = 8;

/**
 * An equivalent graph with fresh parameters as inputs.
 * @param graph Any graph.
 */
export function simplify(graph: Graph): Graph {
  const known: KnownBodies = new Map();
  let current = graph;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const next = simplifyOnce(current, known);
    if (next.key === current.key) return next;
    current = next;
  }
  return current;
}

function simplifyOnce(graph: Graph, known: KnownBodies): Graph {
  const context = new TraceContext();
  return withContext(context, () => {
    const inputs = graph.inputs.map((type) => parameter(context, type));
    return new Graph(inputs, rebuild(graph, inputs, { known }), graph.names);
  });
}

/** Emits `graph` on new inputs in the current context, simplified; only the outputs that `keep` names. */
function rebuild(
  graph: Graph,
  inputs: readonly Tensor[],
  { known, keep }: { readonly known: KnownBodies; readonly keep?: readonly boolean[] },
): Tensor[] {
  const outputs = keep ? graph.outputs.filter((_, i) => keep[i]) : graph.outputs;
  const live = outputs.length === graph.outputs.length ? graph : new Graph(graph.inputs, outputs);
  const used = new Set<Tensor>(outputs);
  for (const node of live.nodes) for (const input of node.inputs) used.add(input);
  const map = new Map<Tensor, Tensor>(graph.inputs.map((tensor, i) => [tensor, inputs[i]]));
  const emit = (body: Graph, inputs: readonly Tensor[], keep: readonly boolean[]) =>
    rebuild(body, inputs, { known, keep });
  for (const node of live.nodes) {
    const mapped = node.inputs.map((input) => map.get(input)!);
    const results = node.op.kind === "loop"
      ? node.op.rebuild(node, mapped, { used, known, emit })
      : node.op.kind === "alias"
      ? node.op.aliased(mapped)
      : [build(node, mapped)];
    node.outputs.forEach((tensor, i) => {
      const result = results[i];
      if (result && !map.has(tensor)) map.set(tensor, result);
    });
  }
  return outputs.map((tensor) => map.get(tensor)!);
}

/** Emits one node, folded or rewritten where possible. */
function build(node: Node, inputs: readonly Tensor[]): Tensor {
  let tensor = folded(node, inputs) ?? node.op.rewrite?.(inputs, node.attrs) ?? apply(node.op, inputs, node.attrs);
  // A rewrite's result may allow another one. Rewrites shrink, so this ends; the bound guards against a pair that
  // undoes each other.
  for (let fuel = 16; fuel > 0; fuel--) {
    const { op, attrs, inputs } = tensor.node;
    const next = op.rewrite?.(inputs, attrs);
    if (!next || next === tensor) break;
    tensor = next;
  }
  return tensor;
}

/** Elementwise arithmetic on repeated values is a repeated value, computed by the reference. */
function folded(node: Node, inputs: readonly Tensor[]): Tensor | undefined {
  if (node.op.kind !== "map" || inputs.length === 0) return undefined;
  const values = inputs.map(splatValue);
  if (values.includes(undefined)) return undefined;
  const output = node.outputs[0];
  const scalars = inputs.map((input, i) => ({ shape: [], dtype: input.dtype, data: Float64Array.of(values[i]!) }));
  const [[value]] = node.op.reference(scalars, node.attrs, [{ shape: [], dtype: output.dtype }]);
  return fill(output, value);
}
