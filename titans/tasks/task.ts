/**
 * What a task is: a value with a name, a table of options, and a function that makes an objective with data of them.
 * Whatever a model learns and is measured on is one, the user's own as well as the built-in ones.
 */
import type { Device, DeviceArray } from "../../kernels/mod.ts";
import type { Model } from "../models/model.ts";
import type { OptionsOf, OptionTable } from "../options/option_table.ts";
import type { BatchArrays, BatchTree, Objective } from "../train/objective.ts";

/** Parts of a task's data, whose samples never meet: to learn from, to validate on while training, to report. */
export type Split = "train" | "validation" | "test";

/** Rows of a step, for machines that share one. */
export interface RowRange {
  /** The first row, counted from 0. */
  readonly first: number;
  /** How many. */
  readonly count: number;
}

/** The batches of a split: a pure function of the step. */
export interface TaskBatches<Batch extends BatchTree = BatchTree> {
  /** The fields of all rows of a step, or of some of them. */
  batch(step: number, rows?: RowRange): BatchArrays<Batch>;
}

/** Which options of a model a task decides. */
export interface ModelRequirements {
  /** Token ids that it reads, or predicts. */
  readonly vocabulary?: number;
  /** Numbers of a real-valued token that it reads. */
  readonly features?: number;
  /** Numbers that its loss needs at each token. Default: a logit per token id. */
  readonly outputs?: number;
}

/** A figure of an evaluation. */
export interface Score {
  /** What it is, such as `accuracy`. */
  readonly name: string;
  /** How much. */
  readonly value: number;
  /** What guessing gives, where that is known. */
  readonly chance?: number;
  /** Predictions, or the like, that it is the mean of. */
  readonly count?: number;
  /** The standard error of the value, where it is a mean over samples. */
  readonly standardError?: number;
  /** The 95% confidence interval, where it is another one than 1.96 standard errors to either side. */
  readonly interval?: readonly [low: number, high: number];
}

/** The data that a task reads, by the paths that its options name. */
export interface TaskFiles {
  /**
   * The files of a path: itself, or those of a folder, sorted by name. What was compressed by gzip is unpacked.
   * @throws {ConfigError} if the path was not read.
   */
  of(path: string): readonly TaskFile[];
}

/** A file that a task reads. */
export interface TaskFile {
  /** Its name, of those in a folder from there, with slashes and without `.gz`. */
  readonly name: string;
  /** What it holds. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Makes of a file, piece by piece as it is read, what a task keeps of it. */
export interface FileReading {
  /** Takes the next bytes. @throws {ConfigError} naming what cannot be read. */
  add(piece: Uint8Array): void;
  /** What the file becomes. @throws {ConfigError} if it ends too early. */
  end(): Uint8Array<ArrayBuffer>;
}

/** What a task may evaluate by itself. */
export interface Subject {
  /** The device. */
  readonly device: Device;
  /** The model. */
  readonly model: Model;
  /** Its parameters in device memory. */
  readonly params: DeviceArray;
  /** Sequences of the test split to measure, at least. */
  readonly samples: number;
  /** Sequences computed at once. */
  readonly batch: number;
  /** Says that so many samples more are to be measured; without it no progress is shown of them. */
  expect(samples: number): void;
  /**
   * Says which cells are going to be measured, and how many samples each has, so that the time that is left is known
   * from
   * the first one on. Those that are known already do not count.
   */
  ahead?(cells: Readonly<Record<string, number>>): void;
  /** Says that so many samples more are measured. @throws if the measurement is to end. */
  advance(samples: number): void;
  /**
   * Measures a part of an evaluation, such as one length of many; figures that are known from before, of an evaluation
   * that was stopped, are not measured again.
   * @param label What tells it from the other parts.
   */
  cell(label: string, measure: () => Promise<readonly Score[]>): Promise<readonly Score[]>;
  /** Measures other data than the task's own, a cell; `label` is put before the names of figures. */
  measure(instance: TaskInstance, label: string): Promise<readonly Score[]>;
}

/** Predictors that a model is compared with while it is trained. */
export interface Baselines<Batch extends BatchTree = BatchTree> {
  /** What their figures are called. */
  readonly names: readonly string[];
  /** The figures on some batches, by name. */
  measure(batches: readonly BatchArrays<Batch>[]): Readonly<Record<string, number>>;
}

/** A task with its options: what a trainer takes as its objective, and data. */
export interface TaskInstance<Batch extends BatchTree = BatchTree> extends Objective<Batch> {
  /** What a model must be for it. */
  readonly requires: ModelRequirements;
  /** Tokens of a sequence. */
  readonly length: number;
  /**
   * Batches of a split.
   * @param rows Rows of a step.
   * @param seed Of training and validation; the test split is the same for all seeds.
   */
  batches(split: Split, rows: number, seed: number): TaskBatches<Batch>;
  /** Whether tokens are the bytes of texts, so that a model that learned the task can be prompted and writes text. */
  readonly bytes?: boolean;
  /** What guessing gives, by name of a figure. */
  readonly chance?: Readonly<Record<string, number>>;
  /** The names of figures that are shares of predictions, such as an accuracy. */
  readonly proportions?: readonly string[];
  /**
   * Outputs [rows, length, outputs] that answer a batch perfectly, from what a model would read alone: the proof that
   * the labels can be known.
   */
  oracle?(data: BatchArrays<Batch>): Float32Array;
  /**
   * What predictors that learn nothing, or little, get on the test split, by their names: what a model has to beat.
   * @param samples Sequences of the split, as the model is measured on.
   */
  floors?(samples: number): Readonly<Record<string, readonly Score[]>>;
  /** What counting gets on the batches of a validation: quick, and shown beside the model's figures in training. */
  readonly baselines?: Baselines<Batch>;
  /** Further figures of an evaluation: other lengths, other loads, text that the model writes. */
  evaluate?(subject: Subject): Promise<readonly Score[]>;
}

/** What is said of a task before it is made. */
export interface TaskFacts<Table extends OptionTable = OptionTable> {
  /** What checkpoints and flags call it. */
  readonly name: string;
  /** One line for help texts. */
  readonly summary: string;
  /** Its options. */
  readonly options: Table;
  /** Options that belong together, such as those of a paper, by name; others are the defaults. */
  readonly presets?: Readonly<Record<string, Partial<OptionsOf<Table>>>>;
  /** The options that are paths of files or folders to read, where the task reads any; empty ones are not read. */
  readonly reads?: readonly (keyof Table & string)[];
  /**
   * Reads a file in pieces, so that large ones are never in memory as they are stored; `create` gets what becomes of it.
   * Default: files are taken as they are.
   */
  reading?(name: string, options: OptionsOf<Table>): FileReading;
}

/** A task. */
export interface Task<Table extends OptionTable = OptionTable, Batch extends BatchTree = BatchTree>
  extends TaskFacts<Table> {
  /**
   * Makes objective and data.
   * @param files What `reads` names.
   * @throws {ConfigError} if options are at odds with each other, or data is not as it must be.
   */
  create(options: OptionsOf<Table>, files?: TaskFiles): TaskInstance<Batch>;
}

/** States a task, with its types inferred. */
export function defineTask<const Table extends OptionTable, Batch extends BatchTree>(
  task: Task<Table, Batch>,
): Task<Table, Batch> {
  return task;
}
