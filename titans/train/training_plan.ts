/**
 * What a training step would take, before anything is allocated: the memory that the planner gives each kind of value,
 * and the arithmetic of the kernels. The plan is that of the program which `Trainer` compiles, so it agrees with it to
 * the byte; blocks that are alike are compiled as one loop, so a deep model is planned as fast as a shallow one.
 */
import { DeviceError } from "../../core/errors.ts";
import { formatType } from "../../core/shape.ts";
import { planProgram } from "../../kernels/compile.ts";
import { flopsOfSteps } from "../../kernels/cost.ts";
import type { Device, DeviceLimits } from "../../kernels/device.ts";
import type { Plan, Value } from "../../kernels/plan.ts";
import { largestTensor } from "../../kernels/plan_memory.ts";
import { DEFAULT_TILE } from "../../kernels/tiling/tile.ts";
import type { Network } from "../models/network.ts";
import { stepFunction, type StepParts } from "./step_function.ts";

/** Kinds of memory, in the order in which they are listed. */
export const MEMORY_KINDS = ["weights", "moments", "gradients", "activations", "batch", "other"] as const;

/** A kind of memory: `moments` are all that the optimizer keeps, `batch` what a step reads. */
export type MemoryKind = typeof MEMORY_KINDS[number];

/** A tensor that is too large for a device. */
export interface LargeTensor {
  readonly label: string;
  /** Such as `f32[340002944]`. */
  readonly type: string;
  readonly sizeBytes: number;
}

/** What a step takes. */
export interface TrainingPlan {
  /** Parameters of the model. */
  readonly parameters: number;
  /** Tokens of a step. */
  readonly tokensPerStep: number;
  /** Bytes by kind; all of them are in use at the fullest moment. */
  readonly memory: Readonly<Record<MemoryKind, number>>;
  /** Their sum. */
  readonly totalBytes: number;
  /** Arithmetic of forward, backward and update per token; a multiply-add is two. */
  readonly flopsPerToken: number;
  /** Kernels of the step. */
  readonly kernels: number;
  /** Tensors larger than the device can bind: empty if the step fits. */
  readonly tooLarge: readonly LargeTensor[];
}

/**
 * Plans a training step.
 * @param parts The step, as a trainer has it.
 * @param limits Limits of the device that it is for. A tensor above them is listed, not refused.
 */
export function planTraining(parts: StepParts, limits: DeviceLimits): TrainingPlan {
  const { model, shape: { batch, length, accumulate } } = parts, { layout } = model;
  const plan = planOf(parts, limits), tokensPerStep = batch * length * accumulate;
  const memory = memoryOf(plan, layout.size), limit = largestTensor(limits);
  return {
    parameters: layout.parameterCount,
    tokensPerStep,
    memory,
    totalBytes: plan.peakBytes,
    flopsPerToken: flopsOfSteps(plan.steps) / tokensPerStep,
    kernels: kernelCount(plan),
    tooLarge: plan.values.filter((value) => hasOwnMemory(value) && value.sizeBytes > limit)
      .map(({ label, type, sizeBytes }) => ({ label: named(label), type: formatType(type), sizeBytes })),
  };
}

/** Whether a value is no part of another, nor lies in the memory of an argument. */
function hasOwnMemory({ storage }: Value): boolean {
  return storage.kind !== "alias" && !(storage.kind === "output" && storage.takes !== undefined);
}

/** What a user calls a value: the state is the first argument of a step. */
function named(label: string): string {
  return label.replace(/^\[0\]\.params$/, "weights").replace(/^\[0\]\./, "moments: ");
}

/** The plan for the limits if everything fits, else that of a device without limits to the size of a tensor. */
function planOf(parts: StepParts, limits: DeviceLimits): Plan {
  const { step, specs, ...options } = stepFunction(parts);
  try {
    return planProgram(limits, step, specs, options);
  } catch (error) {
    if (!(error instanceof DeviceError && error.reason === "limit")) throw error;
    // What is cut for the device stays cut, so that only what cannot be is listed.
    const tile = { ...DEFAULT_TILE, ...limits.tile, largestBytes: largestTensor(limits) };
    return planProgram({ ...limits, maxTensorBytes: Infinity, maxBufferBytes: Infinity, tile }, step, specs, options);
  }
}

/** Bytes by kind; of temporaries, vectors as long as that of all parameters are gradients. */
function memoryOf({ values, arenaBytes, peakBytes }: Plan, size: number): Record<MemoryKind, number> {
  const sum = (holds: (value: Value) => boolean): number =>
    values.filter(holds).reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
  const isInput = ({ storage }: Value): boolean => storage.kind === "input";
  const isWeights = (value: Value): boolean => isInput(value) && value.label === "[0].params";
  const isState = (value: Value): boolean => isInput(value) && value.label.startsWith("[0].");
  const weights = sum(isWeights), moments = sum(isState) - weights, batch = sum(isInput) - weights - moments;
  const gradients = Math.min(
    arenaBytes,
    Math.max(0, ...values.filter((value) => isVector(value, size)).map(({ sizeBytes }) => sizeBytes)),
  );
  const activations = arenaBytes - gradients;
  return {
    weights,
    moments,
    gradients,
    activations,
    batch,
    other: peakBytes - arenaBytes - weights - moments - batch,
  };
}

function isVector({ storage, type: { shape } }: Value, size: number): boolean {
  return storage.kind === "temporary" && shape.length === 1 && shape[0] === size;
}

function kernelCount({ steps }: Pick<Plan, "steps">): number {
  return steps.reduce((count, step) => count + (step.kind === "loop" ? kernelCount(step) : 1), 0);
}

const inMegabytes = (bytes: number): string => Math.round(bytes / 1e6).toLocaleString("en");

/** Checks that a device can bind the vector of parameters, before anything is compiled. @throws {DeviceError} if it cannot. */
export function checkVectorFits({ info, limits }: Device, model: Network): void {
  const sizeBytes = 4 * model.layout.size, most = largestTensor(limits);
  if (sizeBytes <= most) return;
  throw new DeviceError(
    `Cannot train ${model}: its weights are one vector of ${
      inMegabytes(sizeBytes)
    } MB, and one tensor may take at most ${
      inMegabytes(most)
    } MB on ${info.kind}; use a smaller model, or a device with a higher limit`,
    "limit",
  );
}
