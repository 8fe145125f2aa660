/**
 * The runs of a study, and which come next: a pure function of the plan and the results so far, so that a study that
 * was stopped goes on where it was.
 */
import { type Experiment, seedsOf, splitFlags, type StudyPlan } from "./plan.ts";

/** One training run and its evaluations. */
export interface Cell {
  /** The experiment. */
  readonly experiment: string;
  /** The model's name in the plan. */
  readonly model: string;
  /** The learning rate; null for what `train` takes. */
  readonly rate: number | null;
  /** The seed. */
  readonly seed: number;
  /** Steps of training. */
  readonly steps: number;
}

/** Commands of a cell, without the program's name. */
export interface CellCommands {
  /** After `train`. */
  readonly train: readonly string[];
  /** After `evaluate`, by name. */
  readonly evaluate: Readonly<Record<string, readonly string[]>>;
}

/** What is known of a cell that was run. */
export interface CellOutcome {
  /** The cell. */
  readonly cell: Cell;
  /** What was run. */
  readonly commands: CellCommands;
  /** Figures of the last validation; undefined if it failed. */
  readonly validation?: Readonly<Record<string, number>>;
}

/** A cell in a few words, unique in a plan: `recall/lmm/0.01/2`. */
export function cellName({ experiment, model, rate, seed }: Cell): string {
  return [experiment, model, ...(rate === null ? [] : [rate]), seed].join("/");
}

/** The commands of a cell. */
export function commandsOf(plan: StudyPlan, cell: Cell): CellCommands {
  const experiment = plan.experiments.find(({ name }) => name === cell.experiment)!;
  const rate = cell.rate === null ? [] : ["--lr", String(cell.rate)];
  return {
    train: [
      ...splitFlags(experiment.train),
      ...splitFlags(experiment.models[cell.model]),
      ...rate,
      "--steps",
      String(cell.steps),
      "--seed",
      String(cell.seed),
    ],
    evaluate: Object.fromEntries(
      Object.entries(experiment.evaluate).map(([name, flags]) => [name, splitFlags(flags)]),
    ),
  };
}

/** Whether an outcome is of this cell, with the commands that the plan has now. */
export function isOutcomeOf(plan: StudyPlan, cell: Cell, outcome: CellOutcome): boolean {
  return JSON.stringify(outcome.cell) === JSON.stringify(cell) &&
    JSON.stringify(outcome.commands) === JSON.stringify(commandsOf(plan, cell));
}

/** What is to be run. */
export interface Remaining {
  /** Cells that can be run now, in the order of the plan. */
  readonly ready: readonly Cell[];
  /** How many more there will be, once learning rates are chosen. */
  readonly later: number;
}

/**
 * The cells that are not run yet.
 *
 * With several learning rates all are tried with the first seed; the others are run with the best.
 */
export function remainingCells(plan: StudyPlan, outcomes: readonly CellOutcome[]): Remaining {
  const ready: Cell[] = [];
  let later = 0;
  for (const experiment of plan.experiments) {
    for (const model of Object.keys(experiment.models)) {
      const tried = trialsOf(experiment, model), found = tried.map((cell) => outcomeOf(plan, cell, outcomes));
      const open = tried.filter((_, i) => found[i] === undefined);
      ready.push(...open);
      if (open.length > 0) later += seedsOf(plan, experiment) - 1;
      else {ready.push(
          ...othersOf(plan, { experiment, model }, outcomes).filter((cell) => !outcomeOf(plan, cell, outcomes)),
        );}
    }
  }
  return { ready, later };
}

/** The cells that figures come from: those with the best learning rate of each model, as far as they are run. */
export function countedCells(plan: StudyPlan, outcomes: readonly CellOutcome[]): readonly Cell[] {
  return plan.experiments.flatMap((experiment) =>
    Object.keys(experiment.models).flatMap((model) => {
      const rate = chosenRate(plan, { experiment, model }, outcomes);
      return rate === undefined ? [] : Array.from({ length: seedsOf(plan, experiment) }, (_, seed): Cell => ({
        experiment: experiment.name,
        model,
        rate,
        seed,
        steps: experiment.steps,
      })).filter((cell) => outcomeOf(plan, cell, outcomes));
    })
  );
}

/** A model of an experiment. */
interface ModelOf {
  readonly experiment: Experiment;
  readonly model: string;
}

/** The cells of the first seed, one a learning rate. */
function trialsOf({ name, rates, steps }: Experiment, model: string): Cell[] {
  const each = rates.length === 0 ? [null] : rates;
  return each.map((rate) => ({ experiment: name, model, rate, seed: 0, steps }));
}

/** The cells of the other seeds, with the best rate; none where every trial failed. */
function othersOf(plan: StudyPlan, of: ModelOf, outcomes: readonly CellOutcome[]): Cell[] {
  const rate = chosenRate(plan, of, outcomes), { name, steps } = of.experiment;
  if (rate === undefined) return [];
  return Array.from({ length: seedsOf(plan, of.experiment) - 1 }, (_, i) => ({
    experiment: name,
    model: of.model,
    rate,
    seed: i + 1,
    steps,
  }));
}

/** The learning rate that is best with the first seed; undefined as long as none has an outcome. */
export function chosenRate(
  plan: StudyPlan,
  { experiment, model }: ModelOf,
  outcomes: readonly CellOutcome[],
): number | null | undefined {
  const { figure, best } = experiment.choose, sign = best === "lowest" ? 1 : -1;
  const ranked = trialsOf(experiment, model).flatMap((cell) => {
    const value = outcomeOf(plan, cell, outcomes)?.validation?.[figure];
    return value === undefined || !Number.isFinite(value) ? [] : [{ rate: cell.rate, value: sign * value }];
  });
  return ranked.length === 0 ? undefined : ranked.reduce((a, b) => b.value < a.value ? b : a).rate;
}

function outcomeOf(plan: StudyPlan, cell: Cell, outcomes: readonly CellOutcome[]): CellOutcome | undefined {
  return outcomes.find((outcome) => isOutcomeOf(plan, cell, outcome));
}
