/**
 * Rebuilds a smaller graph in a fresh context: removes dead code and aliases, folds constants, applies the ops'
 * rewrites, and prunes unused outputs, carries and inputs of loops. Runs until nothing changes.
 */
import { invariant } from "./errors.ts";
import { apply, currentContext, Graph, type Node, type Tensor, TraceContext, withContext } from "./graph.ts";
import { fill, splatValue } from "./linear.ts";
import { applyScan, closedTest, isScan, type ScanAttrs } from "./scan.ts";
import { parameter } from "./trace.ts";

const MAX_ROUNDS = 8;

/**
 * An equivalent graph with fresh parameters as inputs.
 * @param graph Any graph.
 */
export function simplify(graph: Graph): Graph {
  let current = graph;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const next = simplifyOnce(current);
    if (next.key === current.key) return next;
    current = next;
  }
  return current;
}

function simplifyOnce(graph: Graph): Graph {
  const context = new TraceContext();
  return withContext(context, () => {
    const inputs = graph.inputs.map((type) => parameter(context, type));
    return new Graph(inputs, rebuild(graph, inputs), graph.names);
  });
}

/** Emits `graph` on new inputs in the current context, simplified; only the outputs that `keep` names. */
function rebuild(
  graph: Graph,
  inputs: readonly Tensor[],
  keep: readonly boolean[] = graph.outputs.map(() => true),
): Tensor[] {
  const outputs = graph.outputs.filter((_, i) => keep[i]);
  const live = new Graph(graph.inputs, outputs);
  const used = new Set<Tensor>(outputs);
  for (const node of live.nodes) for (const input of node.inputs) used.add(input);
  const map = new Map<Tensor, Tensor>(graph.inputs.map((tensor, i) => [tensor, inputs[i]]));
  for (const node of live.nodes) {
    const mapped = node.inputs.map((input) => map.get(input)!);
    const results = isScan(node)
      ? rebuildScan(node, mapped, used)
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

/** Emits a loop without unused parts. The result is sparse: unused outputs are undefined. */
function rebuildScan(node: Node, inputs: readonly Tensor[], used: ReadonlySet<Tensor>): (Tensor | undefined)[] {
  const attrs = node.attrs as ScanAttrs;
  const { body, length, carryCount, xsCount, reverse } = attrs;
  const yCount = body.outputs.length - carryCount;
  const needed = neededOf(node, attrs, used);
  const inits = inputs.slice(0, carryCount),
    xs = inputs.slice(carryCount, carryCount + xsCount),
    consts = inputs.slice(carryCount + xsCount);

  // A carry that the body returns unchanged always has its initial value.
  const historyUsed = attrs.history.filter((_, h) => used.has(node.outputs[carryCount + yCount + h]));
  const invariantCarry = inits.map((_, c) =>
    needed.carries[c] && body.outputs[c] === body.inputs[c] && !historyUsed.includes(c)
  );
  const carries = range(carryCount).filter((c) => needed.carries[c] && !invariantCarry[c]);
  const ys = range(yCount).filter((y) => needed.ys[y]);
  const history = historyUsed.filter((c) => carries.includes(c));
  invariant(history.length === historyUsed.length, "a history is used but its carry is dead");

  const context = currentContext();
  const isClosed = closedTest();
  const invariants: Tensor[] = [], slicedXs: Tensor[] = [];
  const bodyGraph = context.withScope(() => {
    const carryParams = carries.map((c) => parameter(context, inits[c]));
    const sliceOf = new Map<Tensor, Tensor>(), constOf = new Map<Tensor, Tensor>();
    const slice = (x: Tensor): Tensor => {
      const type = { shape: x.shape.slice(1), dtype: x.dtype };
      const splat = splatValue(x);
      if (splat !== undefined) return fill(type, splat);
      const present = sliceOf.get(x) ?? parameter(context, type);
      if (!sliceOf.has(x)) slicedXs.push(x);
      sliceOf.set(x, present);
      return present;
    };
    const outer = (tensor: Tensor): Tensor => {
      if (isClosed(tensor.node)) return tensor;
      const present = constOf.get(tensor) ?? parameter(context, tensor);
      if (!constOf.has(tensor)) invariants.push(tensor);
      constOf.set(tensor, present);
      return present;
    };
    const params = [
      ...inits.map((
        init,
        c,
      ) => (carries.includes(c) ? carryParams[carries.indexOf(c)] : needed.carries[c] ? outer(init) : fill(init, 0))),
      ...xs.map((x, i) => (needed.xs[i] ? slice(x) : fill({ shape: x.shape.slice(1), dtype: x.dtype }, 0))),
      ...consts.map((tensor, i) => (needed.consts[i] ? outer(tensor) : fill(tensor, 0))),
    ];
    const keep = [...range(carryCount).map((c) => carries.includes(c)), ...range(yCount).map((y) => ys.includes(y))];
    const outputs = rebuild(body, params, keep);
    return new Graph([
      ...carryParams,
      ...slicedXs.map((x) => sliceOf.get(x)!),
      ...invariants.map((tensor) => constOf.get(tensor)!),
    ], outputs);
  });
  const saved = ys.filter((y) => y >= yCount - attrs.savedCount).length;
  const made = carries.length + ys.length === 0 ? [] : applyScan(
    [...carries.map((c) => inits[c]), ...slicedXs, ...invariants],
    {
      body: bodyGraph,
      length,
      carryCount: carries.length,
      xsCount: slicedXs.length,
      reverse,
      history: history.map((c) => carries.indexOf(c)),
      savedCount: saved,
    },
  );

  const results = new Array<Tensor | undefined>(node.outputs.length).fill(undefined);
  range(carryCount).forEach((c) => results[c] = invariantCarry[c] ? inits[c] : made[carries.indexOf(c)]);
  ys.forEach((y, i) => results[carryCount + y] = made[carries.length + i]);
  history.forEach((c, i) =>
    results[carryCount + yCount + attrs.history.indexOf(c)] = made[carries.length + ys.length + i]
  );
  return results;
}

/** Which carries, ys, xs and invariants of a loop are needed, given the outputs that are used. */
function neededOf(node: Node, { body, carryCount, xsCount, history }: ScanAttrs, used: ReadonlySet<Tensor>): {
  carries: boolean[];
  ys: boolean[];
  xs: boolean[];
  consts: boolean[];
} {
  const yCount = body.outputs.length - carryCount;
  const ys = range(yCount).map((y) => used.has(node.outputs[carryCount + y]));
  const carries = range(carryCount).map((c) =>
    used.has(node.outputs[c]) || history.some((h, i) => h === c && used.has(node.outputs[carryCount + yCount + i]))
  );
  for (;;) {
    const outputs = body.outputs.filter((_, i) => (i < carryCount ? carries[i] : ys[i - carryCount]));
    const read = new Set<Tensor>(outputs);
    for (const inner of new Graph(body.inputs, outputs).nodes) for (const input of inner.inputs) read.add(input);
    const more = range(carryCount).filter((c) => !carries[c] && read.has(body.inputs[c]));
    if (more.length === 0) {
      const isRead = (tensor: Tensor): boolean => read.has(tensor);
      return {
        carries,
        ys,
        xs: body.inputs.slice(carryCount, carryCount + xsCount).map(isRead),
        consts: body.inputs.slice(carryCount + xsCount).map(isRead),
      };
    }
    more.forEach((c) => carries[c] = true);
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
