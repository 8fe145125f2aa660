/** The training step of a run with the types of all that it takes: what is compiled, or only planned. */
import type { Tensor } from "../../core/graph.ts";
import { type Spec, spec, type SpecsOf } from "../../core/trace.ts";
import type { MapTree } from "../../core/tree.ts";
import type { Network } from "../models/network.ts";
import { carriedSpecs } from "./carried.ts";
import type { StepBatch } from "./gradient.ts";
import type { Objective } from "./objective.ts";
import { type OptimizerConfig, stepScalars } from "./optimizer_config.ts";
import { optimizerSpecs } from "./optimizer_state.ts";
import type { TrainingShape } from "./training.ts";
import { type StepArguments, type StepResult, trainingStep } from "./training_step.ts";
import { batchSpecs } from "./validation.ts";

/** What a step depends on. */
export interface StepParts {
  readonly model: Network;
  readonly objective: Objective;
  readonly optimizer: OptimizerConfig;
  readonly shape: Required<TrainingShape>;
  /** Whether memory is carried from step to step. */
  readonly stream?: boolean;
}

/** A step and its arguments. */
export interface StepFunction {
  readonly step: (...args: StepArguments) => StepResult;
  readonly specs: SpecsOf<StepArguments>;
  /** The arguments whose memory the results take. */
  readonly donate: readonly number[];
}

/** The step of a run. */
export function stepFunction({ model, objective, optimizer, shape, stream = false }: StepParts): StepFunction {
  const { batch, length, accumulate } = shape, rows = [accumulate, batch];
  const input = {
    data: batchSpecs(objective, length, rows),
    ...(stream ? { carried: { state: carriedSpecs(model, shape), fresh: spec(rows) } } : {}),
  } as MapTree<StepBatch, Tensor, Spec>;
  const scalars = spec([stepScalars(optimizer, 0).length]);
  return {
    step: trainingStep(model, objective, optimizer),
    specs: [optimizerSpecs(model, optimizer), spec([]), input, scalars],
    donate: stream ? [0, 1, 2] : [0, 1],
  };
}
