/** What a study found: figures of each model over seeds, as tables for people. */
import { type Cell, chosenRate, countedCells, isOutcomeOf } from "./cells.ts";
import type { Experiment, StudyPlan } from "./plan.ts";
import { seriesOf } from "./report/axes.ts";
import type { CellResult } from "./results.ts";

/** A figure of a model over its seeds. */
export interface Figure {
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  /** Seeds. */
  readonly count: number;
  /** What guessing gives, where that is known. */
  readonly chance?: number;
}

/** A model in an experiment. */
export interface ModelSummary {
  readonly model: string;
  /** Of the chosen runs; null for what `train` takes, undefined if all runs failed. */
  readonly rate: number | null | undefined;
  /** Trained parameters. */
  readonly parameters?: number;
  /** Of training: the median over seeds. */
  readonly tokensPerSecond?: number;
  /** By name. Those of the last validation begin with `validation `. */
  readonly figures: Readonly<Record<string, Figure>>;
  /** Command lines of the first counted run: what makes the figures again. */
  readonly commands: readonly string[];
  /** Why runs have no figures. */
  readonly errors: readonly string[];
}

/** An experiment with its models. */
export interface ExperimentSummary {
  readonly experiment: Experiment;
  /** Names of all figures, in the order in which they were first seen. */
  readonly figures: readonly string[];
  readonly models: readonly ModelSummary[];
}

/** All experiments of a plan, as far as they are run. */
export function summarize(plan: StudyPlan, results: readonly CellResult[]): readonly ExperimentSummary[] {
  const counted = countedCells(plan, results);
  return plan.experiments.map((experiment) => {
    const models = Object.keys(experiment.models).map((model) => {
      const own = counted.filter((cell) => cell.experiment === experiment.name && cell.model === model);
      return summarizeModel(plan, { experiment, model, cells: own }, results);
    });
    return { experiment, models, figures: [...new Set(models.flatMap(({ figures }) => Object.keys(figures)))] };
  });
}

function summarizeModel(
  plan: StudyPlan,
  { experiment, model, cells }: {
    readonly experiment: Experiment;
    readonly model: string;
    readonly cells: readonly Cell[];
  },
  results: readonly CellResult[],
): ModelSummary {
  const found = cells.flatMap((cell) => results.find((result) => isOutcomeOf(plan, cell, result)) ?? []);
  const values = new Map<string, { readonly values: number[]; readonly chance?: number }>();
  for (const { validation = {}, scores } of found) {
    const validated = Object.entries(validation).map(([name, value]) => ({ name: `validation ${name}`, value }));
    for (const { name, value, chance } of [...scores, ...validated.map((score) => ({ ...score, chance: undefined }))]) {
      const entry = values.get(name) ?? { values: [], chance };
      entry.values.push(value);
      values.set(name, entry);
    }
  }
  const [first] = found, speeds = found.flatMap(({ timing }) => timing.tokensPerSecond ?? []);
  const failed = results.filter(({ cell, error }) =>
    error !== undefined && cell.experiment === experiment.name && cell.model === model
  );
  return {
    model,
    rate: chosenRate(plan, { experiment, model }, results),
    ...(first?.parameters === undefined ? {} : { parameters: first.parameters }),
    ...(speeds.length === 0 ? {} : { tokensPerSecond: median(speeds) }),
    figures: Object.fromEntries([...values].map(([name, { values, chance }]) => [name, figureOf(values, chance)])),
    commands: first === undefined ? [] : commandLines(first),
    errors: [...new Set(failed.map(({ error }) => error!))],
  };
}

function figureOf(values: readonly number[], chance: number | undefined): Figure {
  return {
    mean: meanOf(values),
    min: Math.min(...values),
    max: Math.max(...values),
    count: values.length,
    ...(chance === undefined ? {} : { chance }),
  };
}

/** The mean of numbers. */
export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The commands of a run as they are typed. */
export function commandLines({ commands }: Pick<CellResult, "commands">): readonly string[] {
  const typed = (words: readonly string[]): string =>
    words.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`).join(" ");
  return [
    `deno task train ${typed(commands.train)}`,
    ...Object.values(commands.evaluate).map((words) => `deno task evaluate ${typed(words)}`.trimEnd()),
  ];
}

/** Figures as text: `0.431 (0.410 to 0.452, 3 seeds)`. */
export function shownFigure({ mean, min, max, count }: Figure): string {
  return count === 1 ? shownNumber(mean) : `${shownNumber(mean)} (${shownNumber(min)} to ${shownNumber(max)})`;
}

/** A number in four digits. */
export function shownNumber(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}

/** The figures that a table of an experiment has: those that the plan names, else those that guessing is known for. */
export function shownFigures({ experiment, models, figures }: ExperimentSummary): readonly string[] {
  const named = figures.filter((name) => experiment.figures.some((start) => name.startsWith(start)));
  if (named.length > 0) return named;
  const known = figures.filter((name) => models.some((model) => model.figures[name]?.chance !== undefined));
  return known.length > 0 ? known : figures.filter((name) => name === `validation ${experiment.choose.figure}`);
}

/** The same without those that maps show, which as columns would be too many. */
export function tabledFigures(summary: ExperimentSummary): readonly string[] {
  const shown = shownFigures(summary), maps = seriesOf(shown).filter(({ axes }) => axes.length > 1);
  const inMaps = new Set(maps.flatMap(({ points }) => points.map(({ name }) => name)));
  return shown.filter((name) => !inMaps.has(name));
}

/** Experiments as tables in Markdown, which read well as plain text too. */
export function summaryTables(summaries: readonly ExperimentSummary[]): string {
  return summaries.map((summary) => {
    const { experiment, models } = summary, shown = tabledFigures(summary);
    const head = ["model", "parameters", "rate", "seeds", ...shown];
    const rows = models.map(({ model, parameters, rate, figures }) => [
      model,
      parameters?.toLocaleString("en") ?? "",
      rate === undefined ? "" : rate === null ? "as given" : String(rate),
      String(Object.values(figures)[0]?.count ?? 0),
      ...shown.map((name) => Object.hasOwn(figures, name) ? shownFigure(figures[name]) : ""),
    ]);
    const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)));
    const line = (row: readonly string[]): string => `| ${row.map((text, i) => text.padEnd(widths[i])).join(" | ")} |`;
    const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
    const failed = models.flatMap(({ model, errors }) => errors.map((error) => `${model} failed: ${error}\n`));
    return [`## ${experiment.title}`, "", line(head), rule, ...rows.map(line), "", ...failed].join("\n");
  }).join("\n");
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b), half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
