/**
 * Rebuilds a smaller graph in a fresh context: removes dead code and aliases, folds constants, applies the ops'
 * rewrites, and prunes unused outputs, carries and inputs of loops. Runs until nothing changes.
 */
import { invariant } from "./errors.ts";
import { apply, currentContext, Graph, type Node, type Tensor, TraceContext, withContext } from "./graph.ts";
import { fill, splatValue } from "./linear.ts";
import { closedTest } from "./closed.ts";
import { applyScan, isScan, type ScanAttrs } from "./scan.ts";
import { parameter } from "./trace.ts";

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

/**
 * Bodies of loops that were rebuilt, by their keys and by what their inputs are: layers that are alike have equal
 * loops, and most loops do not change from one round to the next.
 */
type KnownBodies = Map<string, Graph>;

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
  for (const node of live.nodes) {
    const mapped = node.inputs.map((input) => map.get(input)!);
    const results = isScan(node)
      ? rebuildScan(node, mapped, { used, known })
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
function rebuildScan(
  node: Node,
  inputs: readonly Tensor[],
  { used, known }: { readonly used: ReadonlySet<Tensor>; readonly known: KnownBodies },
): (Tensor | undefined)[] {
  const attrs = node.attrs as ScanAttrs;
  const { body, length, carryCount, reverse } = attrs;
  const yCount = body.outputs.length - carryCount;
  const needed = neededOf(node, attrs, used);

  // A carry that the body returns unchanged always has its initial value.
  const historyUsed = attrs.history.filter((_, h) => used.has(node.outputs[carryCount + yCount + h]));
  const invariantCarry = range(carryCount).map((c) =>
    needed.carries[c] && body.outputs[c] === body.inputs[c] && !historyUsed.includes(c)
  );
  const carries = range(carryCount).filter((c) => needed.carries[c] && !invariantCarry[c]);
  const ys = range(yCount).filter((y) => needed.ys[y]);
  const history = historyUsed.filter((c) => carries.includes(c));
  invariant(history.length === historyUsed.length, "a history is used but its carry is dead");

  const reads = readsOf(attrs, { inputs, needed, carries });
  const rebuilt = rebuildBody(body, { ...reads, inputs, carryCount, carries, ys, known });
  const saved = ys.filter((y) => y >= yCount - attrs.savedCount).length;
  const made = carries.length + ys.length === 0 ? [] : applyScan(
    [...carries.map((c) => inputs[c]), ...reads.slices, ...reads.invariants],
    {
      body: rebuilt,
      length,
      carryCount: carries.length,
      xsCount: reads.slices.length,
      reverse,
      history: history.map((c) => carries.indexOf(c)),
      savedCount: saved,
    },
  );

  const results = new Array<Tensor | undefined>(node.outputs.length).fill(undefined);
  range(carryCount).forEach((c) => results[c] = invariantCarry[c] ? inputs[c] : made[carries.indexOf(c)]);
  ys.forEach((y, i) => results[carryCount + y] = made[carries.length + i]);
  history.forEach((c, i) =>
    results[carryCount + yCount + attrs.history.indexOf(c)] = made[carries.length + ys.length + i]
  );
  return results;
}

/** What an input of a loop's body becomes: a parameter of a list, by its position there, or a value made inside. */
interface Role {
  readonly kind: "carry" | "slice" | "invariant" | "inside" | "unused";
  readonly at: number;
}

/** What the body of a rebuilt loop reads. */
interface LoopReads {
  /** One for each input of the old body. */
  readonly roles: readonly Role[];
  /** The tensors of which each step reads a slice, each once. */
  readonly slices: readonly Tensor[];
  /** The tensors that every step reads, each once. */
  readonly invariants: readonly Tensor[];
}

function readsOf(
  { carryCount, xsCount }: ScanAttrs,
  { inputs, needed, carries }: {
    readonly inputs: readonly Tensor[];
    readonly needed: Needed;
    readonly carries: readonly number[];
  },
): LoopReads {
  const isClosed = closedTest({ tables: false }), slices: Tensor[] = [], invariants: Tensor[] = [];
  const isNeeded = [...needed.carries, ...needed.xs, ...needed.consts];
  const placeIn = (list: Tensor[], tensor: Tensor): number =>
    list.includes(tensor) ? list.indexOf(tensor) : list.push(tensor) - 1;
  const roles = inputs.map((input, i): Role => {
    if (carries.includes(i)) return { kind: "carry", at: carries.indexOf(i) };
    if (!isNeeded[i]) return { kind: "unused", at: 0 };
    const isSlice = i >= carryCount && i < carryCount + xsCount;
    if (isSlice ? splatValue(input) !== undefined : isClosed(input.node)) return { kind: "inside", at: 0 };
    return isSlice
      ? { kind: "slice", at: placeIn(slices, input) }
      : { kind: "invariant", at: placeIn(invariants, input) };
  });
  return { roles, slices, invariants };
}

/** Emits a loop's body without unused parts, or gives one that was rebuilt from an equal body for equal reads. */
function rebuildBody(
  body: Graph,
  { roles, slices, invariants, inputs, carryCount, carries, ys, known }: LoopReads & {
    readonly inputs: readonly Tensor[];
    readonly carryCount: number;
    readonly carries: readonly number[];
    readonly ys: readonly number[];
    readonly known: KnownBodies;
  },
): Graph {
  // What is made inside may be anything.
  const key = roles.some(({ kind }) => kind === "inside")
    ? undefined
    : `${roles.map(({ kind, at }) => `${kind} ${at}`).join()};${ys.join()};${body.key}`;
  const present = key === undefined ? undefined : known.get(key);
  if (present) return present;
  const context = currentContext();
  const rebuilt = context.withScope(() => {
    const carried = carries.map((c) => parameter(context, inputs[c]));
    const sliced = slices.map(({ shape, dtype }) => parameter(context, { shape: shape.slice(1), dtype }));
    const outside = invariants.map((tensor) => parameter(context, tensor));
    const parameters = roles.map(({ kind, at }, i): Tensor => {
      if (kind === "carry") return carried[at];
      if (kind === "slice") return sliced[at];
      if (kind === "invariant") return outside[at];
      const value = kind === "unused" ? 0 : splatValue(inputs[i]);
      return value === undefined ? inputs[i] : fill(body.inputs[i], value);
    });
    const keep = body.outputs.map((_, i) => (i < carryCount ? carries.includes(i) : ys.includes(i - carryCount)));
    return new Graph([...carried, ...sliced, ...outside], rebuild(body, parameters, { known, keep }));
  });
  if (key !== undefined) known.set(key, rebuilt);
  return rebuilt;
}

/** Which parts of a loop are needed. */
interface Needed {
  readonly carries: readonly boolean[];
  readonly ys: readonly boolean[];
  readonly xs: readonly boolean[];
  readonly consts: readonly boolean[];
}

/** Which carries, ys, xs and invariants of a loop are needed, given the outputs that are used. */
function neededOf(node: Node, { body, carryCount, xsCount, history }: ScanAttrs, used: ReadonlySet<Tensor>): Needed {
  const yCount = body.outputs.length - carryCount;
  const ys = range(yCount).map((y) => used.has(node.outputs[carryCount + y]));
  const carries = range(carryCount).map((c) =>
    used.has(node.outputs[c]) || history.some((h, i) => h === c && used.has(node.outputs[carryCount + yCount + i]))
  );
  for (;;) {
    const outputs = body.outputs.filter((_, i) => (i < carryCount ? carries[i] : ys[i - carryCount]));
    const read = new Set<Tensor>(outputs);
    const part = outputs.length === body.outputs.length ? body : new Graph(body.inputs, outputs);
    for (const inner of part.nodes) for (const input of inner.inputs) read.add(input);
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
