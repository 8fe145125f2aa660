/**
 * Windows for streaming training: each row of a batch reads one document after another, window by window.
 *
 * All rows follow the same endless sequence of windows, round after round, starting at different positions, spread as
 * evenly over a round as possible, so that together they read everything once while each of them reads its share. A
 * round shuffles shelves of documents ({@link Pieces}), and the documents themselves within groups of 64 shelves; only
 * the groups that rows are currently reading are kept in memory.
 */
import { optionNames } from "../../core/options.ts";
import { checkTexts, type TokenSource, tokenSource, type WeightedText } from "./windows.ts";
import { checkNames, ConfigError } from "../errors.ts";
import { HostRng } from "../nn/host_rng.ts";
import { lastAtMost, type Piece, Pieces, type PlacedPiece, sumsBefore } from "./stream_pieces.ts";
import { checkTrainingShape, type TrainingBatch, type TrainingData, type TrainingShape } from "../train/training.ts";

/** How texts are streamed. */
export interface StreamOptions {
  /** Maximum number of tokens that are predicted with one memory: longer documents are split. Default: no limit. */
  readonly longest?: number;
}

const STREAM_OPTIONS = optionNames<StreamOptions>({ longest: true });

/** A round: shelves in the order in which they are read. */
interface Round {
  readonly shelves: Uint32Array;
  /** Number of windows before each group of shelves. */
  readonly before: Float64Array;
}

/** The documents of a group in the order in which they are read. */
interface Group {
  readonly round: number;
  readonly index: number;
  readonly pieces: readonly Piece[];
  /** Number of windows before each of them. */
  readonly before: Float64Array;
}

const GROUP_SHELVES = 64;

// A round reads the text with the smallest weight once, unless another weight is more than this many times as large:
// then only that text is read this often.
const MOST_COPIES = 16;

/**
 * Windows of documents in order, for a trainer with `stream`; see `TokenSource.documents`. A document begins with a
 * fresh memory, and its last window is padded. In a round, each row reads every document a number of times proportional
 * to the weight of its text, relative to the smallest weight; fractions are met on average. A pure function of seed and
 * step.
 */
export class StreamWindows implements TrainingData {
  readonly #pieces: Pieces;
  /** How often a round reads the shelves of each text. */
  readonly #copies: readonly number[];
  readonly #shape: Required<TrainingShape>;
  readonly #seed: number;
  readonly #phases: HostRng;
  /** Number of windows before each round that was needed so far, and the following one. */
  readonly #begins: number[] = [0];
  readonly #rounds = new Map<number, Round>();
  /** The start of each row. */
  readonly #offsets: readonly number[];
  /** The group that each row is reading. */
  readonly #groups: Group[] = [];

  /**
   * Windows of texts.
   * @param texts Texts with their weights. Documents of fewer than two tokens predict nothing and are left out.
   * @param shape Extents of a batch.
   * @param seed Chooses the orders.
   * @throws {ConfigError} if there is nothing to predict, a weight is not a positive number, or `longest` is less than
   * 1.
   */
  constructor(texts: readonly WeightedText[], shape: TrainingShape, seed: number, options: StreamOptions = {}) {
    checkTexts(texts, shape);
    checkNames("StreamWindows", options, STREAM_OPTIONS);
    const { longest } = options;
    const weights = texts.map(({ weight = 1 }) => weight),
      wrong = weights.find((weight) => !(weight > 0 && weight < Infinity));
    if (wrong !== undefined) {
      throw new ConfigError(`Cannot mix texts with a weight of ${wrong}: it must be above 0`, "weight");
    }
    this.#pieces = new Pieces(texts.map(({ text }) => tokenSource(text)), shape.length, longest);
    if (this.#pieces.count === 0) {
      throw new ConfigError("Cannot stream from texts of fewer than two tokens: give longer ones", "texts");
    }
    const unit = Math.max(Math.min(...weights), Math.max(...weights) / MOST_COPIES);
    this.#copies = weights.map((weight) => weight / unit);
    this.#shape = { accumulate: 1, ...shape };
    this.#seed = seed;
    this.#phases = new HostRng(seed, "stream weights");
    this.#offsets = this.#rowOffsets(this.#shape.batch * this.#shape.accumulate);
  }

