/**
 * Sequences as what is learned from: pieces without gaps, cut into parts to train on, to validate on and to test on, and
 * windows of them.
 *
 *     records   ACGT ... NNNN ... ACGT | ACGT ...      runs of 16 N and more are gaps, windows never reach across
 *     parts     the first 90% to train on, the next 5% to validate on, the last 5% to test on
 */
import { ConfigError } from "../../errors.ts";
import type { SampleRandom } from "../samples.ts";
import type { Split, TaskFile } from "../task.ts";
import { PADDING, reverseComplement, UNKNOWN } from "./nucleotides.ts";
import { RECORD_END, unpack } from "./packed.ts";

/** A run of N of this length is a gap. It is the shortest window too, so that none is of N alone. */
export const GAP = 16;

/** A piece of a sequence. */
interface Piece {
  /** The packed sequences that it is of. */
  readonly packed: Uint8Array;
  /** Its first nucleotide there. */
  readonly from: number;
  /** Nucleotides. */
  readonly length: number;
}

/** A part of the data. */
interface Part {
  readonly pieces: readonly Piece[];
  readonly length: number;
}

/** The pieces between ends of records and gaps, of at least two nucleotides. */
function piecesOf({ bytes: packed }: TaskFile): Piece[] {
  const pieces: Piece[] = [], total = 2 * packed.length;
  let from = 0, unknown = 0;
  const close = (end: number): void => {
    if (end - from >= 2) pieces.push({ packed, from, length: end - from });
  };
  for (let i = 0; i < total; i++) {
    const token = packed[i >> 1] >> ((i & 1) << 2) & 15;
    if (token === UNKNOWN) {
      // N at the beginning of a piece is left out.
      if (i === from) from = i + 1;
      else unknown++;
      continue;
    }
    if (token === RECORD_END || unknown >= GAP) {
      close(i - unknown);
      from = token === RECORD_END ? i + 1 : i;
    }
    unknown = 0;
  }
  return pieces;
}

/** Cuts pieces where a share of all nucleotides ends. */
function partsOf(pieces: readonly Piece[], ends: readonly number[]): Part[] {
  let at = 0;
  const found = ends.map((): Piece[] => []);
  for (const piece of pieces) {
    for (let done = 0; done < piece.length;) {
      const part = ends.findIndex((end) => at < end), count = Math.min(piece.length - done, ends[part] - at);
      found[part].push({ packed: piece.packed, from: piece.from + done, length: count });
      done += count;
      at += count;
    }
  }
  return found.map((list) => {
    const pieces = list.filter(({ length }) => length >= 2);
    return { pieces, length: pieces.reduce((sum, { length }) => sum + length, 0) };
  });
}

/** The sequences of some files. */
export class Genome {
  /** Nucleotides, without gaps. */
  readonly length: number;
  readonly #parts: Readonly<Record<Split, Part>>;
  readonly #known = new Map<string, Float64Array>();

  /**
   * Cuts them.
   * @param files Packed sequences.
   * @param heldOut The share that is not trained on; half of it is validated on, half tested on.
   * @throws {ConfigError} if a part has no nucleotides.
   */
  constructor(files: readonly TaskFile[], heldOut: number) {
    const pieces = files.flatMap(piecesOf), length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const half = Math.ceil(length * heldOut / 2);
    const [train, validation, test] = partsOf(pieces, [length - 2 * half, length - half, length]);
    this.length = length;
    this.#parts = { train, validation, test };
    for (const [split, part] of Object.entries(this.#parts)) {
      if (part.length > 0) continue;
      throw new ConfigError(
        `Cannot learn from ${length} nucleotides: the ${split} part, of a held-out share of ${heldOut}, has none`,
        "heldOut",
      );
    }
  }

  /** Nucleotides of a part. */
  lengthOf(split: Split): number {
    return this.#parts[split].length;
  }

  /** The nucleotides of a part, piece by piece, up to so many. */
  *pieces(split: Split, most: number): Generator<Uint8Array> {
    let left = most;
    for (const { packed, from, length } of this.#parts[split].pieces) {
      const tokens = new Uint8Array(Math.min(length, left));
      unpack(packed, from, tokens);
      yield tokens;
      left -= tokens.length;
      if (left === 0) return;
    }
  }

  /** A window of the part to train on, filled up with padding: each place is equally likely. */
  draw(into: Int32Array, random: SampleRandom, bothStrands: boolean): void {
    const { pieces } = this.#parts.train, width = into.length;
    const ends = this.#ends("train", width), [piece, at] = place(ends, random.integer(ends[ends.length - 1]));
    const tokens = this.#window(pieces[piece], at, into);
    if (bothStrands && random.uniform() < 0.5) reverseComplement(tokens);
  }

  /** Windows that cover a part that is held out, each nucleotide but the first of a piece predicted once. */
  countOf(split: "validation" | "test", width: number): number {
    return this.#ends(split, width).at(-1)!;
  }

  /** One of them; those that follow each other are far apart, so that the first ones are of all of the part. */
  heldOut(split: "validation" | "test", number: number, into: Int32Array): void {
    const { pieces } = this.#parts[split], width = into.length;
    const ends = this.#ends(split, width), count = ends[ends.length - 1];
    const [piece, window] = place(ends, number * strideOf(count) % count);
    this.#window(pieces[piece], window * (width - 1), into);
  }

  /** Fills a window and gives what of it is no padding. */
  #window({ packed, from, length }: Piece, at: number, into: Int32Array): Int32Array {
    const tokens = into.subarray(0, Math.min(into.length, length - at));
    unpack(packed, from + at, tokens);
    into.fill(PADDING, tokens.length);
    return tokens;
  }

  /** Where the windows of each piece end in the order of all: to train on at each place, held out side by side. */
  #ends(split: Split, width: number): Float64Array {
    const key = `${split} ${width}`, known = this.#known.get(key);
    if (known) return known;
    let end = 0;
    const ends = Float64Array.from(
      this.#parts[split].pieces,
      ({ length }) =>
        end += split === "train" ? Math.max(1, length - width + 1) : Math.ceil((length - 1) / (width - 1)),
    );
    this.#known.set(key, ends);
    return ends;
  }
}

/** The piece that a number falls in, by the ends of all, and which one it is there. */
function place(ends: Float64Array, number: number): [piece: number, at: number] {
  let low = 0, high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > number) high = middle;
    else low = middle + 1;
  }
  return [low, number - (low === 0 ? 0 : ends[low - 1])];
}

/** A step through `count` things that meets each once, and leaves no large part out for long: near the golden section. */
function strideOf(count: number): number {
  const divisor = (a: number, b: number): number => b === 0 ? a : divisor(b, a % b);
  let stride = Math.max(1, Math.round(count * (Math.sqrt(5) - 1) / 2));
  while (divisor(count, stride) > 1) stride++;
  return stride;
}
