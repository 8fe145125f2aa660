/** Schedules a graph within the limits of a device: large tensors in tiles, and results in donated memory. */
import type { Half } from "../core/dtype.ts";
import { CompileError } from "../core/errors.ts";
import type { Graph } from "../core/graph.ts";
import { leafCount, type TreeSpec } from "../core/tree.ts";
import type { DeviceLimits } from "./device.ts";
import { takeDonated } from "./in_place.ts";
import type { Schedule, Value } from "./plan.ts";
import { largestTensor } from "./plan_memory.ts";
import { schedule } from "./schedule.ts";
import { DEFAULT_TILE, type TileSize } from "./tiling/large.ts";
import type { tile } from "./tiling/tile.ts";

/** What {@link scheduleWithin} is given. */
export interface SchedulingOptions {
  /** Positions of donated inputs. */
  readonly donated: readonly number[];
  /** See `CompileOptions`. */
  readonly storage?: Half;
  /** Computes large tensors in tiles. May be missing where nothing is large, so that a page need not load it. */
  readonly tile?: typeof tile;
}

/** Schedules a simplified graph for a device. */
export function scheduleWithin(
  limits: DeviceLimits,
  graph: Graph,
  { donated, storage, tile }: SchedulingOptions,
): Schedule {
  const scheduled = (size?: TileSize): Schedule =>
    takeDonated(schedule(tile ? tile(graph, size) : graph, { ...limits, storage }), donated);
  const first = scheduled(limits.tile), largestBytes = largestOperand(limits);
  const isLarge = ({ storage, sizeBytes }: Value): boolean => storage.kind !== "alias" && sizeBytes > largestBytes;
  if (!tile || !first.values.some(isLarge)) return first;
  // Once more, with whatever is above the limit in tiles. The planner refuses what is too large all the same.
  return scheduled({ ...DEFAULT_TILE, ...limits.tile, largestBytes });
}

/** Bytes of a tensor that a kernel binds as one operand. */
export function largestOperand(limits: DeviceLimits): number {
  return Math.min(largestTensor(limits), limits.maxBindingBytes ?? Infinity);
}

/** The positions of the leaves of some arguments. */
export function donatedLeaves(tree: TreeSpec, donate: readonly number[]): number[] {
  const args = tree.kind === "leaf" ? [] : tree.items;
  for (const position of donate) {
    if (args[position]) continue;
    throw new CompileError(`Cannot donate argument ${position}: the function has ${args.length}, counted from 0`);
  }
  const starts = args.map((_, at) => args.slice(0, at).reduce((sum, arg) => sum + leafCount(arg), 0));
  return args.flatMap((
    arg,
    at,
  ) => (donate.includes(at) ? Array.from({ length: leafCount(arg) }, (_, i) => starts[at] + i) : []));
}
