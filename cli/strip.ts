/**
 * Shows a text with a number for each character: on a terminal with background colours, elsewhere with a line of bars
 * below each line of text. Output is written as the text arrives.
 */

import { printable } from "./terminal.ts";

/** A character and the mean number of its bytes; each byte has the number of its token. */
export interface Letter {
  readonly text: string;
  readonly value: number;
  /** Position of its first byte. */
  readonly position: number;
}

/** Assembles UTF-8 bytes into characters. */
export class Letters {
  readonly #decoder = new TextDecoder();
  #total = 0;
  #count = 0;
  #start = 0;

  /** The characters completed by one more byte: usually one, none in the middle of a character. */
  next(byte: number, value: number, position: number): Letter[] {
    if (this.#count === 0) this.#start = position;
    this.#total += value;
    this.#count++;
    return this.#take(this.#decoder.decode(Uint8Array.of(byte), { stream: true }));
  }

  /** The rest at the end of the text: a replacement character for an incomplete sequence. */
  end(): Letter[] {
    return this.#take(this.#decoder.decode());
  }

  #take(text: string): Letter[] {
    if (text === "") return [];
    const value = this.#total / Math.max(1, this.#count), position = this.#start;
    this.#total = this.#count = 0;
    return Array.from(text, (letter) => ({ text: letter, value, position }));
  }
}

/** Number of levels, not counting "no bar". */
export const LEVELS = 8;

/** The numbers of the lowest and the highest level; numbers beyond are clamped. */
export interface Scale {
  readonly low: number;
  readonly high: number;
}

/**
 * A scale for these numbers, from their 5th to their 95th percentile. NaN is ignored.
 */
export function scaleOf(values: ArrayLike<number>): Scale {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  if (sorted.length === 0) return { low: 0, high: 0 };
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))];
  return { low: at(0.05), high: at(0.95) };
}

/** The level of a number, 0 to {@link LEVELS}. */
export function levelOf({ low, high }: Scale, value: number): number {
  if (!(high > low) || Number.isNaN(value)) return 0;
  return Math.max(0, Math.min(LEVELS, Math.ceil((value - low) / (high - low) * LEVELS)));
}

const BARS = " ▁▂▃▄▅▆▇█";
// From the 256 terminal colours, pale yellow to dark red; characters on them are black, except on the darkest.
const GROUNDS = [230, 229, 222, 215, 209, 203, 196, 124];
const RESET = "\x1b[0m";
const PLAIN_WIDTH = 80;

/** A character that is safe to print: control characters are replaced. */
export function visible(text: string): string {
  if (text === "\t") return "→";
  if (text === "\n") return "↵";
  return printable(text);
}

function ground(level: number): string {
  if (level === 0) return RESET;
  return `\x1b[48;5;${GROUNDS[level - 1]};38;5;${level === LEVELS ? 231 : 16}m`;
}

/** Writes a strip. */
export class Strip {
  #level = 0;
  #letters: Letter[] = [];

  /**
   * @param scale The numbers that the levels represent.
   * @param color Whether to use colours; otherwise bars are drawn.
   */
  constructor(readonly scale: Scale, readonly color: boolean) {}

  /** Formats more characters. */
  add(letters: readonly Letter[]): string {
    return letters.map((letter) => this.color ? this.#coloured(letter) : this.#barred(letter)).join("");
  }

  /** Formats the rest at the end. */
  end(): string {
    if (this.color) return `${RESET}\n`;
    return this.#row();
  }

  #coloured({ text, value }: Letter): string {
    const level = levelOf(this.scale, value);
    const before = level === this.#level ? "" : ground(level);
    this.#level = level;
    if (text !== "\n") return before + visible(text);
    this.#level = 0;
    // A line break has a number too. Terminals would colour the rest of the line, so the colour is reset first.
    return `${before} ${RESET}\n`;
  }

  #barred(letter: Letter): string {
    this.#letters.push(letter);
    return letter.text === "\n" || this.#letters.length === PLAIN_WIDTH ? this.#row() : "";
  }

  #row(): string {
    const letters = this.#letters.splice(0);
    if (letters.length === 0) return "";
    const text = letters.map(({ text }) => visible(text)).join("");
    return `${text}\n${letters.map(({ value }) => BARS[levelOf(this.scale, value)]).join("").trimEnd()}\n`;
  }
}

/** A one-line legend of the levels. */
export function legend({ low, high }: Scale, color: boolean): string {
  const bound = (level: number): string => formatNumber(low + (high - low) * level / LEVELS);
  const samples = Array.from({ length: LEVELS }, (_, i) => {
    const text = `${i + 1 === LEVELS ? "above" : "to"} ${bound(i + 1 === LEVELS ? i : i + 1)}`;
    return color ? `${ground(i + 1)} ${text} ${RESET}` : `${BARS[i + 1]} ${text}`;
  });
  return [`${color ? "uncoloured" : "no bar"} to ${bound(0)}`, ...samples].join(color ? " " : "  ");
}

/** Three significant digits. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)) return value.toExponential(2);
  return String(Number(value.toPrecision(3)));
}
