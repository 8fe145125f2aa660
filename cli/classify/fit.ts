/** Trains a network to tell classes of samples, keeps what is best on the validation part, and asks it about others. */
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { compile, type Device, type DeviceArray, type Program } from "../../kernels/mod.ts";
import {
  defineOptimizer,
  Model,
  type ModelConfig,
  type NamedArrays,
  type Network,
  type Score,
  Trainer,
} from "../../titans/mod.ts";
import { classFigures, type Confusion, confusionOf } from "../../titans/tasks/classification/class_figures.ts";
import { classification, classLogits, tokenMask } from "../../titans/tasks/classification/classification.ts";
import type { Alphabet } from "../../titans/tasks/classification/alphabet.ts";
import {
  type Augmentation,
  batchesOf,
  type LabelledData,
  type LabelledSequence,
  type LabelledSet,
  trainingBatches,
} from "../../titans/tasks/classification/labelled.ts";
import { divergedFit, requireFinite } from "../divergence.ts";
import { type EpochFacts, type FitKeeper, type TrainedEpochs, trainEpochs } from "../fit/epochs.ts";

/** A model that begins with what another one has learned, but for the head, which is of other outputs. */
export class PretrainedModel extends Model {
  readonly #params: NamedArrays;

  /** @param params Of the other one, by name. */
  constructor(config: ModelConfig, params: NamedArrays) {
    super(config);
    this.#params = params;
  }

  override initialize(seed: number): NamedArrays {
    const { head: _, ...body } = this.#params;
    return { ...super.initialize(seed), ...body };
  }
}

/** What a network says of sequences. */
export interface Judgement {
  /** Probabilities [sequences, classes], row-major. */
  readonly probabilities: Float64Array;
  /** The likeliest class of each. */
  readonly predicted: Int32Array;
  /** Mean of -ln p of the right class, over the sequences whose class is one of the network's. */
  readonly loss: number;
  /** Counts of these by true class, then by predicted class. */
  readonly confusion: Confusion;
}

/** The classes of sequences by a network. */
export class Classifier implements Disposable {
  readonly #program: Program<[flat: Tensor, tokens: Tensor], Tensor>;
  readonly #device: Device;
  readonly #network: Network;

  private constructor(
    device: Device,
    network: Network,
    { program, shape }: {
      readonly program: Program<[flat: Tensor, tokens: Tensor], Tensor>;
      readonly shape: Classifier["shape"];
    },
  ) {
    this.#device = device;
    this.#network = network;
    this.#program = program;
    this.shape = shape;
  }

  /** Sequences that are read at once, tokens of each, and what these are. */
  readonly shape: { readonly rows: number; readonly length: number; readonly alphabet: Alphabet };

  /** Compiles it. */
  static async create(device: Device, network: Network, shape: Classifier["shape"]): Promise<Classifier> {
    const { rows, length, alphabet } = shape;
    const logits = (flat: Tensor, tokens: Tensor): Tensor =>
      classLogits(
        network.forward(network.unflatten(flat), tokens, { update: tokenMask(tokens, alphabet) }).logits,
        tokens,
        alphabet,
      );
    const program = await compile(device, logits, [spec([network.layout.size]), spec([rows, length], "i32")]);
    return new Classifier(device, network, { program, shape });
  }

