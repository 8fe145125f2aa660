/**
 * The configuration of a training run: its config.json, created from flags, or read and checked when the run resumes.
 */
import {
  completeConfig,
  completeOptimizer,
  ConfigError,
  defineConfig,
  defineOptimizer,
  Model,
  type ModelConfig,
  type ModelKind,
  type ModelRequirements,
  type OptimizerConfig,
  type PresetName,
  validateConfig,
  withParameters,
} from "../titans/mod.ts";
import { taskOf } from "../titans/tasks/mod.ts";
import type { Precision } from "../titans/train/precision.ts";
import { checkValues, completeOptions, type OptionsOf, resolveOptions } from "../titans/options/option_table.ts";
import { type ChosenTask, TEXT_TASK } from "./task_flags.ts";
import type { DataIdentity } from "./data/identity.ts";
import { type DataRecipe, DEFAULT_RECIPE, RECIPE_OPTIONS } from "./data/recipe.ts";
import { parseSource } from "./data/source_spec.ts";
import { CommandError, UsageError } from "./errors.ts";
import { commandOf } from "./fit/fit_config.ts";
import { shellWord } from "./program.ts";
import { flagName } from "./flags.ts";
import { checkOptimizerFlags, optimizerOf } from "./optimizer_flags.ts";
import { rowOptionsOf } from "./text_flags.ts";
import { RUN_OPTIONS, type RunOptions } from "./run_options.ts";
import { checkModelFlags, checkSizeFlag, inFlags, type ModelFlags, modelOptions } from "./model_flags.ts";

/** A run's configuration. All but `steps` and the optimiser's rates stays as it is for the run's life. */
export interface RunConfig extends Omit<RunOptions, "stream" | "precision" | "deterministic"> {
  /** The version of Mneme that started it. */
  readonly version: string;
  /** Where the model's options came from. */
  readonly preset: string;
  /** The model's options, all of them. */
  readonly model: ModelConfig;
  /** The optimizer's options, all of them. */
  readonly optimizer: OptimizerConfig;
  /** Tokens of text through which memory is carried from step to step; absent where every sequence starts afresh. */
  readonly stream?: number;
  /** Absent where it is f32. */
  readonly precision?: Precision;
  /** The order in which streamed text is read; only runs in the order of this version go on. */
  readonly streamOrder?: number;
  /** Parts of a batch whose gradients are added in a fixed order; absent where the order is not fixed. */
  readonly deterministic?: number;
  /** The task with its options, all of them; absent of text. */
  readonly task?: ChosenTask;
  /** Name, bytes and hash of the text, and how it is made; see [data.md](data.md). Of a task the hash of samples. */
  readonly data: DataIdentity;
}

/**
 * The current order of streamed text: documents by weight, all rows in the same order from different starting points.
 * The first version did not distinguish documents.
 */
export const STREAM_ORDER = 2;

/** The flags that say what a run is. */
export interface RunFlags extends ModelFlags, RunOptions, OptionsOf<typeof RECIPE_OPTIONS> {
  readonly model: ModelKind;
  readonly preset: PresetName;
  /** Of the model; as many as the preset has if undefined. */
  readonly parameters?: number;
  readonly warmup?: number;
  /** Absent where the optimizer's own default is meant. */
  readonly lr?: number;
  readonly task?: string;
  readonly data: readonly string[];
  readonly field: string;
  readonly separator: string | undefined;
  readonly noHeader: boolean;
  readonly skipBadRows: boolean;
  readonly vocabulary: string;
  /** What a configuration file says of model and optimizer; flags win. */
  readonly base?: ConfigBase;
}

/** Options of a model and an optimizer that come from a file. */
export interface ConfigBase {
  readonly model: Partial<ModelConfig>;
  readonly optimizer: Partial<OptimizerConfig>;
}

/** The recipe of a new run's text, from its flags. */
export function newRecipe(flags: RunFlags): DataRecipe {
  const { data, format, vocabulary, heldOut, split } = flags;
  return {
    sources: data.length > 0 ? data : DEFAULT_RECIPE.sources,
    format,
    ...rowOptionsOf(flags),
    vocabulary,
    heldOut,
    split,
  };
}

/** The recipe of a run's text, with other sources if they are given. */
export function recipeOf({ data: { name, recipe } }: RunConfig, sources: readonly string[] = []): DataRecipe {
  const stored = recipe ?? { ...DEFAULT_RECIPE, sources: [name] };
  return sources.length > 0 ? { ...stored, sources } : stored;
}

