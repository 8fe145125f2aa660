/** The loop of `train`: steps, validation, checkpoints and the sample at the end. */
import type { Device } from "../kernels/mod.ts";
import {
  type Checkpoint,
  type Collective,
  type Compression,
  ConfigError,
  Decoder,
  encodeCheckpoint,
  generate,
  Model,
  requireSameModel,
  SamplingError,
  Trainer,
  type TrainingData,
  TrainingError,
} from "../titans/mod.ts";
import { describeMixers } from "../titans/models/blocks.ts";
import { TokenDecoder, type Vocabulary } from "./data/vocabulary.ts";
import { brokenState, divergedStep, type Standing } from "./divergence.ts";
import { CommandError, UsageError, WriteError } from "./errors.ts";
import type { StartEvent } from "./events.ts";
import type { Interrupt } from "./interrupt.ts";
import { firstNotFinite } from "./not_finite.ts";
import { formatCount, type Reporter } from "./progress.ts";
import type { RunConfig } from "./run_config.ts";
import { SAMPLE_TEMPERATURE } from "./sampling_flags.ts";
import { NO_RECORD, RunFolder, type RunRecord } from "./run_folder.ts";
import { bestFigure, shownBest } from "./run_history.ts";
import type { Held, RunSource } from "./run_source.ts";
import { RankTimeout, resumeCommand, toldByFirst } from "./ranks.ts";
import { Speed } from "./speed.ts";

/** The parts of a run. */
export interface RunParts {
  readonly config: RunConfig;
  readonly source: RunSource;
  readonly path: string;
  readonly device: Device;
  readonly version: string;
  /** Whether metrics are written for TensorBoard too. */
  readonly tensorboard: boolean;
  /** The state that a run resumes from; undefined for a new run. */
  readonly checkpoint?: Checkpoint;
  /** The ranks that train together, of which the first one records and reports. */
  readonly ranks: Collective;
  /** Whether ranks share the optimizer's state. */
  readonly shard: boolean;
  /** How gradients travel between ranks. */
  readonly compress: Compression;
  /** Whether the run is to stop, asked between steps. */
  readonly stopRequested: () => boolean;
}

/** How a run is monitored. */
export interface RunOptions {
  /** Steps between validations; 0 for only at the end. */
  readonly evalEvery: number;
  /** Maximum number of held-out bytes to predict in a validation. */
  readonly evalBytes: number;
  readonly checkpointEvery: number;
  /** Tokens to generate at the end; 0 for none. */
  readonly sampleTokens: number;
  readonly samplePrompt: string;
  readonly interrupt: Interrupt;
  readonly reporter: Reporter;
}

// How often losses are read and Ctrl-C is handled.
const ROUND_MS = 250;
const MAX_ROUND_STEPS = 50;
// A stop waits for the current step. If steps take longer than this, a separate thread acknowledges the signal meanwhile.
const LONG_SECONDS = 2;

type Figures = ReturnType<Held["figures"]>;

/** A state that can be saved. */
interface Candidate {
  readonly step: number;
  /** Whether it has the best validation so far. */
  readonly best: boolean;
  /** The checkpoint. */
  readonly bytes: Uint8Array;
}

/** A run in progress. */
export class TrainingRun {
  readonly #parts: RunParts;
  readonly #trainer: Trainer;
  readonly #folder: RunRecord;
  readonly #data: TrainingData;
  /** The step of the last checkpoint. */
  #saved: number;
  /** A state that is saved once a further step has shown that training can continue from it. */
  #candidate?: Candidate;
  readonly #began: number;

  private constructor(parts: RunParts, trainer: Trainer, folder: RunRecord) {
    this.#parts = parts;
    this.#trainer = trainer;
    this.#folder = folder;
    this.#data = parts.source.data(parts.config);
    this.#saved = this.#began = trainer.step;
  }

