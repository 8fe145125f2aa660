/**
 * A text with a number for each of its letters, as a strip: on a terminal the letters on coloured grounds, elsewhere
 * lines of letters with a line of bars of different height below each. It is written as the text comes.
 */

import { printable } from "./terminal.ts";

/** A letter, and the number that its bytes have on average; a byte has that of the token it comes from. */
export interface Letter {
  readonly text: string;
  readonly value: number;
  /** Position of its first byte. */
  readonly position: number;
}

/** Puts bytes together to letters: UTF-8, where a letter may take several. */
export class Letters {
  readonly #decoder = new TextDecoder();
  #total = 0;
  #count = 0;
  #start = 0;

  /** The letters that are complete with one more byte: mostly one, none inside a letter. */
  next(byte: number, value: number, position: number): Letter[] {
    if (this.#count === 0) this.#start = position;
    this.#total += value;
    this.#count++;
    return this.#take(this.#decoder.decode(Uint8Array.of(byte), { stream: true }));
  }

  /** What is left at the end of the text: a replacement letter for bytes that never became one. */
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

/** Levels of a strip, beside "nothing to see". */
export const LEVELS = 8;

/** Which numbers are shown lowest and highest; what lies beyond is shown as these. */
export interface Scale {
  readonly low: number;
  readonly high: number;
}

/**
 * A scale for numbers like these: their twentieth parts at both ends do not stretch it. Numbers that are no numbers do
 * not count.
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
// Of the 256 colours of terminals, from pale yellow to dark red; letters on them are black, but on the darkest.
const GROUNDS = [230, 229, 222, 215, 209, 203, 196, 124];
const RESET = "\x1b[0m";
const PLAIN_WIDTH = 80;

/** A letter as it may be shown: nothing that a terminal would obey. */
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
   * @param scale What the levels stand for.
   * @param color Whether to colour, or to draw bars.
   */
  constructor(readonly scale: Scale, readonly color: boolean) {}

  /** The text of some more letters. */
  add(letters: readonly Letter[]): string {
    return letters.map((letter) => this.color ? this.#coloured(letter) : this.#barred(letter)).join("");
  }

  /** What is left at the end. */
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
    // A line's end has a number too. Terminals would colour the rest of the line, so the colour ends first.
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

/** What the levels stand for, in one line. */
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
