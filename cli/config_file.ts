/**
 * `--config`: starts a run from the `config.json` of another one, of an exported model, or from one written by hand with
 * any of its keys. Flags on the command line win.
 */
import { MODEL_OPTIONS, type ModelConfig, type OptimizerConfig, type OptionTable, PRESETS } from "../titans/mod.ts";
import { ruleFor, takes } from "../titans/options/option_table.ts";
import type { DataIdentity } from "./data/identity.ts";
import { RECIPE_OPTIONS } from "./data/recipe.ts";
import { UsageError } from "./errors.ts";
import { EXPORT_KEYS } from "./exported_model.ts";
import { suggestion } from "./flags.ts";
import { OPTIMIZER_OPTIONS } from "./optimizer_flags.ts";
import { type RunConfig, type RunFlags, STREAM_ORDER } from "./run_config.ts";
import { RUN_OPTIONS } from "./run_options.ts";

/** What a file says, as far as flags could have said it. */
export interface ConfigFile {
  /** Values of flags. */
  readonly flags: Partial<RunFlags> & { readonly taskOption?: readonly string[] };
  /** The text that the run of the file learned from, if it says so. */
  readonly data?: Pick<DataIdentity, "sha256">;
}

/** The keys of the file, with what is done with their values. */
const KEYS: readonly string[] = [
  ...Object.keys(RUN_OPTIONS),
  ...["version", "preset", "model", "optimizer", "streamOrder", "task", "data"] satisfies (keyof RunConfig)[],
  ...EXPORT_KEYS,
];
const TASK_KEYS = ["name", "options"];
const DATA_KEYS = ["name", "bytes", "sha256", "documents", "recipe"];
const RECIPE_KEYS = [
  ...Object.keys(RECIPE_OPTIONS),
  "sources",
  "field",
  "separator",
  "header",
  "skipBadRows",
  "vocabulary",
];
/** Options of a model that what it learns decides. */
const DECIDED: readonly (keyof ModelConfig)[] = ["vocabulary", "features", "outputs"];

/**
 * Reads a configuration file.
 * @throws {UsageError} naming the file, and the first key that is unknown or has a value that cannot be.
 */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  let stored: unknown;
  try {
    stored = JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const why = cause instanceof SyntaxError ? "is not valid JSON" : "cannot be read";
    throw new UsageError(`the configuration ${path} ${why}: give a run's config.json with --config FILE`, { cause });
  }
  return new Reader(path).read(stored);
}

/** Reads a file whose path it knows, for error messages. */
class Reader {
  constructor(readonly path: string) {}

  read(stored: unknown): ConfigFile {
    const config = this.#record("", stored, KEYS);
    const { preset, model = {}, optimizer = {}, streamOrder = STREAM_ORDER, task, data } = config;
    if (preset !== undefined && !Object.hasOwn(PRESETS, String(preset))) {
      this.#fail("preset", preset, `it must be one of ${Object.keys(PRESETS).join(", ")}`);
    }
    if (streamOrder !== STREAM_ORDER) this.#fail("streamOrder", streamOrder, `this version has ${STREAM_ORDER} alone`);
    const own = this.#options("", config, RUN_OPTIONS), said = this.#model(model);
    const flags = {
      ...own,
      ...(preset === undefined ? {} : { preset: preset as RunFlags["preset"] }),
      ...("model" in said ? { model: said.model } : {}),
      base: { model: said, optimizer: this.#optimizer(optimizer) },
    };
    if (task !== undefined) return { flags: { ...flags, ...this.#task(task) } };
    if (data === undefined) return { flags };
    const { recipe, name, sha256 } = this.#record("data", data, DATA_KEYS);
    const source = recipe === undefined ? this.#recipe({ sources: [name] }) : this.#recipe(recipe);
    return { flags: { ...flags, ...source }, ...(typeof sha256 === "string" ? { data: { sha256 } } : {}) };
  }

  #model(stored: unknown): Partial<ModelConfig> {
    const { blocks, ...others } = this.#record("model", stored, Object.keys(MODEL_OPTIONS));
    const options = this.#options("model", others, MODEL_OPTIONS);
    for (const name of DECIDED) delete options[name];
    // A list of mixers is checked with the model.
    if (blocks !== undefined && !Array.isArray(blocks)) {
      Object.assign(options, this.#options("model", { blocks }, MODEL_OPTIONS));
    }
    return { ...options, ...(Array.isArray(blocks) ? { blocks } : {}) } as Partial<ModelConfig>;
  }

  #optimizer(stored: unknown): Partial<OptimizerConfig> {
    const given = this.#record("optimizer", stored, Object.keys(OPTIMIZER_OPTIONS));
    const { totalSteps: _, ...options } = this.#options("optimizer", given, OPTIMIZER_OPTIONS);
    return options as Partial<OptimizerConfig>;
  }

  #task(stored: unknown): ConfigFile["flags"] {
    const { name, options = {} } = this.#record("task", stored, TASK_KEYS);
    if (typeof name !== "string") this.#fail("task.name", name, "it must be the name of a task");
    if (typeof options !== "object" || options === null) this.#fail("task.options", options, "it must be a record");
    return { task: name as string, taskOption: Object.entries(options as object).map((pair) => pair.join("=")) };
  }

  #recipe(stored: unknown): Partial<RunFlags> {
    const recipe = this.#record("data.recipe", stored, RECIPE_KEYS);
    const { sources, field, separator, header, skipBadRows, vocabulary } = recipe;
    const texts = { field, separator, vocabulary }, toggles = { header, skipBadRows };
    for (const [key, value] of Object.entries(texts)) {
      if (value !== undefined && typeof value !== "string") {
        this.#fail(`data.recipe.${key}`, value, "it must be a text");
      }
    }
    for (const [key, value] of Object.entries(toggles)) {
      if (value !== undefined && typeof value !== "boolean") {
        this.#fail(`data.recipe.${key}`, value, "it must be true or false");
      }
    }
    if (sources !== undefined && !(Array.isArray(sources) && sources.every((place) => typeof place === "string"))) {
      this.#fail("data.recipe.sources", sources, "it must be a list of texts");
    }
    const flags = {
      ...this.#options("data.recipe", recipe, RECIPE_OPTIONS),
      ...texts,
      data: sources,
      ...(header === undefined ? {} : { noHeader: !header }),
      skipBadRows,
    };
    return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  }

