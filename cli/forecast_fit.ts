/** Trains a network on windows by the protocol of the benchmarks: the rate halves each epoch, the best validation counts. */
import type { Device, DeviceArray } from "../kernels/mod.ts";
import {
  type BatchArrays,
  defineOptimizer,
  type NamedArrays,
  type Network,
  type Split,
  Trainer,
} from "../titans/mod.ts";
import { type ForecastBatch, forecasting, windowBatches } from "../titans/tasks/series/forecasting.ts";
import type { SeriesWindows } from "../titans/tasks/series/windows.ts";
import { Validation } from "../titans/train/validation.ts";
import { divergedFit, requireFinite } from "./divergence.ts";
import { type EpochFacts, type FitKeeper, type TrainedEpochs, trainEpochs } from "./fit/epochs.ts";

/** Squared and absolute errors of standardised values. */
export interface ForecastErrors {
  /** Mean squared error. */
  readonly mse: number;
  /** Mean absolute error. */
  readonly mae: number;
}

/** An epoch. */
export interface Epoch extends EpochFacts, ForecastErrors {}

/** How a network is trained. */
export interface FitOptions {
  readonly network: Network;
  readonly windows: SeriesWindows;
  readonly learningRate: number;
  /** At most. */
  readonly epochs: number;
  /** Epochs without a better validation after which it ends. */
  readonly patience: number;
  /** Windows of a step. */
  readonly batch: number;
  readonly seed: number;
  /** Steps of an epoch at most. Default: as many as all windows take. */
  readonly stepsPerEpoch?: number;
  /** Epochs after which the rate halves. Default: 1. */
  readonly halveEvery?: number;
  /** Windows to validate on at most, spread over the part. Default: all. */
  readonly validationWindows?: number;
  /** Is called after steps with how many are done, of at most how many. */
  readonly progress?: (done: number, most: number, loss: number) => void;
  /** Is called after each epoch. */
  readonly report?: (epoch: Epoch) => void;
  /** Where its state is kept. */
  readonly keeper?: FitKeeper<Epoch>;
}

/** Trains. @throws {CommandError} if a loss is no number. */
export async function fitNetwork(device: Device, options: FitOptions): Promise<TrainedEpochs<Epoch>> {
  const { network, windows, batch, seed, learningRate, epochs: most, patience, progress, report, keeper } = options;
  const { stepsPerEpoch = Infinity, halveEvery = 1, validationWindows = Infinity } = options;
  const steps = Math.max(1, Math.min(stepsPerEpoch, Math.floor(windows.count("train") / batch))),
    objective = forecasting(windows);
  const optimizer = defineOptimizer({
    learningRate,
    schedule: "halving",
    halveEvery: halveEvery * steps,
    warmupSteps: 0,
    totalSteps: most * steps,
    weightDecay: 0,
    beta2: 0.999,
  });
  const trainer = await Trainer.create<Network>(device, {
    model: network,
    objective,
    optimizer,
    shape: { batch, length: 1 },
    seed,
    state: keeper?.begun?.state,
  });
  const validation = new Validation(device, network, objective, 1);
  const part = { windows, split: "validation", batch, most: validationWindows } as const;
  try {
    return await trainEpochs<Epoch>({
      trainer,
      data: windowBatches(windows, { mixed: true })("train", batch, seed),
      steps,
      most,
      patience,
      judge: async (params, facts) => {
        const errors = await errorsOn(validation, { params, ...part });
        requireFinite(errors.mse, facts.epoch, learningRate);
        return { ...facts, ...errors };
      },
      lossOf: ({ mse }) => mse,
      progress,
      report,
      keeper,
    });
  } catch (error) {
    throw divergedFit(error, learningRate);
  } finally {
    validation.dispose();
    trainer.dispose();
  }
}

/** Errors over windows of a part: all, or `most`. */
async function errorsOn(
  validation: Validation,
  { params, windows, split, batch, most = Infinity }: {
    readonly params: DeviceArray;
    readonly windows: SeriesWindows;
    readonly split: Split;
    readonly batch: number;
    readonly most?: number;
  },
): Promise<ForecastErrors> {
  const data = windowBatches(windows, { mixed: true })(split, batch, 0),
    count = Math.ceil(Math.min(most, windows.count(split)) / batch);
  const batches = function* (): Generator<BatchArrays<ForecastBatch>> {
    for (let step = 0; step < count; step++) yield data.batch(step);
  };
  const { figures } = await validation.batches(params, batch, batches());
  return { mse: figures.loss, mae: figures.mae };
}

/** Measures trained parameters on all windows of a part. */
export async function measureNetwork(
  device: Device,
  { network, params, windows, split, batch }: {
    readonly network: Network;
    readonly params: NamedArrays;
    readonly windows: SeriesWindows;
    readonly split: Split;
    readonly batch: number;
  },
): Promise<ForecastErrors> {
  const validation = new Validation(device, network, forecasting(windows), 1);
  const flat = device.upload(network.layout.pack(params), { shape: [network.layout.size], dtype: "f32" });
  try {
    return await errorsOn(validation, { params: flat, windows, split, batch });
  } finally {
    flat.dispose();
    validation.dispose();
  }
}
