/**
 * How a thread traverses its share of a kernel's space: in groups of W contiguous points where that saves memory
 * instructions, otherwise point by point.
 */
import type { Expr } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { addIndex, constantIndex, makeVar, scaleIndex, varIndex } from "../../core/index_expr.ts";
import type { Store } from "../kernel.ts";
import { assigned, pointsOf, type Walk as LaneWalk, walkAlong } from "./lane_index.ts";
import type { Env, Evaluator } from "./evaluator.ts";
import type { Value, Writer } from "./writer.ts";

/** A thread's traversal of a space. */
export interface Walk extends LaneWalk {
  /** Traversal of the points after the last full group. */
  readonly rest?: Walk;
  /** The first variables of the space, in whose row-major order groups are numbered. */
  readonly leading: readonly Var[];
}

/** Visits one point at a time, starting at `from`. */
export function scalarWalk(space: readonly Var[], from = 0): Walk {
  return {
    replace: (group) => assigned(space, addIndex(group, from)),
    groups: pointsOf(space) - from,
    leading: from === 0 ? space : [],
  };
}

function flatWalk(space: readonly Var[], lanes: number): Walk {
  const points = pointsOf(space), groups = Math.floor(points / lanes);
  const lane = makeVar("lane", lanes);
  return {
    replace: (group) => assigned(space, addIndex(scaleIndex(group, lanes), varIndex(lane))),
    lane,
    groups,
    leading: space,
    rest: points % lanes === 0 ? undefined : scalarWalk(space, lanes * groups),
  };
}

/** The traversal of a space that needs the fewest memory instructions for the given expressions and stores. */
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
    const walk = { ...walkAlong(space, variable, lanes), leading: space.slice(0, space.indexOf(variable)) };
    const cost = costOf(walk);
    if (cost < bestCost) [best, bestCost] = [walk, cost];
  }
  return best;
}

/**
 * What threads share a kernel by: items, each with as many points as any other, numbered along the row-major order of
 * the first variables of its space. Each thread takes a contiguous share.
 */
export interface Division {
  /** How many variables these are. */
  readonly leading: number;
  readonly items: number;
}

/** The range of items that the thread works on: contiguous shares of equal size, of which the last may be shorter. */
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
 * Runs `body` for the thread's share of the groups of a traversal; the last thread also takes the remaining points.
 * @returns What shares go by.
 */
export function overWalk(
  w: Writer,
  walk: Walk,
  body: (replace: Map<number, Index>, walk: Walk, group: Index) => void,
): Division {
  const run = (part: Walk, start: Value, end: Value) => {
    if (part.groups === 1) {
      // The index algebra folds a variable of extent 1 to the constant 0.
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
  return { leading: walk.rest ? 0 : walk.leading.length, items: walk.groups };
}

/** The environment of a group of a traversal. */
export function envOf(evaluator: Evaluator, walk: Walk, replace: Map<number, Index>, accumulator?: Value): Env {
  return evaluator.env(replace, walk.lane, accumulator);
}
