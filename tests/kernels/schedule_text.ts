/** Schedules as text, equal where only the ids of variables and expressions differ. */
import { kernelKey } from "../../kernels/kernel_key.ts";
import type { Schedule, Step } from "../../kernels/plan.ts";

/** All of a schedule: values, steps, kernels, and the names of what was fused. */
export function scheduleText({ values, steps, inputs, outputs }: Schedule): string {
  const show = (step: Step): readonly string[] =>
    step.kind === "kernel"
      ? [kernelKey(step.kernel), `${step.kernel.origins} of ${step.operands}`]
      : [`${step.variable.extent} times, ${step.reverse}`, ...step.steps.flatMap(show)];
  return [JSON.stringify({ values, inputs, outputs }), ...steps.flatMap(show)].join("\n");
}
