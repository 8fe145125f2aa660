/** Measuring a trained model on a task or a benchmark: figures with their errors and chance levels. */
import type { Device, DeviceArray } from "../../kernels/mod.ts";
import { optionNames } from "../../core/options.ts";
import { checkNames, ConfigError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import type { BatchArrays } from "../train/objective.ts";
import type { Share } from "../train/collective.ts";
import { type BatchFigures, type Measurement, measurementOf, Validation } from "../train/validation.ts";
import {
  type Answer,
  type BenchmarkInstance,
  type BenchmarkSubject,
  BYTE_CODEC,
  type TextCodec,
  type TextModel,
} from "./benchmark.ts";
import { proportion } from "./figures.ts";
import { BatchReader } from "./reading.ts";
import type { ModelRequirements, Score, Subject, TaskInstance } from "./task.ts";

/**
 * Where the figures of the parts of an evaluation are kept, so that one that was stopped can go on, and which of them
 * are measured.
 */
export interface EvaluationCells {
  /** The figures of a cell, if it was measured before. */
  known(cell: string): readonly Score[] | undefined;
  /** Receives those of a cell that was measured. */
  measured(cell: string, scores: readonly Score[]): void;
  /** The answers to the first questions of a part, if it was stopped on the way. Default: none are kept. */
  answered?(part: string): readonly Answer[];
  /** Receives the answers to the next ones. */
  answer?(part: string, answers: readonly Answer[]): void;
  /**
   * Whether a cell that is not known is measured; if not, the evaluation goes on without its figures. Processes that
   * share an evaluation each measure cells of their own. Default: all are.
   */
  measures?(cell: string): boolean;
}

/** The cell of the task's own test samples. */
export const OWN_SAMPLES = "test samples";

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
  /** Keeps the figures of each part. Default: nothing is kept. */
  readonly cells?: EvaluationCells;
}

const EVALUATION_OPTIONS = optionNames<EvaluationOptions>({
  model: true,
  params: true,
  task: true,
  samples: true,
  batch: true,
  progress: true,
  cells: true,
});
/** Batches of questions after which their answers are kept. */
const KEPT_BATCHES = 8;
const REQUIREMENTS = optionNames<ModelRequirements>({ vocabulary: true, features: true, outputs: true });

/**
 * Evaluates a model on the test split: the loss, the reports of the task and the mixers, and the task's own evaluation.
 * @throws {ConfigError} if the model does not fit the task.
 */
export async function evaluateTask(device: Device, options: EvaluationOptions): Promise<readonly Score[]> {
  checkNames("evaluateTask", options, EVALUATION_OPTIONS);
  const { model, params, task, samples, batch } = options;
  requireFit(model, task.requires);
  const steps = sampleBatches(options),
    extent = measuring(options),
    { cell, expect, advance } = extent;
  if (!options.cells?.known(OWN_SAMPLES)) expect(steps * batch);
  const scoresOf = async (instance: TaskInstance): Promise<readonly Score[]> => {
    const subject = { model, params, task: instance, batch, advance };
    return samplesScores(instance, await measureSamples(device, subject, { first: 0, count: steps }));
  };
  const measure = (instance: TaskInstance, label: string): Promise<readonly Score[]> =>
    cell(label, async () => {
      expect(steps * batch);
      return (await scoresOf(instance)).map((score) => ({ ...score, name: `${label}: ${score.name}` }));
    });
  const subject = { device, model, params, samples, batch, ...extent, measure };
  return [...await cell(OWN_SAMPLES, () => scoresOf(task)), ...await task.evaluate?.(subject) ?? []];
}

/** How many batches hold so many test samples. */
export function sampleBatches({ samples, batch }: Pick<EvaluationOptions, "samples" | "batch">): number {
  return Math.max(1, Math.ceil(samples / batch));
}

/** What test samples are measured with. */
export interface SamplesSubject extends Pick<EvaluationOptions, "model" | "params" | "task" | "batch"> {
  /** Is called with the number of samples after each batch. @throws if the measurement is to end. */
  readonly advance: (samples: number) => void;
}

