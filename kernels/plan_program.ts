/** Plans a program without a device. */
import { simplify } from "../core/simplify.ts";
import { type SpecsOf, trace } from "../core/trace.ts";
import { donatedLeaves } from "./arguments.ts";
import type { CompileOptions } from "./compile.ts";
import type { DeviceLimits } from "./device.ts";
import type { Plan } from "./plan.ts";
import { planMemory } from "./plan_memory.ts";
import { scheduleFor } from "./schedule/whole.ts";

/**
 * The plan of the program that `compile` makes of a function, without a device: its kernels and its memory.
 * Nothing is allocated, so it may be of any size.
 * @param limits Limits of the device that it is for.
 * @throws As `compile`, but for what only the device finds.
 */
export function planProgram<Args extends readonly unknown[], R>(
  limits: DeviceLimits,
  fn: (...args: Args) => R,
  specs: SpecsOf<Args>,
  { donate = [], storage }: Pick<CompileOptions, "donate" | "storage"> = {},
): Plan {
  const { graph, inputTree } = trace(fn, specs), donated = donatedLeaves(inputTree, donate);
  return planMemory(scheduleFor(limits, simplify(graph), { donated, storage }), limits);
}
