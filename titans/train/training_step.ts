/** A whole training step as one function of tensors: gradient and update without anything between them. */
import type { Tensor } from "../../core/graph.ts";
import { greater, where } from "../../ops/mod.ts";
import type { ModelState } from "../models/model.ts";
import type { Network } from "../models/network.ts";
import { gradient, mapStates, type StepBatch } from "./gradient.ts";
import type { Objective } from "./objective.ts";
import type { OptimizerConfig } from "./optimizer_config.ts";
import { scaleOf } from "./precision.ts";
import { type OptimizerState, trainedPoint, update, type Updated } from "./update.ts";

/** What {@link trainingStep} gives. */
export interface StepResult extends Updated {
  /** The state of each row after the step, [A, B, ...], where one was given; as before if it was refused. */
  readonly carried?: ModelState;
}

/** What {@link trainingStep} takes. */
export type StepArguments = [
  state: OptimizerState,
  healthy: Tensor,
  batch: StepBatch,
  scalars: Tensor,
  scaling?: Tensor,
];

/**
 * The training step as a function of tensors.
 * @param model The model.
 * @param objective What it learns.
 * @param config How it is updated.
 * @returns From a state [P], `healthy` [], batches [A, B, ...], the scalars of `stepScalars` and, in f16, the scaling of
 * the loss [3] to all of them after the step.
 */
export function trainingStep(
  model: Network,
  objective: Objective,
  config: OptimizerConfig,
): (...args: StepArguments) => StepResult {
  const first = gradient(model, objective), second = update(config, model.layout);
  return (state, healthy, batch, scalars, scaling) => {
    const { carried, ...sums } = first(trainedPoint(config, state), batch, scaling && scaleOf(scaling));
    const updated = second(state, sums, { healthy, scalars, scaling });
    return carried ? { ...updated, carried: keepCarried(updated.healthy, carried, batch.carried!.state) } : updated;
  };
}

/** What is carried after a step: as before it where the step was refused. */
export function keepCarried(healthy: Tensor, after: ModelState, before: ModelState): ModelState {
  const ok = greater(healthy, 0);
  return mapStates((after, before) => where(ok, after, before), after, before);
}
