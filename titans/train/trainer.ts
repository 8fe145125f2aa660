/**
 * Training: one compiled step, parameters and moments as flat vectors in device memory, losses read in batches.
 *
 * A step never waits for the device, and its results take the memory of the state that it is given: there is one copy
 * of parameters and moments, and of what texts carry from step to step. When a loss or a gradient stops being a number,
 * the step itself refuses its update and so does every later one, so that whenever the host looks the state is the one
 * after the last good step.
 */
import type { Tensor } from "../../core/graph.ts";
import { showAsText } from "../../core/inspect.ts";
import { optionNames } from "../../core/options.ts";
import { isSpec, type Spec, spec } from "../../core/trace.ts";
import { mapLeaves, type MapTree } from "../../core/tree.ts";
import {
  compile,
  type CompileWatch,
  type Device,
  type DeviceArray,
  type DeviceResult,
  type Program,
} from "../../kernels/mod.ts";
import { checkTrainingShape } from "../text/windows.ts";
import { type CarriedStep, causeBeforeUpdates, firstBadTensor } from "./diagnose.ts";
import { checkNames, ConfigError, TrainingError } from "../errors.ts";
import type { ModelConfig } from "../config.ts";
import type { Model, ModelState } from "../models/model.ts";
import { boundarySpecs, mismatchOf, namedLeaves } from "../models/decode.ts";
import {
  type AdamState,
  defineOptimizer,
  learningRateAt,
  type OptimizerConfig,
  STEP_SCALARS,
  stepScalars,
} from "./optimizer.ts";
import type { NamedArrays } from "../nn/parameters.ts";
import type { StoredTensor } from "../models/safetensors.ts";
import { LARGEST, resumedState, type StepArguments, type StepResult, trainingStep } from "./training_step.ts";
import { Validation } from "./validation.ts";

/** The windows of a step, row-major. */
export interface TrainingBatch {
  /** Token ids [accumulate, batch, length + 1]: the tokens of each window and the one after. */
  readonly tokens: Int32Array;
  /**
   * Ones, and zeros for padding, [accumulate, batch, length]: tokens that a memory does not learn, and whose
   * predictions of the next one do not count. Windows of unequal length go together where the shorter ones are filled
   * up at their end: no token sees a later one. What a memory holds is forgotten, and its momentum goes on, through
   * padding too. For trainers with `masked` or `stream`; none is padding unless given.
   */
  readonly mask?: Float32Array;
  /**
   * Ones for windows that begin a text, zeros for those that go on where the same row of the step before ended,
   * [accumulate, batch]. For trainers with `stream`; all go on unless given.
   */
  readonly fresh?: Float32Array;
}

const TRAINING_BATCH = optionNames<TrainingBatch>({ tokens: true, mask: true, fresh: true });

/**
 * Where training batches come from. A pure function of the step, so that a resumed run sees what an uninterrupted one
 * would have seen.
 */
export interface TrainingData {
  /**
   * Token ids [accumulate, batch, length + 1], row-major: the tokens of each window and the one after; with more to
   * say, a batch.
   */
  batch(step: number): Int32Array | TrainingBatch;
}

/** The extents of a training step. */
export interface TrainingShape {
  /** Windows that go through the model at once, B. */
  readonly batch: number;
  /** Tokens of a window, T. */
  readonly length: number;
  /** Batches whose gradients are averaged before an update; 1 unless said. */
  readonly accumulate?: number;
}

/** Everything that a run needs to go on as if it had not stopped, by name. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  /** Parameters. */
  readonly params: NamedArrays;
  /** Running means of gradients. */
  readonly first: NamedArrays;
  /** Running means of squared gradients. */
  readonly second: NamedArrays;
  /** What trainers with `stream` carry: the state of each row, [accumulate, batch, ...] by name; absent otherwise. */
  readonly carried?: Readonly<Record<string, StoredTensor>>;
}

/** Options of {@link Trainer.create}. */
export interface TrainerOptions extends CompileWatch {
  /** What to train. */
  readonly model: Model;
  /** How to update. */
  readonly optimizer: OptimizerConfig;
  /** The extents of a step. */
  readonly shape: TrainingShape;
  /** For the first parameters. */
  readonly seed: number;
  /** Where to go on; the first parameters and step 0 unless given. */
  readonly state?: TrainingState;
  /**
   * Whether texts go on from step to step: each row of a step begins with the memory with which the same row of the
   * step before ended, as a constant (truncated backpropagation through time), so that a text of any length trains with
   * the device memory of one window. The length of a window must be a multiple of the model's interval.
   */
  readonly stream?: boolean;
  /**
   * Whether batches may say what is padding, as those of windows of unequal length must; with `stream` they always may.
   */
  readonly masked?: boolean;
}

