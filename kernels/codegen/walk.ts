/**
 * How a thread walks its share of a kernel's space: W neighbouring points at a time where that saves memory
 * instructions, the rest one by one.
 */
import type { Expr } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { addIndex, constantIndex, makeVar, scaleIndex, varIndex } from "../../core/index_expr.ts";
import type { Store } from "../kernel.ts";
import { assigned, pointsOf, type Walk as LaneWalk, walkAlong } from "./lane_index.ts";
import type { Env, Evaluator } from "./evaluator.ts";
import type { Value, Writer } from "./writer.ts";

/** A way of a thread through a space. */
export interface Walk extends LaneWalk {
  /** Walks the points after the last whole group. */
  readonly rest?: Walk;
}

/** One point at a time, `from` on. */
export function scalarWalk(space: readonly Var[], from = 0): Walk {
  return { replace: (group) => assigned(space, addIndex(group, from)), groups: pointsOf(space) - from };
}

function flatWalk(space: readonly Var[], lanes: number): Walk {
  const points = pointsOf(space), groups = Math.floor(points / lanes);
  const lane = makeVar("lane", lanes);
  return {
    replace: (group) => assigned(space, addIndex(scaleIndex(group, lanes), varIndex(lane))),
    lane,
    groups,
    rest: points % lanes === 0 ? undefined : scalarWalk(space, lanes * groups),
  };
}

/** The walk of a space that takes the fewest memory instructions for some expressions and stores. */
export function chooseWalk(
  evaluator: Evaluator,
  space: readonly Var[],
  exprs: readonly Expr[],
  stores: readonly Store[],
): Walk {
  const scalar = scalarWalk(space), { lanes } = evaluator.writer;
  if (scalar.groups < lanes) return scalar;
  const last = space.findLast(({ extent }) => extent > 1);
  const others = space.filter((variable) => variable !== last && variable.extent % lanes === 0 && variable.extent > 0);
  const costOf = (walk: Walk) =>
    evaluator.cost(
      exprs,
      stores,
      evaluator.env(walk.replace(varIndex(makeVar("group", Math.max(2, walk.groups)))), walk.lane),
    );
  let best = flatWalk(space, lanes), bestCost = costOf(best);
  for (const variable of others) {
    const walk = walkAlong(space, variable, lanes), cost = costOf(walk);
    if (cost < bestCost) [best, bestCost] = [walk, cost];
  }
  return best;
}

/** The first and the end of the items that the thread works on: contiguous shares, as equal as whole items allow. */
export function shareOf(w: Writer, items: number): { start: Value; end: Value } {
  const count = w.parameter("threads"), thread = w.parameter("thread");
  const size = w.op("i32.div_u", [w.op("i32.add", [count, w.literal(items - 1, "i32")]), count]);
  const first = w.op("i32.mul", [size, thread]), last = w.op("i32.add", [first, size]);
  const total = w.literal(items, "i32");
  return {
    start: first,
    end: w.op("select", [last, total, w.op("i32.lt_s", [last, total])]),
  };
}

/**
 * Runs `body` for the groups of a walk that are the thread's, and then for the points that are left over, which the
 * last thread takes.
 */
export function overWalk(
  w: Writer,
  walk: Walk,
  body: (replace: Map<number, Index>, walk: Walk, group: Index) => void,
): void {
  const run = (part: Walk, start: Value, end: Value) => {
    if (part.groups === 1) {
      // The index algebra takes a variable of one value for the constant 0.
      w.when(
        w.op("i32.lt_s", [start, end]),
        () => body(part.replace(constantIndex(0)), part, constantIndex(0)),
      );
    } else {
      w.loop({ start, end, extent: part.groups }, (group) => body(part.replace(group), part, group));
    }
  };
  if (walk.groups > 0) {
    const { start, end } = shareOf(w, walk.groups);
    run(walk, start, end);
  }
  if (walk.rest) {
    const { rest } = walk;
    const threads = w.parameter("threads"), thread = w.parameter("thread");
    const next = w.op("i32.add", [thread, w.literal(1, "i32")]);
    w.when(w.op("i32.eq", [next, threads]), () => {
      run(rest, w.literal(0, "i32"), w.literal(rest.groups, "i32"));
    });
  }
}

/** The environment of a walk's group. */
export function envOf(evaluator: Evaluator, walk: Walk, replace: Map<number, Index>, accumulator?: Value): Env {
  return evaluator.env(replace, walk.lane, accumulator);
}
