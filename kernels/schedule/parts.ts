/**
 * The parts of the scheduler. Each is imported with the first program that needs it, so that a page loads no others:
 *
 * - at once, what schedules a program of one small elementwise kernel (elementwise.ts), as the gradient of a sum of
 *   elementwise functions is;
 * - with the first program that is more, the scheduler (kernels/schedule.ts). It stays whole: its passes decide about
 *   kernels of all kinds together, few programs have but one kind, and every cut costs those that have several;
 * - with the first that has tensors to be computed in tiles, or kernels with more operands than a device can bind, the
 *   passes for these (kernels/large_tensors.ts).
 */
import type { Graph } from "../../core/graph.ts";
import type { DeviceLimits } from "../device.ts";
import { fitsBindings } from "../limits.ts";
import type { Schedule } from "../plan.ts";
import type { SchedulingOptions } from "../schedule_within.ts";
import { scheduleElementwise } from "./elementwise.ts";

/** The scheduler, where it is needed. */
const loadScheduler = () => import("../schedule_within.ts");

/** Tiles, and kernels in parts, where they are needed. */
const loadLargeTensors = () => import("../large_tensors.ts");

/** Schedules a simplified graph for a device. */
export async function scheduleFor(
  limits: DeviceLimits,
  graph: Graph,
  options: Omit<SchedulingOptions, "large">,
): Promise<Schedule> {
  const kernel = options.donated.length === 0 ? scheduleElementwise(graph, limits) : undefined;
  if (kernel && fitsBindings(kernel, limits)) return kernel;
  const { isTiled, scheduleWithin } = await loadScheduler();
  const scheduled = isTiled(graph, limits) ? undefined : scheduleWithin(limits, graph, options);
  if (scheduled && fitsBindings(scheduled, limits)) return scheduled;
  return scheduleWithin(limits, graph, { ...options, large: await loadLargeTensors() });
}
