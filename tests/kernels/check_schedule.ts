/** Holds schedules against the interpreter. */
import { assert } from "@std/assert";
import type { Graph } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import type { KernelStep, Schedule, Step } from "../../kernels/plan.ts";
import { schedule } from "../../kernels/schedule.ts";
import { wave } from "../evaluate.ts";
import { evaluateSchedule } from "./evaluate_schedule.ts";

// deno-lint-ignore no-explicit-any -- any function of tensors
export type Program = (...args: any[]) => unknown;

/** What kernels may have unless said otherwise. */
export const MAX_OPERANDS = 8;

/** The simplified graph of a function. */
export function graphOf(fn: Program, inputs: readonly NdArray[]): Graph {
  return simplify(trace(fn, inputs.map(({ shape, dtype }) => spec(shape, dtype))).graph);
}

/** Schedules a function and checks that the schedule gives what the interpreter gives. */
export function check(fn: Program, inputs: readonly NdArray[], maxOperands = MAX_OPERANDS): Schedule {
  const graph = graphOf(fn, inputs);
  const expected = interpret(graph, inputs);
  const scheduled = schedule(graph, { maxOperands });
  for (const { kernel } of kernelSteps(scheduled.steps)) {
    assert(kernel.operands.length <= maxOperands, `${kernel.origins.join(" ")} has ${kernel.operands.length} operands`);
  }
  const results = evaluateSchedule(scheduled, inputs.map(({ data }) => data));
  expected.forEach(({ data }, output) => {
    const scale = data.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 1);
    data.forEach((value, i) => {
      const actual = results[output][i];
      const isSame = Object.is(value, actual) || value === actual || Math.abs(value - actual) <= 1e-9 * scale;
      if (!isSame) throw new Error(`output ${output}, element ${i}: ${value} was expected, not ${actual}`);
    });
  });
  return scheduled;
}

/** The kernels of steps, those of loops once. */
export function kernelSteps(steps: readonly Step[]): KernelStep[] {
  return steps.flatMap((step) => (step.kind === "kernel" ? [step] : kernelSteps(step.steps)));
}

/** A smooth array. */
export function numbers(shape: readonly number[], phase = shape.length): NdArray {
  return wave(shape, phase);
}

/** Numbers of rows. */
export function integers(shape: readonly number[], below: number): NdArray {
  const size = shape.reduce((product, extent) => product * extent, 1);
  return { shape, dtype: "i32", data: Float64Array.from({ length: size }, (_, i) => (7 * i + 3) % below) };
}
