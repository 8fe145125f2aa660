/** Windows of tokens from a text: random for training, in order for validation. */
import { optionNames } from "../../core/options.ts";
import { checkNames, ConfigError } from "../errors.ts";
import { HostRng } from "../nn/host_rng.ts";
import { checkTrainingShape, type TrainingData, type TrainingShape } from "../train/training.ts";

/** A text in two parts. */
export interface TextSplit {
  /** For training. */
  readonly train: Uint8Array;
  /** For evaluation. */
  readonly heldOut: Uint8Array;
}

/**
 * Splits a text: its end is held out.
 * @param text Bytes.
 * @param share Share of the text to hold out. Default: 5%.
 */
export function splitText(text: Uint8Array, share = 0.05): TextSplit {
  const end = text.length - Math.floor(text.length * share);
  return { train: text.subarray(0, end), heldOut: text.subarray(end) };
}

/**
 * The start positions of the documents of a text, in increasing order; each ends where the next one begins. They need
 * not be in memory.
 */
export interface DocumentStarts {
  /** Number of documents. */
  readonly count: number;
  /** Copies the positions of `into.length` documents, starting with document `first`. */
  read(first: number, into: Float64Array): void;
}

/** A tokenized text that is read in pieces: an array in memory, or a file that is larger than memory. */
export interface TokenSource {
  /** Number of tokens. */
  readonly length: number;
  /** Its documents, through which memory is carried when texts are streamed. Default: one document. */
  readonly documents?: DocumentStarts;
  /**
   * Copies `into.length` tokens, starting at `start`.
   * @throws if the text cannot be read there.
   */
  read(start: number, into: Int32Array): void;
}

/** A text from which windows are taken: token ids in memory, or a source. */
export type TokenText = ArrayLike<number> | TokenSource;

/** A text as a source; an array is not copied. */
export function tokenSource(text: TokenText): TokenSource {
  if ("read" in text) return text;
  return {
    length: text.length,
    read: (start, into) => {
      for (let i = 0; i < into.length; i++) into[i] = text[start + i];
    },
  };
}

/** One of several texts to train on. */
export interface WeightedText {
  /** Token ids. */
  readonly text: TokenText;
  /** Sampling weight of a token of this text, relative to the other texts. Default: 1. */
  readonly weight?: number;
}

const WEIGHTED_TEXT = optionNames<WeightedText>({ text: true, weight: true });

/** Checks the option names of a source of training windows. @throws {ConfigError} for an unknown one. */
export function checkTexts(texts: readonly WeightedText[], shape: TrainingShape): void {
  for (const text of texts) checkNames("a text with its weight", text, WEIGHTED_TEXT);
  checkTrainingShape(shape);
}

/** Windows at random positions of several texts, each within one of them. A pure function of seed and step. */
export class MixedWindows implements TrainingData {
  #texts: TokenSource[];
  #weights: number[];
  /**
   * The cumulative weighted lengths of the texts: a position of a text takes up as much as its weight. The last is the
   * total.
   */
  #begins: number[] = [0];
  #shape: Required<TrainingShape>;
  #rng: HostRng;

  /**
   * Windows of texts.
   * @param texts Texts with their weights.
   * @param shape Extents of a batch.
   * @param seed Chooses the places.
   * @throws {ConfigError} if there is no text, one is shorter than a window, or a weight is not a positive number.
   */
  constructor(texts: readonly WeightedText[], shape: TrainingShape, seed: number) {
    checkTexts(texts, shape);
    if (texts.length === 0) throw new ConfigError("Cannot cut windows from no text: give at least one", "texts");
    this.#texts = texts.map(({ text }) => tokenSource(text));
    this.#weights = texts.map(({ weight = 1 }) => weight);
    this.#texts.forEach((text, i) => {
      requireWindow(text, shape.length);
      const weight = this.#weights[i];
      if (!(weight > 0 && weight < Infinity)) {
        throw new ConfigError(`Cannot mix texts with a weight of ${weight}: it must be above 0`, "weight");
      }
      this.#begins.push(this.#begins[i] + weight * (text.length - shape.length));
    });
    this.#shape = { accumulate: 1, ...shape };
    this.#rng = new HostRng(seed, "windows");
  }

  /** Token ids [accumulate, batch, length + 1]. */
  batch(step: number): Int32Array {
    const { batch, length, accumulate } = this.#shape;
    const width = length + 1, rows = batch * accumulate, total = this.#begins[this.#texts.length];
    const tokens = new Int32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      const at = this.#rng.uniform(step * rows + row) * total, index = this.#textAt(at), text = this.#texts[index];
      const start = Math.floor((at - this.#begins[index]) / this.#weights[index]);
      // Rounding may reach the end of a text's interval.
      text.read(Math.min(start, text.length - width), tokens.subarray(row * width, (row + 1) * width));
    }
    return tokens;
  }

  /** The text at a point of the cumulative weighted lengths. */
  #textAt(at: number): number {
    let low = 0, high = this.#texts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#begins[middle] <= at) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Windows at random positions of a text. A pure function of seed and step. */
export class RandomWindows extends MixedWindows {
  /**
   * Windows of a text.
   * @param text Token ids, such as bytes.
   * @param shape Extents of a batch.
   * @param seed Chooses the places.
   * @throws {ConfigError} if the text is shorter than a window.
   */
  constructor(text: TokenText, shape: TrainingShape, seed: number) {
    super([{ text }], shape, seed);
  }
}

/**
 * Windows that cover a text in order, for validation: each predicts the `length` tokens after its first.
 * @param text Token ids, or several sources; no window spans two.
 * @param length Tokens per window, T.
 * @param count Maximum number of windows, spread evenly over the text if there are more.
 * @returns Token ids [n, length + 1], row-major, with n at most `count`.
 * @throws {ConfigError} if the text is shorter than a window.
 */
export function evenWindows(text: TokenText | readonly TokenSource[], length: number, count: number): Int32Array {
  const sources = isSources(text) ? text : [tokenSource(text)];
  const windowsOf = (source: TokenSource): number => Math.max(0, Math.floor((source.length - 1) / length));
  const available = sources.reduce((sum, source) => sum + windowsOf(source), 0), used = Math.min(count, available);
  if (available === 0) requireWindow(sources[0] ?? { length: 0 }, length);
  const width = length + 1, tokens = new Int32Array(used * width);
  let index = 0, before = 0;
  for (let row = 0; row < used; row++) {
    const window = Math.floor(row * available / used);
    while (window - before >= windowsOf(sources[index])) before += windowsOf(sources[index++]);
    sources[index].read((window - before) * length, tokens.subarray(row * width, (row + 1) * width));
  }
  return tokens;
}

function isSources(text: TokenText | readonly TokenSource[]): text is readonly TokenSource[] {
  return Array.isArray(text) && typeof text[0] === "object";
}

function requireWindow(text: { readonly length: number }, length: number): void {
  if (text.length > length) return;
  throw new ConfigError(
    `Cannot cut windows of ${length} tokens from a text of ${text.length}: it needs at least ${
      length + 1
    }; give a longer text or a smaller length`,
    "length",
  );
}
