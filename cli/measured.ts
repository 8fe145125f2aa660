/** What a model is evaluated on: the held-out text of its run, a task, or a benchmark. */
import {
  type Answer,
  type BenchmarkInstance,
  evaluateBenchmark,
  evaluateTask,
  type EvaluationOptions,
  type Model,
  type PairedScore,
  requireFit,
  type Score,
  type Share,
  type TaskInstance,
  textTask,
} from "../titans/mod.ts";
import { measureSamples, sampleBatches, samplesScores, type SamplesSubject } from "../titans/tasks/evaluate.ts";
import type { BatchFigures } from "../titans/train/validation.ts";
import { BENCHMARKS, taskOf } from "../titans/tasks/mod.ts";
import type { Device } from "../kernels/mod.ts";
import type { OptionsOf, OptionTable } from "../titans/options/option_table.ts";
import { judgePairs } from "./data/baseline.ts";
import { openCorpus } from "./data/corpus.ts";
import { sha256Hex } from "./data/sha256.ts";
import { openVocabulary, type Vocabulary } from "./data/vocabulary.ts";
import { CommandError, UsageError } from "./errors.ts";
import { checkRunConfig, recipeOf, type RunConfig } from "./run_config.ts";
import { readConfig } from "./run_folder.ts";
import type { Floors } from "./score_table.ts";
import { type ChosenTask, chosenTask, shownTask, TEXT_TASK } from "./task_flags.ts";
import { filesAt, readTaskFiles } from "./task_files.ts";
import { hashSamples, instanceOf } from "./task_source.ts";

/** How much is measured, and who is told. */
export type Extent = Pick<EvaluationOptions, "params" | "samples" | "batch" | "progress" | "cells">;

/** Test samples of a task, which several processes can measure in batches. */
export interface SharedSamples {
  /** How many batches there are of so many rows. */
  batches(rows: number): number;
  /** Measures some of them. */
  measure(device: Device, subject: Omit<SamplesSubject, "task">, share: Share): Promise<BatchFigures>;
  /** The figures of the cell of test samples, of what all batches came to. */
  scores(figures: BatchFigures): readonly Score[];
}

/** What is measured. */
export interface Measured {
  /** As a title has it. */
  readonly title: string;
  /** The options of the task, unless it is text. */
  readonly chosen?: ChosenTask;
  /** Sequences of the test split, at least. */
  readonly samples: number;
  /** SHA-256 of the first samples, or of the data. */
  readonly sha256: string;
  /** Measures a model. @throws {ConfigError} if it does not fit. */
  evaluate(device: Device, model: Model, extent: Omit<Extent, "samples">): Promise<readonly Score[]>;
  /** Its test samples; a benchmark has none. */
  readonly testSamples?: SharedSamples;
  /** What predictors that learn nothing, or little, get. */
  floors(): Promise<Floors>;
  /** @throws {ConfigError} if a model does not fit. */
  check(model: Model): void;
  /**
   * Compares the answers that are kept with those of another model; of benchmarks that can.
   * @param path Where the others are: a file, or a folder of files.
   */
  against?(path: string): Promise<Comparison>;
}

/** Compares the answers that an evaluation kept of each part. */
export type Comparison = (answers: (part: string) => readonly Answer[]) => readonly PairedScore[];

/** What flags and the checkpoint say of it. */
export interface MeasuredFlags {
  /** `text`, or the name of a task or a benchmark. */
  readonly name: string;
  readonly taskOption: readonly string[];
  readonly samples: number;
  readonly cache: string;
  /** The run folder or checkpoint. */
  readonly path: string;
  /** The task that the model was trained on, if it was one. */
  readonly trained?: ChosenTask;
  /** The notes of the checkpoint. */
  readonly notes: Readonly<Record<string, string>>;
  /** Receives notes about skipped files. */
  readonly remark?: (line: string) => void;
}

/** What is to be measured. @throws {UsageError} if flags are at odds. */
export function measuredOf(flags: MeasuredFlags): Promise<Measured> {
  if (flags.name === TEXT_TASK) return heldOutText(flags);
  return Object.hasOwn(BENCHMARKS, flags.name) ? benchmark(flags) : task(flags);
}

