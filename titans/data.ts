/** Windows of tokens from a text: random for training, in order for validation. */
import { ConfigError } from "./errors.ts";
import { HostRng } from "./host_rng.ts";
import type { TrainingData, TrainingShape } from "./train.ts";

/** A text in two parts. */
export interface TextSplit {
  /** To learn from. */
  readonly train: Uint8Array;
  /** To measure on. */
  readonly heldOut: Uint8Array;
}

/**
 * Splits a text: its end is held out.
 * @param text Bytes.
 * @param share Of the text to hold out; 5% unless said.
 */
export function splitText(text: Uint8Array, share = 0.05): TextSplit {
  const end = text.length - Math.floor(text.length * share);
  return { train: text.subarray(0, end), heldOut: text.subarray(end) };
}

/** Windows at random places of a text. A pure function of seed and step. */
export class RandomWindows implements TrainingData {
  #text: ArrayLike<number>;
  #shape: Required<TrainingShape>;
  #rng: HostRng;

  /**
   * Windows of a text.
   * @param text Token ids, such as bytes.
   * @param shape Extents of a batch.
   * @param seed Chooses the places.
   * @throws {ConfigError} if the text is shorter than a window.
   */
  constructor(text: ArrayLike<number>, shape: TrainingShape, seed: number) {
    requireWindow(text, shape.length);
    this.#text = text;
    this.#shape = { accumulate: 1, ...shape };
    this.#rng = new HostRng(seed, "windows");
  }

  /** Token ids [accumulate, batch, length + 1]. */
  batch(step: number): Int32Array {
    const { batch, length, accumulate } = this.#shape;
    const width = length + 1, rows = batch * accumulate, places = this.#text.length - length;
    const tokens = new Int32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      const start = this.#rng.integer(step * rows + row, places);
      for (let i = 0; i < width; i++) tokens[row * width + i] = this.#text[start + i];
    }
    return tokens;
  }
}

/**
 * Windows that cover a text in order, for validation: each predicts the `length` tokens after its first.
 * @param text Token ids.
 * @param length Tokens of a window, T.
 * @param count Most windows to take; spread evenly over the text when there are more.
 * @returns Token ids [n, length + 1], row-major, n at most `count`.
 * @throws {ConfigError} if the text is shorter than a window.
 */
export function evenWindows(text: ArrayLike<number>, length: number, count: number): Int32Array {
  requireWindow(text, length);
  const available = Math.floor((text.length - 1) / length), used = Math.min(count, available);
  const tokens = new Int32Array(used * (length + 1));
  for (let row = 0; row < used; row++) {
    const start = Math.floor(row * available / used) * length;
    for (let i = 0; i <= length; i++) tokens[row * (length + 1) + i] = text[start + i];
  }
  return tokens;
}

function requireWindow(text: ArrayLike<number>, length: number): void {
  if (text.length > length) return;
  throw new ConfigError(
    `Cannot cut windows of ${length} tokens from a text of ${text.length}: it needs at least ${length + 1}; give a longer text or a smaller length`,
    "length",
  );
}
