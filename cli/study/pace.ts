/**
 * Keeps a study within its budget. Models of an experiment have the same steps, so an experiment that has begun keeps
 * them; those that have not are scaled to the time that is left, by how fast the machine turned out to be:
 *
 *     budget |-- runs that ended --|-- rest of experiments that have begun --|-- all others: steps times a factor --|
 */
import { costOf, type Costs, costsOf, factorFor, mergeCosts, runsOfModel, scaleCosts, totalOf } from "./estimate.ts";
import { scalePlan, type StudyPlan } from "./plan.ts";
import type { CellResult } from "./results.ts";

/** What a study with a budget was begun with. */
export interface Pace {
  /** Seconds that runs may take, of all processes together. */
  readonly seconds: number;
  /** What they cost before any had ended. */
  readonly costs: Costs;
  /** Names of experiments that have begun, with a result or without one: they keep their steps. */
  readonly begun: readonly string[];
}

/** Of the time that is left; the rest is for what estimates miss. */
const AIM = 0.95;
/** Experiments keep at least such a share of their steps, even where that is too long: with fewer they show nothing. */
const LEAST = 0.1;
/** Factors that are so near to 1 are no reason to change a plan. */
const NEAR = 0.05;

/** The plan for the time that is left; the same plan if its steps are right. */
export function keepPace(plan: StudyPlan, results: readonly CellResult[], pace: Pace): StudyPlan {
  const begun = new Set(pace.begun);
  const costs = corrected(pace.costs, results);
  let left = AIM * pace.seconds - results.reduce((sum, result) => sum + secondsOf(result), 0);
  for (const experiment of plan.experiments.filter(({ name }) => begun.has(name))) {
    for (const model of Object.keys(experiment.models)) {
      const ended = results.filter(({ cell }) => cell.experiment === experiment.name && cell.model === model).length;
      const { fixed, step } = costOf({ experiment: experiment.name, model }, costs) ?? { fixed: 0, step: 0 };
      left -= Math.max(0, runsOfModel(plan, experiment) - ended) * (fixed + step * experiment.steps);
    }
  }
  const open = { ...plan, experiments: plan.experiments.filter(({ name }) => !begun.has(name)) };
  const factor = Math.max(LEAST, factorFor(left, totalOf(open, costs)) ?? 0);
  if (Math.abs(factor - 1) < NEAR) return plan;
  const scaled = scalePlan(open, factor).experiments.values();
  return { ...plan, experiments: plan.experiments.map((each) => begun.has(each.name) ? each : scaled.next().value!) };
}

/** Costs as they are once it is known how many times longer steps took than they were to, and how many all else. */
function corrected(costs: Costs, results: readonly CellResult[]): Costs {
  const measured = costsOf(results), taken = { fixed: 0, step: 0 }, expected = { fixed: 0, step: 0 };
  for (const { cell } of results) {
    const before = costs[cell.experiment]?.[cell.model], now = measured[cell.experiment]?.[cell.model];
    if (before === undefined || now === undefined) continue;
    for (const part of ["fixed", "step"] as const) {
      const times = part === "step" ? cell.steps : 1;
      taken[part] += times * now[part];
      expected[part] += times * before[part];
    }
  }
  const ratio = (part: "fixed" | "step"): number => expected[part] > 0 ? taken[part] / expected[part] : 1;
  return mergeCosts(scaleCosts(costs, { fixed: ratio("fixed"), step: ratio("step") }), measured);
}

function secondsOf({ timing }: CellResult): number {
  return timing.trainSeconds + timing.evaluateSeconds;
}
