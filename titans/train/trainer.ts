/**
 * Training: one compiled step, parameters and optimizer state as flat vectors in device memory, losses read several
 * steps at a time.
 *
 * A step never waits for the device, and its results take the memory of the state that it is given: there is one copy
 * of parameters and moments, and of what texts carry from step to step. When a loss or a gradient stops being a number,
 * the step itself refuses its update and so does every later one, so that whenever the host looks the state is the one
 * after the last good step.
 */
import { showAsText } from "../../core/inspect.ts";
import type { Device, DeviceArray } from "../../kernels/mod.ts";
import { checkNames, ConfigError, TrainingError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import type { Network } from "../models/network.ts";
import { rowsOfBatch } from "./batch_rows.ts";
import { checkStreams } from "./carried.ts";
import { type Collective, shareOf, SOLO } from "./collective.ts";
import { failureText, faultOf } from "./failure.ts";
import { nextToken } from "./next_token.ts";
import type { BatchArrays, Objective } from "./objective.ts";
import { defineOptimizer, learningRateAt, type OptimizerConfig, stepScalars } from "./optimizer_config.ts";
import { requireSameOptimizer } from "./optimizer_state.ts";
import { checkScaling } from "./precision.ts";
import { SharedSteps } from "./shared_steps.ts";
import { completeBatch, rowsOf, type SplitBatch, windowBatches } from "./step_input.ts";
import { FusedSteps, type StartedStep, type StepProgram, type StepRunner } from "./step_runner.ts";
import {
  checkTrainingShape,
  type StepInput,
  type StepMetrics,
  TRAINER_OPTIONS,
  type TrainerOptions,
  type TrainingBatch,
  type TrainingData,
  type TrainingShape,
  type TrainingState,
  type ValidationMetrics,
} from "./training.ts";
import { checkVectorFits } from "./training_plan.ts";
import { type Measurement, Validation } from "./validation.ts";

export type { StepProgram } from "./step_runner.ts";

interface PendingReport {
  readonly step: number;
  readonly batch: SplitBatch;
  readonly report: StartedStep;
}

/** A model, or any other network, in training on a device. The device stays the caller's. */
export class Trainer<N extends Network = Model> {
  /** What is trained. */
  readonly model: N;
  /** How it is updated. */
  readonly optimizer: OptimizerConfig;
  /** The extents of a step. */
  readonly shape: Required<TrainingShape>;
  /** What is learned. */
  readonly objective: Objective;
  readonly #device: Device;
  readonly #runner: StepRunner;
  readonly #collective: Collective;
  readonly #validation: Validation;
  /** Whether texts continue from step to step. */
  readonly #streams: boolean;
  /** The step at which nothing is carried yet and all rows start afresh; undefined where a state was given. */
  readonly #firstStep: number | undefined;
  /** Whether validation carries memory from batch to batch: that of text does. */
  readonly #validatesStreams: boolean;
  #step: number;
  #pending: PendingReport[] = [];
  #reports: StepMetrics[] = [];
  #failure?: TrainingError;

  private constructor(device: Device, runner: StepRunner, options: TrainerParts<N>) {
    const { model, objective, optimizer, shape, state, stream = false, collective = SOLO } = options;
    this.model = model;
    this.objective = objective;
    this.optimizer = optimizer;
    this.shape = shape;
    this.#device = device;
    this.#runner = runner;
    this.#collective = collective;
    // Rows that fill up the last batch of windows are masked.
    const measured = options.ownObjective ? objective : nextToken({ masked: true });
    this.#validation = new Validation(device, model, measured, shape.length, collective);
    this.#streams = stream;
    this.#validatesStreams = stream || !options.ownObjective;
    this.#step = state?.step ?? 0;
    this.#firstStep = state?.carried === undefined ? this.#step : undefined;
  }

  /**
   * Compiles the step and puts parameters and the optimizer's vectors on the device.
   * @throws {ConfigError} if an extent is not a positive integer, or the state is of another optimizer; CompileError or
   * DeviceError if the device cannot do it. Of several ranks all must create theirs.
   */
  static async create<N extends Network = Model>(device: Device, options: TrainerOptions<N>): Promise<Trainer<N>> {
    checkNames("Trainer.create", options, TRAINER_OPTIONS);
    checkTrainingShape(options.shape);
    const { batch, length, accumulate = 1 } = options.shape, optimizer = defineOptimizer(options.optimizer);
    for (const [field, value] of Object.entries({ batch, length, accumulate })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new ConfigError(`Cannot train with ${field} ${value}: it must be an integer of at least 1`, field);
      }
    }
    const { model, state, stream = false, masked = false } = options;
    checkVectorFits(device, model);
    if (stream) checkStreams(model, length);
    if (state) requireSameOptimizer(optimizer, state.optimizer);
    const { collective = SOLO, shard = false, deterministic = 0, compress = "none" } = options;
    if (state?.scaling) checkScaling(state.scaling);
    const parts: TrainerParts<N> = {
      ...options,
      optimizer,
      shape: { batch, length, accumulate },
      objective: options.objective ?? nextToken({ masked: masked || stream }),
      ownObjective: options.objective !== undefined,
      // Weights are drawn while the device's compiler works, where that is another process or thread.
      params: () => firstParameters(options as TrainerOptions<Network>),
    };
    const isShared = collective.size > 1 || deterministic > 0;
    const runner =
      await (isShared
        ? SharedSteps.create(device, { ...parts, collective, shard, deterministic, compress })
        : FusedSteps.create(device, parts));
    return new Trainer<N>(device, runner, parts);
  }

  /** Steps done, those included whose losses have not been read. */
  get step(): number {
    return this.#step;
  }

  /** The model and the current step, in one line. */
  toString(): string {
    return `trainer at step ${this.#step} on ${this.#device.info.kind}, ${this.tokensPerStep} tokens a step: ${this.model}`;
  }

  /** The same for JSON; {@link exportState} returns the state that a run resumes from. */
  toJSON(): {
    readonly step: number;
    readonly device: string;
    readonly shape: Required<TrainingShape>;
    readonly model: ReturnType<N["toJSON"]>;
  } {
    return {
      step: this.#step,
      device: this.#device.info.kind,
      shape: this.shape,
      model: this.model.toJSON() as ReturnType<N["toJSON"]>,
    };
  }

  static {
    showAsText(this);
  }

  /** Tokens that one step learns from. */
  get tokensPerStep(): number {
    return this.shape.batch * this.shape.length * this.shape.accumulate;
  }

  /** The compiled step, to inspect; of ranks that share it its first half, the gradient. */
  get program(): StepProgram {
    return this.#runner.program;
  }

  /**
   * Whether to stop: `stopRequested` was true, of several ranks on one of them, and this is the state after the step in
   * which all learned of it. Steps that were started after that one are left out.
   */
  get stopped(): boolean {
    return this.#runner.stopped;
  }

  /**
   * Runs steps and reports them. Losses are read once, at the end: run several steps at a time.
   * @param data Where batches come from; asked for the steps from {@link step} on.
   * @param count Number of steps.
   * @throws {TrainingError} at the first loss or gradient that is not finite. The state stays the one before that step
   * and can still be exported.
   */
  async run(data: TrainingData, count = 1): Promise<StepMetrics[]> {
    for (let i = 0; i < count; i++) this.launch(data.batch(this.#step));
    return await this.flush();
  }

  /**
   * Starts one step without waiting for it.
   * @param given The batches of the step.
   * @throws {ConfigError} if the batch says more than the trainer was made for.
   */
  launch(given: StepInput): void {
    if (this.#failure) throw this.#failure;
    const { batch, report } = this.#start(given);
    this.#pending.push({ step: this.#step++, batch, report });
  }

  /** Starts a step. @param probe Whether it is only tried. */
  #start(given: StepInput, probe = false): { batch: SplitBatch; report: StartedStep } {
    const { objective, shape: { length } } = this, stream = this.#streams;
    const { data, fresh } = completeBatch(given, { objective, length, stream });
    const batch = { data, fresh: stream ? this.#freshRows(fresh) : undefined };
    return { batch, report: this.#runner.start(batch, { scalars: stepScalars(this.optimizer, this.#step), probe }) };
  }

  /** Which rows of the next step start afresh. */
  #freshRows(given?: Float32Array): Float32Array {
    const rows = this.shape.accumulate * this.shape.batch;
    if (this.#step === this.#firstStep) return new Float32Array(rows).fill(1);
    return given ?? new Float32Array(rows);
  }

  /** Waits for the steps started so far and reports those not reported yet. @throws {TrainingError} as {@link run}. */
  async flush(): Promise<StepMetrics[]> {
    await this.#settle();
    return this.#reports.splice(0);
  }

  /** Reads the reports of the steps in flight. */
  async #settle(): Promise<void> {
    const pending = this.#pending.splice(0);
    const reports = await Promise.all(pending.map(({ report }) => report.read()));
    for (const { report } of pending) report.dispose();
    for (const [i, { step, batch }] of pending.entries()) {
      const values = reports[i];
      if (values === undefined) {
        this.#step = step;
        break;
      }
      const { 0: loss, 1: gradientNorm, 2: healthy, 3: skipped, 4: lossScale } = values;
      if (!healthy || (!skipped && faultOf(loss, gradientNorm) !== undefined)) {
        throw await this.#fail(step, batch, faultOf(loss, gradientNorm) ?? `gradient norm became ${gradientNorm}`);
      }
      const figures = this.objective.derived?.(loss);
      this.#reports.push({
        step,
        loss,
        ...figures,
        gradientNorm,
        learningRate: learningRateAt(this.optimizer, step),
        ...(lossScale === undefined ? {} : { lossScale, skipped }),
      });
    }
  }

  async #fail(step: number, batch: SplitBatch, what: string): Promise<TrainingError> {
    const { model } = this;
    this.#step = step;
    // Set before the search for the cause, so that training cannot continue in the meantime.
    this.#failure = new TrainingError(failureText({ step, what, model }), step);
    // The search is optional: if it cannot run, for instance for lack of memory, the failure is reported without it.
    const tensor = await this.#runner.firstBad(batch).catch(() => undefined);
    if (tensor !== undefined) {
      this.#failure = new TrainingError(failureText({ step, what, tensor, model }), step, tensor);
    }
    return this.#failure;
  }

  /**
   * Tries whether training can go on from the state as it is: loss and gradient of a batch, without an update. An
   * update that breaks the model shows in the next step only, so that a state is known to be good once this has been
   * asked. Takes the time of a step.
   * @param given The batch of the step that is next, as for {@link launch}.
   * @returns What is wrong, such as `loss became NaN`; undefined if nothing is.
   */
  async probe(given: StepInput): Promise<string | undefined> {
    await this.#settle();
    // A step that is not healthy keeps everything as it is.
    const { report } = this.#start(given, true);
    const { 0: loss, 1: gradientNorm, 3: skipped } = (await report.read())!;
    report.dispose();
    return skipped ? undefined : faultOf(loss, gradientNorm);
  }

  /**
   * Measures the model without learning.
   * @param given Of text: windows with a memory of their own each, token ids [n, length + 1], row-major, n of at least
   * 1; or batches whose rows go on from one to the next as those of training do, with a mask and `fresh`, of as many
   * rows as they like (`evenStreams` makes them), for which the length must be a multiple of the model's interval. Of
   * another objective: its batches, each with memories of its own unless the trainer streams.
   * @throws {ConfigError} if there are no whole rows, or nothing counts.
   */
  async validate(given: Int32Array | readonly (TrainingBatch | BatchArrays)[]): Promise<ValidationMetrics> {
    await this.#runner.settled();
    const { params } = this.#runner.state, { length, batch } = this.shape;
    const measured = given instanceof Int32Array
      ? await this.#measure(params, batch, windowBatches(given, batch, length).map((data) => ({ data })), false)
      : await this.#validateBatches(params, given);
    const { loss, ...figures } = measured.figures;
    return { loss, ...this.objective.derived?.(loss), ...figures };
  }

  async #validateBatches(
    params: DeviceArray,
    given: readonly (TrainingBatch | BatchArrays)[],
  ): Promise<Measurement> {
    const { length } = this.shape, objective = this.#validation.objective;
    const batches = given.map((batch) => completeBatch(batch, { objective, length, stream: this.#validatesStreams }));
    const counts = new Set(batches.map(({ data }) => rowsOf(data, objective, length))), [rows = 0] = counts;
    if (counts.size !== 1 || !Number.isInteger(rows) || rows < 1) {
      throw new ConfigError(
        `Cannot validate on these batches: rows of ${length} tokens are expected, and as many rows in each batch`,
        "windows",
      );
    }
    return await this.#measure(params, rows, batches, this.#validatesStreams);
  }

  /** Measures this rank's rows of batches of `rows` rows, and adds up what all ranks measured. */
  async #measure(
    params: DeviceArray,
    rows: number,
    batches: readonly SplitBatch[],
    goesOn: boolean,
  ): Promise<Measurement> {
    const share = shareOf(rows, this.#collective), counts = share.count > 0;
    // A rank without a row measures one that counts on another.
    const own = counts ? share : { first: 0, count: 1 }, { objective } = this.#validation, { length } = this.shape;
    const parts = own.count === rows
      ? batches
      : batches.map((batch) =>
        rowsOfBatch(batch, { objective, length, axes: { accumulate: 1, batch: rows }, rows: own })
      );
    return await (goesOn
      ? this.#validation.streams(params, own.count, parts, counts)
      : this.#validation.batches(params, own.count, parts.map(({ data }) => data), counts));
  }

  /**
   * Parameters, what the optimizer keeps and step, copied to the host. Waits for steps in flight; the next
   * {@link flush} still reports them.
   * @throws {TrainingError} if one of them went wrong; called again, gives the state before that step.
   */
  async exportState(): Promise<TrainingState>;
  /**
   * Gives the state to one of several ranks; all of them must ask for it.
   * @param root The rank that gets the state.
   * @returns The state on that rank, undefined on the others.
   */
  async exportState(root: number): Promise<TrainingState | undefined>;
  async exportState(root?: number): Promise<TrainingState | undefined> {
    await this.#settle();
    const found = await this.#runner.download(root);
    if (found === undefined) return undefined;
    const { carried, ...state } = found, step = this.#step;
    return carried && step !== this.#firstStep ? { step, ...state, carried } : { step, ...state };
  }

  /** The parameters in device memory, f32 [P]; with `ema` their moving average. The next step uses them up: ask for them again. */
  get params(): DeviceArray {
    return this.#runner.state.params;
  }

  /** Frees the programs and arrays of this trainer; the device stays. */
  dispose(): void {
    for (const { report } of this.#pending) report.dispose();
    this.#runner.dispose();
    this.#validation.dispose();
  }
}

/** Options, completed. */
type TrainerParts<N extends Network> = TrainerOptions<N> & {
  readonly shape: Required<TrainingShape>;
  readonly objective: Objective;
  /** Whether the objective was given. */
  readonly ownObjective: boolean;
  /** The flat vector of parameters with which training begins or goes on. */
  readonly params: () => Promise<Float32Array>;
};

/** The flat vector of parameters with which training begins or goes on. Asynchronous so that compiling may begin first. */
// deno-lint-ignore require-await
async function firstParameters({ model, state, seed }: TrainerOptions<Network>): Promise<Float32Array> {
  return model.layout.pack(state?.params ?? model.initialize(seed));
}
