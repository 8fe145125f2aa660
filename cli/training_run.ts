/** The loop of `train`: steps, validation, checkpoints and the sample at the end. */
import type { Device } from "../kernels/mod.ts";
import {
  encodeCheckpoint,
  evenStreams,
  evenWindows,
  generate,
  MixedWindows,
  Model,
  Reader,
  requireSameModel,
  StreamWindows,
  Trainer,
  type TrainingBatch,
  type TrainingData,
  TrainingError,
  type ValidationMetrics,
} from "../titans/mod.ts";
import { readCheckpoint } from "./checkpoint_file.ts";
import { judgePairs, predictedOf, type PredictedWindows } from "./data/baseline.ts";
import type { Corpus } from "./data/corpus.ts";
import { TokenDecoder, vocabularyNote } from "./data/vocabulary.ts";
import { CommandError, UsageError } from "./errors.ts";
import type { StartEvent } from "./events.ts";
import type { Interrupt } from "./interrupt.ts";
import { formatCount, type Reporter } from "./progress.ts";
import type { RunConfig } from "./run_config.ts";
import { CHECKPOINT_FILE, RunFolder } from "./run_folder.ts";
import { Speed } from "./speed.ts";

/** What a run is made from. */
export interface RunParts {
  readonly config: RunConfig;
  readonly corpus: Corpus;
  readonly path: string;
  readonly device: Device;
  readonly version: string;
}

/** How a run is watched. */
export interface RunOptions {
  /** Steps between validations; 0 for the end only. */
  readonly evalEvery: number;
  /** Held-out bytes to predict in a validation, at most. */
  readonly evalBytes: number;
  readonly checkpointEvery: number;
  /** Tokens to write at the end; 0 for none. */
  readonly sampleTokens: number;
  readonly samplePrompt: string;
  readonly interrupt: Interrupt;
  readonly reporter: Reporter;
}

// Losses are read, and Ctrl-C is heard, about this often.
const ROUND_MS = 250;
const MAX_ROUND_STEPS = 50;
const SAMPLE_TEMPERATURE = 0.8;

/** A run that is being trained. */
export class TrainingRun {
  readonly #parts: RunParts;
  readonly #trainer: Trainer;
  readonly #folder: RunFolder;
  /** The step of the last checkpoint. */
  #saved: number;

  private constructor(parts: RunParts, trainer: Trainer, folder: RunFolder) {
    this.#parts = parts;
    this.#trainer = trainer;
    this.#folder = folder;
    this.#saved = trainer.step;
  }

  /**
   * Compiles the training step and opens the run's folder, at its checkpoint if it has one.
   * @param reporter Hears of the start before the kernels are compiled.
   * @throws {CommandError} if the checkpoint cannot be read or is of another run, {UsageError} if the run is complete.
   */
  static async open(parts: RunParts, reporter: Reporter): Promise<TrainingRun> {
    const { config, path, device } = parts;
    const file = `${path}/${CHECKPOINT_FILE}`;
    const checkpoint = await readCheckpoint(file);
    if (checkpoint) requireSameModel(config.model, checkpoint.config);
    if (checkpoint && checkpoint.seed !== config.seed) {
      throw new CommandError(`${file} is of another run: its seed is ${checkpoint.seed}, the run's is ${config.seed}; restore the right file`);
    }
    const { batch, seqLen: length, accumulate, seed, optimizer } = config;
    const step = checkpoint?.state.step ?? 0;
    if (step >= config.steps) throw new UsageError(`the run in ${path} is complete at step ${step}: give more steps with --steps N`);
    const model = new Model(config.model);
    reporter.report(startEvent(parts, model, step));
    const trainer = await Trainer.create(device, {
      model,
      optimizer,
      shape: { batch, length, accumulate },
      seed,
      state: checkpoint?.state,
      stream: (config.stream ?? 0) > 0,
    });
    return new TrainingRun(parts, trainer, await RunFolder.open(path, config, trainer.step));
  }