async function task({ name, taskOption, samples, trained, remark }: MeasuredFlags): Promise<Measured> {
  const defaults = trained?.name === name ? trained.options : undefined;
  const chosen = chosenTask(taskOf(name), taskOption, defaults), instance = await instanceOf(chosen, remark);
  return { ...ofTask(instance, samples), title: shownTask(chosen), chosen, sha256: await hashSamples(instance) };
}

function ofTask(
  instance: TaskInstance,
  samples: number,
): Pick<Measured, "samples" | "evaluate" | "testSamples" | "floors" | "check"> {
  return {
    samples,
    testSamples: {
      batches: (batch) => sampleBatches({ samples, batch }),
      measure: (device, subject, share) => measureSamples(device, { ...subject, task: instance }, share),
      scores: (figures) => samplesScores(instance, figures),
    },
    evaluate: (device, model, extent) => evaluateTask(device, { model, task: instance, samples, ...extent }),
    floors: () => Promise.resolve(instance.floors?.(samples) ?? {}),
    check: (model) => requireFit(model, instance.requires),
  };
}

async function benchmark({ name, taskOption, samples, trained, notes, remark }: MeasuredFlags): Promise<Measured> {
  if (trained) {
    throw new UsageError(
      `--task ${name} needs a model of text: this one was trained on the task ${trained.name}; give another --checkpoint`,
    );
  }
  const chosen = chosenTask(BENCHMARKS[name], taskOption);
  const files = await readTaskFiles(BENCHMARKS[name], chosen, remark);
  const instance: BenchmarkInstance = BENCHMARKS[name].create(chosen.options as OptionsOf<OptionTable>, files);
  const codec: Vocabulary = await openVocabulary(notes.vocabulary ?? "bytes");
  const paths = (BENCHMARKS[name].reads ?? []).map((option) => String(chosen.options[option])).filter(Boolean);
  const data = paths.flatMap((path) => files.of(path).map(({ bytes }) => bytes));
  return {
    title: shownTask(chosen),
    chosen,
    samples,
    sha256: await sha256Hex(await new Blob(data).bytes()),
    evaluate: (device, model, extent) =>
      evaluateBenchmark(device, { model, benchmark: instance, codec, samples, ...extent }),
    floors: async () => await instance.floors?.(samples) ?? {},
    check: (model) => requireFit(model, { vocabulary: codec.size }),
    ...(instance.against
      ? { against: async (path) => instance.against!(await filesAt(path, { what: "--against", remark }), samples) }
      : {}),
  };
}

/** The held-out text of a run. */
async function heldOutText({ taskOption, samples: most, cache, path }: MeasuredFlags): Promise<Measured> {
  if (taskOption.length > 0) throw new UsageError("--task-option changes nothing with --task text: leave it out");
  const config = await runConfigOf(path);
  using corpus = await openCorpus(recipeOf(config), { ...config, cache, documents: false });
  const { heldOut, train, vocabulary, identity } = corpus, length = config.seqLen;
  const instance = textTask({ train, heldOut, vocabulary: vocabulary.size, length, windows: most });
  const rows = instance.batches("test", most, 0).batch(0);
  const samples = (rows.mask as Float32Array).reduce((sum, counts) => sum + counts, 0) / length;
  const tokens = (rows.tokens as Int32Array).slice(0, samples * (length + 1));
  const pairs = judgePairs(train.map(({ text }) => text), { tokens, length }, vocabulary);
  const restate = (score: Score): readonly Score[] =>
    score.name === "bitsPerByte"
      ? [
        { ...score, value: score.value * pairs.tokens / pairs.bytes },
        { name: "bigramBitsPerByte", value: pairs.bitsPerByte, count: pairs.bytes },
        ...(pairs.fivegramBitsPerByte === undefined
          ? []
          : [{ name: "fivegramBitsPerByte", value: pairs.fivegramBitsPerByte, count: pairs.bytes }]),
      ]
      : [score];
  const measured = ofTask(instance, samples);
  return {
    ...measured,
    title: `held-out text of ${identity.name}`,
    sha256: identity.sha256,
    evaluate: async (...given) => (await measured.evaluate(...given)).flatMap(restate),
  };
}

async function runConfigOf(path: string): Promise<RunConfig> {
  const stored = await readConfig(path).catch((error: unknown) => {
    if (error instanceof CommandError) throw error;
  });
  if (stored !== undefined) return checkRunConfig(stored, path);
  throw new UsageError(`${path} is no run folder, which would say what text is held out: give one, or another --task`);
}
