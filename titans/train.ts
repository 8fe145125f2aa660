/**
 * Training: one compiled step, parameters and moments as flat vectors in device memory, losses read in batches.
 *
 * A step never waits for the device, and its results take the memory of the state that it is given: there is one copy of parameters and moments. When a loss or a gradient stops being a number, the step itself refuses its update and so does every later
 * one, so that whenever the host looks the state is the one after the last good step.
 */
import { valueAndGrad } from "../core/grad.ts";
import type { Tensor } from "../core/graph.ts";
import { scan } from "../core/scan.ts";
import { spec } from "../core/trace.ts";
import { compile, type Device, type DeviceArray, type DeviceResult, type Program } from "../kernels/mod.ts";
import {
  abs,
  add,
  cast,
  crossEntropy,
  greater,
  lessEqual,
  logicalAnd,
  mean,
  mul,
  sliceAxis,
  sqrt,
  square,
  squeeze,
  stack,
  sub,
  sum,
  where,
  zerosLike,
} from "../ops/mod.ts";
import { ConfigError, TrainingError } from "./errors.ts";
import { memoryLayers, memoryStates, type Model, type ModelParameters } from "./model.ts";
import { type AdamState, adamW, clipByGlobalNorm, learningRateAt, type OptimizerConfig, STEP_SCALARS, stepScalars } from "./optimizer.ts";
import type { NamedArrays } from "./parameters.ts";

/** Where training batches come from. A pure function of the step, so that a resumed run sees what an uninterrupted one would have seen. */
export interface TrainingData {
  /** Token ids [accumulate, batch, length + 1], row-major: the tokens of each window and the one after. */
  batch(step: number): Int32Array;
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
}

/** Options of {@link Trainer.create}. */
export interface TrainerOptions {
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
}

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

/** What a validation reports. */
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
}

/** Larger losses and norms count as not finite. */
const LARGEST = 1e30;

/** What {@link trainingStep} gives. */
export interface StepResult {
  /** Parameters and moments after the step. */
  readonly state: AdamState;
  /** 1 as long as all was finite. */
  readonly healthy: Tensor;
  /** Loss, norm of the gradient, healthy: [3]. */
  readonly report: Tensor;
}

/** What {@link trainingStep} takes. */
export type StepArguments = [state: AdamState, healthy: Tensor, tokens: Tensor, scalars: Tensor];
/** A compiled {@link trainingStep}. */
export type StepProgram = Program<StepArguments, StepResult>;
type ValidationProgram = Program<[params: Tensor, tokens: Tensor], { losses: Tensor; memory: Tensor }>;

/**
 * The training step as a function of tensors.
 * @param model The model.
 * @param optimizer The optimiser's options.
 * @returns From parameters and moments [P], `healthy` [], tokens i32 [A, B, T + 1] and {@link stepScalars} to all of them after the step.
 */
export function trainingStep(model: Model, optimizer: OptimizerConfig): (...args: StepArguments) => StepResult {
  return (state, healthy, tokens, scalars) => {
    const { loss, gradient } = averageGradient(model, state.params, tokens);
    const { norm, clipped } = clipByGlobalNorm(gradient, optimizer.clipNorm);
    const next = adamW(state, clipped, { config: optimizer, scalars, decayEnd: model.layout.decayEnd });
    const finite = logicalAnd(lessEqual(abs(loss), LARGEST), lessEqual(norm, LARGEST));
    const ok = logicalAnd(greater(healthy, 0), finite);
    const keep = (after: Tensor, before: Tensor): Tensor => where(ok, after, before);
    const kept: AdamState = { params: keep(next.params, state.params), first: keep(next.first, state.first), second: keep(next.second, state.second) };
    const flag = cast(ok, "f32");
    return { state: kept, healthy: flag, report: stack([loss, norm, flag], 0) };
  };
}

