/**
 * What the ablations of docs/ablations.md train: a small model on associative recall, with one part of it changed at a
 * time.
 */
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { compile, type Device, type DeviceArray } from "../../kernels/mod.ts";
import { crossEntropy, zeros } from "../../ops/mod.ts";
import { HostRng } from "../../titans/nn/host_rng.ts";
import { defineConfig, defineOptimizer, Model, type ModelConfig, type OptimizerConfig } from "../../titans/mod.ts";
import { stepScalars } from "../../titans/train/optimizer_config.ts";
import { applyGradient, clipByGlobalNorm, type OptimizerState } from "../../titans/train/update.ts";
import { NOT_ASKED, recallBatch, recallLength, type RecallTask } from "./ablation_task.ts";

/** Every setting of a table. */
export interface AblationOptions {
  /** The task. */
  readonly task: RecallTask;
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
  readonly task: RecallTask;
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

/** Loss of the questions and all logits [B, T, V]. */
export function answer(
  model: Model,
  flat: Tensor,
  tokens: Tensor,
  targets: Tensor,
  frozen: boolean,
): [loss: Tensor, logits: Tensor] {
  const store = frozen ? zeros(tokens.shape) : undefined;
  const { logits } = model.forward(model.unflatten(flat), tokens, { store });
  return [crossEntropy(logits, targets, { ignoreIndex: NOT_ASKED }), logits];
}

/** One step of training: the state after it, and loss and norm of the gradient. */
function trainingStep(model: Model, optimizer: OptimizerConfig, frozen: boolean) {
  return (
    state: OptimizerState,
    tokens: Tensor,
    targets: Tensor,
    scalars: Tensor,
  ): { state: OptimizerState; loss: Tensor; norm: Tensor } => {
    const [loss, gradient] = valueAndGrad((flat: Tensor) => answer(model, flat, tokens, targets, frozen)[0])(
      state.params,
    );
    const { norm, clipped } = clipByGlobalNorm(gradient, optimizer.clipNorm);
    return {
      state: applyGradient(state, clipped, { config: optimizer, scalars, layout: model.layout }),
      loss,
      norm,
    };
  };
}

/**
 * Trains and measures one model.
 * @param progress Hears of the training loss now and then.
 */
export async function runAblation(
  device: Device,
  run: AblationRun,
  progress?: (step: number, loss: number) => void,
): Promise<AblationResult> {
  const { config, frozen, task, batch, steps, seed, held } = run, begin = Date.now();
  const model = new Model(config), T = recallLength(task), P = model.layout.size;
  const optimizer = defineOptimizer({ totalSteps: steps, warmupSteps: Math.min(50, steps) });
  const windows = spec([batch, T], "i32"), flat = spec([P]), adam = { params: flat, first: flat, second: flat };
  const training = await compile(device, trainingStep(model, optimizer, frozen), [
    adam,
    windows,
    windows,
    spec([stepScalars(optimizer, 0).length]),
  ], { donate: [0] });
  const upload = (data: Float32Array): DeviceArray => device.upload(data, { shape: [P], dtype: "f32" });
  let state: OptimizerState<DeviceArray> = {
    params: upload(model.layout.pack(model.initialize(seed))),
    first: upload(new Float32Array(P)),
    second: upload(new Float32Array(P)),
  };
  const rng = new HostRng(seed, "ablation"), losses: number[] = [];
  let largestGradient = 0;
  for (let i = 0; i < steps; i++) {
    const { tokens, targets } = recallBatch(task, { rng, first: i * batch, count: batch });
    const result = training.launch(state, tokens, targets, stepScalars(optimizer, i));
    state = result.state;
    const [[loss], [norm]] = await Promise.all([result.loss.read(), result.norm.read()]);
    for (const report of [result.loss, result.norm]) report.dispose();
    losses.push(loss);
    // Not `max`: a norm that is no number must show.
    if (!(norm <= largestGradient)) largestGradient = norm;
    if ((i + 1) % 50 === 0) progress?.(i + 1, average(losses.slice(-50)));
  }
  training.dispose();
  const curve = Array.from(
    { length: 10 },
    (_, i) => average(losses.slice(Math.floor(steps * i / 10), Math.floor(steps * (i + 1) / 10))),
  );
  const measured = await measure(device, model, state.params, { frozen, task, batch, held });
  for (const array of [state.params, state.first, state.second]) array.dispose();
  return { ...measured, curve, largestGradient, parameters: P, seconds: (Date.now() - begin) / 1000 };
}

/** Answers on sequences that no training sees. */
async function measure(
  device: Device,
  model: Model,
  params: DeviceArray,
  { frozen, task, batch, held }: Pick<AblationRun, "frozen" | "task" | "batch" | "held">,
): Promise<Pick<AblationResult, "accuracy" | "byRound" | "loss">> {
  const T = recallLength(task), V = model.config.vocabulary, windows = spec([batch, T], "i32");
  const answers = (flat: Tensor, tokens: Tensor, targets: Tensor): [Tensor, Tensor] =>
    answer(model, flat, tokens, targets, frozen);
  const program = await compile(device, answers, [spec([model.layout.size]), windows, windows]);
  const rng = new HostRng(0, "held-out ablation"),
    right = new Array<number>(task.rounds).fill(0),
    losses: number[] = [];
  const batches = Math.ceil(held / batch);
  for (let i = 0; i < batches; i++) {
    const { tokens, targets } = recallBatch(task, { rng, first: i * batch, count: batch });
    const [loss, logits] = await program.run(params, tokens, targets);
    losses.push(loss.data[0]);
    for (let row = 0; row < targets.length; row++) {
      if (targets[row] === NOT_ASKED) continue;
      const scores = Array.from(logits.data.subarray(row * V, (row + 1) * V));
      if (scores.indexOf(Math.max(...scores)) === targets[row]) right[Math.floor((row % T) / (T / task.rounds))]++;
    }
  }
  program.dispose();
  const byRound = right.map((count) => count / (batches * batch * task.pairs));
  return { accuracy: average(byRound), byRound, loss: average(losses) };
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
