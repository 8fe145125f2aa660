/**
 * Loops without what nobody reads: unused outputs, carries and inputs, and carries that never change.
 *
 * Part of `simplify`, which reaches it through the loop's op: a program without loops has none of this.
 */
import { closedTest } from "./closed.ts";
import { invariant } from "./errors.ts";
import { applyAll, currentContext, Graph, type Node, parameter, type Tensor } from "./graph.ts";
import { fill, splatValue } from "./linear.ts";
import type { LoopRebuild } from "./op.ts";
import type { ScanAttrs } from "./loop.ts";

/** Emits a loop without unused parts. The result is sparse: unused outputs are undefined. */
export function pruneLoop(
  node: Node,
  inputs: readonly Tensor[],
  { used, known, emit }: LoopRebuild,
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
  const rebuilt = rebuildBody(body, { ...reads, inputs, carryCount, carries, ys, known, emit });
  const saved = ys.filter((y) => y >= yCount - attrs.savedCount).length;
  const made = carries.length + ys.length === 0 ? [] : applyAll(
    node.op,
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
  { roles, slices, invariants, inputs, carryCount, carries, ys, known, emit }:
    & LoopReads
    & Pick<LoopRebuild, "known" | "emit">
    & {
      readonly inputs: readonly Tensor[];
      readonly carryCount: number;
      readonly carries: readonly number[];
      readonly ys: readonly number[];
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
    return new Graph([...carried, ...sliced, ...outside], emit(body, parameters, keep));
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