/** Mean loss and flat gradient of the batches tokens [A, B, T + 1]; one after the other if there are several. */
function averageGradient(model: Model, flat: Tensor, tokens: Tensor): { loss: Tensor; gradient: Tensor } {
  const params = model.unflatten(flat);
  const one = (batch: Tensor): { loss: Tensor; gradient: Tensor } => {
    const [loss, gradient] = valueAndGrad((p: ModelParameters<Tensor>) => mean(windowLosses(model, p, batch).losses))(params);
    return { loss, gradient: model.layout.flatten(gradient) };
  };
  const A = tokens.shape[0];
  if (A === 1) return one(squeeze(tokens, 0));
  const zero = { loss: zerosLike(squeeze(sliceAxis(flat, 0, 0, 1), 0)), gradient: zerosLike(flat) };
  const [total] = scan(
    (carry: typeof zero, batch: Tensor) => {
      const { loss, gradient } = one(batch);
      return [{ loss: add(carry.loss, loss), gradient: add(carry.gradient, gradient) }, undefined];
    },
    zero,
    tokens,
  );
  return { loss: mul(total.loss, 1 / A), gradient: mul(total.gradient, 1 / A) };
}

/** The mean loss of each window, [B], and the state that the model ends with. */
function windowLosses(model: Model, params: ModelParameters<Tensor>, tokens: Tensor): { losses: Tensor; result: ReturnType<Model["forward"]> } {
  const T = tokens.shape[1] - 1;
  const result = model.forward(params, sliceAxis(tokens, 1, 0, T));
  return { losses: mean(crossEntropy(result.logits, sliceAxis(tokens, 1, 1, T), { reduction: "none" }), { axes: 1 }), result };
}

/** The validation step: losses of each window [B], and norms of memory weights, surprise and change [3] (root mean square over windows). */
function validationStep(model: Model): (params: Tensor, tokens: Tensor) => { losses: Tensor; memory: Tensor } {
  return (flat, tokens) => {
    const params = model.unflatten(flat);
    const { losses, result } = windowLosses(model, params, tokens);
    const initial = memoryLayers(params).map((layer) => layer.initial);
    const states = memoryStates(result.state);
    const norm = (tensors: readonly Tensor[]): Tensor =>
      sqrt(mul(tensors.map((x) => sum(square(x))).reduce((total, part) => add(total, part)), 1 / tokens.shape[0]));
    const weights = states.flatMap((state) => state.weights), surprise = states.flatMap((state) => state.surprise);
    const change = states.flatMap((state, block) => state.weights.map((w, l) => sub(w, initial[block][l])));
    return { losses, memory: stack([norm(weights), norm(surprise), norm(change)], 0) };
  };
}

interface PendingReport {
  readonly step: number;
  readonly report: DeviceArray;
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
  #validation?: ValidationProgram;
  #state: AdamState<DeviceArray>;
  #healthy: DeviceArray;
  #step: number;
  #pending: PendingReport[] = [];
  #reports: StepMetrics[] = [];
  #failure?: TrainingError;

  private constructor(device: Device, program: StepProgram, options: TrainerOptions & { readonly shape: Required<TrainingShape> }) {
    const { model, optimizer, shape, state, seed } = options;
    this.model = model;
    this.optimizer = optimizer;
    this.shape = shape;
    this.#device = device;
    this.#program = program;
    this.#step = state?.step ?? 0;
    const upload = (data: Float32Array): DeviceArray => device.upload(data, { shape: [model.layout.size], dtype: "f32" });
    const moments = (arrays?: NamedArrays): DeviceArray => upload(arrays ? model.layout.pack(arrays) : new Float32Array(model.layout.size));
    this.#state = { params: upload(model.layout.pack(state?.params ?? model.initialize(seed))), first: moments(state?.first), second: moments(state?.second) };
    this.#healthy = device.upload(Float32Array.of(1), { shape: [], dtype: "f32" });
  }

  /**
   * Compiles the step and puts parameters and moments on the device.
   * @throws {ConfigError} if an extent is not a positive integer; CompileError or DeviceError if the device cannot do it.
   */
  static async create(device: Device, options: TrainerOptions): Promise<Trainer> {
    const { batch, length, accumulate = 1 } = options.shape;
    for (const [field, value] of Object.entries({ batch, length, accumulate })) {
      if (!Number.isInteger(value) || value < 1) throw new ConfigError(`Cannot train with ${field} ${value}: it must be an integer of at least 1`, field);
    }
    const { model, optimizer } = options;
    const flat = spec([model.layout.size]);
    const program: StepProgram = await compile(device, trainingStep(model, optimizer), [
      { params: flat, first: flat, second: flat },
      spec([]),
      spec([accumulate, batch, length + 1], "i32"),
      spec([STEP_SCALARS]),
    ], { donate: [0, 1] });
    return new Trainer(device, program, { ...options, shape: { batch, length, accumulate } });
  }

