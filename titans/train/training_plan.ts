/**
 * What a training step would take, before anything is allocated: the memory that the planner gives each kind of value,
 * and the arithmetic of the kernels. The plan is that of the program which `Trainer` compiles, so it agrees with it to
 * the byte; blocks that are alike are compiled as one loop, so a deep model is planned as fast as a shallow one.
 */
import type { Half } from "../../core/dtype.ts";
import { DeviceError } from "../../core/errors.ts";
import { formatType } from "../../core/shape.ts";
import type { SpecsOf } from "../../core/trace.ts";
import { flopsOfSteps } from "../../kernels/cost.ts";
import type { Device, DeviceLimits } from "../../kernels/device.ts";
import { isTooLarge, largestOperand, largestTensor, UNLIMITED } from "../../kernels/limits.ts";
import type { Plan, Value } from "../../kernels/plan.ts";
import { planProgram } from "../../kernels/plan_program.ts";
import { DEFAULT_TILE } from "../../kernels/tiling/large.ts";
import type { Network } from "../models/network.ts";
import { elementShare, sharedFunctions, SUMS_BEHIND } from "./shared_step.ts";
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
  /** Tensors larger than the device can hold: empty if the step fits. */
  readonly tooLarge: readonly LargeTensor[];
}

/** How a planned step is shared. */
export interface PlannedSharing {
  readonly ranks: number;
  /** Whether each rank keeps a part of the optimizer's vectors. */
  readonly shard: boolean;
}

/**
 * Plans a training step.
 * @param parts The step, as a trainer has it.
 * @param limits Limits of the device that it is for. A tensor above them is listed, not refused.
 * @param sharing Of several ranks: what one of them takes, `shape` being its rows. Default: one process.
 */
export function planTraining(parts: StepParts, limits: DeviceLimits, sharing?: PlannedSharing): TrainingPlan {
  const { model, shape: { batch, length, accumulate } } = parts, { layout } = model;
  const shared = sharing && sharing.ranks > 1 ? planHalves(parts, limits, sharing) : undefined;
  const plans: readonly Plan[] = shared ?? [planOf(limits, stepFunction(parts))];
  const memory = shared ? memoryOfHalves(shared, layout.size) : memoryOf(plans[0], layout.size);
  const tokensPerStep = batch * length * accumulate, values = plans.flatMap(({ values }) => values);
  return {
    parameters: layout.parameterCount,
    tokensPerStep,
    memory,
    totalBytes: Object.values(memory).reduce((sum, bytes) => sum + bytes, 0),
    flopsPerToken: plans.reduce((sum, { steps }) => sum + flopsOfSteps(steps), 0) / tokensPerStep,
    kernels: plans.reduce((sum, plan) => sum + kernelCount(plan), 0),
    tooLarge: largeTensors(values, limits, layout.size),
  };
}

/** The gradient and the update of a rank; the first rank has no more elements than others, and as many rows. */
function planHalves(parts: StepParts, limits: DeviceLimits, { ranks, shard }: PlannedSharing): readonly [Plan, Plan] {
  const part = shard ? elementShare(parts.model.layout.size, { rank: 0, size: ranks }) : undefined;
  const { first, second } = sharedFunctions(parts, [{ first: 0, count: parts.shape.batch }], part);
  return [
    planOf(limits, { step: first.fn, specs: first.specs, ...first.options }),
    planOf(limits, { step: second.fn, specs: second.specs, ...second.options }),
  ];
}

/**
 * Bytes by kind of both halves, which share an arena. The sums are the result of one and an argument of the other, and
 * may lie side by side: small arrays take the place of one before the other comes. When the second half has results of
 * its own, the rows are gone.
 */
function memoryOfHalves([first, second]: readonly [Plan, Plan], size: number): Record<MemoryKind, number> {
  const inputs = (plan: Plan, holds: (label: string) => boolean): number =>
    bytesOf(plan.values, ({ storage, label }) => storage.kind === "input" && holds(label));
  const weights = inputs(first, (label) => label === "[0]"), batch = inputs(first, (label) => label !== "[0]");
  const state = inputs(second, (label) => label.startsWith("[0].state.")),
    sums = inputs(second, (label) => label === "[1].sums");
  const rest = (plan: Plan): number => plan.peakBytes - plan.arenaBytes - inputs(plan, () => true);
  const vector = longestVector(first, size);
  return {
    weights,
    moments: state - weights,
    gradients: vector + 2 * sums,
    activations: Math.max(first.arenaBytes, second.arenaBytes) - vector,
    batch,
    other: rest(first) - sums + Math.max(0, rest(second) - batch),
  };
}

