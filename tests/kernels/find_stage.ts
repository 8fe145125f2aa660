/**
 * Which pass is to blame for a wrong number. Every pass between a traced graph and the printers gives something that
 * can be run in f64 on the host:
 *
 *     traced graph -> simplified graph -> schedule -> schedule without dead terms -> schedule with donated memory -> plan
 *
 * The first of these whose values leave those of the traced graph, or that breaks a rule of memory, was made by the
 * pass that is wrong. If all agree and a device does not, its printer or its executor is.
 */
import type { Graph } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { simplify } from "../../core/simplify.ts";
import { verify } from "../../core/verify.ts";
import { takeDonated } from "../../kernels/in_place.ts";
import type { PlanLimits } from "../../kernels/limits.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import type { Step } from "../../kernels/plan.ts";
import { schedule } from "../../kernels/schedule.ts";
import { evaluatePlan } from "./evaluate_plan.ts";
import { evaluateSchedule } from "./evaluate_schedule.ts";
import { KernelFault } from "./plan_machine.ts";

/** A pass, by what it makes. `reference` is the interpreter itself, which refused the traced graph. */
export type Stage = "reference" | "simplify" | "schedule" | "masks" | "donation" | "plan";

/** What went wrong, and in which pass. */
export interface StageFault {
  readonly stage: Stage;
  /** The kernel that breaks a rule: its number, kind and ops. Undefined where values differ or a pass throws. */
  readonly kernel?: string;
  readonly message: string;
}

/** The passes that are run. */
export interface Passes {
  readonly simplify: typeof simplify;
  readonly schedule: typeof schedule;
  readonly takeDonated: typeof takeDonated;
  readonly planMemory: typeof planMemory;
}

/** Options of {@link findStage}. */
export interface StageOptions {
  /** As devices have it. Default: 8, what WebGPU grants by default. */
  readonly maxOperands?: number;
  /** Default: none. */
  readonly limits?: PlanLimits;
  /** Positions of the inputs that are given up. Default: none. */
  readonly donated?: readonly number[];
  /**
   * How far an element may be from the traced graph's. Passes reorder sums and merge steps, all in f64. Default: 1e-9
   * of the greatest finite magnitude in the output, or of 1.
   */
  readonly allowance?: (output: number, element: number) => number;
  /** Others than the compiler's. */
  readonly passes?: Partial<Passes>;
}

/** What {@link findStage} found. */
export interface StageReport {
  /** The values of the traced graph; empty where the interpreter refused it. */
  readonly expected: readonly NdArray[];
  /** The first pass that is wrong; undefined if all are right. */
  readonly fault?: StageFault;
}

/** Runs a graph, as it was traced, after each pass. */
export function findStage(traced: Graph, inputs: readonly NdArray[], options: StageOptions = {}): StageReport {
  const { maxOperands = 8, limits = {}, donated = [] } = options;
  const passes: Passes = { simplify, schedule, takeDonated, planMemory, ...options.passes };
  const data = inputs.map((input) => input.data);
  let expected: readonly NdArray[] = [];
  let stage: Stage = "reference";
  /** Runs one stage; its outputs are compared with the traced graph's. */
  const enter = <T>(next: Stage, make: () => T, run: (made: T) => readonly ArrayLike<number>[]): T => {
    stage = next;
    const made = make();
    const difference = firstDifference(run(made), expected, options.allowance);
    if (difference !== undefined) throw new Error(difference);
    return made;
  };
  try {
    expected = interpret(traced, inputs);
    const simplified = enter("simplify", () => passes.simplify(traced), (graph) => {
      verify(graph);
      return interpret(graph, inputs).map((output) => output.data);
    });
    const scheduled = enter(
      "schedule",
      () => passes.schedule(simplified, { maxOperands }),
      (made) => evaluateSchedule(made, data),
    );
    if (hasBands(scheduled.steps)) {
      enter("masks", () => scheduled, (made) => evaluateSchedule(made, data, { deadTerms: "skip" }));
    }
    const given = donated.length === 0
      ? scheduled
      : enter("donation", () => passes.takeDonated(scheduled, donated), (made) => evaluateSchedule(made, data));
    enter("plan", () => passes.planMemory(given, limits), (plan) => evaluatePlan(plan, data));
    return { expected };
  } catch (error) {
    if (error instanceof KernelFault) {
      return { expected, fault: { stage, kernel: error.kernel, message: error.message } };
    }
    return {
      expected,
      fault: {
        stage,
        message: error instanceof Error
          ? `${error.name === "Error" ? "" : `${error.name}: `}${error.message}`
          : `${error}`,
      },
    };
  }
}

function hasBands(steps: readonly Step[]): boolean {
  return steps.some((
    step,
  ) => (step.kind === "loop" ? hasBands(step.steps) : step.kernel.kind === "contract" && step.kernel.mask.length > 0));
}

/** The first element that is too far off, as text. */
function firstDifference(
  actual: readonly ArrayLike<number>[],
  expected: readonly NdArray[],
  allowance: StageOptions["allowance"],
): string | undefined {
  for (const [output, { data }] of expected.entries()) {
    const scale = data.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 1);
    if (actual[output].length !== data.length) {
      return `output ${output} has ${actual[output].length} elements, not ${data.length}`;
    }
    for (let i = 0; i < data.length; i++) {
      const got = actual[output][i], allowed = allowance?.(output, i) ?? 1e-9 * scale;
      if (Object.is(got, data[i]) || got === data[i] || Math.abs(got - data[i]) <= allowed) continue;
      return `output ${output}, element ${i} is ${got}, the traced graph's is ${data[i]} (allowed ${allowed})`;
    }
  }
  return undefined;
}
