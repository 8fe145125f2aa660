/** Windows for training that goes on from step to step: each row of a batch reads one text after the other, window by window. */
import { type TokenSource, tokenSource, type TokenText } from "./data.ts";
import { ConfigError } from "./errors.ts";
import { HostRng } from "./host_rng.ts";
import type { TrainingBatch, TrainingData, TrainingShape } from "./train.ts";

/**
 * Cuts a text in parts of a length, each a text of its own for {@link StreamWindows}. The last one is as long as is left.
 * @param text Token ids.
 * @param length Tokens of a part and the one that its last token predicts, so that every token but the first is predicted once.
 * @throws {ConfigError} if the length is not an integer of at least 1.
 */
export function cutText(text: TokenText, length: number): TokenSource[] {
  if (!Number.isInteger(length) || length < 1) throw new ConfigError(`Cannot cut a text in parts of ${length} tokens: give an integer of at least 1`, "length");
  const source = tokenSource(text), count = Math.max(0, Math.ceil((source.length - 1) / length));
  return Array.from({ length: count }, (_, i): TokenSource => {
    const start = i * length;
    return { length: Math.min(length + 1, source.length - start), read: (at, into) => source.read(start + at, into) };
  });
}

/** The order in which a row reads the texts of a round. */
interface Order {
  readonly round: number;
  /** Numbers of texts. */
  readonly texts: Uint32Array;
  /** Windows before each of them. */
  readonly before: Float64Array;
}

/**
 * Windows of texts in order, for a trainer with `stream`. Each row of a batch reads all texts, round after round, in an order of its own; the last window of a
 * text is filled up with padding. A pure function of seed and step.
 */
export class StreamWindows implements TrainingData {
  /** Windows that a row reads in a round. */
  readonly windowsPerRound: number;
  #texts: TokenSource[];
  #windows: number[];
  #shape: Required<TrainingShape>;
  #seed: number;
  #orders: Order[] = [];

  /**
   * Windows of texts.
   * @param texts Token ids of each; those of fewer than two tokens predict nothing and are left out.
   * @param shape Extents of a batch.
   * @param seed Chooses the orders.
   * @throws {ConfigError} if there is nothing to predict.
   */
  constructor(texts: readonly TokenText[], shape: TrainingShape, seed: number) {
    this.#texts = texts.map(tokenSource).filter(({ length }) => length > 1);
    if (this.#texts.length === 0) throw new ConfigError("Cannot stream from texts of fewer than two tokens: give longer ones", "texts");
    this.#windows = this.#texts.map(({ length }) => Math.ceil((length - 1) / shape.length));
    this.windowsPerRound = this.#windows.reduce((sum, count) => sum + count, 0);
    this.#shape = { accumulate: 1, ...shape };
    this.#seed = seed;
  }

  /** The windows of a step. */
  batch(step: number): TrainingBatch {
    const { batch, length, accumulate } = this.#shape, rows = batch * accumulate, width = length + 1;
    const tokens = new Int32Array(rows * width), mask = new Float32Array(rows * length), fresh = new Float32Array(rows);
    for (let row = 0; row < rows; row++) {
      const { text, window } = this.#windowOf(row, step);
      const start = window * length, count = Math.min(length, text.length - 1 - start);
      text.read(start, tokens.subarray(row * width, row * width + count + 1));
      mask.fill(1, row * length, row * length + count);
      fresh[row] = window === 0 ? 1 : 0;
    }
    return { tokens, mask, fresh };
  }

  #windowOf(row: number, step: number): { readonly text: TokenSource; readonly window: number } {
    const { texts, before } = this.#orderOf(row, Math.floor(step / this.windowsPerRound)), at = step % this.windowsPerRound;
    let low = 0, high = texts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (before[middle] <= at) low = middle;
      else high = middle - 1;
    }
    return { text: this.#texts[texts[low]], window: at - before[low] };
  }

  #orderOf(row: number, round: number): Order {
    const known = this.#orders[row];
    if (known?.round === round) return known;
    const count = this.#texts.length, texts = Uint32Array.from({ length: count }, (_, i) => i), before = new Float64Array(count);
    const rng = new HostRng(this.#seed, `stream ${row}`);
    for (let i = 0; i < count - 1; i++) {
      const other = i + rng.integer(round * count + i, count - i);
      [texts[i], texts[other]] = [texts[other], texts[i]];
    }
    for (let i = 1; i < count; i++) before[i] = before[i - 1] + this.#windows[texts[i - 1]];
    return this.#orders[row] = { round, texts, before };
  }
}
