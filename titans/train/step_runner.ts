/** How a trainer's steps run: here as one program, on one device; in shared_steps.ts shared by ranks. */
import type { Tensor } from "../../core/graph.ts";
import type { MapTree } from "../../core/tree.ts";
import { compile } from "../../kernels/compile.ts";
import type { ArrayLeaf, CompileWatch, Device, DeviceArray, Program } from "../../kernels/mod.ts";
import { type CarriedArrays, carriedSpecs, disposeCarried, downloadCarried, uploadCarried } from "./carried.ts";
import { firstBadTensor } from "./diagnose.ts";
import type { StepBatch } from "./gradient.ts";
import { downloadState, uploadState } from "./optimizer_state.ts";
import type { SplitBatch } from "./step_input.ts";
import { stepFunction, type StepParts } from "./step_function.ts";
import type { TrainingState } from "./training.ts";
import type { StepArguments, StepResult } from "./training_step.ts";
import { firstScaling, packScaling, unpackScaling } from "./precision.ts";
import { type OptimizerState, trainedPoint } from "./update.ts";

/** A compiled {@link trainingStep}. */
export type StepProgram = Program<StepArguments, StepResult>;

/** A step that was started. */
export interface StartedStep {
  /** Waits for what `update` reports; undefined for a step left out by a stop. */
  read(): Promise<ArrayLike<number> | undefined>;
  /** Frees the report. */
  dispose(): void;
}

/** What a step needs besides its batch. */
export interface StepStart {
  /** As `stepScalars` gives them. */
  readonly scalars: Float32Array;
  /** Whether the step is only tried: everything stays as it is. */
  readonly probe?: boolean;
}

/** Runs steps, and holds what they change: parameters, the optimizer's vectors, and what rows carry. */
export interface StepRunner {
  /** The compiled step. */
  readonly program: StepProgram;
  /** Parameters and the optimizer's vectors; see {@link settled}. */
  readonly state: OptimizerState<DeviceArray>;
  /** Whether the ranks have agreed to stop. */
  readonly stopped: boolean;
  /** Starts a step without waiting for it. */
  start(batch: SplitBatch, options: StepStart): StartedStep;
  /** Waits until `state` is the one after the steps that were started. */
  settled(): Promise<unknown>;
  /** The first tensor of a failed step that is not finite, as `firstBadTensor` names it. */
  firstBad(batch: SplitBatch): Promise<string>;
  /** Copies everything to the host, on the rank `root` or on all. */
  download(root?: number): Promise<Pick<TrainingState, "params" | "optimizer" | "carried" | "scaling"> | undefined>;
  /** Frees everything. */
  dispose(): void;
}

/** What a runner begins with. */
export interface RunnerStart {
  /** The flat vector of parameters. */
  readonly params: Float32Array;
  /** The rest of a stored state; zeros without it. */
  readonly state?: TrainingState;
}

/** What a runner is made of. `params` is asked for while the device's compiler works. */
export interface RunnerParts extends StepParts, CompileWatch {
  readonly state?: TrainingState;
  readonly params: () => Promise<Float32Array>;
  /** Asked before each step: whether to stop. */
  readonly stopRequested?: () => boolean;
}

/** Steps of one program. Results take the memory of the state, and no step waits for the device. */
export class FusedSteps implements StepRunner {
  readonly program: StepProgram;
  readonly #device: Device;
  readonly #parts: RunnerParts;
  #state: OptimizerState<DeviceArray>;
  #healthy: DeviceArray;
  #carried?: CarriedArrays;
  /** The scaling of the loss; undefined for steps that are not in f16. */
  #scaling?: DeviceArray;

  private constructor(device: Device, program: StepProgram, parts: RunnerParts, params: Float32Array) {
    const { model, optimizer, shape, state, stream } = parts;
    this.program = program;
    this.#device = device;
    this.#parts = parts;
    this.#state = uploadState(device, model, { config: optimizer, params, state });
    this.#healthy = flag(device, 1);
    if (stream) this.#carried = uploadCarried(device, carriedSpecs(model, shape), state?.carried);
    this.#scaling = uploadScaling(device, parts);
  }

  /** Compiles the step, and puts the state on the device. */
  static async create(device: Device, parts: RunnerParts): Promise<FusedSteps> {
    const { progress, signal, phase } = parts, { step, specs, ...options } = stepFunction(parts);
    const [program, params] = await Promise.all([
      compile(device, step, specs, { ...options, progress, signal, phase }),
      parts.params(),
    ]);
    return new FusedSteps(device, program, parts, params);
  }

  get state(): OptimizerState<DeviceArray> {
    return this.#state;
  }

  get stopped(): boolean {
    return this.#parts.stopRequested?.() ?? false;
  }

  start({ data, fresh }: SplitBatch, { scalars, probe = false }: StepStart): StartedStep {
    const input = { data, ...(this.#carried ? { carried: { state: this.#carried, fresh } } : {}) };
    const { state, healthy, carried, scaling, report } = this.program.launch(
      this.#state,
      probe ? flag(this.#device, 0) : this.#healthy,
      input as MapTree<StepBatch, Tensor, ArrayLeaf>,
      scalars,
      ...(this.#scaling ? [this.#scaling] as const : []),
    );
    this.#scaling = scaling as DeviceArray | undefined;
    this.#carried = carried as CarriedArrays | undefined;
    this.#state = state;
    if (probe) healthy.dispose();
    else this.#healthy = healthy;
    return report;
  }

  settled(): Promise<unknown> {
    return Promise.resolve();
  }

  async firstBad({ data, fresh }: SplitBatch): Promise<string> {
    const { model, objective, shape, optimizer } = this.#parts;
    const carried = this.#carried && fresh ? { arrays: this.#carried, fresh } : undefined;
    const params = trainedPoint(optimizer, this.#state);
    return await firstBadTensor(this.#device, model, { params, objective, data, shape, carried });
  }

  async download(): Promise<Pick<TrainingState, "params" | "optimizer" | "carried" | "scaling">> {
    const { model, optimizer } = this.#parts, scaling = await this.#scaling?.read();
    const state = {
      ...await downloadState(model, optimizer, this.#state),
      ...(scaling ? { scaling: unpackScaling(scaling) } : {}),
    };
    return this.#carried ? { ...state, carried: await downloadCarried(this.#carried) } : state;
  }

  dispose(): void {
    for (const array of [...Object.values(this.#state), this.#healthy]) array.dispose();
    this.#scaling?.dispose();
    if (this.#carried) disposeCarried(this.#carried);
    this.program.dispose();
  }
}

/** The scaling of the loss in device memory, [3]: of a stored state or the first; undefined for steps not in f16. */
export function uploadScaling(device: Device, { precision, state, shape }: RunnerParts): DeviceArray | undefined {
  if (precision !== "f16") return undefined;
  const scaling = state?.scaling ?? firstScaling(shape.batch * shape.length);
  return device.upload(packScaling(scaling), { shape: [3], dtype: "f32" });
}

/** A number in device memory: above 0 where all is healthy. */
export function flag(device: Device, value: number): DeviceArray {
  return device.upload(Float32Array.of(value), { shape: [], dtype: "f32" });
}
