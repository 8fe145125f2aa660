/** Samples with a class each, sequences of tokens: how they are cut into parts, and become batches. */
import { ConfigError } from "../../errors.ts";
import type { BatchArrays } from "../../train/objective.ts";
import { SampleRandom } from "../samples.ts";
import type { Split, TaskBatches } from "../task.ts";
import type { Alphabet } from "./alphabet.ts";
import type { ClassBatch } from "./classification.ts";

/** A sequence with its class. */
export interface LabelledSequence {
  /** What it is called. */
  readonly id: string;
  /** Its tokens. */
  readonly tokens: Uint8Array;
  /** The name of its class. */
  readonly label: string;
  /** The part it belongs to; undefined where the data does not say. */
  readonly split?: Split;
}

/** All that is known, of one alphabet. */
export interface LabelledSet {
  readonly alphabet: Alphabet;
  readonly sequences: readonly LabelledSequence[];
}

/** Sequences by part. */
export interface LabelledData extends Readonly<Record<Split, readonly LabelledSequence[]>> {
  /** Of their tokens. */
  readonly alphabet: Alphabet;
  /** The names of the classes, sorted. */
  readonly classes: readonly string[];
  /** Tokens of the longest sequence. */
  readonly longest: number;
}

/** Of data without a test part, one of so many sequences of each class is tested on. */
export const FOLDS = 5;
/** Of data without a validation part, one of so many sequences to train on is validated on instead. */
const VALIDATED = 10;

/**
 * Cuts sequences into parts, each class by itself: what has no test part is tested on the sequences number
 * `fold, fold + folds, ...`, and the tenth of each ten that are left is validated on.
 * @throws {ConfigError} if there are fewer than two classes, each is of a class of its own, or a part is empty.
 */
export function splitSequences(
  { alphabet, sequences: all }: LabelledSet,
  fold: number,
  folds: number = FOLDS,
): LabelledData {
  const classes = classesOf(all),
    refuse = (why: string): never => {
      throw new ConfigError(`Cannot learn classes of ${all.length} ${alphabet.samples}: ${why}`, "data");
    };
  if (classes.length < 2) refuse(`all are of ${JSON.stringify(classes[0])}, give two classes or more`);
  if (classes.length === all.length) {
    refuse("each has a class of its own; name the column of classes, and give several of each");
  }
  const data = {
    train: [] as LabelledSequence[],
    validation: [] as LabelledSequence[],
    test: [] as LabelledSequence[],
  };
  const hasTest = all.some(({ split }) => split === "test"),
    hasValidation = all.some((one) => one.split === "validation");
  for (const label of classes) {
    let train = 0;
    all.filter((one) => one.label === label).forEach((one, i) => {
      const split = one.split ?? (!hasTest && i % folds === fold ? "test" : "train");
      const isValidated = split === "train" && !hasValidation && train++ % VALIDATED === VALIDATED - 1;
      data[isValidated ? "validation" : split].push(one);
    });
  }
  for (const split of ["train", "validation", "test"] as const) {
    if (data[split].length === 0) refuse(`there are none for the ${split} part, give more`);
  }
  return { ...data, alphabet, classes, longest: all.reduce((most, { tokens }) => Math.max(most, tokens.length), 0) };
}

/**
 * The parts of a cross-validation: each sequence is in the test part of one of them.
 * @throws {ConfigError} if the data says the parts itself, or a class has fewer sequences than there are folds.
 */
export function foldsOf(set: LabelledSet, folds: number): readonly LabelledData[] {
  const { alphabet: { samples }, sequences: all } = set, split = all.find((one) => one.split !== undefined)?.split;
  if (split !== undefined) {
    throw new ConfigError(
      `Cannot cut ${all.length} ${samples} into ${folds} folds: the data names a ${split} part itself; leave --folds out`,
      "folds",
    );
  }
  for (const label of classesOf(all)) {
    const count = all.filter((one) => one.label === label).length;
    if (count >= folds) continue;
    throw new ConfigError(
      `Cannot cut ${all.length} ${samples} into ${folds} folds: the class ${label} has ${count}; give fewer folds`,
      "folds",
    );
  }
  return Array.from({ length: folds }, (_, fold) => splitSequences(set, fold, folds));
}

function classesOf(all: readonly LabelledSequence[]): string[] {
  return [...new Set(all.map(({ label }) => label))].sort();
}

/** How sequences become rows. */
export interface RowOptions {
  /** Sequences of a batch. */
  readonly rows: number;
  /** Tokens of a row: shorter sequences are filled up at their end, longer ones cut there. */
  readonly length: number;
}

/** What training does to sequences. */
export interface Augmentation {
  /** Of the order of sequences, and of what follows. */
  readonly seed: number;
  /** Whether half of the sequences are replaced by their reverse complements. */
  readonly reverseComplement: boolean;
  /** The share of tokens that are replaced by the unknown one. */
  readonly tokenDropout: number;
}

/** Batches to train on: all sequences in another order in each epoch, without an end. */
export function trainingBatches(
  { train, classes, alphabet }: LabelledData,
  { rows, length }: RowOptions,
  { seed, reverseComplement: both, tokenDropout }: Augmentation,
): TaskBatches<ClassBatch> {
  let epoch = -1, order: readonly number[] = [];
  const at = (number: number): LabelledSequence => {
    const now = Math.floor(number / train.length);
    if (now !== epoch) order = new SampleRandom(seed, `order of epoch ${epoch = now}`).shuffled(train.length);
    return train[order[number % train.length]];
  };
  return {
    batch: (step, { first, count } = { first: 0, count: rows }) => {
      const batch = emptyBatch(count, length, alphabet);
      for (let row = 0; row < count; row++) {
        const number = step * rows + first + row, random = new SampleRandom(seed, `sequence ${number}`);
        const tokens = setRow(batch, { row, length, classes }, at(number));
        if (both && random.uniform() < 0.5) alphabet.reverseComplement?.(tokens);
        if (tokenDropout === 0) continue;
        for (let t = 0; t < tokens.length; t++) if (random.uniform() < tokenDropout) tokens[t] = alphabet.unknown;
      }
      return batch;
    },
  };
}

/** Sequences in order; the last batch is filled up by rows that do not count. */
export function* batchesOf(
  { alphabet, sequences }: LabelledSet,
  classes: readonly string[],
  { rows, length }: RowOptions,
): Generator<BatchArrays<ClassBatch>> {
  for (let from = 0; from < sequences.length; from += rows) {
    const batch = emptyBatch(rows, length, alphabet);
    sequences.slice(from, from + rows).forEach((one, row) => setRow(batch, { row, length, classes }, one));
    yield batch;
  }
}

function emptyBatch(rows: number, length: number, { padding }: Alphabet): BatchArrays<ClassBatch> {
  return {
    tokens: new Int32Array(rows * length).fill(padding),
    label: new Int32Array(rows),
    counts: new Float32Array(rows),
  };
}

/** Writes a sequence into a row, and gives the tokens of the row that are no padding. */
function setRow(
  batch: BatchArrays<ClassBatch>,
  { row, length, classes }: { readonly row: number; readonly length: number; readonly classes: readonly string[] },
  { tokens, label }: LabelledSequence,
): Int32Array {
  const own = tokens.subarray(0, length);
  batch.tokens.set(own, row * length);
  batch.label[row] = classes.indexOf(label);
  batch.counts[row] = 1;
  return (batch.tokens as Int32Array).subarray(row * length, row * length + own.length);
}
