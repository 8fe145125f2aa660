/**
 * The rolled loop.
 *
 * `scan(body, init, xs)` traces `body` once, in a separate scope. Tensors that the body captures become loop-invariant
 * inputs of the node; computations that do not depend on the loop are outside it by construction. The node declares the
 * history of every carry as an output: if it is unused it costs nothing (`simplify` prunes it), and the gradient finds
 * what it needs without running the loop twice.
 *
 * The gradient is another scan, in the other direction: its carries are the cotangents of the carries and the sums of
 * the cotangents of the invariants, and its body recomputes the forward body from the carry that entered the step. With
 * `rematerialize: "save"` the results of the body's matrix products and inner loops are kept as stacked outputs too and
 * are not recomputed. With `"auto"` the matrix products that are most expensive to recompute are kept, up to the memory
 * per step that the loop needs anyway for its carries, xs and ys. A loop's memory therefore at most doubles, and the
 * memory of nested loops stays a sum: the results of an inner loop, one per step, are recomputed. (Row reductions are
 * recomputed too: their kernels need the operand in any case, and keeping their results did not make training steps of
 * LMM and MAC faster.)
 */
import { aliasOp } from "./alias.ts";
import { closedTest } from "./closed.ts";
import { isFloat, sizeOf } from "./dtype.ts";
import { CompileError, invariant, ShapeError } from "./errors.ts";
import {
  apply,
  applyAll,
  currentContext,
  Graph,
  isTensor,
  type Node,
  parameter,
  type Scope,
  type Tensor,
} from "./graph.ts";
import { backpropagate, mark } from "./grad.ts";
import { accumulate, fill } from "./linear.ts";
import { inferLoop, interpretLoop, type ScanAttrs } from "./loop.ts";
import type { LoopOp, VjpCall } from "./op.ts";
import { checkOptions, optionNames } from "./options.ts";
import { pruneLoop } from "./prune_loop.ts";
import { formatType, sameShape, sizeOfShape } from "./shape.ts";
import { flatten, sameTree, type TreeSpec, unflatten } from "./tree.ts";
import { checkFunction } from "./describe.ts";

/**
 * What a loop keeps for its gradient in addition to carries and xs. `recompute`: nothing. `save`: the results of the
 * body's matrix products and inner loops. `auto`: results of matrix products, the longest sums first, up to as many
 * bytes as the loop keeps anyway.
 */
export type Rematerialization = "auto" | "recompute" | "save";

/** Options of {@link scan}. */
export interface ScanOptions {
  /** Number of steps; needed when there are no xs. */
  readonly length?: number;
  /** Whether to run from the last index to the first. */
  readonly reverse?: boolean;
  /**
   * What to keep for the gradient: `"recompute"` takes the least memory, `"save"` the least time, `"auto"` (the
   * default) is a compromise.
   */
  readonly rematerialize?: Rematerialization;
}

const SCAN_OPTIONS = optionNames<ScanOptions>({ length: true, reverse: true, rematerialize: true });

/** The loop as users make it: with a gradient. */
const scanOp: LoopOp<ScanAttrs> = {
  name: "scan",
  kind: "loop",
  infer: inferLoop,
  reference: interpretLoop,
  rebuild: pruneLoop,
  vjp: scanVjp,
};

/**
 * A value saved in the forward pass instead of being recomputed: equal to the recomputed value, and differentiated in
 * the same way.
 */
const savedOp = aliasOp("saved", { start: 0, end: 1 }, ({ cotangents: [g] }) => [undefined, g]);

/**
 * Runs `body` over the leading axis of `xs`, carrying a state: a loop that stays a loop. Compile time, kernels and
 * memory do not grow with its length.
 * @param body Maps `[carry, x]` to `[next carry, y]`; x has no leading axis. Traced once.
 * @param init The first carry: a tree of tensors.
 * @param xs A tree of tensors with one leading extent N, or undefined with `length` given.
 * @returns `[last carry, ys]`, the ys stacked on a leading axis N.
 * @throws {ShapeError} if leading extents differ or the body changes the carry's type.
 */