  /** Steps done. */
  get #step(): number {
    return this.#trainer.step;
  }

  /** Frees the trainer and closes the files. */
  [Symbol.dispose](): void {
    this.#trainer.dispose();
    this.#folder.close();
  }

  /**
   * Trains up to the configuration's number of steps.
   * @returns Whether the run is complete; false if it was interrupted. Either way its state is saved.
   * @throws {CommandError} if the loss stops being a number.
   */
  async train(options: RunOptions): Promise<boolean> {
    const { config, corpus } = this.#parts;
    const { evalEvery, checkpointEvery, interrupt, reporter } = options;
    const { steps } = config;
    const judge = this.#judge(options);
    const began = performance.now();
    const data = trainingData(config, corpus);
    const speed = new Speed(this.#trainer.tokensPerStep);
    const isDue = (every: number): boolean => this.#step === steps || (every > 0 && this.#step % every === 0);
    while (this.#step < steps && !interrupt.requested) {
      const untilDue = [evalEvery, checkpointEvery].map((every) => every > 0 ? every - this.#step % every : Infinity);
      await this.#round(data, Math.min(speed.stepsIn(ROUND_MS, MAX_ROUND_STEPS), steps - this.#step, ...untilDue), speed, reporter);
      const best = isDue(evalEvery) && await judge.validate();
      if (best || isDue(checkpointEvery)) await this.#save(best);
      if (isDue(evalEvery)) await this.#report();
      // Signals are delivered between turns of the event loop.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const finished = this.#step === steps;
    if (this.#saved !== this.#step) await this.#save(false);
    const sample = finished && options.sampleTokens > 0 ? await this.#sample(options) : undefined;
    await this.#report(sample);
    const { history: { best }, checkpoint, report } = this.#folder;
    reporter.report({
      event: "done",
      step: this.#step,
      device: this.#device,
      loss: judge.last?.loss ?? null,
      bitsPerByte: judge.last?.bitsPerByte ?? null,
      bigramBitsPerByte: judge.bigramBitsPerByte,
      tokensPerSecond: speed.tokensPerSecond,
      seconds: (performance.now() - began) / 1000,
      checkpoint,
      best: best ? { step: best.step, bitsPerByte: best.bitsPerByte, checkpoint: this.#folder.best } : null,
      report,
      interrupted: !finished,
    });
    return finished;
  }

  get #device(): string {
    return this.#parts.device.info.kind;
  }

  /** Makes some steps and reports them. */
  async #round(data: TrainingData, count: number, speed: Speed, reporter: Reporter): Promise<void> {
    try {
      const metrics = await speed.measure(count, () => this.#trainer.run(data, count));
      for (const { step, loss, bitsPerByte, gradientNorm, learningRate } of metrics) {
        const event = {
          event: "step",
          step: step + 1,
          device: this.#device,
          loss,
          bitsPerByte: bitsPerByte / this.#parts.corpus.bytesPerToken,
          learningRate,
          gradientNorm,
          tokensPerSecond: speed.tokensPerSecond,
        } as const;
        this.#folder.log(event);
        reporter.report(event);
      }
    } catch (cause) {
      if (!(cause instanceof TrainingError)) throw cause;
      await this.#report();
      throw this.#diverged(cause);
    }
  }

  #diverged(cause: TrainingError): CommandError {
    const { config: { optimizer: { learningRate } }, path } = this.#parts;
    const what = /the (loss|gradient norm) became [^;]+/.exec(cause.message)?.[0] ?? "the loss is no longer a number";
    const remedy = this.#saved > 0
      ? `continue from step ${this.#saved} with a lower rate: deno task train --resume --out ${path} --lr ${Number((learningRate / 10).toPrecision(3))}`
      : `start again with a lower rate than --lr ${learningRate}`;
    return new CommandError(`${what} at step ${cause.step + 1}: ${remedy}`, { cause });
  }

  /** Judges the model and the counts of pairs on the same held-out windows. `validate` says whether the model was never better. */
  #judge({ evalBytes, reporter }: RunOptions): { validate(): Promise<boolean>; last?: ValidationMetrics; bigramBitsPerByte: number } {
    const { config, corpus } = this.#parts;
    const { batches, windows } = judgedWindows(config, corpus, evalBytes);
    const counts = judgePairs(corpus.train.map(({ text }) => text), windows, corpus.vocabulary);
    const tokensPerByte = counts.tokens / counts.bytes;
    const judge = {
      last: undefined as ValidationMetrics | undefined,
      bigramBitsPerByte: counts.bitsPerByte,
      validate: async (): Promise<boolean> => {
        const judged = await this.#trainer.validate(batches);
        const metrics = judge.last = { ...judged, bitsPerByte: judged.bitsPerByte * tokensPerByte };
        const event = {
          event: "validation",
          step: this.#step,
          device: this.#device,
          ...metrics,
          bigramBitsPerByte: judge.bigramBitsPerByte,
          bytes: counts.bytes,
        } as const;
        const best = this.#folder.history.isBest(metrics.loss);
        this.#folder.log(event);
        reporter.report(event);
        return best;
      },
    };
    return judge;
  }

  /** @param best Whether the model was never better. */
  async #save(best: boolean): Promise<void> {
    const { config, corpus } = this.#parts;
    const state = await this.#trainer.exportState();
    await this.#folder.save(encodeCheckpoint({ config: config.model, seed: config.seed, state, notes: vocabularyNote(corpus.vocabulary) }), best);
    this.#saved = state.step;
  }

  /** Brings the report up to date. */
  async #report(sample?: string): Promise<void> {
    const { config, corpus, device, path, version } = this.#parts;
    const { best } = this.#folder.history;
    const tokens = config.batch * config.seqLen * config.accumulate;
    await this.#folder.saveReport({
      title: `Mneme: ${path}`,
      status: `${this.#step === config.steps ? "Complete" : "Stopped or under way"}: ${this.#step} of ${config.steps} steps.`,
      facts: [
        ["model", `${config.model.model} ${config.preset}, ${formatCount(this.#trainer.model.layout.parameterCount)} parameters`],
        ["data", `${config.data.name}: ${formatCount(corpus.trainBytes)} bytes to learn from, ${formatCount(corpus.heldOutBytes)} held out`],
        [
          "step",
          `${formatCount(tokens)} ${corpus.vocabulary.unit}s: ${config.batch} x ${config.seqLen}${config.accumulate > 1 ? `, ${config.accumulate} times` : ""}`,
        ],
        ["best validation", best ? `${best.bitsPerByte.toFixed(3)} bits a byte at step ${best.step}` : "none yet"],
        ["device", `${device.info.kind}: ${device.info.description}`],
        ["version", version],
      ],
      sample,
      config,
    });
  }

  /** Lets the model write. @returns prompt and text. */
  async #sample({ sampleTokens, samplePrompt, interrupt, reporter }: RunOptions): Promise<string> {
    const { device, config, corpus: { vocabulary } } = this.#parts;
    const { model } = this.#trainer;
    const { params } = await this.#trainer.exportState();
    const reader = await Reader.create(device, model, model.layout.pack(params));
    try {
      const prompt = vocabulary.encode(samplePrompt), decoder = new TokenDecoder(vocabulary);
      const options = { maxTokens: sampleTokens, temperature: SAMPLE_TEMPERATURE, seed: config.seed };
      let text = "";
      for await (const token of generate(reader, prompt, options)) {
        text += decoder.next(token);
        // The run is complete; who wants to go does not wait for the rest of the sample.
        if (interrupt.requested) break;
      }
      text += decoder.end();
      await this.#folder.saveSample(`${samplePrompt}${text}\n`);
      reporter.report({ event: "sample", step: this.#step, device: this.#device, prompt: samplePrompt, text });
      return `${samplePrompt}${text}`;
    } finally {
      reader.dispose();
    }
  }
}

