/**
 * What the ablations of docs/ablations.md train: a small model on associative recall, with one part of it changed at a
 * time.
 */
import type { Device } from "../../kernels/mod.ts";
import { cast, zerosLike } from "../../ops/mod.ts";
import {
  defineConfig,
  defineOptimizer,
  Model,
  type ModelConfig,
  type TaskInstance,
  type TokenBatch,
  Trainer,
} from "../../titans/mod.ts";
import { recall, type RecallOptions } from "../../titans/tasks/mod.ts";

/** Every setting of a table. */
export interface AblationOptions {
  /** The task. */
  readonly task: RecallOptions;
  /** Sequences a step. */
  readonly batch: number;
  /** Steps of each run. */
  readonly steps: number;
  /** Sequences that the accuracy is measured on. */
  readonly held: number;
  /** What differs from the models above in every run. */
  readonly config: Partial<ModelConfig>;
}

/** One run of a table. */
export interface Cell {
  /** Which model. */
  readonly base: Base;
  /** A name of {@link VARIANTS}. */
  readonly variant: string;
  /** Of first parameters and training sequences. */
  readonly seed: number;
}

/** A model with one part changed. */
export interface Variant {
  /** What differs from the base. */
  readonly options: Partial<ModelConfig>;
  /**
   * Whether the memory learns nothing while reading: theta is 0 at every token. Its start, as learned, stays, a network
   * like any other. What it learns from the persistent tokens of MAG stays too, the same for all sequences as long as
   * momentum and forgetting are off.
   */
  readonly frozen?: boolean;
  /** Only of these bases; of all unless said. */
  readonly bases?: readonly Base[];
}

/** The models that are ablated. */
export type Base = "lmm" | "mag";

/** What is trained, and for how long. */
export interface AblationRun {
  /** The model. */
  readonly config: ModelConfig;
  /** See {@link Variant}. */
  readonly frozen: boolean;
  /** The task. */
  readonly task: RecallOptions;
  /** Sequences a step. */
  readonly batch: number;
  /** Steps. */
  readonly steps: number;
  /** Of first parameters and training sequences. */
  readonly seed: number;
  /** Sequences that the accuracy is measured on, unseen and the same for all runs. */
  readonly held: number;
}

/** What a run gave. */
export interface AblationResult {
  /** Share of questions answered right, on unseen sequences. */
  readonly accuracy: number;
  /** The same of each round of a sequence. */
  readonly byRound: readonly number[];
  /** Cross-entropy of the answers on the unseen sequences, in nats. */
  readonly loss: number;
  /** Mean training loss of each tenth of the run, in nats. */
  readonly curve: readonly number[];
  /** The largest norm of a gradient before clipping. */
  readonly largestGradient: number;
  /** Number of parameters. */
  readonly parameters: number;
  /** Of the whole run. */
  readonly seconds: number;
}

/** What each base is. */
export const BASES: Readonly<Record<Base, Partial<ModelConfig>>> = {
  lmm: { model: "lmm" },
  mag: { model: "mag", window: 4 },
};
/** What all models share. */
const COMMON: Partial<ModelConfig> = {
  width: 32,
  blocks: 1,
  heads: 1,
  mlpHidden: 64,
  memoryExpansion: 2,
  miniBatch: 16,
  thetaMax: 1,
};

/** The rows of the table, by name. */
export const VARIANTS: Readonly<Record<string, Variant>> = {
  full: { options: {} },
  linear: { options: { memoryDepth: 1 } },
  "depth 3": { options: { memoryDepth: 3 } },
  "no momentum": { options: { momentum: false } },
  "no forgetting": { options: { forgetting: false } },
  "forget to zero": { options: { forgetTo: "zero" } },
  "no convolution": { options: { convolution: 0 } },
  "no persistent tokens": { options: { persistentTokens: 0 }, bases: ["mag"] },
  "no norm in the memory": { options: { memoryNorm: false } },
  "keys not normalised": { options: { normalizeKeys: false } },
  "memory learns nothing": { options: { momentum: false, forgetting: false }, frozen: true },
};

/** The task as a model meets it whose memory learns or does not. */
export function taskOf(options: RecallOptions, frozen: boolean): TaskInstance<TokenBatch> {
  const task = recall.create(options);
  if (!frozen) return task;
  return { ...task, input: ({ tokens }) => ({ tokens, update: cast(zerosLike(tokens), "f32") }) };
}

/**
 * Trains and measures one model.
 * @param progress Is called with the training loss now and then.
 */
export async function runAblation(
  device: Device,
  { config, frozen, task: options, batch, steps, seed, held }: AblationRun,
  progress?: (step: number, loss: number) => void,
): Promise<AblationResult> {
  const model = new Model(config), task = taskOf(options, frozen), begin = Date.now();
  const optimizer = defineOptimizer({ totalSteps: steps, warmupSteps: Math.min(50, steps) });
  const trainer = await Trainer.create(device, {
    model,
    objective: task,
    optimizer,
    shape: { batch, length: task.length },
    seed,
  });
  const training = task.batches("train", batch, seed), losses: number[] = [];
  let largestGradient = 0;
  while (trainer.step < steps) {
    for (const { loss, gradientNorm } of await trainer.run(training, Math.min(50, steps - trainer.step))) {
      losses.push(loss);
      largestGradient = Math.max(largestGradient, gradientNorm);
    }
    progress?.(trainer.step, average(losses.slice(-50)));
  }
  const curve = Array.from(
    { length: 10 },
    (_, i) => average(losses.slice(Math.floor(steps * i / 10), Math.floor(steps * (i + 1) / 10))),
  );
  const test = task.batches("test", batch, 0);
  const figures = await trainer.validate(Array.from({ length: Math.ceil(held / batch) }, (_, i) => test.batch(i)));
  trainer.dispose();
  const { loss, accuracy } = figures;
  const byRound = options.rounds === 1
    ? [accuracy]
    : Array.from({ length: options.rounds }, (_, i) => figures[`accuracy, round ${i + 1}`]);
  const parameters = model.layout.size, seconds = (Date.now() - begin) / 1000;
  return { accuracy, byRound, loss, curve, largestGradient, parameters, seconds };
}

/** The mean. */
export function average(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

/** What a cell of the table trains. */
export function runOf(
  { base, variant, seed }: Cell,
  { task, batch, steps, held, config }: AblationOptions,
): AblationRun {
  const { options, frozen = false } = VARIANTS[variant], vocabulary = task.keys + task.values;
  return {
    config: defineConfig({ ...COMMON, ...BASES[base], vocabulary, ...config, ...options }),
    frozen,
    task,
    batch,
    steps,
    seed,
    held,
  };
}