export function scan<C, X, Y>(body: (carry: C, x: X) => [C, Y], init: C, xs: X, options: ScanOptions = {}): [C, Y] {
  checkFunction("scan with", body);
  checkOptions("scan", options, SCAN_OPTIONS);
  const carry = flatten(init, isTensor, "a scan's initial carry");
  const input = xs === undefined ? { leaves: [], spec: undefined } : flatten(xs, isTensor, "a scan's xs");
  const length = scanLength(input.leaves, options.length);
  let outTree: TreeSpec | undefined;
  const { outputs, yCount } = scanLeaves({
    init: carry.leaves,
    xs: input.leaves,
    length,
    reverse: options.reverse ?? false,
    rematerialize: options.rematerialize ?? "auto",
  }, (c, x) => {
    const result = body(unflatten(carry.spec, c) as C, (input.spec && unflatten(input.spec, x)) as X);
    if (!Array.isArray(result) || result.length !== 2) {
      throw new CompileError("Cannot scan: the body must return [carry, y]; use undefined for no y");
    }
    const next = flatten(result[0], isTensor, "a scan body's carry");
    if (!sameTree(next.spec, carry.spec)) {
      throw new CompileError("Cannot scan: the body returns a carry whose structure differs from the initial one");
    }
    next.leaves.forEach((leaf, i) => checkCarry(leaf, carry.leaves[i], carry.paths[i]));
    if (result[1] === undefined) return { carry: next.leaves, ys: [] };
    const y = flatten(result[1], isTensor, "a scan body's y");
    outTree = y.spec;
    return { carry: next.leaves, ys: y.leaves };
  });
  const last = unflatten(carry.spec, outputs.slice(0, carry.leaves.length)) as C;
  const ys = outTree && unflatten(outTree, outputs.slice(carry.leaves.length, carry.leaves.length + yCount));
  return [last, ys as Y];
}

function scanLength(xs: readonly Tensor[], given: number | undefined): number {
  let length = given;
  for (const x of xs) {
    if (x.rank === 0) {
      throw new ShapeError(`Cannot scan over ${formatType(x)}: xs need a leading axis, this has rank 0`, [x.shape]);
    }
    length ??= x.shape[0];
    if (x.shape[0] !== length) {
      throw new ShapeError(
        `Cannot scan over ${formatType(x)}: all leading extents must be equal, found ${x.shape[0]} and ${length}`,
        [x.shape],
      );
    }
  }
  if (length === undefined) {
    throw new CompileError("Cannot scan without xs: give the number of steps as options.length");
  }
  return length;
}

function checkCarry(next: Tensor, first: Tensor, path: string): void {
  if (next.dtype === first.dtype && sameShape(next.shape, first.shape)) return;
  throw new ShapeError(
    `Cannot scan: the carry${path && ` at ${path}`} must keep its type, starts as ${
      formatType(first)
    } and the body returns ${formatType(next)}`,
    [first.shape, next.shape],
  );
}

interface LoopShape {
  readonly init: readonly Tensor[];
  readonly xs: readonly Tensor[];
  readonly length: number;
  readonly reverse: boolean;
  readonly rematerialize: Rematerialization;
}

type LeafBody = (
  carry: readonly Tensor[],
  x: readonly Tensor[],
) => { readonly carry: readonly Tensor[]; readonly ys: readonly Tensor[] };

/** {@link scan} on lists of tensors. */
function scanLeaves(
  { init, xs, length, reverse, rematerialize }: LoopShape,
  fn: LeafBody,
): { outputs: readonly Tensor[]; yCount: number } {
  const context = currentContext();
  const { body, captured, yCount, savedCount } = context.withScope((scope) => {
    const carries = init.map((type) => parameter(context, type));
    const slices = xs.map((x) => parameter(context, { shape: x.shape.slice(1), dtype: x.dtype }));
    const result = fn(carries, slices);
    const outputs = [...result.carry, ...result.ys];
    const inputs = [...carries, ...slices];
    const captured = capturedBy(outputs, new Set(inputs), scope);
    const saved = chooseSaved(rematerialize, {
      body: new Graph([...inputs, ...captured], outputs),
      scope,
      kept: [...inputs, ...result.ys],
    });
    return {
      body: new Graph([...inputs, ...captured], [...outputs, ...saved]),
      captured,
      yCount: result.ys.length,
      savedCount: saved.length,
    };
  });
  const attrs: ScanAttrs = {
    body,
    length,
    carryCount: init.length,
    xsCount: xs.length,
    reverse,
    history: init.map((_, i) => i),
    savedCount,
  };
  return { outputs: applyAll(scanOp, [...init, ...xs, ...captured], attrs), yCount };
}

