/**
 * The baselines that a model must beat: a token-bigram model, and for bytes a 5-gram model, evaluated on the same windows
 * as the model.
 *
 * For bytes, all bigrams are counted with add-one smoothing. For larger vocabularies only the bigrams that occur in the
 * windows are counted, with Dirichlet smoothing towards the unigram distribution, since most bigrams were never seen.
 */
import { BigramModel, NgramModel, type TokenSource, type TrainingBatch } from "../../titans/mod.ts";
import type { Vocabulary } from "./vocabulary.ts";

// More text hardly changes the counts: longer texts are counted in evenly spaced pieces.
const MOST_BYTES = 2 ** 26;
const MOST_TOKENS = 2 ** 24;
// Contexts of several bytes take longer to count, about a second for as many.
const MOST_CONTEXT_BYTES = 2 ** 21;
const CONTEXT_BYTES = 4;
const PIECE = 2 ** 16;

// Of 20, 50, 200 and 1,000, the best on the built-in text with bpe:gpt2 (1.914, 1.883, 1.861 and 1.873 bits per byte).
const PRIOR = 200;

/** Windows to predict. */
export interface PredictedWindows {
  /** Token ids [n, length + 1], row-major: each window's first token is given, the others are predicted. */
  readonly tokens: Int32Array;
  readonly length: number;
  /** How many tokens are predicted in each window, [n]. Default: all of them. */
  readonly counts?: ArrayLike<number>;
}

/** The windows of batches whose padding, if any, is at the end of rows. */
export function predictedOf(batches: readonly TrainingBatch[], length: number): PredictedWindows {
  const width = length + 1, rows = batches.reduce((sum, { tokens }) => sum + tokens.length, 0) / width;
  const tokens = new Int32Array(rows * width), counts = new Int32Array(rows);
  let row = 0;
  for (const batch of batches) {
    tokens.set(batch.tokens, row * width);
    for (let i = 0; i < batch.tokens.length / width; i++, row++) {
      counts[row] = batch.mask
        ? batch.mask.subarray(i * length, (i + 1) * length).reduce((sum, value) => sum + value, 0)
        : length;
    }
  }
  return { tokens, length, counts };
}

/** The result of predicting windows of tokens. */
export interface PredictedText {
  /** Number of predicted tokens. */
  readonly tokens: number;
  /** Bytes that the predicted tokens stand for. */
  readonly bytes: number;
  /** Bits per byte of the bigram model. */
  readonly bitsPerByte: number;
  /** Bits per byte of the 5-gram model, of texts in bytes: Witten-Bell, counted on up to 2 MiB of the training text. */
  readonly fivegramBitsPerByte?: number;
}

/** Evaluates the baselines.
 * @param texts The training texts; weights are ignored.
 * @param judged The windows on which the model is evaluated.
 * @param vocabulary The vocabulary of texts and windows.
 */
export function judgePairs(
  texts: readonly TokenSource[],
  judged: PredictedWindows,
  vocabulary: Vocabulary,
): PredictedText {
  const { tokens: windows, length, counts: most } = judged, width = length + 1;
  const predicted = [...windows.keys()].filter((i) =>
    i % width > 0 && (!most || i % width <= most[Math.floor(i / width)])
  );
  if (vocabulary.idBytes === 1) {
    const pairs = new BigramModel(new Uint8Array(0)), contexts = new NgramModel(CONTEXT_BYTES);
    for (const piece of pieces(texts, MOST_BYTES)) pairs.count(Uint8Array.from(piece));
    for (const piece of pieces(texts, MOST_CONTEXT_BYTES)) contexts.count(piece, 1);
    const meanBits = (probability: (i: number) => number): number =>
      predicted.reduce((total, i) => total - Math.log2(probability(i)), 0) / predicted.length;
    return {
      tokens: predicted.length,
      bytes: predicted.length,
      bitsPerByte: meanBits((i) => pairs.probability(windows[i - 1], windows[i])),
      fivegramBitsPerByte: meanBits((i) => contexts.probability(windows, i, Math.min(CONTEXT_BYTES, i % width))),
    };
  }
  const key = (previous: number, next: number): number => previous * vocabulary.size + next;
  const pairs = new Map(predicted.map((i) => [key(windows[i - 1], windows[i]), 0]));
  const counts = new Float64Array(vocabulary.size), firsts = new Set(predicted.map((i) => windows[i - 1]));
  let total = 0;
  for (const piece of pieces(texts, MOST_TOKENS)) {
    for (let i = 1; i < piece.length; i++) {
      counts[piece[i]]++;
      if (!firsts.has(piece[i - 1])) continue;
      const pair = key(piece[i - 1], piece[i]), count = pairs.get(pair);
      if (count !== undefined) pairs.set(pair, count + 1);
    }
    total += Math.max(0, piece.length - 1);
  }
  let bits = 0, bytes = 0;
  for (const i of predicted) {
    const alone = (counts[windows[i]] + 1) / (total + vocabulary.size);
    bits -= Math.log2((pairs.get(key(windows[i - 1], windows[i]))! + PRIOR * alone) / (counts[windows[i - 1]] + PRIOR));
    bytes += vocabulary.bytesOf(windows[i]).length;
  }
  return { tokens: predicted.length, bytes, bitsPerByte: bits / bytes };
}

/**
 * Texts in pieces that overlap by one token, so that no bigram is lost: all of the text, or the requested amount in
 * evenly spaced pieces.
 */
function* pieces(texts: readonly TokenSource[], most: number): Generator<Int32Array> {
  const share = Math.min(1, most / texts.reduce((sum, text) => sum + text.length, 0));
  for (const text of texts) {
    const count = Math.max(1, Math.ceil(text.length * share / PIECE)),
      stride = share === 1 ? PIECE : text.length / count;
    for (let i = 0; i < count; i++) {
      const start = Math.max(0, Math.floor(i * stride) - 1);
      const piece = new Int32Array(Math.min(text.length, Math.floor(i * stride) + PIECE) - start);
      text.read(start, piece);
      yield piece;
    }
  }
}