  /**
   * Number of windows that a row reads in a round, counted from 0: the same for all rounds if weights are multiples of
   * the smallest.
   */
  windowsInRound(round: number): number {
    while (this.#begins.length <= round + 1) {
      const next = this.#begins.length - 1;
      let windows = 0;
      for (const [shelf, count] of this.#pieces.windows.entries()) windows += count * this.#copiesOf(shelf, next);
      this.#begins.push(this.#begins[next] + windows);
    }
    return this.#begins[round + 1] - this.#begins[round];
  }

  /** The windows of a step. */
  batch(step: number): TrainingBatch {
    const { batch, length, accumulate } = this.#shape, rows = batch * accumulate;
    return windowsBatch(
      length,
      Array.from({ length: rows }, (_, row) => {
        const { piece, window } = this.#windowAt(row, this.#offsets[row] + step);
        return { piece, window, fresh: window === 0 || step === 0 };
      }),
    );
  }

  /**
   * The starts of rows: spread over the first round, at the beginning of a document unless another row begins there.
   */
  #rowOffsets(rows: number): number[] {
    const windows = this.windowsInRound(0), offsets = new Set<number>();
    return Array.from({ length: rows }, (_, row) => {
      const place = Math.floor(row * windows / rows), begin = place - this.#windowAt(row, place).window;
      const offset = offsets.has(begin) ? place : begin;
      offsets.add(offset);
      return offset;
    });
  }

  /** A window of the endless sequence. */
  #windowAt(row: number, place: number): { readonly piece: Piece; readonly window: number } {
    while (this.#begins[this.#begins.length - 1] <= place) this.windowsInRound(this.#begins.length - 1);
    const round = lastAtMost(this.#begins, place), { before } = this.#round(round);
    const inRound = place - this.#begins[round], group = this.#group(row, round, lastAtMost(before, inRound));
    const inGroup = inRound - before[group.index], index = lastAtMost(group.before, inGroup);
    return { piece: group.pieces[index], window: inGroup - group.before[index] };
  }

  /** How often a round reads a shelf: for 1.5 alternately once and twice, but not all shelves at the same time. */
  #copiesOf(shelf: number, round: number): number {
    const copies = this.#copies[this.#pieces.textOf(shelf)];
    if (Number.isInteger(copies)) return copies;
    const phase = this.#phases.uniform(shelf);
    return Math.floor((round + 1) * copies + phase) - Math.floor(round * copies + phase);
  }

