/**
 * The runs of a comparison of models and what they came to: each run is a line of a file, so that hours of training can
 * be stopped and continued, and the table is made of the lines that are there.
 */
import {
  defineConfig,
  defineOptimizer,
  Model,
  type ModelKind,
  type OptimizerConfig,
  Trainer,
  withParameters,
} from "../../titans/mod.ts";
import { stateBytesOf } from "../../figures/cost.ts";
import type { Device } from "../../kernels/mod.ts";

/** Whether models have the short convolution that the memory has: as their options say, all, or none. */
export type ConvolutionChoice = "default" | "same" | "none";

/** Tokens that the convolution of all models spans where it is the same. */
export const SAME_TAPS = 4;

/** What is trained. */
export interface RunKey {
  readonly model: ModelKind;
  readonly convolution: ConvolutionChoice;
  readonly optimizer: string;
  readonly rate: number;
  readonly seed: number;
  readonly steps: number;
  /** Of the model, within 3%; as it is for 0. */
  readonly parameters: number;
}

/** What a run came to. */
export interface RunResult extends RunKey {
  /** Bits per byte on the first half of the held-out text. */
  readonly validation: number;
  /** And on the second. */
  readonly test: number;
  /** Of the fastest round of steps. */
  readonly tokensPerSecond: number;
  readonly parameterCount: number;
  /** Device memory of a training step. */
  readonly plannedBytes: number;
  /** What decoding carries. */
  readonly stateBytes: number;
}

/** The model of a run. */
export function modelOf({ model, convolution, parameters }: RunKey): Model {
  const taps = { default: undefined, same: SAME_TAPS, none: 0 }[convolution];
  const config = defineConfig({ model, convolution: taps, attentionConvolution: taps });
  return new Model(parameters === 0 ? config : withParameters(config, parameters));
}

/** What all runs learn from and are measured on. */
export interface ComparisonText {
  /** Batches of a seed. */
  readonly data: (seed: number) => Parameters<Trainer["run"]>[0];
  readonly shape: { readonly batch: number; readonly length: number };
  readonly validation: Parameters<Trainer["validate"]>[0];
  readonly test: Parameters<Trainer["validate"]>[0];
}

/** Steps that are timed together. */
const ROUND = 25;

/** Trains a model, and measures it. */
export async function train(device: Device, key: RunKey, text: ComparisonText): Promise<RunResult> {
  const { optimizer: name, rate, seed, steps } = key, model = modelOf(key);
  const optimizer = defineOptimizer({
    optimizer: name as OptimizerConfig["optimizer"],
    learningRate: rate,
    totalSteps: steps,
  });
  const trainer = await Trainer.create(device, { model, optimizer, shape: text.shape, seed });
  try {
    const data = text.data(seed);
    let fastest = Infinity;
    while (trainer.step < steps) {
      const count = Math.min(ROUND, steps - trainer.step), start = performance.now();
      await trainer.run(data, count);
      fastest = Math.min(fastest, (performance.now() - start) / count);
    }
    return {
      ...key,
      validation: (await trainer.validate(text.validation)).bitsPerByte!,
      test: (await trainer.validate(text.test)).bitsPerByte!,
      tokensPerSecond: 1000 * trainer.tokensPerStep / fastest,
      parameterCount: model.layout.parameterCount,
      plannedBytes: trainer.program.peakBytes,
      stateBytes: stateBytesOf(model),
    };
  } finally {
    trainer.dispose();
  }
}

const KEY: readonly (keyof RunKey)[] = ["model", "convolution", "optimizer", "rate", "seed", "steps", "parameters"];

/** Whether two runs are the same. */
export function isSameRun(lhs: RunKey, rhs: RunKey): boolean {
  return KEY.every((name) => lhs[name] === rhs[name]);
}

/** The finished runs in a file: a line each; none if there is no file. A line that was cut off is left out. */
export async function readRuns(path: string): Promise<RunResult[]> {
  const text = await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  const complete = text.slice(0, text.lastIndexOf("\n") + 1);
  return complete.split("\n").filter(Boolean).map((line) => JSON.parse(line) as RunResult);
}

/** Runs of a model with one optimizer and convolution, which differ in learning rate and seed. */
function groupsOf<K extends RunKey>(runs: readonly K[]): K[][] {
  const groups = Map.groupBy(runs, ({ model, convolution, optimizer }) => `${model} ${convolution} ${optimizer}`);
  return [...groups.values()];
}

const firstSeed = (runs: readonly RunKey[]): number => Math.min(...runs.map(({ seed }) => seed));

/** The finished runs of each model at its learning rate: the one that is best on validation with the first seed. */
export function runsAtBestRates(finished: readonly RunResult[]): RunResult[][] {
  return groupsOf(finished).map((group) => {
    const first = firstSeed(group), tried = group.filter(({ seed }) => seed === first);
    const { rate } = tried.reduce((best, run) => run.validation < best.validation ? run : best);
    return group.filter((run) => run.rate === rate);
  });
}

/**
 * The runs that are not finished, every model once before the next seed, so that tables grow evenly. All learning rates
 * are tried with the first seed, and the others then take the best; before that is known, the first one stands for it.
 */
export function remainingRuns(wanted: readonly RunKey[], finished: readonly RunResult[]): RunKey[] {
  const isFinished = (key: RunKey): boolean => finished.some((run) => isSameRun(key, run));
  const remaining = groupsOf(wanted).flatMap((group) => {
    const first = firstSeed(group), tried = group.filter(({ seed }) => seed === first);
    const results = finished.filter((run) => tried.some((key) => isSameRun(key, run)));
    const [{ rate }] = results.length < tried.length ? tried : runsAtBestRates(results)[0];
    return group.filter((key) => (key.seed === first || key.rate === rate) && !isFinished(key));
  });
  return remaining.toSorted((a, b) => a.seed - b.seed);
}
