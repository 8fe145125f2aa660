/**
 * Prints recurrence kernels: each thread iterates over time for its points, W at a time if they are contiguous, and a
 * cache line of them at a time if they are many: steps of time are far apart in memory, so that a line that is not used
 * up in its step has left the nearest cache before the next points need it.
 */
import { addIndex, constantIndex, type Index, scaleIndex, type Var } from "../../core/index_expr.ts";
import type { RecurrenceKernel, RecurrenceState } from "../kernel.ts";
import { isLongSum, SUM_BLOCK } from "../long_sums.ts";
import { BlockSum } from "./block_sum.ts";
import { convert, f, i, splat } from "./lanes.ts";
import type { Evaluator } from "./evaluator.ts";
import { repeat, repeatInBlocks } from "./loops.ts";
import { chooseWalk, type Division, overWalk, type Walk } from "./walk.ts";
import type { Local, Value, Writer } from "./writer.ts";

/** Numbers in a cache line. */
const LINE = 16;

/** A state of one point, or of W. */
interface Carried extends RecurrenceState {
  readonly local: Local;
  /** The blocks before the present one, if the state is a long sum. */
  readonly earlier?: BlockSum;
}

/** Points, at most W, that are computed together. */
interface Points {
  readonly replace: ReadonlyMap<number, Index>;
  readonly states: readonly Carried[];
}

/** Prints a recurrence kernel. */
export function printRecurrence(kernel: RecurrenceKernel, evaluator: Evaluator): Division {
  const { states, stores, time, space, reverse } = kernel, w = evaluator.writer;
  const walk = chooseWalk(evaluator, space, states.flatMap(({ a, b }) => [a, b]), stores);
  const vectors = vectorsOfLine(w, walk, space), lines: Walk = { ...walk, groups: walk.groups / vectors };
  return overWalk(w, lines, (replace, part, group) => {
    const { lane } = part, width = lane ? w.lanes : 1;
    const places = part === lines
      ? Array.from({ length: vectors }, (_, at) => walk.replace(addIndex(scaleIndex(group, vectors), at)))
      : [replace];
    const points = places.map((replace): Points => ({
      replace,
      states: states.map((state) => carried(w, kernel, state, width)),
    }));
    const body = (step: Index) => {
      const now = reverse ? addIndex(constantIndex(time.extent - 1), scaleIndex(step, -1)) : step;
      for (const { replace, states } of points) {
        const at = new Map(replace).set(time.id, now), present: Value[] = [];
        for (const state of states) present.push(advance(evaluator, state, evaluator.env(at, lane, ...present)));
        const after = evaluator.env(at, lane, ...present);
        const values = stores.map(({ value }) => evaluator.value(value, after));
        stores.forEach((store, i) => evaluator.store(store, values[i], after));
      }
    };
    const sums = points.flatMap(({ states }) => states.flatMap(({ earlier }) => earlier ?? []));
    if (sums.length === 0) repeat(w, time.extent, body);
    else {
      const flush = (first: Value) => sums.forEach((sum) => sum.flush(first));
      repeatInBlocks(w, { turns: time.extent, block: SUM_BLOCK }, { body, flush });
    }
  });
}

/** How many vectors of a walk fill a cache line; 1 if points are not contiguous, or too few for all threads. */
function vectorsOfLine(
  { lanes, target: { threads = 1 } }: Writer,
  { lane, groups }: Walk,
  space: readonly Var[],
): number {
  const last = space.findLast(({ extent }) => extent > 1), vectors = Math.max(1, LINE / lanes);
  return lane && last && last.extent % LINE === 0 && groups % vectors === 0 && groups >= 4 * vectors * threads
    ? vectors
    : 1;
}

/** A state before its first step. */
function carried(w: Writer, kernel: RecurrenceKernel, state: RecurrenceState, width: number): Carried {
  const { dtype } = state.b, local = w.newLocal({ dtype, width });
  w.assign(local, splat(w, w.literal(0, dtype), width));
  return {
    ...state,
    local,
    ...(isLongSum(kernel, state) ? { earlier: new BlockSum(w, local, kernel.time.extent) } : {}),
  };
}

/** Computes a step of a state. @returns the state after it. */
function advance(evaluator: Evaluator, { a, b, local, earlier }: Carried, before: ReturnType<Evaluator["env"]>): Value {
  const w = evaluator.writer;
  if (earlier) {
    const sum = f(w, "add", w.read(local), evaluator.value(b, before));
    w.assign(local, sum);
    return f(w, "add", earlier.value, sum);
  }
  const decay = convert(w, evaluator.value(a, before), b.dtype),
    input = convert(w, evaluator.value(b, before), b.dtype);
  const arithmetic = b.dtype === "f32" ? f : i;
  const next = arithmetic(w, "add", arithmetic(w, "mul", decay, w.read(local)), input);
  w.assign(local, next);
  return next;
}