/** What a run learns from: random places of its texts, or its texts in order. */
function trainingData({ batch, seqLen: length, accumulate, seed, stream = 0 }: RunConfig, { train }: Corpus): TrainingData {
  const shape = { batch, length, accumulate };
  if (stream === 0) return new MixedWindows(train, shape, seed);
  return new StreamWindows(train, shape, seed, { longest: stream });
}

/** What a run is judged on: windows with a memory of their own, or, where it streams, held-out documents in order. */
function judgedWindows(
  { batch, seqLen: length, stream = 0 }: RunConfig,
  { heldOut, bytesPerToken }: Corpus,
  evalBytes: number,
): { readonly batches: Int32Array | TrainingBatch[]; readonly windows: PredictedWindows } {
  const count = Math.max(1, Math.floor(evalBytes / (length * bytesPerToken)));
  if (stream === 0) {
    const tokens = evenWindows(heldOut, length, count);
    return { batches: tokens, windows: { tokens, length } };
  }
  const batches = evenStreams(heldOut, { batch, length }, count, { longest: stream });
  return { batches, windows: predictedOf(batches, length) };
}

function startEvent({ config, corpus, device, version, path }: RunParts, model: Model, step: number): StartEvent {
  return {
    event: "start",
    step,
    device: device.info.kind,
    version,
    model: config.model.model,
    preset: config.preset,
    parameters: model.layout.parameterCount,
    adapter: device.info.description,
    data: corpus.identity.name,
    trainBytes: corpus.trainBytes,
    heldOutBytes: corpus.heldOutBytes,
    vocabulary: corpus.vocabulary.name,
    bytesPerToken: corpus.bytesPerToken,
    steps: config.steps,
    tokensPerStep: config.batch * config.seqLen * config.accumulate,
    out: path,
  };
}