/** What a new run learns from. */
export interface RunData {
  readonly data: DataIdentity;
  /** What the model must be. */
  readonly requires: ModelRequirements;
  /** Unless it is text. */
  readonly task?: ChosenTask;
}

/** The configuration of a new run. */
export function newRunConfig(flags: RunFlags, { data, requires, task }: RunData, version: string): RunConfig {
  const { model, preset, parameters, steps, batch, seqLen, accumulate, seed, stream, precision, deterministic } = flags;
  const options = { ...flags.base?.model, model, ...modelOptions(flags), ...requires };
  const { made, optimizer } = inWordsOf(flags, () => {
    const config = defineConfig(options, preset);
    return {
      made: new Model(parameters === undefined ? config : withParameters(config, parameters)).toJSON(),
      optimizer: optimizerOf(flags, steps, flags.base?.optimizer),
    };
  });
  return {
    version,
    preset,
    model: made,
    optimizer,
    batch,
    seqLen,
    accumulate,
    seed,
    steps,
    ...(stream > 0 ? { stream, streamOrder: STREAM_ORDER } : {}),
    ...(deterministic > 0 ? { deterministic } : {}),
    ...(precision === "f32" ? {} : { precision }),
    ...(task ? { task } : {}),
    data,
  };
}

/** Runs something with options from flags; an invalid option is reported by the name of its flag. */
export function inWordsOf<T>(flags: ModelFlags, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof ConfigError ? inFlags(error, flags) : error;
  }
}

/** The flags that cannot change, with their values in the configuration. */
const FIXED: Readonly<Partial<Record<keyof RunFlags, (config: RunConfig) => unknown>>> = {
  task: (config) => config.task?.name ?? TEXT_TASK,
  model: (config) => config.model.model,
  preset: (config) => config.preset,
  ...Object.fromEntries(
    Object.keys(RUN_OPTIONS).filter((name) => name !== "steps").map((name) => [
      name,
      (config: RunConfig) => completeOptions(RUN_OPTIONS, config)[name],
    ]),
  ),
  format: (config) => recipeOf(config).format,
  field: (config) => recipeOf(config).field,
  separator: (config) => recipeOf(config).separator,
  noHeader: (config) => recipeOf(config).header === false,
  skipBadRows: (config) => recipeOf(config).skipBadRows === true,
  vocabulary: (config) => recipeOf(config).vocabulary,
  heldOut: (config) => recipeOf(config).heldOut,
  split: (config) => recipeOf(config).split,
};

/**
 * The configuration of a resumed run: unchanged except for the steps and rates given.
 * @param stored The contents of its config.json.
 * @param flags The flags; `given` lists those that were on the command line.
 * @param path The run's folder, for error messages.
 * @throws {UsageError} if a flag contradicts the run, {CommandError} if the file is not a valid configuration.
 */
export function resumedRunConfig(
  stored: unknown,
  flags: RunFlags,
  { given, path }: { given: ReadonlySet<string>; path: string },
): RunConfig {
  const config = checkRunConfig(stored, path);
  for (const [key, value] of Object.entries(FIXED)) {
    const was = value(config), now = flags[key as keyof RunFlags];
    if (given.has(key) && was !== now) {
      throw new UsageError(
        `the run in ${path} was made with ${flagName(key)} ${was}, not ${now}: leave ${
          flagName(key)
        } out, or start a new run with another --out`,
      );
    }
  }
  if ((config.stream ?? 0) > 0 && config.streamOrder !== STREAM_ORDER) {
    throw new UsageError(
      `the run in ${path} streams its text in an order that this version no longer supports: start a new run with another --out`,
    );
  }
  checkModelFlags(flags, given, config.model, path);
  inWordsOf(flags, () => checkSizeFlag(flags.parameters, config.model, path));
  checkOptimizerFlags(flags, config.optimizer, path);
  const steps = given.has("steps") ? flags.steps : config.steps;
  const optimizer = inWordsOf(flags, () =>
    defineOptimizer({
      ...config.optimizer,
      learningRate: given.has("lr") ? flags.lr : config.optimizer.learningRate,
      warmupSteps: given.has("warmup") ? flags.warmup : config.optimizer.warmupSteps,
      totalSteps: steps,
    }));
  return { ...config, steps, optimizer };
}

