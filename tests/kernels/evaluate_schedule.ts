/**
 * Runs schedules in plain f64 JavaScript with the checks of {@link PlanMachine}, every value in memory of its own: what
 * a planner and printers must not change.
 */
import { ALIGNMENT } from "../../kernels/limits.ts";
import type { Schedule, ValueId } from "../../kernels/plan.ts";
import type { DeadTerms } from "./kernel_code.ts";
import { type Layout, PlanMachine } from "./plan_machine.ts";

/** Options of {@link evaluateSchedule}. */
export interface ScheduleEvaluation {
  /** Whether terms of products that no band of the mask holds count. Default: they do. */
  readonly deadTerms?: DeadTerms;
}

/** The outputs of a schedule. @throws {KernelFault} if a kernel breaks a rule of memory. */
export function evaluateSchedule(
  schedule: Schedule,
  inputs: readonly ArrayLike<number>[],
  { deadTerms = "count" }: ScheduleEvaluation = {},
): Float64Array[] {
  return new PlanMachine(schedule, separateLayout(schedule), deadTerms).run(inputs);
}

/** Each value apart from all others; only an output that takes an input lies where that does. */
function separateLayout({ values, inputs }: Schedule): Layout {
  const addresses = new Map<ValueId, number>();
  let sizeBytes = 0;
  for (const { id, storage, sizeBytes: size } of values) {
    if (storage.kind === "alias" || (storage.kind === "output" && storage.takes !== undefined)) continue;
    addresses.set(id, sizeBytes);
    sizeBytes += Math.ceil(size / ALIGNMENT) * ALIGNMENT;
  }
  for (const { id, storage } of values) {
    if (storage.kind === "output" && storage.takes !== undefined) {
      addresses.set(id, addresses.get(inputs[storage.takes])!);
    }
  }
  return { addressOf: (value) => addresses.get(value)!, sizeBytes, begins: new Map() };
}