  /** The options of a table among the values of a record, checked. */
  #options(place: string, values: Readonly<Record<string, unknown>>, table: OptionTable): Record<string, unknown> {
    const given = Object.keys(table).filter((name) => Object.hasOwn(values, name));
    for (const name of given) {
      const key = place === "" ? name : `${place}.${name}`;
      if (!takes(table[name], values[name])) this.#fail(key, values[name], ruleFor(table[name], values[name]));
    }
    return Object.fromEntries(given.map((name) => [name, values[name]]));
  }

  /** A record with known keys alone. */
  #record(place: string, value: unknown, keys: readonly string[]): Readonly<Record<string, unknown>> {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      const what = place === "" ? `the configuration ${this.path}` : `${place} in ${this.path}`;
      throw new UsageError(`${what} is no record in JSON: give a run's config.json with --config FILE`);
    }
    const unknown = Object.keys(value).find((key) => !keys.includes(key));
    if (unknown === undefined) return value as Readonly<Record<string, unknown>>;
    const where = place === "" ? "" : ` in ${place}`, remedy = suggestion(unknown, keys) || ": leave it out";
    throw new UsageError(
      `the configuration ${this.path} has an unknown key ${JSON.stringify(unknown)}${where}${remedy}`,
    );
  }

  #fail(key: string, value: unknown, rule: string): never {
    throw new UsageError(`${key} cannot be ${JSON.stringify(value)} in ${this.path}: ${rule}`);
  }
}

/** Flags, and what a file adds to them. */
export type WithFile<F> = F & Pick<RunFlags, "base"> & {
  /** The text that the run of the file learned from, unless another one is given. */
  readonly fileData?: ConfigFile["data"];
};

/** The flags that train takes, as far as a file is concerned. */
type FileFlags = RunFlags & { readonly taskOption: readonly string[]; readonly config?: string };

/**
 * Flags with the values of a file where they were not given.
 * @throws {UsageError} for a preset other than the one that the sizes in the file are of.
 */
export function withConfigFile<F extends FileFlags>(
  typed: F,
  given: ReadonlySet<string>,
  file: ConfigFile | undefined,
): WithFile<F> {
  if (!file) return typed;
  const { preset, task, taskOption = [], base } = file.flags, isOtherTask = given.has("task") && typed.task !== task;
  if (given.has("preset") && preset !== undefined && preset !== typed.preset && base?.model.width !== undefined) {
    throw new UsageError(
      `--preset cannot be ${typed.preset} with --config ${typed.config}, which has the sizes of ${preset}: leave it out, or give sizes`,
    );
  }
  // Tasks that read files take them as --data, too.
  const kept = given.has("data") ? taskOption.filter((option) => !option.startsWith("data=")) : taskOption;
  return {
    ...typed,
    ...Object.fromEntries(Object.entries(file.flags).filter(([key]) => !given.has(key))),
    taskOption: isOtherTask ? typed.taskOption : [...kept, ...typed.taskOption],
    ...(given.has("data") ? {} : { fileData: file.data }),
  };
}
