/** The training step of a run with the types of all that it takes: what is compiled, or only planned. */
import type { Half } from "../../core/dtype.ts";
import type { Tensor } from "../../core/graph.ts";
import { type Spec, spec, type SpecsOf } from "../../core/trace.ts";
import type { MapTree } from "../../core/tree.ts";
import type { Network } from "../models/network.ts";
import { carriedSpecs } from "./carried.ts";
import type { StepBatch } from "./gradient.ts";
import type { Objective } from "./objective.ts";
import { type OptimizerConfig, stepScalars } from "./optimizer_config.ts";
import { optimizerSpecs } from "./optimizer_state.ts";
import { type Precision, storageOf } from "./precision.ts";
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
  /** Default: f32. */
  readonly precision?: Precision;
}

/** A step and its arguments. */
export interface StepFunction {
  readonly step: (...args: StepArguments) => StepResult;
  readonly specs: SpecsOf<StepArguments>;
  /** The arguments whose memory the results take. */
  readonly donate: readonly number[];
  /** The 16-bit type that the step keeps between kernels. */
  readonly storage: Half | undefined;
}

/** The step of a run. */
export function stepFunction(
  { model, objective, optimizer, shape, stream = false, precision = "f32" }: StepParts,
): StepFunction {
  const { batch, length, accumulate } = shape, rows = [accumulate, batch];
  const input = {
    data: batchSpecs(objective, length, rows),
    ...(stream ? { carried: { state: carriedSpecs(model, shape), fresh: spec(rows) } } : {}),
  } as MapTree<StepBatch, Tensor, Spec>;
  const scalars = spec([stepScalars(optimizer, 0).length]);
  const specs: SpecsOf<StepArguments> = [optimizerSpecs(model, optimizer), spec([]), input, scalars];
  const isScaled = precision === "f16", donate = stream ? [0, 1, 2] : [0, 1];
  return {
    step: trainingStep(model, objective, optimizer),
    specs: isScaled ? [...specs, spec([3])] as unknown as SpecsOf<StepArguments> : specs,
    donate: isScaled ? [...donate, 4] : donate,
    storage: storageOf(precision),
  };
}