const TRAINER_OPTIONS = optionNames<TrainerOptions>({
  model: true,
  optimizer: true,
  shape: true,
  seed: true,
  state: true,
  stream: true,
  masked: true,
  progress: true,
  signal: true,
});

/** What a step reports. */
export interface StepMetrics {
  /** Counted from 0. */
  readonly step: number;
  /** Mean over tokens of the cross-entropy before the update, in nats. */
  readonly loss: number;
  /** The loss in bits; bits per byte when tokens are bytes. */
  readonly bitsPerByte: number;
  /** Global norm of the gradient before clipping. */
  readonly gradientNorm: number;
  /** The rate of the update. */
  readonly learningRate: number;
}

/** What a validation reports. Where windows go on, padding counts in none of it. */
export interface ValidationMetrics {
  /** Mean over tokens of the cross-entropy, in nats. */
  readonly loss: number;
  /** The loss in bits; bits per byte when tokens are bytes. */
  readonly bitsPerByte: number;
  /** Root mean square over windows of the norm of all memory weights at the end of a window. */
  readonly memoryNorm: number;
  /** The same of the surprise S. */
  readonly surpriseNorm: number;
  /** The same of how far the memory has moved from its learned start. */
  readonly memoryChange: number;
  /**
   * Mean over tokens, heads and blocks of the inner loss: the retrieval error of a token's key at the start of its
   * mini-batch.
   */
  readonly innerLoss: number;
  /** The same of the norm of what a token changes in its memory. */
  readonly updateNorm: number;
}

/** A compiled {@link trainingStep}. */
export type StepProgram = Program<StepArguments, StepResult>;

/** What a step was given, kept until its report is read. */
interface SteppedBatch {
  readonly tokens: Int32Array;
  readonly mask?: Float32Array;
  readonly fresh?: Float32Array;
}

interface PendingReport {
  readonly step: number;
  readonly batch: SteppedBatch;
  readonly report: DeviceArray;
}

interface Failure {
  readonly step: number;
  readonly batch: SteppedBatch;
  readonly loss: number;
  readonly gradientNorm: number;
}

/** A model in training on a device. The device stays the caller's. */
export class Trainer {
  /** What is trained. */
  readonly model: Model;
  /** How it is updated. */
  readonly optimizer: OptimizerConfig;
  /** The extents of a step. */
  readonly shape: Required<TrainingShape>;
  #device: Device;
  #program: StepProgram;
  readonly #validation: Validation;
  #state: AdamState<DeviceArray>;
  #healthy: DeviceArray;
  /** What texts go on with; undefined for trainers that do not stream. */
  #carried?: CarriedArrays;
  /** The step at which nothing is carried yet and all rows begin a text; undefined where a state was given. */
  readonly #firstStep: number | undefined;
  #masked: boolean;
  #step: number;
  #pending: PendingReport[] = [];
  #reports: StepMetrics[] = [];
  #failure?: TrainingError;