  #round(round: number): Round {
    const known = this.#rounds.get(round);
    if (known) return known;
    const { windows } = this.#pieces, copies = windows.map((_, shelf) => this.#copiesOf(shelf, round));
    const shelves = new Uint32Array(copies.reduce((sum, count) => sum + count, 0));
    let filled = 0;
    for (const [shelf, count] of copies.entries()) shelves.fill(shelf, filled, filled += count);
    shuffle(shelves, new HostRng(this.#seed, `stream ${round}`));
    const groups = new Array<number>(Math.ceil(shelves.length / GROUP_SHELVES)).fill(0);
    for (const [i, shelf] of shelves.entries()) groups[Math.floor(i / GROUP_SHELVES)] += windows[shelf];
    // Rows are at most about a round apart.
    if (this.#rounds.size > 2) this.#rounds.delete(Math.min(...this.#rounds.keys()));
    const made = { shelves, before: sumsBefore(groups) };
    this.#rounds.set(round, made);
    return made;
  }

  #group(row: number, round: number, index: number): Group {
    const known = this.#groups[row];
    if (known?.round === round && known.index === index) return known;
    const shelves = this.#round(round).shelves.subarray(index * GROUP_SHELVES, (index + 1) * GROUP_SHELVES);
    const found = Array.from(shelves, (shelf) => this.#pieces.shelf(shelf)).flat(),
      order = Uint32Array.from(found.keys());
    shuffle(order, new HostRng(this.#seed, `stream ${round} ${index}`));
    const pieces = Array.from(order, (at) => found[at]);
    return this.#groups[row] = { round, index, pieces, before: sumsBefore(pieces.map(({ windows }) => windows)) };
  }
}

/**
 * Windows for evaluation in the way a reader with memory encounters them: each row reads documents in order from their
 * beginnings, with one memory through each of them or through `longest` tokens of it. Rows are spread evenly over the
 * texts.
 * @param texts What is read, as {@link StreamWindows} reads it.
 * @param shape Maximum number of rows, and the length of a window.
 * @param count Minimum number of windows to take, if there are as many; a memory reaches as far as a row's share of
 * them.
 * @returns Batches for `Trainer.validate`, all with the same number of rows.
 * @throws {ConfigError} if there is nothing to predict.
 */
export function evenStreams(
  texts: readonly TokenSource[],
  shape: TrainingShape,
  count: number,
  options: StreamOptions = {},
): TrainingBatch[] {
  checkTrainingShape(shape);
  checkNames("evenStreams", options, STREAM_OPTIONS);
  const { batch, length } = shape, { longest } = options;
  const pieces = new Pieces(texts, length, longest), total = pieces.windowCount;
  if (total === 0) throw new ConfigError("Cannot measure on texts of fewer than two tokens: give longer ones", "texts");
  const begins = new Set<number>();
  for (let row = 0; row < batch; row++) begins.add(pieces.from(Math.floor(row * total / batch)).next().value!.before);
  const starts = [...begins], spans = starts.map((start, row) => (starts[row + 1] ?? total) - start);
  // Rows whose share ends early leave the rest to the others.
  let steps = Math.ceil(Math.min(count, total) / starts.length);
  while (spans.reduce((sum, span) => sum + Math.min(span, steps), 0) < Math.min(count, total)) steps++;
  const rows = starts.map((start, row) => windowsOf(pieces.from(start), Math.min(steps, spans[row])));
  return Array.from({ length: steps }, (_, step) => windowsBatch(length, rows.map((windows) => windows[step])));
}

/** The tokens of a window of a piece. */
interface PlacedWindow {
  readonly piece: Piece;
  readonly window: number;
  readonly fresh: boolean;
}

function windowsOf(pieces: Iterable<PlacedPiece>, count: number): PlacedWindow[] {
  const found: PlacedWindow[] = [];
  for (const piece of pieces) {
    for (let window = 0; window < piece.windows && found.length < count; window++) {
      found.push({ piece, window, fresh: window === 0 });
    }
    if (found.length === count) break;
  }
  return found;
}

/** A batch with a row per window; rows without one are all padding. */
function windowsBatch(length: number, windows: readonly (PlacedWindow | undefined)[]): TrainingBatch {
  const rows = windows.length, width = length + 1;
  const tokens = new Int32Array(rows * width), mask = new Float32Array(rows * length), fresh = new Float32Array(rows);
  for (const [row, placed] of windows.entries()) {
    if (!placed) continue;
    const { piece: { source, start, predicted }, window } = placed,
      from = window * length,
      count = Math.min(length, predicted - from);
    source.read(start + from, tokens.subarray(row * width, row * width + count + 1));
    mask.fill(1, row * length, row * length + count);
    fresh[row] = placed.fresh ? 1 : 0;
  }
  return { tokens, mask, fresh };
}

function shuffle(numbers: Uint32Array, rng: HostRng): void {
  const count = numbers.length;
  for (let i = 0; i < count - 1; i++) {
    const other = i + rng.integer(i, count - i);
    [numbers[i], numbers[other]] = [numbers[other], numbers[i]];
  }
}
