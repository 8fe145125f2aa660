/** Training in epochs, of which the one with the best validation counts: what `forecast` and `classify` do. */
import type { DeviceArray } from "../../kernels/mod.ts";
import type { NamedArrays, Network, Trainer, TrainingData } from "../../titans/mod.ts";
import { DivergedFit } from "../divergence.ts";
import { firstNotFinite } from "../not_finite.ts";
import type { FitProgress } from "./fit_state.ts";

/** What every epoch has. */
export interface EpochFacts {
  /** From 1. */
  readonly epoch: number;
  /** Mean loss of its training batches. */
  readonly training: number;
}

/** Where the state of a training is kept, so that it can go on. */
export interface FitKeeper<E extends EpochFacts> {
  /** Steps between two states that are kept. */
  readonly every: number;
  /** What was kept of an earlier process. */
  readonly begun: FitProgress<E> | undefined;
  /** Replaces what is kept. */
  readonly keep: (progress: FitProgress<E>) => Promise<void>;
  /** Whether somebody wants it to stop; asked between steps. */
  readonly stopRequested: () => boolean;
}

/** Somebody ended a training, whose state was kept. */
export class StoppedFit extends Error {
  /** @param step Steps that were done. */
  constructor(readonly step: number) {
    super(`stopped at step ${step}`);
  }
}

/** What is trained, and how long. */
export interface EpochsOptions<E extends EpochFacts> {
  readonly trainer: Trainer<Network>;
  readonly data: TrainingData;
  /** Steps of an epoch. */
  readonly steps: number;
  /** Epochs at most. */
  readonly most: number;
  /** Epochs without a better one, after which it ends. */
  readonly patience: number;
  /** Measures the parameters on the validation part. @throws if that cannot be. */
  readonly judge: (params: DeviceArray, facts: EpochFacts) => Promise<E>;
  /** What must fall for an epoch to be better. */
  readonly lossOf: (epoch: E) => number;
  /** Is called after steps with how many are done, of at most how many. */
  readonly progress?: (done: number, most: number, loss: number) => void;
  /** Is called after each epoch. */
  readonly report?: (epoch: E) => void;
  /** Default: nothing is kept, and nobody stops it. */
  readonly keeper?: FitKeeper<E>;
}

/** What came of it. */
export interface TrainedEpochs<E extends EpochFacts> {
  /** All epochs. */
  readonly epochs: readonly E[];
  /** The best of them. */
  readonly best: E;
  /** The parameters after it. */
  readonly params: NamedArrays;
}

// Losses are read once for so many steps.
const ROUND = 8;

/**
 * Trains, from what the keeper has on; a training that has come to its end is not trained again. The trainer must have
 * been created with the state of it.
 * @throws {DivergedFit} if a state is no state to go on from, {StoppedFit} once it was kept.
 */
export async function trainEpochs<E extends EpochFacts>(options: EpochsOptions<E>): Promise<TrainedEpochs<E>> {
  const { trainer, data, steps, most, patience, judge, lossOf, progress, report, keeper } = options;
  const begun = keeper?.begun, epochs: E[] = [...begun?.epochs ?? []];
  let sum = begun?.sum ?? 0, best = bestOf(epochs, lossOf), params = begun?.best;
  if (keeper?.stopRequested()) throw new StoppedFit(trainer.step);
  for (let epoch = epochs.length + 1; epoch <= most && epoch - (best?.epoch ?? epoch) <= patience; epoch++) {
    for (let done = trainer.step - (epoch - 1) * steps; done < steps;) {
      const before = trainer.step, count = Math.min(ROUND, steps - done), losses = await trainer.run(data, count);
      done += count;
      for (const { loss } of losses) sum += loss;
      progress?.(trainer.step, most * steps, losses[losses.length - 1].loss);
      if (keeper) await keepOrStop(options, keeper, { before, best: params, epochs, sum });
    }
    const reached = await judge(trainer.params, { epoch, training: sum / steps });
    sum = 0;
    epochs.push(reached);
    report?.(reached);
    if (best && !(lossOf(reached) < lossOf(best))) continue;
    best = reached;
    params = (await trainer.exportState()).params;
  }
  await keeper?.keep({ best: params, epochs, sum });
  return { epochs, best: best!, params: params! };
}

function bestOf<E>(epochs: readonly E[], lossOf: (epoch: E) => number): E | undefined {
  return epochs.reduce<E | undefined>((best, one) => best && !(lossOf(one) < lossOf(best)) ? best : one, undefined);
}

/** Keeps the state if that is due, or somebody wants to stop. */
async function keepOrStop<E extends EpochFacts>(
  { trainer, data }: EpochsOptions<E>,
  { every, keep, stopRequested }: FitKeeper<E>,
  { before, ...progress }: FitProgress<E> & { readonly before: number },
): Promise<void> {
  const { step } = trainer, isDue = Math.floor(step / every) > Math.floor(before / every);
  // Signals are delivered between turns of the event loop.
  await new Promise((resolve) => setTimeout(resolve, 0));
  const stops = stopRequested();
  if (!isDue && !stops) return;
  const state = await trainer.exportState(), bad = firstNotFinite(state);
  // An update can break a model whose loss was finite, which only the next step shows.
  const fault = bad === undefined ? await trainer.probe(data.batch(step)) : `${bad} became NaN or infinite`;
  if (fault !== undefined) {
    throw new DivergedFit(`the ${fault} after step ${step}, and nothing was written: train again with a lower --lr`);
  }
  await keep({ ...progress, state });
  if (stops) throw new StoppedFit(step);
}