  /** Steps done, those included whose losses have not been read. */
  get step(): number {
    return this.#step;
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
   * @throws {TrainingError} at the first loss or gradient that is not finite. The state stays the one before that step and can still be exported.
   */
  async run(data: TrainingData, count = 1): Promise<StepMetrics[]> {
    for (let i = 0; i < count; i++) this.launch(data.batch(this.#step));
    return await this.flush();
  }

  /** Starts one step without waiting for it. @param tokens Token ids [accumulate, batch, length + 1]. */
  launch(tokens: Int32Array): void {
    if (this.#failure) throw this.#failure;
    const result: DeviceResult<StepResult> = this.#program.launch(this.#state, this.#healthy, tokens, stepScalars(this.optimizer, this.#step));
    this.#state = result.state;
    this.#healthy = result.healthy;
    this.#pending.push({ step: this.#step++, report: result.report });
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
    pending.forEach(({ step }, i) => {
      const [loss, gradientNorm, healthy] = reports[i];
      if (!healthy || !Number.isFinite(loss) || !Number.isFinite(gradientNorm)) throw this.#fail(step, loss, gradientNorm);
      this.#reports.push({ step, loss, bitsPerByte: loss / Math.LN2, gradientNorm, learningRate: learningRateAt(this.optimizer, step) });
    });
  }

  #fail(step: number, loss: number, gradientNorm: number): TrainingError {
    const what = Number.isFinite(loss) && Math.abs(loss) <= LARGEST ? `gradient norm became ${gradientNorm}` : `loss became ${loss}`;
    this.#step = step;
    this.#failure = new TrainingError(
      `Training stopped at step ${step}: the ${what}; the state of step ${step} before the update is kept, ` +
        `resume from it with a lower learning rate, a smaller thetaMax, or a lower alphaBias`,
      step,
    );
    return this.#failure;
  }

  /**
   * Measures the model on windows without learning from them.
   * @param windows Token ids [n, length + 1], row-major, n of at least 1.
   */
  async validate(windows: Int32Array): Promise<ValidationMetrics> {
    const { batch, length } = this.shape;
    const width = length + 1, count = windows.length / width;
    if (!Number.isInteger(count) || count < 1) {
      throw new ConfigError(`Cannot validate on ${windows.length} tokens: windows of ${width} tokens are expected, at least one`, "windows");
    }
    this.#validation ??= await compile(this.#device, validationStep(this.model), [spec([this.model.layout.size]), spec([batch, width], "i32")]);
    const losses: number[] = [], memory: ArrayLike<number>[] = [];
    for (let start = 0; start < count; start += batch) {
      const used = Math.min(batch, count - start);
      const tokens = new Int32Array(batch * width);
      // The last batch is filled up with its own windows; their losses do not count.
      for (let row = 0; row < batch; row++) tokens.set(windows.subarray((start + row % used) * width, (start + row % used + 1) * width), row * width);
      const result = await this.#validation.run(this.#state.params, tokens);
      losses.push(...result.losses.data.subarray(0, used));
      memory.push(result.memory.data);
    }
    const loss = losses.reduce((total, value) => total + value, 0) / count;
    const rms = (i: number): number => Math.sqrt(memory.reduce((total, norms) => total + norms[i] ** 2, 0) / memory.length);
    return { loss, bitsPerByte: loss / Math.LN2, memoryNorm: rms(0), surpriseNorm: rms(1), memoryChange: rms(2) };
  }

  /**
   * Parameters, moments and step, copied to the host. Waits for steps in flight; the next {@link flush} still reports them.
   * @throws {TrainingError} if one of them went wrong; called again, gives the state before that step.
   */
  async exportState(): Promise<TrainingState> {
    await this.#settle();
    const { params, first, second } = this.#state;
    const [p, m, v] = await Promise.all([params, first, second].map((array) => array.read())) as Float32Array[];
    const { layout } = this.model;
    return { step: this.#step, params: layout.unpack(p), first: layout.unpack(m), second: layout.unpack(v) };
  }

  /** The parameters in device memory, f32 [P]. The next step uses them up: ask for them again. */
  get params(): DeviceArray {
    return this.#state.params;
  }

  /** Frees the programs and arrays of this trainer; the device stays. */
  dispose(): void {
    for (const { report } of this.#pending) report.dispose();
    for (const array of [this.#state.params, this.#state.first, this.#state.second, this.#healthy]) array.dispose();
    this.#program.dispose();
    this.#validation?.dispose();
  }
}
