/**
 * Benchmarks: what any model of text is measured on, whatever text it was trained on and whatever its tokens are.
 * Unlike a task, a benchmark is not trained on, and it asks a model nothing but how likely texts are.
 */
import type { OptionsOf, OptionTable } from "../options/option_table.ts";
import type { Scorer } from "./scorer.ts";
import type { Score, Subject, TaskFacts, TaskFile, TaskFiles } from "./task.ts";

/** How a text becomes tokens. */
export interface TextCodec {
  /** The token ids of a text. */
  encode(text: string): ArrayLike<number>;
  /** The bytes that a token stands for. */
  bytesOf(token: number): Uint8Array;
}

/** The codec of models whose tokens are bytes. */
export const BYTE_CODEC: TextCodec = {
  encode: (text) => new TextEncoder().encode(text),
  bytesOf: (token) => Uint8Array.of(token),
};

/** How texts are read, see `BatchReaderOptions`. */
export interface ReaderShape {
  /** Texts that are read at once. */
  readonly batch: number;
  /** Tokens that are read at once. Default: the reader's own choice. */
  readonly piece?: number;
}

/** A model of text. */
export interface TextModel extends TextCodec {
  /** What reads with it; the caller's to dispose. */
  reader(shape: ReaderShape): Promise<Scorer & Disposable>;
}

/** What a model says of a question. */
export interface Answer {
  /** ln p of each choice. */
  readonly logLikelihoods: readonly number[];
  /** Whether greedy decoding would write the right one. */
  readonly greedy: boolean;
}

/** What a benchmark measures, and how much of it: the parts of a `Subject` that have no device. */
export interface BenchmarkSubject extends Pick<Subject, "samples" | "batch" | "expect" | "ahead" | "advance" | "cell"> {
  /** The model. */
  readonly text: TextModel;
  /**
   * The answers to questions, some at a time; those that are known from before, of an evaluation that was stopped, are
   * not asked for again. Default: all are asked for at once.
   * @param part What tells these questions from others.
   * @param count How many there are.
   * @param ask Answers those from `from` up to `to`.
   */
  answers?(
    part: string,
    count: number,
    ask: (from: number, to: number) => Promise<readonly Answer[]>,
  ): Promise<readonly Answer[]>;
}

/** A figure of a model beside that of another one, on examples that both were measured on. */
export interface PairedScore {
  /** What is measured. */
  readonly name: string;
  /** The figure of the model. */
  readonly value: number;
  /** That of the other one. */
  readonly other: number;
  /** The first less the second, with its error over the examples, and how many they are. */
  readonly difference: Score;
}

/** A benchmark with its options and its data. */
export interface BenchmarkInstance {
  /** The figures of a model. */
  evaluate(subject: BenchmarkSubject): Promise<readonly Score[]>;
  /** What predictors that learn nothing, or little, get, by their names: see `TaskInstance.floors`. */
  floors?(samples: number): Promise<Readonly<Record<string, readonly Score[]>>>;
  /**
   * Pairs the first `samples` examples with the answers of another model.
   * @param others Files of these answers.
   * @returns Compares: takes the answers that were kept of each part of an evaluation.
   * @throws {ConfigError} if files are not as they must be, or are about other examples.
   */
  against?(
    others: readonly TaskFile[],
    samples: number,
  ): (answers: (part: string) => readonly Answer[]) => readonly PairedScore[];
}

/** A benchmark. */
export interface Benchmark<Table extends OptionTable = OptionTable> extends TaskFacts<Table> {
  /**
   * Reads its data.
   * @param files What `reads` names.
   * @throws {ConfigError} if data is missing, or not as it must be.
   */
  create(options: OptionsOf<Table>, files?: TaskFiles): BenchmarkInstance;
}

/** States a benchmark, with its types inferred. */
export function defineBenchmark<const Table extends OptionTable>(benchmark: Benchmark<Table>): Benchmark<Table> {
  return benchmark;
}

/** A scorer as a model of text: of byte models that need no device, such as counts. */
export function asTextModel(scorer: Scorer, codec: TextCodec = BYTE_CODEC): TextModel {
  return { ...codec, reader: () => Promise.resolve({ score: scorer.score.bind(scorer), [Symbol.dispose]: () => {} }) };
}
