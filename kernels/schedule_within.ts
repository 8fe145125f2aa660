/** Schedules a graph within the limits of a device: large tensors in tiles, and results in donated memory. */
import type { Half } from "../core/dtype.ts";
import type { Graph } from "../core/graph.ts";
import type { DeviceLimits } from "./device.ts";
import { takeDonated } from "./in_place.ts";
import { fitsBindings, largestOperand } from "./limits.ts";
import type { Schedule, Value } from "./plan.ts";
import { schedule } from "./schedule.ts";
import type { splitKernels } from "./schedule/split.ts";
import { DEFAULT_TILE, hasLargeProduct, type TileSize } from "./tiling/large.ts";
import type { tile } from "./tiling/tile.ts";

/** What {@link scheduleWithin} is given. */
export interface SchedulingOptions {
  /** Positions of donated inputs. */
  readonly donated: readonly number[];
  /** See `CompileOptions`. */
  readonly storage?: Half;
  /** The passes for large tensors. May be missing where nothing is large, so that a page need not load them. */
  readonly large?: { readonly splitKernels: typeof splitKernels; readonly tile: typeof tile };
}

/** Schedules a simplified graph for a device. */
export function scheduleWithin(limits: DeviceLimits, graph: Graph, options: SchedulingOptions): Schedule {
  const within = (maxOperands: number) => scheduleTiled({ ...limits, maxOperands }, graph, options);
  const scheduled = within(limits.maxOperands), { large } = options;
  return !large || fitsBindings(scheduled, limits) ? scheduled : large.splitKernels(scheduled, limits, within);
}

function scheduleTiled(limits: DeviceLimits, graph: Graph, { donated, storage, large }: SchedulingOptions): Schedule {
  const scheduled = (size?: TileSize): Schedule =>
    takeDonated(schedule(large ? large.tile(graph, size) : graph, { ...limits, storage }), donated);
  const first = scheduled(limits.tile), largestBytes = largestOperand(limits);
  const isLarge = ({ storage, sizeBytes }: Value): boolean => storage.kind !== "alias" && sizeBytes > largestBytes;
  if (!large || !first.values.some(isLarge)) return first;
  // Once more, with whatever is above the limit in tiles. The planner refuses what is too large all the same.
  return scheduled(tileWithin(limits));
}

/** The size of tiles, such that no tensor is too large to be bound. */
function tileWithin(limits: DeviceLimits): TileSize {
  return { ...DEFAULT_TILE, ...limits.tile, largestBytes: largestOperand(limits) };
}

/** Whether something in a graph is large enough for tiles on a device. */
export function isTiled(graph: Graph, limits: DeviceLimits): boolean {
  return hasLargeProduct(graph, tileWithin(limits));
}