  private constructor(
    device: Device,
    program: StepProgram,
    options: TrainerOptions & { readonly shape: Required<TrainingShape> },
  ) {
    const { model, optimizer, shape, state, seed } = options;
    this.model = model;
    this.optimizer = optimizer;
    this.shape = shape;
    this.#device = device;
    this.#program = program;
    this.#validation = new Validation(device, model, shape);
    this.#step = state?.step ?? 0;
    const upload = (data: Float32Array): DeviceArray =>
      device.upload(data, { shape: [model.layout.size], dtype: "f32" });
    const moments = (arrays?: NamedArrays): DeviceArray =>
      upload(arrays ? model.layout.pack(arrays) : new Float32Array(model.layout.size));
    this.#state = {
      params: upload(model.layout.pack(state?.params ?? model.initialize(seed))),
      first: moments(state?.first),
      second: moments(state?.second),
    };
    this.#healthy = device.upload(Float32Array.of(1), { shape: [], dtype: "f32" });
    this.#masked = options.masked === true || options.stream === true;
    this.#firstStep = state?.carried === undefined ? this.#step : undefined;
    if (options.stream) this.#carried = carriedArrays(device, carriedSpecs(model, shape), state?.carried);
  }

  /**
   * Compiles the step and puts parameters and moments on the device.
   * @throws {ConfigError} if an extent is not a positive integer; CompileError or DeviceError if the device cannot do
   * it.
   */
  static async create(device: Device, options: TrainerOptions): Promise<Trainer> {
    checkNames("Trainer.create", options, TRAINER_OPTIONS);
    checkTrainingShape(options.shape);
    const { batch, length, accumulate = 1 } = options.shape, optimizer = defineOptimizer(options.optimizer);
    for (const [field, value] of Object.entries({ batch, length, accumulate })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new ConfigError(`Cannot train with ${field} ${value}: it must be an integer of at least 1`, field);
      }
    }
    const { model, stream = false, masked = false } = options, shape = { batch, length, accumulate };
    if (stream && length % model.interval !== 0) {
      throw new ConfigError(
        `Cannot stream with windows of ${length} tokens: the length must be a multiple of ${model.interval}, where states are`,
        "length",
      );
    }
    const program = await compileStep(device, { ...options, optimizer, stream, masked: masked || stream, shape });
    return new Trainer(device, program, { ...options, optimizer, shape });
  }

  /** Steps done, those included whose losses have not been read. */
  get step(): number {
    return this.#step;
  }

  /** What it trains and where it stands, in a line. */
  toString(): string {
    return `trainer at step ${this.#step} on ${this.#device.info.kind}, ${this.tokensPerStep} tokens a step: ${this.model}`;
  }

  /** The same for JSON; {@link exportState} gives what a run needs to go on. */
  toJSON(): {
    readonly step: number;
    readonly device: string;
    readonly shape: Required<TrainingShape>;
    readonly model: ModelConfig;
  } {
    return { step: this.#step, device: this.#device.info.kind, shape: this.shape, model: this.model.toJSON() };
  }

  static {
    showAsText(this);
  }

  /** Tokens that one step learns from. */
  get tokensPerStep(): number {
    return this.shape.batch * this.shape.length * this.shape.accumulate;
  }

  /** The compiled step, to inspect. */
  get program(): StepProgram {
    return this.#program;
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
   * @param given Token ids [accumulate, batch, length + 1], or a batch.
   * @throws {ConfigError} if the batch says more than the trainer was made for.
   */
  launch(given: Int32Array | TrainingBatch): void {
    if (this.#failure) throw this.#failure;
    const { batch, report, healthy } = this.#start(given, this.#healthy);
    this.#healthy = healthy;
    this.#pending.push({ step: this.#step++, batch, report });
  }

  /** Runs the program on a batch; state and what is carried are those after it. */
  #start(
    given: Int32Array | TrainingBatch,
    healthy: DeviceArray,
  ): { batch: SteppedBatch; report: DeviceArray; healthy: DeviceArray } {
    const batch = given instanceof Int32Array ? { tokens: given } : given,
      { tokens } = batch,
      extras = this.#extras(batch);
    const scalars = stepScalars(this.optimizer, this.#step);
    const result: DeviceResult<StepResult> = extras
      ? this.#program.launch(this.#state, healthy, tokens, scalars, extras)
      : this.#program.launch(this.#state, healthy, tokens, scalars);
    this.#carried = result.carried;
    this.#state = result.state;
    return {
      batch: { tokens, mask: extras?.mask, fresh: extras?.fresh },
      report: result.report,
      healthy: result.healthy,
    };
  }

  /** What the step takes beside tokens; undefined if that is nothing. */
  #extras(given: TrainingBatch): { mask: Float32Array; carried?: CarriedArrays; fresh?: Float32Array } | undefined {
    checkNames("a training batch", given, TRAINING_BATCH);
    const { mask, fresh } = given;
    if (mask && !this.#masked) {
      throw new ConfigError("Cannot train on a batch with a mask: make the trainer with masked: true", "masked");
    }
    if (fresh && !this.#carried) {
      throw new ConfigError("Cannot begin texts in a batch: make the trainer with stream: true", "stream");
    }
    if (!this.#masked) return undefined;
    const { batch, length, accumulate } = this.shape, rows = accumulate * batch;
    const used = mask ?? new Float32Array(rows * length).fill(1);
    if (!this.#carried) return { mask: used };
    return {
      mask: used,
      carried: this.#carried,
      fresh: this.#step === this.#firstStep ? new Float32Array(rows).fill(1) : fresh ?? new Float32Array(rows),
    };
  }

  /** Waits for the steps started so far and reports those not reported yet. @throws {TrainingError} as {@link run}. */
  async flush(): Promise<StepMetrics[]> {
    await this.#settle();
    return this.#reports.splice(0);
  }

  /** Reads what the steps in flight report. */
  async #settle(): Promise<void> {
    const pending = this.#pending.splice(0);
    const reports = await Promise.all(pending.map(({ report }) => report.read()));
    for (const { report } of pending) report.dispose();
    for (const [i, { step, batch }] of pending.entries()) {
      const [loss, gradientNorm, healthy] = reports[i];
      if (!healthy || faultOf(loss, gradientNorm) !== undefined) {
        throw await this.#fail({ step, batch, loss, gradientNorm });
      }
      this.#reports.push({
        step,
        loss,
        bitsPerByte: loss / Math.LN2,
        gradientNorm,
        learningRate: learningRateAt(this.optimizer, step),
      });
    }
  }

  async #fail({ step, batch: { tokens, mask, fresh }, loss, gradientNorm }: Failure): Promise<TrainingError> {
    const what = faultOf(loss, gradientNorm) ?? `gradient norm became ${gradientNorm}`;
    this.#step = step;
    const message = (tensor?: string): string =>
      `Training stopped at step ${step}: the ${what}${
        tensor === undefined ? "" : ` (first bad tensor: ${tensor})`
      }; the state of step ${step} before the update ` +
      `is kept, ${
        step === 0
          ? causeBeforeUpdates(this.model.config, tensor)
          : "resume from it with a lower learning rate, a smaller thetaMax, or a lower alphaBias"
      }`;
    // Known before the search for the cause, so that nobody trains on meanwhile.
    this.#failure = new TrainingError(message(), step);
    const { batch, length } = this.shape;
    const resume: CarriedStep["resume"] = (params, carried, fresh) => resumedState(this.model, params, carried, fresh);
    const carried = this.#carried && fresh ? { arrays: this.#carried, fresh, resume } : undefined;
    // The search is a help: where it cannot run, for want of memory for instance, the failure is told without it.
    const tensor = await firstBadTensor(this.#device, this.model, {
      params: this.#state.params,
      tokens,
      batch,
      length,
      mask,
      carried,
    }).catch(() => undefined);
    if (tensor !== undefined) this.#failure = new TrainingError(message(tensor), step, tensor);
    return this.#failure;
  }

  /**
   * Tries whether training can go on from the state as it is: loss and gradient of a batch, without an update. An
   * update that breaks the model shows in the next step only, so that a state is known to be good once this has been
   * asked. Takes the time of a step.
   * @param given The batch of the step that is next, as for {@link launch}.
   * @returns What is wrong, such as `loss became NaN`; undefined if nothing is.
   */
  async probe(given: Int32Array | TrainingBatch): Promise<string | undefined> {
    await this.#settle();
    // A step that is not healthy keeps everything as it is.
    const { report, healthy } = this.#start(
      given,
      this.#device.upload(Float32Array.of(0), { shape: [], dtype: "f32" }),
    );
    const [loss, gradientNorm] = await report.read();
    report.dispose();
    healthy.dispose();
    return faultOf(loss, gradientNorm);
  }

  /**
   * Measures the model without learning.
   * @param windows Windows with a memory of their own each: token ids [n, length + 1], row-major, n of at least 1. Or
   * batches whose rows go on from one to the next as those of training do, with a mask and `fresh`, of as many rows as
   * they like; `evenStreams` makes them. Then the length must be a multiple of the model's interval.
   * @throws {ConfigError} if there are no whole windows, or nothing to predict.
   */
  async validate(windows: Int32Array | readonly TrainingBatch[]): Promise<ValidationMetrics> {
    return await (windows instanceof Int32Array
      ? this.#validation.windows(this.#state.params, windows)
      : this.#validation.streams(this.#state.params, windows));
  }

  /**
   * Parameters, moments and step, copied to the host. Waits for steps in flight; the next {@link flush} still reports
   * them.
   * @throws {TrainingError} if one of them went wrong; called again, gives the state before that step.
   */
  async exportState(): Promise<TrainingState> {
    await this.#settle();
    const { params, first, second } = this.#state;
    const [p, m, v] = await Promise.all([params, first, second].map((array) => array.read())) as Float32Array[];
    const { layout } = this.model,
      exported = { step: this.#step, params: layout.unpack(p), first: layout.unpack(m), second: layout.unpack(v) };
    if (!this.#carried || this.#step === this.#firstStep) return exported;
    const leaves = namedLeaves(this.#carried, isArray),
      data = await Promise.all(leaves.map(({ leaf }) => leaf.read())) as Float32Array[];
    return {
      ...exported,
      carried: Object.fromEntries(leaves.map(({ name, leaf }, i) => [name, { shape: leaf.shape, data: data[i] }])),
    };
  }

  /** The parameters in device memory, f32 [P]. The next step uses them up: ask for them again. */
  get params(): DeviceArray {
    return this.#state.params;
  }

  /** Frees the programs and arrays of this trainer; the device stays. */
  dispose(): void {
    for (const { report } of this.#pending) report.dispose();
    for (const array of [this.#state.params, this.#state.first, this.#state.second, this.#healthy]) array.dispose();
    if (this.#carried) { for (const { leaf } of namedLeaves(this.#carried, isArray)) leaf.dispose(); }
    this.#program.dispose();
    this.#validation.dispose();
  }
}

/** What is wrong with the figures of a step; undefined if nothing is. */
function faultOf(loss: number, gradientNorm: number): string | undefined {
  const fits = (value: number): boolean => Math.abs(value) <= LARGEST; // NaN fits nowhere
  return fits(loss) ? fits(gradientNorm) ? undefined : `gradient norm became ${gradientNorm}` : `loss became ${loss}`;
}

/** The states of the rows of a step, in device memory. */
type CarriedArrays = MapTree<ModelState, Tensor, DeviceArray>;
type CarriedSpecs = MapTree<ModelState, Tensor, Spec>;

function isArray(value: unknown): value is DeviceArray {
  return typeof value === "object" && value !== null && "dispose" in value;
}

/** Compiles the step. What it gives takes the memory of what it is given. */
async function compileStep(
  device: Device,
  { model, optimizer, stream, masked, shape: { batch, length, accumulate }, progress, signal }: TrainerOptions & {
    readonly shape: Required<TrainingShape>;
  },
): Promise<StepProgram> {
  const flat = spec([model.layout.size]), step = trainingStep(model, optimizer);
  const state = { params: flat, first: flat, second: flat },
    tokens = spec([accumulate, batch, length + 1], "i32"),
    scalars = spec([STEP_SCALARS]);
  if (!masked) {
    return await compile(device, step, [state, spec([]), tokens, scalars], { donate: [0, 1], progress, signal });
  }
  const mask = spec([accumulate, batch, length]);
  const extras = stream
    ? { mask, carried: carriedSpecs(model, { batch, length, accumulate }), fresh: spec([accumulate, batch]) }
    : { mask };
  return await compile(device, step, [state, spec([]), tokens, scalars, extras], {
    donate: stream ? [0, 1, 4] : [0, 1],
    progress,
    signal,
  });
}

/** The types of what is carried: [A, B, ...]. */
function carriedSpecs(model: Model, { batch, accumulate }: Required<TrainingShape>): CarriedSpecs {
  return mapLeaves(
    boundarySpecs(model, batch),
    isSpec,
    ({ shape, dtype }) => spec([accumulate, ...shape], dtype),
  ) as CarriedSpecs;
}

/** Puts what is carried on the device: as a run left it, or zeros, which nobody reads. */
function carriedArrays(device: Device, specs: CarriedSpecs, stored: TrainingState["carried"]): CarriedArrays {
  const reason = stored && mismatchOf(specs, stored);
  if (reason !== undefined) {
    throw new ConfigError(
      `Cannot go on with the texts of this state: ${reason}; train with the same batch and model`,
      "state",
    );
  }
  const names = namedLeaves(specs, isSpec).map(({ name }) => name);
  let next = 0;
  return mapLeaves(specs, isSpec, (type) => {
    const name = names[next++];
    return device.upload(
      stored ? stored[name].data : new Float32Array(type.shape.reduce((size, extent) => size * extent, 1)),
      type,
    );
  }) as CarriedArrays;
}
