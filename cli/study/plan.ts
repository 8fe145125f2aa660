/**
 * What a study runs: experiments, each a grid of models and seeds that are trained and evaluated alike. A plan is JSON,
 * so that it can be written out, edited and run again:
 *
 *     { "name": "mine", "seeds": 3, "experiments": [{
 *       "name": "recall", "title": "Associative recall", "steps": 500, "rates": [0.003, 0.01],
 *       "train": "--task recall --parameters 100000", "models": { "lmm": "--model lmm", "attention": "--model swa" },
 *       "evaluate": { "": "--samples 512", "twice as many": "--task-option pairs=16" } }] }
 *
 * The texts are flags as they are typed after `train` and `evaluate`.
 */
import { UsageError } from "../errors.ts";

/** Which figure of the last validation decides between learning rates. */
export interface Choice {
  /** Its name. */
  readonly figure: string;
  /** Which value is the best. */
  readonly best: "lowest" | "highest";
}

/** Models that are trained and evaluated alike. */
export interface Experiment {
  /** What results call it: letters, digits and dashes. */
  readonly name: string;
  /** What people call it. */
  readonly title: string;
  /** What is asked, and how, in a few sentences; may be empty. */
  readonly about: string;
  /** Why the order of models may differ from what is published; may be empty. */
  readonly why: string;
  /** Optimizer steps of a run. */
  readonly steps: number;
  /** Seeds of each model. Default: as many as the plan has. */
  readonly seeds?: number;
  /** Flags of `train` that all runs share. */
  readonly train: string;
  /** Flags of `train` by model. */
  readonly models: Readonly<Record<string, string>>;
  /** Learning rates, of which each model has the one that is best with the first seed; none for what `train` takes. */
  readonly rates: readonly number[];
  /** By which figure. Default: the lowest loss. */
  readonly choose: Choice;
  /** Flags of `evaluate` by name; figures have the name before them, unless it is empty. */
  readonly evaluate: Readonly<Record<string, string>>;
  /** Figures that tables show, as words that their names begin with. Default: those of which a chance level is known. */
  readonly figures: readonly string[];
}

/** A study. */
export interface StudyPlan {
  /** The name of its folder. */
  readonly name: string;
  /** Seeds of each model, 0, 1, ..., in experiments that do not say otherwise. */
  readonly seeds: number;
  /** What it runs, in order. */
  readonly experiments: readonly Experiment[];
}

const LOWEST_LOSS: Choice = { figure: "loss", best: "lowest" };

/** What an experiment has where it does not say otherwise. */
export const PLAIN: Pick<Experiment, "about" | "why" | "rates" | "choose" | "figures"> = {
  about: "",
  why: "",
  rates: [],
  choose: LOWEST_LOSS,
  figures: [],
};
const MOST_SEEDS = 100;
const NAME = /^[A-Za-z0-9][\w.+-]*$/;

/**
 * Reads a plan.
 * @param value What JSON says.
 * @param where The file, for messages.
 * @throws {UsageError} naming the first field that cannot be.
 */
export function readPlan(value: unknown, where: string): StudyPlan {
  const plan = record(value, where, ["name", "seeds", "experiments"]);
  const experiments = list(plan.experiments, `${where}: experiments`).map((each, i) =>
    readExperiment(each, `${where}: experiments[${i}]`)
  );
  const twice = experiments.find(({ name }, i) => experiments.findIndex((other) => other.name === name) < i);
  if (twice) fail(where, `has two experiments named ${twice.name}`);
  if (experiments.length === 0) fail(where, "has no experiments");
  return {
    name: named(plan.name ?? "study", `${where}: name`),
    seeds: whole(plan.seeds ?? 1, `${where}: seeds`, MOST_SEEDS),
    experiments,
  };
}

function readExperiment(value: unknown, where: string): Experiment {
  const fields = [
    "name",
    "title",
    "about",
    "why",
    "steps",
    "seeds",
    "train",
    "models",
    "rates",
    "choose",
    "evaluate",
    "figures",
  ];
  const given = record(value, where, fields), name = named(given.name, `${where}: name`);
  const rates = list(given.rates ?? [], `${where}: rates`);
  for (const rate of rates) {
    if (typeof rate !== "number" || !(rate > 0)) fail(`${where}: rates`, "must be numbers above 0");
  }
  const models = flagTexts(given.models, `${where}: models`);
  if (Object.keys(models).length === 0) fail(`${where}: models`, "must have at least one");
  for (const model of Object.keys(models)) named(model, `${where}: models`);
  return {
    name,
    title: given.title === undefined ? name : text(given.title, `${where}: title`),
    about: text(given.about ?? "", `${where}: about`),
    why: text(given.why ?? "", `${where}: why`),
    steps: whole(given.steps, `${where}: steps`, 1e9),
    ...(given.seeds === undefined ? {} : { seeds: whole(given.seeds, `${where}: seeds`, MOST_SEEDS) }),
    train: text(given.train ?? "", `${where}: train`),
    models,
    rates: rates as number[],
    choose: given.choose === undefined ? LOWEST_LOSS : readChoice(given.choose, `${where}: choose`),
    evaluate: flagTexts(given.evaluate ?? {}, `${where}: evaluate`),
    figures: list(given.figures ?? [], `${where}: figures`).map((each) => text(each, `${where}: figures`)),
  };
}

