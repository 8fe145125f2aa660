/** What a training run is: the record in its config.json, made from flags, or read and checked when the run goes on. */
import { completeConfig, defineConfig, defineOptimizer, type ModelConfig, type ModelKind, type OptimizerConfig, type PresetName } from "../titans/mod.ts";
import { CommandError, UsageError } from "./errors.ts";
import { flagName } from "./flags.ts";
import { checkModelFlags, type ModelFlags, modelOptions } from "./model_flags.ts";

/** A run's configuration. All but `steps` and the optimiser's rates stays as it is for the run's life. */
export interface RunConfig {
  /** The version of Mneme that started it. */
  readonly version: string;
  readonly preset: string;
  readonly model: ModelConfig;
  readonly optimizer: OptimizerConfig;
  readonly batch: number;
  readonly seqLen: number;
  readonly accumulate: number;
  readonly seed: number;
  /** Steps of the whole run. */
  readonly steps: number;
  readonly data: DataIdentity;
}

/** Which text a run learns from. */
export interface DataIdentity {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The flags that say what a run is. */
export interface RunFlags extends ModelFlags {
  readonly model: ModelKind;
  readonly preset: PresetName;
  readonly steps: number;
  readonly warmup: number;
  readonly lr: number;
  readonly batch: number;
  readonly seqLen: number;
  readonly accumulate: number;
  readonly seed: number;
  readonly data: string;
}

/** The identity of a text. */
export async function identify(name: string, bytes: Uint8Array): Promise<DataIdentity> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  return { name, bytes: bytes.length, sha256: [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
}

/** The configuration of a new run. */
export function newRunConfig(flags: RunFlags, data: DataIdentity, version: string): RunConfig {
  const { model, preset, steps, warmup, lr, batch, seqLen, accumulate, seed } = flags;
  const optimizer = defineOptimizer({ learningRate: lr, warmupSteps: Math.min(warmup, steps), totalSteps: steps });
  return { version, preset, model: defineConfig({ model, ...modelOptions(flags) }, preset), optimizer, batch, seqLen, accumulate, seed, steps, data };
}

/** The flags that must stay as they were, with what the configuration says of each. */
const FIXED: Readonly<Partial<Record<keyof RunFlags, (config: RunConfig) => unknown>>> = {
  model: (config) => config.model.model,
  preset: (config) => config.preset,
  batch: (config) => config.batch,
  seqLen: (config) => config.seqLen,
  accumulate: (config) => config.accumulate,
  seed: (config) => config.seed,
};

/**
 * The configuration with which a run goes on: as it was, but for the steps and rates given.
 * @param stored What its config.json says.
 * @param flags The flags, of which those in `given` were on the command line.
 * @param path The run's folder, for error texts.
 * @throws {UsageError} if a flag contradicts the run, {CommandError} if the file is not a run's configuration.
 */
export function resumedRunConfig(stored: unknown, flags: RunFlags, { given, path }: { given: ReadonlySet<string>; path: string }): RunConfig {
  const config = checkRunConfig(stored, path);
  for (const [key, value] of Object.entries(FIXED)) {
    const was = value(config), now = flags[key as keyof RunFlags];
    if (given.has(key) && was !== now) {
      throw new UsageError(
        `the run in ${path} was made with ${flagName(key)} ${was}, not ${now}: leave ${flagName(key)} out, or start a new run with another --out`,
      );
    }
  }
  checkModelFlags(flags, given, config.model, path);
  const steps = given.has("steps") ? flags.steps : config.steps;
  const optimizer = defineOptimizer({
    ...config.optimizer,
    learningRate: given.has("lr") ? flags.lr : config.optimizer.learningRate,
    warmupSteps: given.has("warmup") ? flags.warmup : config.optimizer.warmupSteps,
    totalSteps: steps,
  });
  return { ...config, steps, optimizer };
}

/** Checks that something read from a file is a run's configuration. */
export function checkRunConfig(stored: unknown, path: string): RunConfig {
  const config = stored as RunConfig;
  const numbers = ["batch", "seqLen", "accumulate", "seed", "steps"] as const;
  const whole = typeof stored === "object" && stored !== null && numbers.every((key) => Number.isInteger(config[key])) &&
    typeof config.model === "object" && typeof config.optimizer === "object" && typeof config.data?.sha256 === "string";
  if (!whole) throw new CommandError(`${path}/config.json is not a run's configuration: restore it, or start a new run with another --out`);
  return { ...config, model: completeConfig(config.model) };
}

/** Checks that a run goes on with the text that it began with. @throws {UsageError} if it does not. */
export function checkSameData(config: RunConfig, data: DataIdentity, path: string): void {
  if (config.data.sha256 === data.sha256) return;
  throw new UsageError(
    `the run in ${path} learns from ${config.data.name} (${config.data.bytes} bytes), and ${data.name} (${data.bytes} bytes) is another text: ` +
      `give the same text with --data, or start a new run with another --out`,
  );
}