/** Measures batches of a task's test samples, counted from 0, each by itself. */
export async function measureSamples(
  device: Device,
  { model, params, task, batch, advance }: SamplesSubject,
  { first, count }: Share,
): Promise<BatchFigures> {
  const validation = new Validation(device, model, task, task.length), data = task.batches("test", batch, 0);
  const batches = function* (): Generator<BatchArrays> {
    for (let step = first; step < first + count; step++) {
      yield data.batch(step);
      advance(batch);
    }
  };
  try {
    return await validation.each(params, batch, batches());
  } finally {
    validation.dispose();
  }
}

/** The figures of a task's test samples, of what all their batches came to. */
export function samplesScores(task: TaskInstance, figures: BatchFigures): readonly Score[] {
  return figuresOf(task, measurementOf(figures));
}

/** Cells and progress of an evaluation. */
function measuring(
  { cells, progress, batch }: Pick<EvaluationOptions, "cells" | "progress" | "batch">,
): Required<Pick<Subject, "cell" | "expect" | "ahead" | "advance"> & Pick<BenchmarkSubject, "answers">> {
  const ahead = new Map<string, number>();
  let done = 0, total = 0;
  return {
    expect: (samples) => void (total += samples),
    ahead: (parts) => {
      for (const [label, samples] of Object.entries(parts)) {
        if (cells?.known(label) || ahead.has(label)) continue;
        ahead.set(label, samples);
        total += samples;
      }
    },
    advance: (samples) => progress?.(done += samples, total),
    cell: async (label, measure) => {
      const known = cells?.known(label);
      if (known) return known;
      // It says itself what it measures, once it begins.
      total -= ahead.get(label) ?? 0;
      ahead.delete(label);
      if (cells?.measures?.(label) === false) return [];
      const scores = await measure();
      cells?.measured(label, scores);
      return scores;
    },
    answers: async (part, count, ask) => {
      const answers = (cells?.answered?.(part) ?? []).slice(0, count);
      total -= answers.length;
      while (answers.length < count) {
        const next = await ask(answers.length, Math.min(count, answers.length + KEPT_BATCHES * batch));
        cells?.answer?.(part, next);
        answers.push(...next);
      }
      return answers;
    },
  };
}

/** What is evaluated on a benchmark, and how much. */
export interface BenchmarkOptions extends Omit<EvaluationOptions, "task"> {
  /** The benchmark. */
  readonly benchmark: BenchmarkInstance;
  /** How the model's text becomes tokens. Default: tokens are bytes. */
  readonly codec?: TextCodec;
}

const BENCHMARK_OPTIONS = optionNames<BenchmarkOptions>({
  model: true,
  params: true,
  benchmark: true,
  codec: true,
  samples: true,
  batch: true,
  progress: true,
  cells: true,
});

/** Evaluates a model of text on a benchmark. */
export async function evaluateBenchmark(device: Device, options: BenchmarkOptions): Promise<readonly Score[]> {
  checkNames("evaluateBenchmark", options, BENCHMARK_OPTIONS);
  const { model, params, benchmark, codec = BYTE_CODEC, samples, batch } = options;
  const begin = codec.encode("\n")[0];
  const text: TextModel = {
    ...codec,
    reader: (shape) => BatchReader.create({ device, model, params, begin, ...shape }),
  };
  return await benchmark.evaluate({ text, samples, batch, ...measuring(options) });
}

/** The loss, what follows from it, and what is measured beside it. */
function figuresOf(
  { derived, chance = {}, proportions = [] }: TaskInstance,
  { figures: { loss, ...others }, weights }: Measurement,
): Score[] {
  return Object.entries({ loss, ...derived?.(loss), ...others }).map(([name, value]) => {
    const facts = chance[name] === undefined ? {} : { chance: chance[name] }, count = weights[name];
    if (proportions.includes(name)) return { ...proportion(name, value * count, count), ...facts };
    return { name, value, ...facts, ...(count === undefined ? {} : { count }) };
  });
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