function readChoice(value: unknown, where: string): Choice {
  const { figure, best } = record(value, where, ["figure", "best"]);
  if (best !== "lowest" && best !== "highest") fail(`${where}: best`, 'must be "lowest" or "highest"');
  return { figure: text(figure, `${where}: figure`), best };
}

function fail(where: string, rule: string): never {
  throw new UsageError(`the plan cannot be used: ${where} ${rule}`);
}

function record(value: unknown, where: string, fields: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(where, "must be an object");
  const unknown = Object.keys(value).find((field) => !fields.includes(field));
  if (unknown !== undefined) fail(where, `has an unknown field ${unknown}: it takes ${fields.join(", ")}`);
  return value as Readonly<Record<string, unknown>>;
}

function list(value: unknown, where: string): readonly unknown[] {
  return Array.isArray(value) ? value : fail(where, "must be a list");
}

function text(value: unknown, where: string): string {
  return typeof value === "string" ? value : fail(where, "must be a text");
}

function named(value: unknown, where: string): string {
  const name = text(value, where);
  return NAME.test(name) ? name : fail(where, `is ${JSON.stringify(name)}: it must be letters, digits, and . + - _`);
}

function whole(value: unknown, where: string, max: number): number {
  if (Number.isInteger(value) && value as number >= 1 && value as number <= max) return value as number;
  return fail(where, `must be a whole number from 1 to ${max}`);
}

function flagTexts(value: unknown, where: string): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    fail(where, "must be an object of flags by name");
  }
  for (const [name, flags] of Object.entries(value)) text(flags, `${where}: ${name}`);
  return value as Readonly<Record<string, string>>;
}

/** What is left of a plan. */
export interface Selection {
  /** Names of experiments. Default: all. */
  readonly only?: readonly string[];
  /** Names of models. Default: all. */
  readonly models?: readonly string[];
  /** Seeds of every experiment. Default: as the plan says. */
  readonly seeds?: number;
}

/** A part of a plan. @throws {UsageError} if something is named that it does not have. */
export function selectPlan(plan: StudyPlan, { only, models, seeds }: Selection): StudyPlan {
  const known = plan.experiments.map(({ name }) => name);
  checkKnown("--only", only, known);
  checkKnown("--models", models, [...new Set(plan.experiments.flatMap((each) => Object.keys(each.models)))]);
  const experiments = plan.experiments.filter(({ name }) => only?.includes(name) ?? true).map((each) => ({
    ...each,
    ...(seeds === undefined || each.seeds === undefined ? {} : { seeds }),
    models: Object.fromEntries(Object.entries(each.models).filter(([name]) => models?.includes(name) ?? true)),
  })).filter((each) => Object.keys(each.models).length > 0);
  if (experiments.length === 0) throw new UsageError("--only and --models leave nothing of the plan");
  return { ...plan, seeds: seeds ?? plan.seeds, experiments };
}

/** Seeds of each model of an experiment. */
export function seedsOf({ seeds }: StudyPlan, experiment: Experiment): number {
  return experiment.seeds ?? seeds;
}

function checkKnown(flag: string, names: readonly string[] | undefined, known: readonly string[]): void {
  const other = names?.find((name) => !known.includes(name));
  if (other !== undefined) {
    throw new UsageError(`${flag} cannot be ${JSON.stringify(other)}: the plan has ${known.join(", ")}`);
  }
}

/** A plan with fewer or more steps, at least one each. */
export function scalePlan(plan: StudyPlan, factor: number): StudyPlan {
  const experiments = plan.experiments.map((each) => ({
    ...each,
    steps: Math.max(1, Math.round(each.steps * factor)),
  }));
  return { ...plan, experiments };
}

/** Flags of a text, as a shell splits it: at spaces, but not within quotes. @throws {UsageError} if a quote is open. */
export function splitFlags(text: string): string[] {
  const word = /(?:[^\s"']|"[^"]*"|'[^']*')+/g;
  if (/["']/.test(text.replace(word, ""))) {
    throw new UsageError(`the flags ${JSON.stringify(text)} have a quote that does not end`);
  }
  return (text.match(word) ?? []).map((found) => found.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"));
}
