/** Runs the cells of a study, several at once, each as soon as it is known. */
import { type Cell, cellName, isOutcomeOf, remainingCells } from "./cells.ts";
import { costOf, type Costs, costsOf } from "./estimate.ts";
import { seedsOf, type StudyPlan } from "./plan.ts";
import type { CellResult } from "./results.ts";

/** What a study is run with. */
export interface StudyRun {
  /** What is run. */
  readonly plan: StudyPlan;
  /** Names of experiments that have begun, though they may have no result. Default: those that have one. */
  readonly begun?: readonly string[];
  /** The plan for the time that is left; asked for whenever an experiment is to begin. Default: it stays as it is. */
  readonly replan?: (plan: StudyPlan, results: readonly CellResult[], experiments: {
    readonly begun: readonly string[];
    readonly next: string;
  }) => Promise<StudyPlan>;
  /** What is there already. */
  readonly results: readonly CellResult[];
  /** Cells at once. */
  readonly jobs: number;
  /** Costs of cells of which there is no result yet. */
  readonly costs: Costs;
  /** Runs a cell of a plan. */
  readonly runCell: (cell: Cell, plan: StudyPlan) => Promise<CellResult>;
  /** Keeps a result, before the next cell starts. */
  readonly keep: (result: CellResult) => Promise<void>;
  /** Says how far it is. */
  readonly progress: (progress: StudyProgress) => void;
  /** No further cell starts once this is aborted. */
  readonly signal: AbortSignal;
}

/** How far a study is. */
export interface StudyProgress {
  /** Cells that have a result. */
  readonly done: number;
  /** Cells in all. */
  readonly total: number;
  /** What runs. */
  readonly running: readonly string[];
  /** Seconds that the rest takes; undefined if nothing is known of some. */
  readonly remaining?: number;
  /** What just ended, if that is why this is said. */
  readonly ended?: CellResult;
}

/**
 * Runs what is left of a plan.
 * @returns All results. A cell that failed has one too, which says why.
 * @throws what `runCell` or `keep` throws, after the other cells have ended.
 */
export async function runStudy(run: StudyRun): Promise<readonly CellResult[]> {
  const { jobs, signal } = run, results = [...run.results], running = new Map<string, Promise<void>>();
  const begun = new Set([...run.begun ?? [], ...ownResults(run.plan, results).map(({ cell }) => cell.experiment)]);
  let { plan } = run;
  let failure: { readonly error: unknown } | undefined;
  const tell = (ended?: CellResult): void => {
    const { ready, later } = remainingCells(plan, results), total = countOf(plan, results) + ready.length + later;
    run.progress({
      done: total - ready.length - later,
      total,
      running: [...running.keys()],
      remaining: remainingSeconds(plan, { results, costs: run.costs, jobs }),
      ...(ended ? { ended } : {}),
    });
  };
  const start = (cell: Cell): void => {
    const name = cellName(cell);
    const work = run.runCell(cell, plan).then(async (result) => {
      await run.keep(result);
      results.push(result);
      running.delete(name);
      tell(result);
    }).catch((error) => {
      running.delete(name);
      failure ??= { error };
    });
    running.set(name, work);
  };
  tell();
  const nextCells = (): readonly Cell[] =>
    remainingCells(plan, results).ready.filter((cell) => !running.has(cellName(cell)));
  while (true) {
    while (!failure && !signal.aborted && running.size < jobs) {
      const [next] = nextCells();
      if (next === undefined) break;
      if (!begun.has(next.experiment)) {
        const experiments = { begun: [...begun], next: next.experiment };
        plan = await run.replan?.(plan, ownResults(plan, results), experiments) ?? plan;
        begun.add(next.experiment);
        if (signal.aborted) break;
      }
      start(nextCells()[0]);
    }
    if (running.size === 0) break;
    tell();
    await Promise.race(running.values());
  }
  if (failure) throw failure.error;
  return results;
}

/** The results of a plan's own cells, as it has them now. */
export function ownResults(plan: StudyPlan, results: readonly CellResult[]): readonly CellResult[] {
  return results.filter((result) =>
    plan.experiments.some(({ name, models, steps }) =>
      result.cell.experiment === name && Object.hasOwn(models, result.cell.model) && result.cell.steps === steps
    ) && isOutcomeOf(plan, result.cell, result)
  );
}

/** How many cells of the plan have a result. */
function countOf(plan: StudyPlan, results: readonly CellResult[]): number {
  const { ready, later } = remainingCells(plan, []), { ready: open, later: after } = remainingCells(plan, results);
  return ready.length + later - open.length - after;
}

/** Seconds that the cells which are left take on so many processes. */
function remainingSeconds(
  plan: StudyPlan,
  { results, costs, jobs }: { readonly results: readonly CellResult[]; readonly costs: Costs; readonly jobs: number },
): number | undefined {
  const measured = costsOf(results), { ready } = remainingCells(plan, results);
  let seconds = 0;
  const add = (cell: Pick<Cell, "experiment" | "model">, steps: number, count: number): boolean => {
    const cost = costOf(cell, measured) ?? costOf(cell, costs);
    if (cost === undefined) return false;
    seconds += count * (cost.fixed + steps * cost.step);
    return true;
  };
  for (const cell of ready) if (!add(cell, cell.steps, 1)) return undefined;
  for (const experiment of plan.experiments) {
    for (const model of Object.keys(experiment.models)) {
      const isOpen = ready.some((cell) =>
        cell.experiment === experiment.name && cell.model === model && cell.seed === 0
      );
      const later = seedsOf(plan, experiment) - 1;
      if (isOpen && !add({ experiment: experiment.name, model }, experiment.steps, later)) return undefined;
    }
  }
  return seconds / jobs;
}
