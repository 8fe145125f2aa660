/** Splits texts into training and held-out parts. */
import type { DocumentStarts, TokenSource } from "../../titans/mod.ts";
import { HostRng } from "../../titans/nn/host_rng.ts";
import type { Split } from "./recipe.ts";

// Scattered pieces are as many as give a fair share by chance, and as long as they can be then.
const PIECES = 1000;
const SMALLEST_PIECE = 4096;

/** A range of positions in a text. */
export type Range = readonly [start: number, end: number];

/** A text in two parts. */
export interface SplitRanges {
  readonly train: readonly Range[];
  readonly heldOut: readonly Range[];
}

/**
 * The held-out ranges of a text, a deterministic function of the arguments.
 * @param length Tokens of the text.
 * @param share How much to hold out.
 * @param split Where.
 * @param seed Chooses scattered pieces.
 */
export function splitRanges(
  length: number,
  share: number,
  { split, seed }: { split: Split; seed: number },
): SplitRanges {
  if (split === "end") {
    const end = length - Math.floor(length * share);
    return { train: [[0, end]], heldOut: [[end, length]] };
  }
  const size = Math.max(SMALLEST_PIECE, Math.ceil(length / PIECES)), count = Math.max(1, Math.floor(length / size));
  const order = Array.from({ length: count }, (_, i) => i), rng = new HostRng(seed, "held-out");
  for (let i = 0; i < count - 1; i++) {
    const other = i + rng.integer(i, count - i);
    [order[i], order[other]] = [order[other], order[i]];
  }
  const chosen = new Set(order.slice(0, Math.max(1, Math.round(count * share))));
  const ranges = { train: [] as Range[], heldOut: [] as Range[] };
  for (let i = 0; i < count; i++) {
    const list = chosen.has(i) ? ranges.heldOut : ranges.train, last = list.at(-1);
    const start = i * size, end = i === count - 1 ? length : start + size;
    if (last?.[1] === start) list[list.length - 1] = [last[0], end];
    else list.push([start, end]);
  }
  return ranges;
}

/** A range of a text as a text: its first document is what the range holds of the one in which it begins. */
export function partOf(source: TokenSource, range: Range): TokenSource {
  const [start, end] = range;
  let documents: DocumentStarts | undefined;
  return {
    length: end - start,
    read: (at, into) => source.read(start + at, into),
    // They may have to be looked for in a file, and only some who read ask.
    get documents(): DocumentStarts | undefined {
      return source.documents && (documents ??= documentsIn(source.documents, range));
    },
  };
}

/** The documents of a range of a text. */
function documentsIn(documents: DocumentStarts, [start, end]: Range): DocumentStarts {
  const first = firstFrom(documents, start + 1), count = firstFrom(documents, end) - first;
  return {
    count: 1 + count,
    read: (from, into) => {
      if (into.length === 0) return;
      const others = from === 0 ? into.subarray(1) : into;
      if (from === 0) into[0] = 0;
      documents.read(first + Math.max(0, from - 1), others);
      for (let i = 0; i < others.length; i++) others[i] -= start;
    },
  };
}

/** How many documents begin before a place. */
function firstFrom(documents: DocumentStarts, place: number): number {
  const at = new Float64Array(1);
  let low = 0, high = documents.count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    documents.read(middle, at);
    if (at[0] < place) low = middle + 1;
    else high = middle;
  }
  return low;
}
