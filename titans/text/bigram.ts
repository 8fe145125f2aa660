/** The baseline that a language model must beat: a byte-bigram model. */

const BYTES = 256;

/**
 * A byte-bigram model: the probability of a byte given the previous one, from counts with additive smoothing.
 */
export class BigramModel {
  #counts = new Float64Array(BYTES * BYTES);
  #totals = new Float64Array(BYTES);
  #smoothing: number;

  /**
   * Counts the pairs of a text.
   * @param text The bytes to count.
   * @param smoothing Added to each count. Default: 1.
   */
  constructor(text: Uint8Array, smoothing = 1) {
    this.#smoothing = smoothing;
    this.count(text);
  }

  /**
   * Counts the pairs of a further piece of text; the pair across the border to an earlier piece only if the piece
   * begins with that piece's last byte.
   */
  count(text: Uint8Array): void {
    for (let i = 1; i < text.length; i++) {
      this.#counts[text[i - 1] * BYTES + text[i]]++;
      this.#totals[text[i - 1]]++;
    }
  }

  /** The probability that `next` follows `previous`. */
  probability(previous: number, next: number): number {
    return (this.#counts[previous * BYTES + next] + this.#smoothing) /
      (this.#totals[previous] + BYTES * this.#smoothing);
  }

  /**
   * Mean bits that the model needs for a byte.
   * @param windows Bytes [n, length + 1], row-major: each window's first byte is given, the others are predicted. A
   * text is one window.
   * @param length Bytes predicted per window. Default: all but the first.
   */
  bitsPerByte(windows: ArrayLike<number>, length: number = windows.length - 1): number {
    const width = length + 1;
    let bits = 0, count = 0;
    for (let i = 0; i < windows.length; i++) {
      if (i % width === 0) continue;
      bits -= Math.log2(this.probability(windows[i - 1], windows[i]));
      count++;
    }
    return bits / count;
  }
}