/** Whether a value is no part of another, nor lies in the memory of an argument. */
function hasOwnMemory({ storage }: Value): boolean {
  return storage.kind !== "alias" && !(storage.kind === "output" && storage.takes !== undefined);
}

/** What a user calls a value: the state is the first argument of a step, and of the halves that ranks run. */
function named(value: Value, size: number): string {
  if (isVector(value, size)) return "gradients";
  const { label, type: { shape } } = value;
  // The result of one half and an argument of the other.
  if (shape.length === 1 && shape[0] === size + SUMS_BEHIND) return "sums of gradients";
  return label.replace(/^\[0\](\.(state\.)?params)?$/, "weights").replace(/^\[0\]\.(state\.)?/, "moments: ");
}

/** Values by what users call them, each once: both halves of a step have the weights. */
function largeTensors(values: readonly Value[], limits: DeviceLimits, size: number): LargeTensor[] {
  const large = values.filter((value) => hasOwnMemory(value) && isTooLarge(value, limits))
    .map((value) => ({ label: named(value, size), type: formatType(value.type), sizeBytes: value.sizeBytes }));
  return [...new Map(large.map((tensor) => [tensor.label, tensor])).values()];
}

/** The plan for the limits if everything fits, else that of a device without limits to the size of a tensor. */
function planOf<Args extends readonly unknown[], R>(
  limits: DeviceLimits,
  { step, specs, ...options }: {
    readonly step: (...args: Args) => R;
    readonly specs: SpecsOf<Args>;
    readonly donate?: readonly number[];
    readonly storage?: Half;
  },
): Plan {
  try {
    return planProgram(limits, step, specs, options);
  } catch (error) {
    if (!(error instanceof DeviceError && error.reason === "limit")) throw error;
    // What is cut for the device stays cut, so that only what cannot be is listed.
    const tile = { ...DEFAULT_TILE, ...limits.tile, largestBytes: largestOperand(limits) };
    const plan = planProgram({ ...limits, ...UNLIMITED, tile }, step, specs, options);
    if (!plan.values.some((value) => isTooLarge(value, limits))) throw error;
    return plan;
  }
}

/** Bytes by kind; of temporaries, vectors as long as that of all parameters are gradients. */
function memoryOf(plan: Plan, size: number): Record<MemoryKind, number> {
  const { values, arenaBytes, peakBytes } = plan;
  const isInput = ({ storage }: Value): boolean => storage.kind === "input";
  const isWeights = (value: Value): boolean => isInput(value) && value.label === "[0].params";
  const isState = (value: Value): boolean => isInput(value) && value.label.startsWith("[0].");
  const weights = bytesOf(values, isWeights),
    moments = bytesOf(values, isState) - weights,
    batch = bytesOf(values, isInput) - weights - moments;
  const gradients = longestVector(plan, size);
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

function bytesOf(values: readonly Value[], holds: (value: Value) => boolean): number {
  return values.filter(holds).reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
}

/** Bytes of a temporary vector of all parameters: the gradient. */
function longestVector({ values, arenaBytes }: Plan, size: number): number {
  const vectors = values.filter((value) => isVector(value, size)).map(({ sizeBytes }) => sizeBytes);
  return Math.min(arenaBytes, Math.max(0, ...vectors));
}

function isVector({ storage, type: { shape } }: Value, size: number): boolean {
  return storage.kind === "temporary" && shape.length === 1 && shape[0] === size;
}

function kernelCount({ steps }: Pick<Plan, "steps">): number {
  return steps.reduce((count, step) => count + (step.kind === "loop" ? kernelCount(step) : 1), 0);
}

const inMegabytes = (bytes: number): string => Math.round(bytes / 1e6).toLocaleString("en");

/**
 * Checks that a device can hold the vector of parameters, before anything is compiled. @throws {DeviceError} if it
 * cannot.
 */
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