  /** Asks about sequences. @param progress Is called with how many more are done. */
  async judge(
    params: DeviceArray,
    sequences: readonly LabelledSequence[],
    classes: readonly string[],
    progress?: (count: number) => void,
  ): Promise<Judgement> {
    const C = classes.length, probabilities = new Float64Array(sequences.length * C);
    const predicted = new Int32Array(sequences.length), labels = sequences.map(({ label }) => classes.indexOf(label));
    let from = 0, loss = 0;
    const set: LabelledSet = { alphabet: this.shape.alphabet, sequences };
    for (const { tokens } of batchesOf(set, classes, this.shape)) {
      const { data } = await this.#program.run(params, tokens as Int32Array);
      const count = Math.min(this.shape.rows, sequences.length - from);
      for (let row = 0; row < count; row++) {
        const logits = Array.from(data.subarray(row * C, (row + 1) * C), Number), most = Math.max(...logits);
        const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0), at = from + row;
        logits.forEach((logit, c) => probabilities[at * C + c] = Math.exp(logit - most) / total);
        predicted[at] = logits.indexOf(most);
        // A sequence of unknown class has no loss.
        if (labels[at] >= 0) loss += most + Math.log(total) - logits[labels[at]];
      }
      progress?.(count);
      from += count;
    }
    const known = labels.flatMap((label, i) => label >= 0 ? [i] : []);
    const confusion = confusionOf(known.map((i) => labels[i]), known.map((i) => predicted[i]), C);
    return { probabilities, predicted, loss: loss / known.length, confusion };
  }

  /** Asks with parameters by name. */
  async judgeWith(
    params: NamedArrays,
    ...asked: [sequences: readonly LabelledSequence[], classes: readonly string[], progress?: (count: number) => void]
  ): Promise<Judgement> {
    const { layout } = this.#network;
    const flat = this.#device.upload(layout.pack(params), { shape: [layout.size], dtype: "f32" });
    try {
      return await this.judge(flat, ...asked);
    } finally {
      flat.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.#program.dispose();
  }
}

/** An epoch. */
export interface ClassifyEpoch extends EpochFacts {
  /** Loss on the validation part. */
  readonly validation: number;
  /** Accuracy there. */
  readonly accuracy: number;
}

/** How it is trained. */
export interface ClassifyOptions extends Augmentation {
  readonly network: Network;
  readonly data: LabelledData;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** At most. */
  readonly epochs: number;
  /** Epochs without a better validation after which it ends. */
  readonly patience: number;
  /** Sequences of a step. */
  readonly rows: number;
  /** Tokens of a row. */
  readonly length: number;
  /** Is called after steps with how many are done, of at most how many. */
  readonly progress?: (done: number, most: number, loss: number) => void;
  /** Is called after each epoch. */
  readonly report?: (epoch: ClassifyEpoch) => void;
  /** Where its state is kept. */
  readonly keeper?: FitKeeper<ClassifyEpoch>;
}

/** What came of it: the parameters with the lowest loss on the validation part, and the test of them. */
export interface Classified extends TrainedEpochs<ClassifyEpoch> {
  /** On the test part. */
  readonly test: Judgement;
}

/** Trains, and tests once. @throws {CommandError} if a loss is no number. */
export async function fitClassifier(device: Device, options: ClassifyOptions): Promise<Classified> {
  const { network, data, rows, length, learningRate, keeper } = options, { alphabet } = data;
  const { epochs: most, patience, progress, report } = options;
  const steps = Math.max(1, Math.round(data.train.length / rows));
  const optimizer = defineOptimizer({
    learningRate,
    weightDecay: options.weightDecay,
    warmupSteps: Math.ceil(most * steps / 100),
    totalSteps: most * steps,
  });
  const trainer = await Trainer.create<Network>(device, {
    model: network,
    objective: classification(alphabet),
    optimizer,
    shape: { batch: rows, length },
    seed: options.seed,
    state: keeper?.begun?.state,
  });
  try {
    using classifier = await Classifier.create(device, network, { rows, length, alphabet });
    const found = await trainEpochs<ClassifyEpoch>({
      trainer,
      data: trainingBatches(data, { rows, length }, options),
      steps,
      most,
      patience,
      judge: async (params, facts) => {
        const { loss, confusion } = await classifier.judge(params, data.validation, data.classes);
        requireFinite(loss, facts.epoch, learningRate);
        return { ...facts, validation: loss, accuracy: accuracyOf(confusion) };
      },
      lossOf: ({ validation }) => validation,
      progress,
      report,
      keeper,
    });
    return { ...found, test: await classifier.judgeWith(found.params, data.test, data.classes) };
  } catch (error) {
    throw divergedFit(error, learningRate);
  } finally {
    trainer.dispose();
  }
}

function accuracyOf(confusion: Confusion): number {
  const [accuracy]: readonly Score[] = classFigures(confusion);
  return accuracy.value;
}
