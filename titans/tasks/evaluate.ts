/** Measuring a trained model on a task: figures with their chance levels. */
import type { Device, DeviceArray } from "../../kernels/mod.ts";
import { optionNames } from "../../core/options.ts";
import { checkNames, ConfigError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import type { BatchArrays } from "../train/objective.ts";
import { Validation } from "../train/validation.ts";
import type { ModelRequirements, Score, TaskInstance } from "./task.ts";

/** What is evaluated, and how much. */
export interface EvaluationOptions {
  /** The model. */
  readonly model: Model;
  /** Its parameters in device memory. */
  readonly params: DeviceArray;
  /** The task. */
  readonly task: TaskInstance;
  /** Sequences of the test split to measure, at least. */
  readonly samples: number;
  /** Sequences computed at once. */
  readonly batch: number;
  /** Is called after each batch with how many sequences are done, of how many that are known of. */
  readonly progress?: (done: number, total: number) => void;
}

const EVALUATION_OPTIONS = optionNames<EvaluationOptions>({
  model: true,
  params: true,
  task: true,
  samples: true,
  batch: true,
  progress: true,
});
const REQUIREMENTS = optionNames<ModelRequirements>({ vocabulary: true, features: true, outputs: true });

/**
 * Evaluates a model on the test split: the loss, the reports of the task and the mixers, and the task's own evaluation.
 * @throws {ConfigError} if the model does not fit the task.
 */
export async function evaluateTask(device: Device, options: EvaluationOptions): Promise<readonly Score[]> {
  checkNames("evaluateTask", options, EVALUATION_OPTIONS);
  const { model, params, task, samples, batch, progress } = options;
  requireFit(model, task.requires);
  const steps = Math.max(1, Math.ceil(samples / batch));
  let done = 0, total = steps * batch;
  const expect = (samples: number): void => void (total += samples);
  const advance = (samples: number): void => progress?.(done += samples, total);
  const measure = async (instance: TaskInstance, label?: string): Promise<readonly Score[]> => {
    if (label !== undefined) expect(steps * batch);
    const validation = new Validation(device, model, instance, instance.length);
    const data = instance.batches("test", batch, 0);
    const batches = function* (): Generator<BatchArrays> {
      for (let step = 0; step < steps; step++) {
        yield data.batch(step);
        advance(batch);
      }
    };
    try {
      const { figures, weights } = await validation.batches(params, batch, batches());
      const { loss, ...others } = figures;
      return Object.entries({ loss, ...instance.derived?.(loss), ...others }).map(([name, value]) => ({
        name: label === undefined ? name : `${label}: ${name}`,
        value,
        ...(instance.chance?.[name] === undefined ? {} : { chance: instance.chance[name] }),
        ...(weights[name] === undefined ? {} : { count: weights[name] }),
      }));
    } finally {
      validation.dispose();
    }
  };
  const subject = { device, model, params, samples, batch, expect, advance, measure };
  return [...await measure(task), ...await task.evaluate?.(subject) ?? []];
}

/**
 * Checks that a model has the inputs and outputs of a task. @throws {ConfigError} naming the first option that differs.
 */
export function requireFit(model: Model, requires: ModelRequirements): void {
  checkNames("a task's requirements", requires, REQUIREMENTS);
  const { vocabulary, features, outputs } = model.config,
    found: Readonly<Record<string, number>> = {
      vocabulary,
      features,
      outputs,
    };
  const needed: ModelRequirements = { features: 0, outputs: 0, ...requires };
  for (const [field, value] of Object.entries(needed)) {
    if (found[field] === value) continue;
    throw new ConfigError(
      `Cannot use this model for the task: its ${field} is ${found[field]}, the task needs ${value}; train one for it`,
      field,
    );
  }
}
