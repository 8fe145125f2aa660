/**
 * Markov chains of nucleotides: what counting words gets, and a model must beat.
 *
 *     p_k(b) = (count(c_k b) + 4 p_{k-1}(b)) / (count(c_k) + 4),    p_{-1} = 1 / 4
 *
 * with c_k the last k nucleotides: each order falls back on the one below, as if all four had been seen once more.
 */
import { KNOWN } from "./nucleotides.ts";

/** The orders that are shown, as far as there is data for them. */
const SHOWN = [0, 2, 5, 8, 11];

/** More nucleotides change little, and take time. */
export const MOST_COUNTED = 2 ** 24;

/** The orders for so many nucleotides: contexts are to come once each, on average. */
export function markovOrders(nucleotides: number): readonly number[] {
  return SHOWN.filter((order) => order === 0 || KNOWN ** order <= Math.min(nucleotides, MOST_COUNTED));
}

/** Counts of all words up to a length. */
export class MarkovChain {
  /** By order: how often each word of `order + 1` nucleotides came. */
  readonly #counts: readonly Uint32Array[];

  /**
   * Counts sequences; words with an N do not count.
   * @param order The longest context.
   */
  constructor(readonly order: number, sequences: Iterable<ArrayLike<number>>) {
    this.#counts = Array.from({ length: order + 1 }, (_, k) => new Uint32Array(KNOWN ** (k + 1)));
    for (const tokens of sequences) {
      // The longest word that ends here; shorter ones are its ends, and are summed afterwards.
      this.#walk(tokens, (_, known, word) => this.#counts[known][word & this.#counts[known].length - 1]++);
    }
    for (let k = order; k > 0; k--) {
      const words = this.#counts[k], ends = this.#counts[k - 1];
      for (let word = 0; word < words.length; word++) ends[word & ends.length - 1] += words[word];
    }
  }

  /**
   * The bits of the nucleotides of a sequence after its first token, by order.
   * @returns The bits of each order, and how many nucleotides they are of.
   */
  bits(tokens: ArrayLike<number>): { readonly bits: Float64Array; readonly count: number } {
    const bits = new Float64Array(this.order + 1);
    let count = 0;
    this.#walk(tokens, (at, known, word) => {
      if (at === 0) return;
      count++;
      let p = 1 / KNOWN;
      for (let k = 0; k <= this.order; k++) {
        if (k <= known) p = this.#next(k, word, p);
        bits[k] -= Math.log2(p);
      }
    });
    return { bits, count };
  }

  #next(k: number, word: number, lower: number): number {
    const counts = this.#counts[k], own = word & counts.length - 1, first = own & ~(KNOWN - 1);
    const total = counts[first] + counts[first + 1] + counts[first + 2] + counts[first + 3];
    return (counts[own] + KNOWN * lower) / (total + KNOWN);
  }

  /** Visits nucleotides that are known, with how many known ones are before each, and the word that it ends. */
  #walk(tokens: ArrayLike<number>, visit: (at: number, known: number, word: number) => void): void {
    const mask = KNOWN ** (this.order + 1) - 1;
    let word = 0, known = 0;
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i];
      if (token >= KNOWN) {
        known = 0;
        continue;
      }
      word = (word << 2 | token) & mask;
      visit(i, known, word);
      if (known < this.order) known++;
    }
  }
}
