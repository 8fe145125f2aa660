/** How invocations are mapped to a kernel's space: flat indices, dispatch sizes and the bounds check. */
import { DeviceError } from "../../../core/errors.ts";
import type { Index, Var } from "../../../core/index_expr.ts";
import { addIndex, makeVar, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import type { Expr } from "../../../core/expr.ts";
import type { Store } from "../../kernel.ts";
import type { Evaluator } from "./print_expr.ts";
import { assigned, pointsOf, type Walk as LaneWalk, walkAlong } from "../../codegen/lane_index.ts";
import type { PrintTarget, Writer } from "./print_writer.ts";

/** A dispatch: workgroups folded over x and y, and the WGSL text of the flat workgroup number. */
export interface Launch {
  readonly workgroups: readonly [number, number, number];
  /** u32 text. */
  readonly group: string;
  /** Workgroups that are launched; at least the number requested. */
  readonly launched: number;
}

/**
 * Folds a number of workgroups into the dispatch limits.
 * @throws {DeviceError} if they do not fit two dimensions.
 */
export function foldWorkgroups(count: number, target: PrintTarget): Launch {
  const limit = target.maxWorkgroupsPerDimension;
  const y = Math.max(1, Math.ceil(count / limit));
  if (y > limit) {
    throw new DeviceError(
      `A kernel needs ${count} workgroups, more than ${limit} x ${limit}: split the tensor`,
      "limit",
    );
  }
  const x = Math.ceil(count / y);
  return { workgroups: [x, y, 1], group: y === 1 ? "group.x" : `(group.y * ${x}u + group.x)`, launched: x * y };
}

/** A workgroup size of at most `preferred`, preferring sizes from 8 on that leave no invocation idle. */
export function workgroupSizeFor(invocations: number, preferred: number): number {
  for (let size = preferred; size >= 8; size /= 2) {
    if (invocations % size === 0) return size;
  }
  return Math.min(preferred, Math.max(8, 2 ** Math.ceil(Math.log2(Math.max(1, invocations)))));
}

/** Declares `id`, the invocation index, and returns early if it is out of bounds. No barrier may follow. */
export function startFlat(writer: Writer, invocations: number, size: number): { id: Var; launch: Launch } {
  const launch = foldWorkgroups(Math.ceil(invocations / size), writer.target);
  writer.line(`let id = i32(${launch.group} * ${size}u + local);`);
  if (launch.launched * size > invocations) writer.line(`if (id >= ${invocations}) { return; }`);
  const id = makeVar("id", Math.max(1, invocations));
  writer.declare(id, "id");
  return { id, launch };
}

/** How invocations traverse a space. */
export interface Walk extends LaneWalk {
  /** Number of points; the last group may be incomplete. */
  readonly tail?: number;
}

/** Four neighbouring points of the flattened space at a time. */
export function flatWalk(space: readonly Var[]): Walk {
  const points = pointsOf(space);
  const lane = makeVar("lane", 4);
  return {
    replace: (group) => assigned(space, addIndex(scaleIndex(group, 4), varIndex(lane))),
    lane,
    groups: Math.ceil(points / 4),
    tail: points % 4 === 0 ? undefined : points,
  };
}

/** One point at a time. */
export function scalarWalk(space: readonly Var[]): Walk {
  return { replace: (group) => assigned(space, group), groups: pointsOf(space) };
}

/** The traversal of a space that needs the fewest memory instructions for the given expressions and stores. */
export function chooseWalk(
  evaluator: Evaluator,
  space: readonly Var[],
  exprs: readonly Expr[],
  stores: readonly Store[],
): Walk {
  const scalar = scalarWalk(space);
  if (scalar.groups < 4) return scalar;
  const last = space.findLast(({ extent }) => extent > 1);
  const others = space.filter((variable) => variable !== last && variable.extent % 4 === 0 && variable.extent > 0);
  const costOf = (walk: Walk) =>
    evaluator.cost(exprs, stores, evaluator.env(walk.replace(varIndex(makeVar("group", walk.groups))), walk.lane));
  let best = flatWalk(space), bestCost = costOf(best);
  for (const variable of others) {
    const walk = walkAlong(space, variable, 4), cost = costOf(walk);
    if (cost < bestCost) [best, bestCost] = [walk, cost];
  }
  // Without any vec4 access, scalars are as fast and need less code.
  return bestCost >= 4 * costOf(scalar) ? scalar : best;
}

/** For a traversal with an incomplete last group: the condition under which a lane is a point. */
export function liveLanes(
  evaluator: Evaluator,
  walk: Walk,
  group: Index,
): ((lane: number) => string | undefined) | undefined {
  const { tail, lane } = walk;
  if (tail === undefined) return undefined;
  const { text } = evaluator.writer.bound(evaluator.scalar(scaleIndex(group, 4), evaluator.env(new Map(), lane)), "n");
  return (at) => (at === 0 ? undefined : `${text} < ${tail - at}`);
}
