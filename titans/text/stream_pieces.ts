/**
 * The units that one memory reads: the documents of texts, split into pieces if they are long.
 *
 * There may be more documents than fit in memory, so the table lists shelves instead: up to 64 consecutive pieces of
 * one text, with the position of the first one and the total number of windows. The contents of a shelf are looked up
 * in the text on demand.
 */
import type { TokenSource } from "./windows.ts";
import { ConfigError } from "../errors.ts";

/** Tokens that are read with one memory. */
export interface Piece {
  readonly source: TokenSource;
  /** Position of the first token. */
  readonly start: number;
  /** Number of predicted tokens: all after the first one. */
  readonly predicted: number;
  /** Number of windows, the last one possibly incomplete. */
  readonly windows: number;
}

/** A piece, and the number of windows before it. */
export interface PlacedPiece extends Piece {
  readonly before: number;
}

/** The position of the first piece of a shelf. */
interface Shelf {
  readonly text: number;
  /** Index of its document in the text. */
  readonly document: number;
  /** Index of the piece in the document. */
  readonly part: number;
}

/** Maximum number of pieces per shelf. */
export const SHELF_PIECES = 64;

// Number of documents whose positions are read at once.
const BLOCK = 4096;

/** The pieces of texts, grouped into shelves. */
export class Pieces {
  /** Number of windows of each shelf. */
  readonly windows: readonly number[];
  /** Total number of pieces. */
  readonly count: number;
  /** Total number of windows. */
  readonly windowCount: number;
  readonly #sources: readonly TokenSource[];
  readonly #length: number;
  readonly #longest: number;
  readonly #shelves: Shelf[] = [];
  /** Number of windows before each shelf, computed on first use. */
  #before?: Float64Array;

  /**
   * Scans the documents of texts. Those of fewer than two tokens predict nothing and are skipped.
   * @param sources The texts.
   * @param length Tokens per window, T.
   * @param longest Maximum number of tokens predicted with one memory: longer documents are split.
   * @throws {ConfigError} if `longest` is less than 1.
   */
  constructor(sources: readonly TokenSource[], length: number, longest: number = Infinity) {
    if (!(longest >= 1) || (longest < Infinity && !Number.isInteger(longest))) {
      throw new ConfigError(
        `Cannot carry a memory through ${longest} tokens: give an integer of at least 1`,
        "longest",
      );
    }
    this.#sources = sources;
    this.#length = length;
    this.#longest = longest;
    const windows: number[] = [], full = Math.ceil(longest / length);
    let count = 0;
    for (const [text, source] of sources.entries()) {
      let room = 0;
      for (const { document, parts, lastWindows } of this.#documents(source, 0)) {
        for (let part = 0; part < parts;) {
          if (room === 0) {
            this.#shelves.push({ text, document, part });
            windows.push(0);
            room = SHELF_PIECES;
          }
          const taken = Math.min(room, parts - part);
          windows[windows.length - 1] += part + taken < parts
            ? taken * full
            : lastWindows + (taken > 1 ? (taken - 1) * full : 0);
          part += taken;
          room -= taken;
          count += taken;
        }
      }
    }
    this.windows = windows;
    this.count = count;
    this.windowCount = windows.reduce((sum, number) => sum + number, 0);
  }

  /** The index of the text that a shelf belongs to. */
  textOf(shelf: number): number {
    return this.#shelves[shelf].text;
  }

  /** The pieces of a shelf. */
  shelf(index: number): Piece[] {
    const { text, document, part } = this.#shelves[index],
      source = this.#sources[text],
      longest = this.#longest,
      found: Piece[] = [];
    for (const next of this.#documents(source, document)) {
      for (let i = next.document === document ? part : 0; i < next.parts; i++) {
        const from = i === 0 ? 0 : i * longest, predicted = Math.min(longest, next.predicted - from);
        found.push({ source, start: next.start + from, predicted, windows: Math.ceil(predicted / this.#length) });
        if (found.length === SHELF_PIECES) return found;
      }
    }
    return found;
  }

  /** The pieces in order, starting with the one that contains a window; windows are counted across all texts. */
  *from(window: number): Generator<PlacedPiece, void, void> {
    this.#before ??= sumsBefore(this.windows);
    for (let index = lastAtMost(this.#before, window); index < this.windows.length; index++) {
      let before = this.#before[index];
      for (const piece of this.shelf(index)) {
        if (before + piece.windows > window) yield { ...piece, before };
        before += piece.windows;
      }
    }
  }

  /** The documents of a text, from a given one on, that predict something, with the pieces that they are split into. */
  *#documents(source: TokenSource, first: number): Generator<CutDocument, void, void> {
    const { documents = WHOLE, length: end } = source, length = this.#length, longest = this.#longest;
    // A shelf needs few documents, a full scan many.
    for (let from = first, size = SHELF_PIECES; from < documents.count; from += size, size = BLOCK) {
      const known = Math.min(size + 1, documents.count - from), starts = new Float64Array(known);
      documents.read(from, starts);
      for (let i = 0; i < Math.min(size, known); i++) {
        const predicted = (i + 1 < known ? starts[i + 1] : end) - starts[i] - 1;
        if (predicted < 1) continue;
        const parts = Math.max(1, Math.ceil(predicted / longest)),
          inLast = predicted - (parts > 1 ? (parts - 1) * longest : 0);
        yield { document: from + i, start: starts[i], predicted, parts, lastWindows: Math.ceil(inLast / length) };
      }
    }
  }
}

interface CutDocument {
  readonly document: number;
  readonly start: number;
  readonly predicted: number;
  /** Number of pieces; all but the last have the maximum length. */
  readonly parts: number;
  /** Number of windows of the last one. */
  readonly lastWindows: number;
}

const WHOLE = { count: 1, read: (_: number, into: Float64Array): void => void into.fill(0) };

/** Exclusive prefix sums. */
export function sumsBefore(numbers: readonly number[]): Float64Array {
  const before = new Float64Array(numbers.length);
  for (let i = 1; i < numbers.length; i++) before[i] = before[i - 1] + numbers[i - 1];
  return before;
}

/** The position of the last of some increasing numbers that is at most `value`; the first must be. */
export function lastAtMost(ascending: ArrayLike<number>, value: number): number {
  let low = 0, high = ascending.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ascending[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