/**
 * Tensors from outside `scope` that `outputs` use. Values that depend on no argument and are cheap (masks, constants)
 * stay inside instead; tables, such as those of rotary positions, are computed once and read by every step. Their order
 * is
 * that of their first uses, so that bodies of one form are equal graphs, whatever was made before them.
 */
function capturedBy(outputs: readonly Tensor[], params: ReadonlySet<Tensor>, scope: Scope): Tensor[] {
  const captured = new Set<Tensor>(), own = new Set<Node>();
  const isClosed = closedTest({ tables: false });
  const seen = new Set<Tensor>();
  const stack = [...outputs];
  while (stack.length > 0) {
    const tensor = stack.pop()!;
    if (params.has(tensor) || seen.has(tensor)) continue;
    seen.add(tensor);
    if (tensor.node.scope.depth < scope.depth && !isClosed(tensor.node)) captured.add(tensor);
    else {
      own.add(tensor.node);
      stack.push(...tensor.node.inputs);
    }
  }
  const users = [...own].sort((a, b) => a.id - b.id);
  return [...new Set([...users.flatMap(({ inputs }) => inputs.filter((input) => captured.has(input))), ...captured])];
}

/**
 * The values of a body that are saved for the gradient, in the order of its nodes. Only nodes of the loop's own scope
 * are computed in each step.
 */
function chooseSaved(
  rematerialize: Rematerialization,
  { body, scope, kept }: { readonly body: Graph; readonly scope: Scope; readonly kept: readonly Tensor[] },
): Tensor[] {
  if (rematerialize === "recompute") return [];
  const own = body.nodes.filter((node) => node.scope === scope);
  if (rematerialize === "save") {
    return own.filter(({ op }) => op.kind === "contract" || op.kind === "loop").flatMap((node) => node.outputs);
  }
  const products = own.filter(({ op }) => op.kind === "contract");
  // Operations per element of the result: the extent that is summed.
  const dearest = products.toSorted((a, b) => b.inputs[0].shape.at(-1)! - a.inputs[0].shape.at(-1)!);
  let budget = bytesOf(kept);
  const chosen = new Set<Node>();
  for (const node of dearest) {
    const bytes = bytesOf(node.outputs);
    if (bytes > budget) continue;
    budget -= bytes;
    chosen.add(node);
  }
  return products.filter((node) => chosen.has(node)).flatMap((node) => node.outputs);
}

function bytesOf(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { shape, dtype }) => sum + sizeOfShape(shape) * sizeOf(dtype), 0);
}

/**
 * Emits a graph's nodes again in the current context, on other inputs.
 * @param graph What to emit.
 * @param inputs One tensor for each input of the graph.
 * @param replace Called with each emitted tensor; may give another one to use in its place.
 * @returns The outputs.
 */
export function inline(
  graph: Graph,
  inputs: readonly Tensor[],
  replace: (from: Tensor, to: Tensor) => Tensor = (_from, to) => to,
): Tensor[] {
  const map = new Map<Tensor, Tensor>(graph.inputs.map((tensor, i) => [tensor, inputs[i]]));
  for (const node of graph.nodes) {
    const outputs = applyAll(node.op, node.inputs.map((input) => map.get(input)!), node.attrs);
    node.outputs.forEach((from, i) => {
      if (!map.has(from)) map.set(from, replace(from, outputs[i]));
    });
  }
  return graph.outputs.map((tensor) => map.get(tensor)!);
}