/** The rows of options in a file: there, a run has a step at least. */
const STORED_OPTIONS = { ...RUN_OPTIONS, steps: { ...RUN_OPTIONS.steps, min: 1 } };

/** Checks every field of a configuration that was read from a file: nothing in it is trusted. */
export function checkRunConfig(stored: unknown, path: string): RunConfig {
  const refuse = (why: string): never => {
    throw new CommandError(
      `${path}/config.json is not a run's configuration: restore it, or start a new run with another --out (${why})`,
    );
  };
  if (!isRecord(stored)) return refuse("it is not a JSON object");
  const command = commandOf(stored);
  if (command !== undefined) {
    throw new UsageError(
      `${path} has a run of ${command}, not of train: continue it with deno task ${command} --resume --out ${
        shellWord(path)
      }, or give another --out`,
    );
  }
  const config = stored as unknown as RunConfig;
  const { streamOrder = 0 } = stored;
  if (!Number.isSafeInteger(streamOrder) || streamOrder as number < 0) refuse("its streamOrder is no whole number");
  for (const key of ["version", "preset"]) if (typeof stored[key] !== "string") refuse(`its ${key} is no text`);
  for (const key of ["model", "optimizer", "data"]) if (!isRecord(stored[key])) refuse(`its ${key} is no record`);
  try {
    checkData(config.data, refuse);
    if (config.task !== undefined) checkTask(config.task, refuse);
    checkValues(STORED_OPTIONS, completeOptions(STORED_OPTIONS, stored));
    const model = completeConfig(config.model);
    validateConfig(model);
    return { ...config, model, optimizer: completeOptimizer(config.optimizer) };
  } catch (error) {
    if (error instanceof ConfigError) return refuse(error.message);
    throw error;
  }
}

function checkData(data: DataIdentity, refuse: (why: string) => never): void {
  if (typeof data.name !== "string" || typeof data.sha256 !== "string" || typeof data.bytes !== "number") {
    refuse("its data has no name, bytes and sha256");
  }
  if (data.documents !== undefined && !Number.isSafeInteger(data.documents)) {
    refuse("its data has no integer number of documents");
  }
  const { recipe } = data;
  if (recipe === undefined) return;
  if (!isRecord(recipe)) refuse("its recipe is no record");
  const { sources, field, vocabulary, separator, header = true, skipBadRows = false } = recipe;
  if (!Array.isArray(sources) || sources.length === 0 || !sources.every((source) => typeof source === "string")) {
    refuse("its sources are not a list of strings");
  }
  checkValues(RECIPE_OPTIONS, recipe);
  if (typeof field !== "string" || typeof vocabulary !== "string") refuse("its field and vocabulary are no texts");
  if (separator !== undefined && (typeof separator !== "string" || separator.length !== 1)) {
    refuse("its separator is not a character");
  }
  if (typeof header !== "boolean" || typeof skipBadRows !== "boolean") {
    refuse("its header and skipBadRows are not true or false");
  }
}

function checkTask(task: ChosenTask, refuse: (why: string) => never): void {
  if (!isRecord(task) || typeof task.name !== "string" || !isRecord(task.options)) refuse("its task is no task");
  resolveOptions(`the task ${task.name}`, taskOf(task.name).options, task.options);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Checks that a run goes on with the text, or the samples, that it began with. @throws {UsageError} if it does not. */
export function checkSameData(config: RunConfig, data: DataIdentity, path: string): void {
  const { documents } = config.data;
  if (config.task) {
    if (config.data.sha256 === data.sha256) return;
    throw new UsageError(
      `the run in ${path} was trained on other samples of ${config.task.name} than this version makes: start a new run with another --out`,
    );
  }
  if (config.data.sha256 !== data.sha256 || (documents !== undefined && documents !== data.documents)) {
    throw new UsageError(
      `the run in ${path} learns from ${config.data.name} (${config.data.bytes} bytes), and ${data.name} (${data.bytes} bytes) is a different text: ` +
        `give the same text with --data, or start a new run with another --out`,
    );
  }
  const weights = (sources: readonly string[] = []): string =>
    sources.map((source) => parseSource(source).weight).join(" to ");
  const was = weights(recipeOf(config).sources), now = weights(data.recipe?.sources);
  if (was !== now) {
    throw new UsageError(
      `the run in ${path} weights its texts ${was}, not ${now}: omit --data, or start a new run with another --out`,
    );
  }
}