  /**
   * Compiles the training step and opens the run's folder, at its checkpoint if the run is resumed.
   * @param reporter Receives the start event before the kernels are compiled.
   * @throws {CommandError} if the checkpoint belongs to another run, {UsageError} if the run is complete.
   */
  static async open(parts: RunParts, reporter: Reporter): Promise<TrainingRun> {
    const { config, path, device, checkpoint, ranks, shard, compress, stopRequested, tensorboard } = parts;
    if (checkpoint) requireSameModel(config.model, checkpoint.config);
    if (checkpoint && checkpoint.seed !== config.seed) {
      throw new CommandError(
        `the checkpoint in ${path} belongs to another run: its seed is ${checkpoint.seed}, the run's is ${config.seed}; restore the right file`,
      );
    }
    const { batch, seqLen: length, accumulate, seed, optimizer } = config;
    const step = checkpoint?.state.step ?? 0;
    if (step >= config.steps) {
      throw new UsageError(`the run in ${path} is complete at step ${step}: give more steps with --steps N`);
    }
    const model = new Model(config.model);
    reporter.report(startEvent(parts, model, step));
    const trainer = await Trainer.create(device, {
      model,
      objective: parts.source.objective,
      optimizer,
      shape: { batch, length, accumulate },
      seed,
      state: checkpoint?.state,
      stream: (config.stream ?? 0) > 0,
      deterministic: config.deterministic ?? 0,
      collective: ranks,
      shard,
      compress,
      stopRequested,
      precision: config.precision,
    });
    const folder = ranks.rank === 0 ? await RunFolder.open(path, config, { step, tensorboard }) : NO_RECORD;
    return new TrainingRun(parts, trainer, folder);
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
   * @returns Whether the run is complete; false if it was interrupted. Its state is saved in both cases.
   * @throws {CommandError} if numbers become NaN or infinite, a file cannot be written, or other ranks do not come; the
   * checkpoints on disk are then unchanged.
   */
  async train(options: RunOptions): Promise<boolean> {
    try {
      return await this.#train(options);
    } catch (error) {
      throw error instanceof WriteError || error instanceof RankTimeout ? this.#withRemedy(error) : error;
    }
  }

  #withRemedy(cause: CommandError): CommandError {
    const resume = resumeCommand(this.#parts.ranks, this.#parts.path);
    const state = this.#saved > 0
      ? `the checkpoint of step ${this.#saved} is safe, continue from it with`
      : "no checkpoint was saved yet, start again with";
    return new CommandError(`${cause.message}; ${state}: ${resume}`, { cause });
  }

  async #train(options: RunOptions): Promise<boolean> {
    const { evalEvery, checkpointEvery, interrupt, reporter } = options, { ranks } = this.#parts;
    const { config: { steps } } = this.#parts;
    const judge = this.#judge(options);
    const began = performance.now();
    const speed = new Speed(this.#trainer.tokensPerStep);
    const isDue = (every: number): boolean => this.#step === steps || (every > 0 && this.#step % every === 0);
    while (this.#step < steps && !this.#trainer.stopped) {
      const untilDue = [evalEvery, checkpointEvery].map((every) => every > 0 ? every - this.#step % every : Infinity);
      // A pending state is known to be good after one more step.
      const most = this.#candidate ? 1 : speed.stepsIn(ROUND_MS, MAX_ROUND_STEPS);
      await this.#round(Math.min(most, steps - this.#step, ...untilDue), speed, reporter);
      if (speed.secondsPerStep > LONG_SECONDS) interrupt.hearWhileBusy();
      const best = isDue(evalEvery) && await judge.validate();
      if (best || isDue(checkpointEvery)) this.#candidate = await this.#takeState(best);
      if (isDue(evalEvery)) await this.#report();
      // Signals are delivered between turns of the event loop.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const finished = this.#step === steps;
    if (this.#saved !== this.#step) await this.#saveLast();
    const { vocabulary } = this.#parts.source;
    const writes = finished && ranks.rank === 0 && vocabulary !== undefined && options.sampleTokens > 0;
    const sample = writes ? await this.#sample(options, vocabulary) : undefined;
    await this.#report(sample);
    const { history: { best }, checkpoint, report } = this.#folder;
    reporter.report({
      event: "done",
      step: this.#step,
      device: this.#device,
      loss: judge.last?.loss ?? null,
      bitsPerByte: judge.last?.bitsPerByte ?? null,
      ...judge.baselines,
      tokensPerSecond: speed.tokensPerSecond,
      seconds: (performance.now() - began) / 1000,
      checkpoint,
      best: best ? { ...bestFigure(best), checkpoint: this.#folder.best } : null,
      report,
      interrupted: !finished,
    });
    return finished;
  }

  get #device(): string {
    return this.#parts.device.info.kind;
  }

  /** Runs some steps and reports them. */
  async #round(count: number, speed: Speed, reporter: Reporter): Promise<void> {
    try {
      const metrics = await speed.measure(count, () => this.#trainer.run(this.#data, count));
      // A checkpoint that was due is on disk before the steps that follow it are reported.
      await this.#keep();
      for (const made of metrics) {
        const { step, loss, gradientNorm, learningRate } = made;
        const event = {
          event: "step",
          step: step + 1,
          device: this.#device,
          loss,
          ...this.#parts.source.stepFigures(made),
          ...(made.lossScale === undefined ? {} : { lossScale: made.lossScale, skipped: made.skipped }),
          learningRate,
          gradientNorm,
          tokensPerSecond: speed.tokensPerSecond,
        } as const;
        this.#folder.log(event);
        reporter.report(event);
      }
    } catch (cause) {
      if (!(cause instanceof TrainingError)) throw cause;
      // A run without steps has nothing to show.
      if (this.#step > 0) await this.#report();
      throw divergedStep(cause, this.#standing);
    }
  }

  get #standing(): Standing {
    const { config, path, ranks } = this.#parts;
    return {
      config,
      resume: resumeCommand(ranks, path),
      saved: this.#saved,
      began: this.#began,
      best: this.#folder.history.best,
    };
  }

  /** Validates the model on what is held out. Returns whether this is the best validation so far. */
  #judge(
    { evalBytes, reporter }: RunOptions,
  ): { validate(): Promise<boolean>; last?: Figures; readonly baselines: Held["baselines"] } {
    const { config, source } = this.#parts, held = source.held(config, evalBytes);
    const judge = {
      baselines: held.baselines,
      last: undefined as Figures | undefined,
      validate: async (): Promise<boolean> => {
        const figures = judge.last = held.figures(await this.#trainer.validate(held.batches));
        if (!Number.isFinite(figures.loss)) {
          throw brokenState(
            `the loss of the held-out ${source.vocabulary ? "text" : "samples"} became ${figures.loss}`,
            this.#step,
            this.#standing,
          );
        }
        const event = { event: "validation", step: this.#step, device: this.#device, ...figures } as const;
        const best = await toldByFirst(this.#parts.ranks, this.#folder.history.isBest(figures.loss));
        this.#folder.log(event);
        reporter.report(event);
        return best;
      },
    };
    return judge;
  }

  /**
   * Takes the current state as a checkpoint. An update can break a model whose loss was still finite, which only the
   * next step shows: the state is saved after that.
   * @param best Whether this is the best validation so far.
   */
  async #takeState(best: boolean): Promise<Candidate> {
    const { config, source } = this.#parts;
    const state = await this.#trainer.exportState(0);
    if (!state) return { step: this.#step, best, bytes: new Uint8Array() };
    const bad = firstNotFinite(state);
    if (bad !== undefined) throw brokenState(`${bad} became NaN or infinite`, state.step, this.#standing);
    const notes = source.checkpointNotes;
    return {
      step: state.step,
      best,
      bytes: encodeCheckpoint({ config: config.model, seed: config.seed, state, notes }),
    };
  }

  /** Saves the pending state, if there is one. */
  async #keep(): Promise<void> {
    if (!this.#candidate) return;
    const { step, best, bytes } = this.#candidate;
    this.#candidate = undefined;
    await this.#folder.save(bytes, best);
    this.#saved = step;
  }

  /** Saves the state after the last step. There is no further step to show whether it is good, so a step is tried. */
  async #saveLast(): Promise<void> {
    const step = this.#step;
    this.#candidate ??= await this.#takeState(false);
    const fault = await this.#trainer.probe(this.#data.batch(step));
    if (fault !== undefined) throw brokenState(`the ${fault}`, step, this.#standing);
    await this.#keep();
  }

  /** Updates the report. */
  async #report(sample?: string): Promise<void> {
    const { config, source, device, path, version } = this.#parts;
    const { best } = this.#folder.history;
    const tokens = config.batch * config.seqLen * config.accumulate;
    await this.#folder.saveReport({
      title: `Mneme: ${path}`,
      status: `${
        this.#step === config.steps ? "Complete" : "Stopped or in progress"
      }: ${this.#step} of ${config.steps} steps.`,
      facts: [
        [
          "model",
          `${describeMixers(config.model)} ${config.preset}, ${
            formatCount(this.#trainer.model.layout.parameterCount)
          } parameters`,
        ],
        ["data", source.description],
        [
          "step",
          `${formatCount(tokens)} ${source.unit}s: ${config.batch} x ${config.seqLen}${
            config.accumulate > 1 ? `, ${config.accumulate} times` : ""
          }`,
        ],
        ["best validation", best ? `${shownBest(best)} at step ${best.step}` : "none yet"],
        ["device", `${device.info.kind}: ${device.info.description}`],
        ["version", version],
      ],
      sample,
      config,
    });
  }

  /** Generates a sample. @returns prompt and text; undefined if that fails, which is reported. */
  async #sample(
    { sampleTokens, samplePrompt, interrupt, reporter }: RunOptions,
    vocabulary: Vocabulary,
  ): Promise<string | undefined> {
    const { device, config } = this.#parts;
    const { model, params } = this.#trainer;
    const decoder = await Decoder.create(device, model, await params.read() as Float32Array);
    try {
      const prompt = vocabulary.encode(samplePrompt), tokenDecoder = new TokenDecoder(vocabulary);
      const options = { maxTokens: sampleTokens, temperature: SAMPLE_TEMPERATURE, seed: config.seed };
      let text = "";
      for await (const token of generate(decoder, prompt, options)) {
        text += tokenDecoder.next(token);
        // The run is complete, so an interrupt ends the sample early.
        if (interrupt.requested) break;
      }
      text += tokenDecoder.end();
      await this.#folder.saveSample(`${samplePrompt}${text}\n`);
      reporter.report({ event: "sample", step: this.#step, device: this.#device, prompt: samplePrompt, text });
      return `${samplePrompt}${text}`;
    } catch (error) {
      // The run itself is complete.
      if (!(error instanceof SamplingError || error instanceof ConfigError)) throw error;
      reporter.note(`no sample: ${error.message}`);
    } finally {
      decoder.dispose();
    }
  }
}

function startEvent({ config, source, device, version, path }: RunParts, model: Model, step: number): StartEvent {
  return {
    event: "start",
    step,
    device: device.info.kind,
    version,
    model: describeMixers(config.model),
    preset: config.preset,
    parameters: model.layout.parameterCount,
    adapter: device.info.description,
    ...source.facts,
    steps: config.steps,
    tokensPerStep: config.batch * config.seqLen * config.accumulate,
    out: path,
  };
}
