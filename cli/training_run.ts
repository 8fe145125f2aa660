/** The loop of `train`: steps, validation, checkpoints and the sample at the end. */
import type { Device } from "../kernels/mod.ts";
import {
  BigramModel,
  encodeCheckpoint,
  evenWindows,
  generate,
  Model,
  RandomWindows,
  Reader,
  requireSameModel,
  Trainer,
  TrainingError,
  type ValidationMetrics,
} from "../titans/mod.ts";
import { readCheckpoint } from "./checkpoint_file.ts";
import type { Corpus } from "./data.ts";
import { CommandError, UsageError } from "./errors.ts";
import type { StartEvent } from "./events.ts";
import type { Interrupt } from "./interrupt.ts";
import type { Reporter } from "./progress.ts";
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
  /** Bytes to write at the end; 0 for none. */
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
    const { batch, seqLen: length, accumulate, seed, steps } = config;
    const judge = this.#judge(options);
    const began = performance.now();
    const data = new RandomWindows(corpus.train, { batch, length, accumulate }, seed);
    const speed = new Speed(this.#trainer.tokensPerStep);
    const isDue = (every: number): boolean => this.#step === steps || (every > 0 && this.#step % every === 0);
    while (this.#step < steps && !interrupt.requested) {
      const untilDue = [evalEvery, checkpointEvery].map((every) => every > 0 ? every - this.#step % every : Infinity);
      await this.#round(data, Math.min(speed.stepsIn(ROUND_MS, MAX_ROUND_STEPS), steps - this.#step, ...untilDue), speed, reporter);
      if (isDue(evalEvery)) await judge.validate();
      if (isDue(checkpointEvery)) await this.#save();
      // Signals are delivered between turns of the event loop.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const finished = this.#step === steps;
    if (this.#saved !== this.#step) await this.#save();
    if (finished && options.sampleTokens > 0) await this.#sample(options);
    reporter.report({
      event: "done",
      step: this.#step,
      device: this.#device,
      loss: judge.last?.loss ?? null,
      bitsPerByte: judge.last?.bitsPerByte ?? null,
      bigramBitsPerByte: judge.bigramBitsPerByte,
      tokensPerSecond: speed.tokensPerSecond,
      seconds: (performance.now() - began) / 1000,
      checkpoint: this.#folder.checkpoint,
      interrupted: !finished,
    });
    return finished;
  }

  get #device(): string {
    return this.#parts.device.info.kind;
  }

  /** Makes some steps and reports them. */
  async #round(data: RandomWindows, count: number, speed: Speed, reporter: Reporter): Promise<void> {
    try {
      const metrics = await speed.measure(count, () => this.#trainer.run(data, count));
      for (const { step, loss, bitsPerByte, gradientNorm, learningRate } of metrics) {
        const event = {
          event: "step",
          step: step + 1,
          device: this.#device,
          loss,
          bitsPerByte,
          learningRate,
          gradientNorm,
          tokensPerSecond: speed.tokensPerSecond,
        } as const;
        this.#folder.log(event);
        reporter.report(event);
      }
    } catch (cause) {
      if (!(cause instanceof TrainingError)) throw cause;
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

  /** Judges the model and the bigram counts on the same held-out windows. */
  #judge({ evalBytes, reporter }: RunOptions): { validate(): Promise<void>; last?: ValidationMetrics; bigramBitsPerByte: number } {
    const { config: { seqLen }, corpus } = this.#parts;
    const windows = evenWindows(corpus.heldOut, seqLen, Math.max(1, Math.floor(evalBytes / seqLen)));
    const judge = {
      last: undefined as ValidationMetrics | undefined,
      bigramBitsPerByte: new BigramModel(corpus.train).bitsPerByte(windows, seqLen),
      validate: async (): Promise<void> => {
        const metrics = judge.last = await this.#trainer.validate(windows);
        const bytes = windows.length / (seqLen + 1) * seqLen;
        const event = {
          event: "validation",
          step: this.#step,
          device: this.#device,
          ...metrics,
          bigramBitsPerByte: judge.bigramBitsPerByte,
          bytes,
        } as const;
        this.#folder.log(event);
        reporter.report(event);
      },
    };
    return judge;
  }

  async #save(): Promise<void> {
    const { config } = this.#parts;
    const state = await this.#trainer.exportState();
    await this.#folder.save(encodeCheckpoint({ config: config.model, seed: config.seed, state }));
    this.#saved = state.step;
  }

  async #sample({ sampleTokens, samplePrompt, reporter }: RunOptions): Promise<void> {
    const { device, config } = this.#parts;
    const { model } = this.#trainer;
    const { params } = await this.#trainer.exportState();
    const reader = await Reader.create(device, model, model.layout.pack(params));
    try {
      const prompt = new TextEncoder().encode(samplePrompt);
      const options = { maxTokens: sampleTokens, temperature: SAMPLE_TEMPERATURE, seed: config.seed };
      const bytes: number[] = [];
      for await (const byte of generate(reader, prompt, options)) bytes.push(byte);
      const text = new TextDecoder().decode(Uint8Array.from(bytes));
      await this.#folder.saveSample(`${samplePrompt}${text}\n`);
      reporter.report({ event: "sample", step: this.#step, device: this.#device, prompt: samplePrompt, text });
    } finally {
      reader.dispose();
    }
  }
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
    data: corpus.name,
    trainBytes: corpus.train.length,
    heldOutBytes: corpus.heldOut.length,
    steps: config.steps,
    tokensPerStep: config.batch * config.seqLen * config.accumulate,
    out: path,
  };
}
