/**
 * A training step of ranks that share it, as two functions of tensors: the gradient of a rank's rows in one vector, and
 * the update from the sum of these vectors over all ranks. Each rank makes the same update, or with sharded state that
 * of its part of the parameters.
 */
import type { Tensor } from "../../core/graph.ts";
import { concat, sliceAxis, squeeze, stack, zerosLike } from "../../ops/mod.ts";
import type { ModelState } from "../models/model.ts";
import type { Network } from "../models/network.ts";
import type { Share } from "./collective.ts";
import { gradient, type StepBatch } from "./gradient.ts";
import type { Objective } from "./objective.ts";
import type { OptimizerConfig } from "./optimizer_config.ts";
import { keepCarried } from "./training_step.ts";
import { type OptimizerState, update, type Updated } from "./update.ts";

/** What follows the gradient in a vector of sums: the loss, its weight, and how many ranks ask to stop. */
export const SUMS_BEHIND = 3;

/** What {@link rowsGradient} gives. */
export interface RowsGradient {
  /** Sums of gradient, loss and weight, and a zero for the request to stop: [P + 3]. */
  readonly sums: Tensor;
  /** The state of each row after the step, [A, B, ...], where one was given. */
  readonly carried?: ModelState;
}

/** The gradient of some rows of a step as a function of parameters [P] and the rows. */
export function rowsGradient(model: Network, objective: Objective): (params: Tensor, rows: StepBatch) => RowsGradient {
  const first = gradient(model, objective);
  return (params, rows) => {
    const { carried, gradientSum, lossSum, weight } = first(params, rows);
    const sums = concat([gradientSum, stack([lossSum, weight, zerosLike(weight)], 0)], 0);
    return carried ? { sums, carried } : { sums };
  };
}

/** What {@link sharedUpdate} replaces. */
export interface BeforeUpdate {
  readonly state: OptimizerState;
  readonly healthy: Tensor;
  /** What the rows of each part carried into the step. */
  readonly carried?: readonly ModelState[];
}

/** What {@link sharedUpdate} learns of the step. */
export interface SummedStep {
  /** Over all ranks, [P + 3]. */
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
    const [lossSum, weight] = [0, 1].map((i) => squeeze(sliceAxis(sums, 0, size + i, 1), 0));
    const gradientSum = sliceAxis(sums, 0, 0, size);
    const updated = second(before.state, { gradientSum, lossSum, weight }, { healthy: before.healthy, scalars });
    if (!carried) return updated;
    const kept = carried.map((after, i) => keepCarried(updated.healthy, after, before.carried![i]));
    return { ...updated, carried: kept };
  };
}
