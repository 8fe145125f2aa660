/** Plans, results and commands of studies for tests. */
import { type Cell, commandsOf } from "../../../cli/study/cells.ts";
import type { Finished } from "../../../cli/child.ts";
import { readPlan, type StudyPlan } from "../../../cli/study/plan.ts";
import type { CellResult } from "../../../cli/study/results.ts";

/** Two models with two learning rates, and one without any choice. */
export const PLAN: StudyPlan = readPlan({
  name: "test",
  seeds: 3,
  experiments: [
    { name: "a", steps: 10, rates: [0.1, 0.2], train: "--task x", models: { m: "--model m", n: "--model 'n o'" } },
    { name: "b", title: "The second", steps: 20, models: { m: "--model m" }, evaluate: { "": "--samples 8", far: "" } },
  ],
}, "test");

/** What a cell came to, if it came to this loss. */
export function resultOf(plan: StudyPlan, cell: Cell, loss: number | undefined): CellResult {
  return {
    cell,
    commands: commandsOf(plan, cell),
    device: "test",
    parameters: 1000,
    tokensPerStep: 50,
    timing: { trainSeconds: 3 + cell.steps, evaluateSeconds: 2, tokensPerSecond: 50 },
    ...(loss === undefined
      ? { scores: [], error: "it went wrong" }
      : { validation: { loss }, scores: [{ name: "accuracy", value: 1 - loss, chance: 0.5 }] }),
  };
}

/** A command that ended well. */
export function finished(...events: Record<string, unknown>[]): Finished {
  return { code: 0, events, error: "" };
}