function scanVjp({ inputs, outputs, attrs, cotangents, needs }: VjpCall<ScanAttrs>): readonly (Tensor | undefined)[] {
  const { body, length, carryCount, xsCount, reverse, history, savedCount } = attrs;
  invariant(history.length === carryCount, "a scan is differentiated after its histories were pruned");
  const xs = inputs.slice(carryCount, carryCount + xsCount);
  const consts = inputs.slice(carryCount + xsCount);
  const yCount = body.outputs.length - carryCount - savedCount;
  const saved = outputs.slice(carryCount + yCount, carryCount + yCount + savedCount);
  const histories = outputs.slice(carryCount + yCount + savedCount);
  const dFinal = cotangents.slice(0, carryCount);
  const dYs = cotangents.slice(carryCount, carryCount + yCount);
  const dHistories = cotangents.slice(carryCount + yCount + savedCount);
  const floatCarries = indices(carryCount, (i) => isFloat(inputs[i].dtype));
  const wantedXs = indices(xsCount, (i) => needs[carryCount + i]);
  const wantedConsts = indices(consts.length, (i) => needs[carryCount + xsCount + i]);
  const givenYs = indices(yCount, (i) => dYs[i] !== undefined);
  const givenHistories = indices(carryCount, (i) => dHistories[i] !== undefined);
  let reached: number[] = [];

  const { outputs: result } = scanLeaves({
    init: [...floatCarries.map((i) => dFinal[i] ?? fill(inputs[i], 0)), ...wantedConsts.map((i) => fill(consts[i], 0))],
    xs: [...histories, ...xs, ...saved, ...givenYs.map((i) => dYs[i]!), ...givenHistories.map((i) => dHistories[i]!)],
    length,
    reverse: !reverse,
    rematerialize: "recompute",
  }, (carry, slices) => {
    const take = taker(slices);
    const states = take(carryCount),
      x = take(xsCount),
      kept = take(savedCount),
      dY = take(givenYs.length),
      dHistory = take(givenHistories.length);
    const marked = consts.map((tensor, i) => (wantedConsts.includes(i) ? mark(tensor) : tensor));
    const savedAt = new Map(body.outputs.slice(carryCount + yCount).map((tensor, i) => [tensor, kept[i]]));
    const known = new Map<Tensor, Tensor>();
    const forward = inline(body, [...states, ...x, ...marked], (from, to) => {
      if (!savedAt.has(from)) return to;
      known.set(to, apply(savedOp, [savedAt.get(from)!, to]));
      return known.get(to)!;
    });
    const wrt = [
      ...floatCarries.map((i) => states[i]),
      ...wantedXs.map((i) => x[i]),
      ...wantedConsts.map((i) => marked[i]),
    ];
    const back = taker(backpropagate(
      [...floatCarries.map((i) => forward[i]), ...givenYs.map((i) => forward[carryCount + i])],
      [...carry.slice(0, floatCarries.length), ...dY],
      wrt,
      known,
    ));
    const dStates = back(floatCarries.length), dXs = back(wantedXs.length), dConsts = back(wantedConsts.length);
    reached = indices(dXs.length, (i) => dXs[i] !== undefined);
    return {
      carry: [
        ...floatCarries.map((c, i) =>
          accumulate(dStates[i], dHistory[givenHistories.indexOf(c)]) ?? fill(states[c], 0)
        ),
        ...wantedConsts.map((_, i) => accumulate(carry[floatCarries.length + i], dConsts[i])!),
      ],
      ys: reached.map((i) => dXs[i]!),
    };
  });

  const gradients = new Array<Tensor | undefined>(inputs.length).fill(undefined);
  floatCarries.forEach((c, i) => gradients[c] = result[i]);
  wantedConsts.forEach((c, i) => gradients[carryCount + xsCount + c] = result[floatCarries.length + i]);
  reached.forEach((x, i) =>
    gradients[carryCount + wantedXs[x]] = result[floatCarries.length + wantedConsts.length + i]
  );
  return gradients;
}

function indices(count: number, keep: (i: number) => boolean): number[] {
  return Array.from({ length: count }, (_, i) => i).filter(keep);
}

/** Returns consecutive parts of a list. */
function taker<T>(list: readonly T[]): (count: number) => T[] {
  let next = 0;
  return (count) => list.slice(next, next += count);
}
