/** How long a study takes: from cells like those that are to be run. */
import type { Cell } from "./cells.ts";
import { type Experiment, seedsOf, type StudyPlan } from "./plan.ts";
import type { CellResult } from "./results.ts";

/** Seconds of a cell: a part that every cell has, and one that grows with the steps. */
export interface CellCost {
  /** Starting, compiling, evaluating. */
  readonly fixed: number;
  /** Of a step. */
  readonly step: number;
}

/** What cells of an experiment cost, by model; other models cost what the mean of these does. */
export type Costs = Readonly<Record<string, Readonly<Record<string, CellCost>>>>;

/** What finished cells say of the cost of others: means by experiment and model. */
export function costsOf(results: readonly CellResult[]): Costs {
  const found: Record<string, Record<string, CellCost[]>> = {};
  for (const { cell, tokensPerStep, timing } of results) {
    const { tokensPerSecond, trainSeconds, evaluateSeconds } = timing;
    if (tokensPerStep === undefined || tokensPerSecond === undefined) continue;
    const step = Math.min(tokensPerStep / tokensPerSecond, trainSeconds / cell.steps);
    const cost = { step, fixed: trainSeconds - step * cell.steps + evaluateSeconds };
    ((found[cell.experiment] ??= {})[cell.model] ??= []).push(cost);
  }
  return mapValues(found, (models) => mapValues(models, meanCost));
}

/** Costs of which the second ones go before the first, model by model. */
export function mergeCosts(first: Costs, second: Costs): Costs {
  const names = new Set([...Object.keys(first), ...Object.keys(second)]);
  return Object.fromEntries([...names].map((name) => [name, { ...first[name], ...second[name] }]));
}

/** Costs of which each part is so many times higher. */
export function scaleCosts(costs: Costs, factor: CellCost): Costs {
  return mapValues(
    costs,
    (models) => mapValues(models, ({ fixed, step }) => ({ fixed: fixed * factor.fixed, step: step * factor.step })),
  );
}

/** What a cell costs, or undefined if nothing like it is known. */
export function costOf({ experiment, model }: Pick<Cell, "experiment" | "model">, costs: Costs): CellCost | undefined {
  const models = costs[experiment];
  return models?.[model] ?? (models && meanCost(Object.values(models)));
}

/** Seconds of all cells of a plan on one machine, one after the other. */
export interface Total {
  readonly cells: number;
  /** What does not depend on the number of steps. */
  readonly fixed: number;
  /** What is proportional to it. */
  readonly steps: number;
  /** Experiments of which nothing is known. */
  readonly unknown: readonly string[];
}

/** How much a plan is. */
export function totalOf(plan: StudyPlan, costs: Costs): Total {
  let cells = 0, fixed = 0, steps = 0;
  const unknown = new Set<string>();
  for (const experiment of plan.experiments) {
    for (const model of Object.keys(experiment.models)) {
      const count = runsOfModel(plan, experiment), cost = costOf({ experiment: experiment.name, model }, costs);
      cells += count;
      if (cost === undefined) unknown.add(experiment.name);
      else {
        fixed += count * cost.fixed;
        steps += count * cost.step * experiment.steps;
      }
    }
  }
  return { cells, fixed, steps, unknown: [...unknown] };
}

/** How many cells a model of an experiment has. */
export function runsOfModel(plan: StudyPlan, experiment: Experiment): number {
  return Math.max(1, experiment.rates.length) + seedsOf(plan, experiment) - 1;
}

/** By what the steps of a plan are to be multiplied so that it takes so many seconds; undefined if none are left. */
export function factorFor(seconds: number, { fixed, steps }: Total): number | undefined {
  const left = seconds - fixed;
  return left <= 0 || steps === 0 ? undefined : left / steps;
}

/** Seconds of a duration as it is typed: `90m`, `2h`, `1h30m`, `45s`; undefined if it is none. */
export function readDuration(text: string): number | undefined {
  const [whole, hours = 0, minutes = 0, seconds = 0] = /^(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?$/.exec(text) ?? [];
  const total = 3600 * Number(hours) + 60 * Number(minutes) + Number(seconds);
  return whole && Number.isFinite(total) && total > 0 ? total : undefined;
}

function meanCost(costs: readonly CellCost[]): CellCost {
  const mean = (part: (cost: CellCost) => number): number =>
    costs.reduce((sum, cost) => sum + part(cost), 0) / costs.length;
  return { fixed: mean(({ fixed }) => fixed), step: mean(({ step }) => step) };
}

function mapValues<V, W>(record: Readonly<Record<string, V>>, fn: (value: V) => W): Record<string, W> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, fn(value)]));
}
