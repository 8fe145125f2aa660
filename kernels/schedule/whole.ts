/** The scheduler with all of its parts (parts.ts) at once: for plans without a device, and for bundles in one file. */
import type { Graph } from "../../core/graph.ts";
import type { DeviceLimits } from "../device.ts";
import type { Schedule } from "../plan.ts";
import { scheduleWithin, type SchedulingOptions } from "../schedule_within.ts";
import { tile } from "../tiling/tile.ts";
import { splitKernels } from "./split.ts";

/** Schedules a simplified graph for a device. */
export function scheduleFor(limits: DeviceLimits, graph: Graph, options: Omit<SchedulingOptions, "large">): Schedule {
  return scheduleWithin(limits, graph, { ...options, large: { splitKernels, tile } });
}
