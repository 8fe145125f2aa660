/** What goes into training and comes out of it: shapes, batches, states, options and reports. */
import { optionNames } from "../../core/options.ts";
import type { CompileWatch } from "../../kernels/mod.ts";
import type { Model } from "../models/model.ts";
import type { Network } from "../models/network.ts";
import type { StoredTensor } from "../models/safetensors.ts";
import type { NamedArrays } from "../nn/parameters.ts";
import { checkNames } from "../errors.ts";
import type { Collective } from "./collective.ts";
import type { Compression } from "./compressed_sum.ts";
import type { LossScaling, Precision } from "./precision.ts";
import type { BatchArrays, Objective } from "./objective.ts";
import type { OptimizerConfig } from "./optimizer_config.ts";

/** The windows of text of a step, row-major. */
export interface TrainingBatch {
  /** Token ids [accumulate, batch, length + 1]: the tokens of each window and the one after. */
  readonly tokens: Int32Array;
  /**
   * Ones, and zeros for padding, [accumulate, batch, length]: tokens that a memory does not learn, and whose
   * predictions of the next one do not count. Windows of unequal length go together where the shorter ones are filled
   * up at their end: no token sees a later one. What a memory holds is forgotten, and its momentum goes on, through
   * padding too. For trainers with `masked` or `stream`. Default: no padding.
   */
  readonly mask?: Float32Array;
  /**
   * Ones for windows that begin a text, zeros for those that go on where the same row of the step before ended,
   * [accumulate, batch]. For trainers with `stream`. Default: all are continued.
   */
  readonly fresh?: Float32Array;
}

/**
 * What a step is given: the fields of the trainer's objective, [accumulate, batch, ...], where streams go on also
 * `fresh`. Of text the token ids alone will do.
 */
export type StepInput = Int32Array | TrainingBatch | BatchArrays;

/**
 * Where training batches come from. A pure function of the step, so that a resumed run sees what an uninterrupted one
 * would have seen.
 */
export interface TrainingData {
  /** The batches of a step, row-major. */
  batch(step: number): StepInput;
}

/** The extents of a training step. */
export interface TrainingShape {
  /** Sequences that go through the model at once, B. */
  readonly batch: number;
  /** Tokens of a sequence, T. */
  readonly length: number;
  /** Batches whose gradients are averaged before an update. Default: 1. */
  readonly accumulate?: number;
}

/** What an optimizer keeps from step to step. */
export interface StoredOptimizer {
  /** The optimizer's name. */
  readonly name: string;
  /** Its vectors by slot, such as `first`, each by parameter. */
  readonly slots: Readonly<Record<string, NamedArrays>>;
}

/** Everything that a run needs to resume as if it had not stopped, by name. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  /** Parameters; with `ema` their moving average. */
  readonly params: NamedArrays;
  /** What the optimizer keeps. */
  readonly optimizer: StoredOptimizer;
  /** What trainers with `stream` carry: the state of each row, [accumulate, batch, ...] by name; absent otherwise. */
  readonly carried?: Readonly<Record<string, StoredTensor>>;
  /** The scaling of the loss, of trainers in f16; absent otherwise. */
  readonly scaling?: LossScaling;
}

/** Options of `Trainer.create`. */
export interface TrainerOptions<N extends Network = Model> extends CompileWatch {
  /** What to train: a model, or any other network. */
  readonly model: N;
  /** What it learns. Default: the next token of texts. A task is an objective with data. */
  readonly objective?: Objective;
  /** How to update. */
  readonly optimizer: OptimizerConfig;
  /** The extents of a step. */
  readonly shape: TrainingShape;
  /** For the first parameters. */
  readonly seed: number;
  /** The state to resume from. Default: initial parameters and step 0. */
  readonly state?: TrainingState;
  /**
   * Whether sequences go on from step to step: each row of a step begins with the memory with which the same row of the
   * step before ended, as a constant (truncated backpropagation through time), so that a text of any length trains with
   * the device memory of one window. The length of a window must be a multiple of the model's interval.
   */
  readonly stream?: boolean;
  /**
   * Whether batches of text may say what is padding, as those of windows of unequal length must; with `stream` they
   * always may.
   */
  readonly masked?: boolean;
  /**
   * The ranks that train together, each with a trainer of the same options and the same data: each takes rows of every
   * batch, and all have the same parameters. Default: this process alone.
   */
  readonly collective?: Collective;
  /**
   * Whether each rank keeps and updates a part of the optimizer's vectors (ZeRO stage 1), and gets the other parameters
   * from the other ranks. For optimizers that are `elementwise`.
   */
  readonly shard?: boolean;
  /**
   * In how many parts the rows of a batch are added in a fixed order, a power of two: any number of ranks that divides it
   * then gives the same bits. Default: 0, in whatever order is fast.
   */
  readonly deterministic?: number;
  /**
   * How gradients travel between ranks: as they are (`none`), rounded to bfloat16, or in 8 bits a number with the
   * rounding error carried to the next step (`int8`), which begins at zero when a run is resumed. Default: `none`.
   */
  readonly compress?: Compression;
  /**
   * Asked before each step: whether to stop. Where it is true on any rank, all ranks stop after that step; see
   * `Trainer.stopped`.
   */
  readonly stopRequested?: () => boolean;
  /**
   * What a step keeps between its kernels: f32, or 16 bits, which takes about half the memory (docs/numerics.md). In f16
   * a step whose gradient overflows is skipped, says so (`skipped`), and lowers the scale of the loss (`lossScale`).
   * Default: f32.
   */
  readonly precision?: Precision;
}

/** The names of {@link TrainerOptions}. */
export const TRAINER_OPTIONS: readonly string[] = optionNames<TrainerOptions>({
  model: true,
  objective: true,
  optimizer: true,
  shape: true,
  seed: true,
  state: true,
  stream: true,
  masked: true,
  collective: true,
  shard: true,
  deterministic: true,
  compress: true,
  stopRequested: true,
  precision: true,
  progress: true,
  signal: true,
  phase: true,
});

/** What a step reports. */
export interface StepMetrics {
  /** Counted from 0. */
  readonly step: number;
  /** Mean loss before the update, over all that counts; of text the cross-entropy in nats. */
  readonly loss: number;
  /** Global norm of the gradient before clipping; not finite where the step was skipped. */
  readonly gradientNorm: number;
  /** The rate of the update. */
  readonly learningRate: number;
  /** What the objective makes of the loss; of text `bitsPerByte`, which is what it says when tokens are bytes. */
  readonly [figure: string]: number;
}

/**
 * What a validation reports: the loss, what the objective makes of it (of text `bitsPerByte`), its metrics, and what
 * the mixers report by their names, such as `memoryNorm`. Padding counts in none of it.
 */
export interface ValidationMetrics {
  /** Mean loss over all that counts; of text the cross-entropy in nats. */
  readonly loss: number;
  /** A figure. */
  readonly [figure: string]: number;
}

const TRAINING_SHAPE = optionNames<TrainingShape>({ batch: true, length: true, accumulate: true });

/** Checks the names of a shape. @throws {ConfigError} for one that is none of its extents. */
export function checkTrainingShape(shape: TrainingShape): void {
  checkNames("a training shape", shape, TRAINING_SHAPE);
}
