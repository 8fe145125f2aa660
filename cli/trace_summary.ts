/**
 * Summarises a long text that is inspected token by token: running statistics, and the passages with the highest means.
 */
import type { Letter } from "./strip.ts";

/** Statistics of a quantity over all tokens so far. */
export interface Figures {
  readonly mean: number;
  readonly min: number;
  readonly max: number;
}

/** Running mean, minimum and maximum; NaN is ignored. */
export class RunningFigures {
  #total = 0;
  #count = 0;
  #min = Infinity;
  #max = -Infinity;

  /** Adds a number. */
  add(value: number): void {
    if (Number.isNaN(value)) return;
    this.#total += value;
    this.#count++;
    this.#min = Math.min(this.#min, value);
    this.#max = Math.max(this.#max, value);
  }

  /** The statistics so far; null before the first number. */
  get figures(): Figures | null {
    return this.#count === 0 ? null : { mean: this.#total / this.#count, min: this.#min, max: this.#max };
  }
}

/** A passage of a text. */
export interface Passage {
  /** Positions of its first byte and its last character. */
  readonly start: number;
  readonly end: number;
  /** Mean of the number over its characters. */
  readonly mean: number;
  readonly text: string;
}

const PASSAGE_LETTERS = 24;
const KEPT = 3;

/** Finds the non-overlapping passages of a fixed length with the highest means. */
export class Passages {
  readonly #window: Letter[] = [];
  #best: Passage[] = [];

  /** Adds a character. */
  add(letter: Letter): void {
    if (Number.isNaN(letter.value)) return;
    this.#window.push(letter);
    if (this.#window.length > PASSAGE_LETTERS) this.#window.shift();
    if (this.#window.length === PASSAGE_LETTERS) this.#consider();
  }

  /** The passages, highest first; the whole text if it is shorter than a passage. */
  get best(): readonly Passage[] {
    if (this.#best.length === 0 && this.#window.length > 0) this.#consider();
    return this.#best;
  }

  #consider(): void {
    const window = this.#window, mean = window.reduce((total, { value }) => total + value, 0) / window.length;
    const start = window[0].position, end = window[window.length - 1].position;
    const rivals = this.#best.filter((passage) => passage.end >= start && passage.start <= end);
    if (rivals.some((rival) => rival.mean >= mean)) return;
    const rest = this.#best.filter((passage) => !rivals.includes(passage));
    if (rest.length === KEPT && rest[KEPT - 1].mean >= mean) return;
    const passage = { start, end, mean, text: window.map(({ text }) => text).join("") };
    this.#best = [...rest, passage].sort((a, b) => b.mean - a.mean).slice(0, KEPT);
  }
}
