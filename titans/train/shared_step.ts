/**
 * A training step of ranks that share it, as two functions of tensors: the gradient of a rank's rows in one vector, and
 * the update from the sum of these vectors over all ranks. Each rank makes the same update, or with sharded state that
 * of its part of the parameters.
 */
import type { Half } from "../../core/dtype.ts";
import type { Tensor } from "../../core/graph.ts";
import { type Spec, spec, type SpecsOf } from "../../core/trace.ts";
import type { MapTree } from "../../core/tree.ts";
import { concat, sliceAxis, squeeze, stack, zerosLike } from "../../ops/mod.ts";
import type { ModelState } from "../models/model.ts";
import type { Network } from "../models/network.ts";
import { PARAMETER_ALIGNMENT } from "../nn/parameters.ts";
import { carriedSpecs } from "./carried.ts";
import { type Collective, type Share, shareOf } from "./collective.ts";
import { gradient, type StepBatch } from "./gradient.ts";
import type { Objective } from "./objective.ts";
import { type OptimizerConfig, stepScalars } from "./optimizer_config.ts";
import { optimizerSpecs } from "./optimizer_state.ts";
import { scaleOf, storageOf } from "./precision.ts";
import { ROW_SUMS } from "./rows_seen.ts";
import type { StepParts } from "./step_function.ts";
import { keepCarried } from "./training_step.ts";
import { type OptimizerState, update, type Updated } from "./update.ts";
import { batchSpecs } from "./validation.ts";

/**
 * What follows the gradient in a vector of sums, by its first place: the loss, its weight, how many ranks ask to stop,
 * and which rows they took.
 */
export const BEHIND = { loss: 0, weight: 1, stop: 2, rows: 3 } as const;

/** How many numbers that is. */
export const SUMS_BEHIND: number = BEHIND.rows + ROW_SUMS;

/** The elements of a vector of parameters that are a rank's: whole loads of kernels. */
export function elementShare(size: number, rank: Pick<Collective, "rank" | "size">): Share {
  const { first, count } = shareOf(size / PARAMETER_ALIGNMENT, rank);
  return { first: first * PARAMETER_ALIGNMENT, count: count * PARAMETER_ALIGNMENT };
}

/** A function and how it is compiled. */
interface HalfStep<Args extends readonly unknown[], R> {
  readonly fn: (...args: Args) => R;
  readonly specs: SpecsOf<Args>;
  readonly options: { readonly donate?: readonly number[]; readonly storage?: Half };
}

/** What the gradient of rows is taken of: parameters [P], the rows and, in f16, the scaling of the loss [3]. */
export type GradientArguments = [params: Tensor, rows: StepBatch, scaling?: Tensor];

/** Both halves of a step with the types of what they take. */
export interface SharedFunctions {
  readonly first: HalfStep<GradientArguments, RowsGradient>;
  readonly second: HalfStep<[before: BeforeUpdate, step: SummedStep], SharedUpdated>;
}

/**
 * The halves of a rank's step.
 * @param rows The parts of its rows, all of one size, each a launch of the gradient.
 * @param part The elements of the vectors that it updates. Default: all.
 */
export function sharedFunctions(
  { model, objective, optimizer, shape: { length, accumulate }, stream, precision = "f32" }: StepParts,
  rows: readonly Share[],
  part?: Share,
): SharedFunctions {
  const [{ count }] = rows, axes = [accumulate, count];
  const states = stream ? carriedSpecs(model, { batch: count, accumulate }) : undefined;
  const input = {
    data: batchSpecs(objective, length, axes),
    ...(states ? { carried: { state: states, fresh: spec(axes) } } : {}),
  } as MapTree<StepBatch, Tensor, Spec>;
  const carried = states ? { carried: rows.map(() => states) } : {};
  const scaled = precision === "f16", scaling = spec([3]), params = spec([model.layout.size]);
  const before = {
    state: optimizerSpecs(model, optimizer, part),
    healthy: spec([]),
    ...(scaled ? { scaling } : {}),
    ...carried,
  };
  const summed = {
    sums: spec([model.layout.size + SUMS_BEHIND]),
    scalars: spec([stepScalars(optimizer, 0).length]),
    ...carried,
  };
  return {
    first: {
      fn: rowsGradient(model, objective),
      specs: (scaled ? [params, input, scaling] : [params, input]) as SpecsOf<GradientArguments>,
      options: { storage: storageOf(precision) },
    },
    second: {
      fn: sharedUpdate(optimizer, model, part),
      specs: [before, summed] as unknown as SpecsOf<[BeforeUpdate, SummedStep]>,
      options: { donate: [0] },
    },
  };
}

/** What {@link rowsGradient} gives. */
export interface RowsGradient {
  /** Sums of gradient, loss and weight, and zeros for what the host adds: [P + 5]. */
  readonly sums: Tensor;
  /** The state of each row after the step, [A, B, ...], where one was given. */
  readonly carried?: ModelState;
}

/** The gradient of some rows of a step as a function of tensors. */
export function rowsGradient(model: Network, objective: Objective): (...args: GradientArguments) => RowsGradient {
  const first = gradient(model, objective);
  return (params, rows, scaling) => {
    const { carried, gradientSum, lossSum, weight } = first(params, rows, scaling && scaleOf(scaling));
    const zeros = Array.from({ length: SUMS_BEHIND - BEHIND.stop }, () => zerosLike(weight));
    const sums = concat([gradientSum, stack([lossSum, weight, ...zeros], 0)], 0);
    return carried ? { sums, carried } : { sums };
  };
}

/** What {@link sharedUpdate} replaces. */
export interface BeforeUpdate {
  readonly state: OptimizerState;
  readonly healthy: Tensor;
  /** The scaling of the loss with which the gradients were taken, in f16. */
  readonly scaling?: Tensor;
  /** What the rows of each part carried into the step. */
  readonly carried?: readonly ModelState[];
}

/** What {@link sharedUpdate} learns of the step. */
export interface SummedStep {
  /** Over all ranks, [P + 5]. */
  readonly sums: Tensor;
  /** As `stepScalars` gives them. */
  readonly scalars: Tensor;
  /** What the rows of each part carry after the step. */
  readonly carried?: readonly ModelState[];
}

/** What {@link sharedUpdate} gives. */
export interface SharedUpdated extends Updated {
  readonly carried?: readonly ModelState[];
}

/**
 * The update as a function of tensors.
 * @param part The elements of the vectors that are updated. Default: all.
 */
export function sharedUpdate(
  config: OptimizerConfig,
  { layout }: Network,
  part?: Share,
): (before: BeforeUpdate, step: SummedStep) => SharedUpdated {
  const second = update(config, layout, part), size = layout.size;
  return (before, { sums, scalars, carried }) => {
    const [lossSum, weight] = [BEHIND.loss, BEHIND.weight].map((i) => squeeze(sliceAxis(sums, 0, size + i, 1), 0));
    const gradientSum = sliceAxis(sums, 0, 0, size);
    const { state, healthy, scaling } = before;
    const updated = second(state, { gradientSum, lossSum, weight }, { healthy, scalars, scaling });
    if (!carried) return updated;
    const kept = carried.map((after, i) => keepCarried(updated.healthy, after, before.carried![i]));
    return { ...updated, carried: kept };
  };
}
