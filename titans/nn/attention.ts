/**
 * Attention, as all mixers use it: queries over keys within a segment, or within a sliding window.
 *
 * Sliding windows: each token sees itself, the W - 1 tokens before it, and persistent tokens, which are always visible.
 * The sequence, after the W rows that the state carries, is cut into blocks of W. A query of block i sees nothing before
 * block i - 1, so each block of queries is multiplied with two blocks of keys, all blocks at once: time and memory grow
 * with T W, not with T^2.
 *
 *     rows      [ state | block 0 | block 1 | ... ]        W rows each, the last filled up
 *     block 0 sees state, block 0;  block 1 sees block 0, block 1; ...
 *
 * Rotary positions count from the first of the two blocks, for queries and keys alike. Scores depend on differences of
 * positions only, so cutting a sequence elsewhere changes nothing, and no position grows with the length read. That is
 * why the state keeps keys as they are before rotation, and why persistent tokens, which have no position, are compared
 * with queries before rotation.
 *
 * Worked example, W = 2, tokens a b c: blocks [a b] and [c _]; with an empty state `_ _`, a sees a; b sees a b; c sees
 * b c.
 *
 * A window that no text outgrows is full attention, and its state the key-value cache.
 */
import type { DType } from "../../core/dtype.ts";
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import {
  add,
  broadcastTo,
  concat,
  expandDims,
  greater,
  greaterEqual,
  iota,
  less,
  lessEqual,
  logicalAnd,
  logicalOr,
  matmul,
  mul,
  ones,
  pad,
  reshape,
  rotaryEmbedding,
  sliceAxis,
  softmax,
  split,
  sub,
  swapAxes,
  where,
  zeros,
} from "../../ops/mod.ts";
import { checkNames } from "../errors.ts";
import { splitHeads } from "./layers.ts";
import { lastRows } from "./rows.ts";

/** Keys and values [B, H, N, K] of one group; with grouped queries H is the number of key heads. */
export interface KeysAndValues {
  /** What queries are compared with. */
  readonly key: Tensor;
  /** What queries take. */
  readonly value: Tensor;
}

/** Queries, keys and values of tokens, [B, H, T, K], before rotation. */
export interface AttentionRows extends KeysAndValues {
  /** What each token asks. */
  readonly query: Tensor;
}

/** How many heads there are. */
export interface Heads {
  /** Of queries, H. */
  readonly heads: number;
  /** Of keys and values, each shared by as many heads of queries; a divisor of `heads`. Default: the same number. */
  readonly keyHeads?: number;
}

const HEADS = optionNames<Heads>({ heads: true, keyHeads: true });

/**
 * Projects tokens to rows of attention.
 * @param projection `[W_Q | W_K | W_V]`, [D, D + 2 G K] with G key heads of width K.
 * @param x Tokens [B, T, D].
 */
export function attentionRows(given: Heads, projection: Tensor, x: Tensor): AttentionRows {
  checkNames("attentionRows", given, HEADS);
  return rowsOfProjected(given, matmul(x, projection));
}

/** The same for tokens that are projected already, [B, T, D + 2 G K]. */
export function rowsOfProjected({ heads, keyHeads = heads }: Heads, projected: Tensor): AttentionRows {
  const headWidth = projected.shape[2] / (heads + 2 * keyHeads), shared = headWidth * keyHeads;
  const [query, key, value] = split(projected, [headWidth * heads, shared, shared], 2);
  return { query: splitHeads(query, heads), key: splitHeads(key, keyHeads), value: splitHeads(value, keyHeads) };
}

/** Keys and values of tokens that are the same in all texts of a batch: rows [1, P, D] to [B, H, P, K]. */
export function sharedKeys(heads: Heads, projection: Tensor, rows: Tensor, batch: number): KeysAndValues {
  const all = (x: Tensor): Tensor => broadcastTo(x, [batch, ...x.shape.slice(1)]);
  const { key, value } = attentionRows(heads, projection, rows);
  return { key: all(key), value: all(value) };
}

/** Scores of queries [..., C, K] with keys [..., S, K]: [..., C, S]. Queries are scaled before or scores after. */
function scoresOf(query: Tensor, key: Tensor): Tensor {
  return matmul(query, swapAxes(key, -1, -2));
}

/** Scores where a query sees a key, and elsewhere what softmax makes zero: finite, since infinities make NaN. */
function hide(visible: Tensor, scores: Tensor): Tensor {
  return where(visible, scores, -1e30);
}

/** What the queries of a segment look at. */
export interface SegmentKeys {
  /** The segment's own tokens: visible up to the query's position. */
  readonly own: KeysAndValues;
  /** What the memory gave. */
  readonly context: KeysAndValues;
  /** Whether row i of the context is visible from query i on only, rather than always. */
  readonly contextIsCausal: boolean;
  /** Persistent tokens: always visible. */
  readonly persistent?: KeysAndValues;
  /** The place of the first query in the segment, a number or an i32 scalar. Default: 0. */
  readonly offset?: Tensor | number;
}

const SEGMENT_KEYS = optionNames<SegmentKeys>({
  own: true,
  context: true,
  contextIsCausal: true,
  persistent: true,
  offset: true,
});

/**
 * Attention of a segment, or of some tokens of it, over `[P | h | S]`.
 * @param query [B, H, C, K], rotated.
 * @param keys Persistent tokens, context and own tokens; rotated but for those without a place.
 * @returns [B, H, C, K]
 */
export function segmentAttention(query: Tensor, keys: SegmentKeys): Tensor {
  checkNames("segmentAttention", keys, SEGMENT_KEYS);
  const { own, context, persistent } = keys;
  const groups = [...(persistent ? [persistent] : []), context, own], [, , C, K] = query.shape;
  if (C === 1) return attendToGroups(query, groups, keys);
  const key = concat(groups.map((group) => group.key), 2), value = concat(groups.map((group) => group.value), 2);
  const visible = segmentVisibility(C, key.shape[2], keys); // [C, S]
  const scores = mul(scoresOf(query, key), 1 / Math.sqrt(K)); // [B, H, C, S]
  // What is hidden is zero by its weight already; said once more, no product computes it.
  return matmul(where(visible, softmax(hide(visible, scores)), 0), value);
}

/** The same for a single query, which reads keys and values where they are: to join them would take longer. */
function attendToGroups(query: Tensor, groups: readonly KeysAndValues[], keys: SegmentKeys): Tensor {
  const counts = groups.map(({ key }) => key.shape[2]), S = counts.reduce((sum, count) => sum + count);
  const scores = mul(concat(groups.map(({ key }) => scoresOf(query, key)), 3), 1 / Math.sqrt(query.shape[3]));
  const weights = split(softmax(hide(segmentVisibility(1, S, keys), scores)), counts, 3); // [B, H, 1, S]
  return groups.map(({ value }, i) => matmul(weights[i], value)).reduce((sum, part) => add(sum, part));
}

/**
 * Which of S keys each of C queries sees, bool[C, S]: own keys are the last ones; a causal context of as many comes
 * before them.
 */
function segmentVisibility(C: number, S: number, { own, contextIsCausal, offset = 0 }: SegmentKeys): Tensor {
  const ownCount = own.key.shape[2];
  const row = offset === 0 ? iota([C, S], 0) : add(iota([C, S], 0), offset);
  const place = sub(iota([C, S], 1), S - ownCount), context = add(place, ownCount);
  const earlier = lessEqual(place, row);
  if (!contextIsCausal) return earlier;
  const ofContext = logicalAnd(less(place, 0), lessEqual(context, row)),
    ofOwn = logicalAnd(greaterEqual(place, 0), earlier);
  return logicalOr(less(context, 0), logicalOr(ofContext, ofOwn));
}

/** The window before the next token: the last W keys and values, before rotation. Of constant size. */
export interface WindowState extends KeysAndValues {
  /** Which rows hold a token, [B, W] of ones and zeros: the first tokens of a text have fewer than W before them. */
  readonly filled: Tensor;
}

/** What {@link windowAttention} takes beside its rows. */
export interface WindowAttentionOptions {
  /** The window before the first token; its length is W. */
  readonly state: WindowState;
  /** Tokens that every query sees, [B, H, P, K]. */
  readonly persistent?: KeysAndValues;
  /** Whether the window before the first token is known to be empty, so that nobody need look at it. */
  readonly atStart?: boolean;
}

const WINDOW_OPTIONS = optionNames<WindowAttentionOptions>({ state: true, persistent: true, atStart: true });

/** The extents of a window. */
export interface WindowExtents {
  /** Texts, B. */
  readonly batch: number;
  /** Heads of keys and values. */
  readonly heads: number;
  /** Tokens that a query sees, itself among them, W. */
  readonly window: number;
  /** Width of a head, K. */
  readonly headWidth: number;
}

/** The window at the beginning of texts: no token. */
export function initialWindowState({ batch, heads, window, headWidth }: WindowExtents, dtype: DType): WindowState {
  const rows = zeros([batch, heads, window, headWidth], dtype);
  return { key: rows, value: rows, filled: zeros([batch, window], dtype) };
}

/** The window after the first `count` tokens of some rows. */
export function advanceWindow(state: WindowState, { key, value }: KeysAndValues, count: number): WindowState {
  const [B, , T] = key.shape;
  return {
    key: lastRows(state.key, key, count, 2),
    value: lastRows(state.value, value, count, 2),
    filled: lastRows(state.filled, ones([B, T], state.filled.dtype), count, 1),
  };
}

/**
 * Attention over a sliding window of W tokens, the query's own among them, and persistent tokens.
 *
 * Memory: scores [B, H, T, P + 2 W]; at the start of texts of at most W tokens [B, H, T, P + T].
 * @param given Of tokens [B, H, T, K], any T of at least 1, K even; keys and values of H heads or a divisor of them.
 * @param options What came before, and what is always visible.
 * @returns [B, H, T, K]
 */
export function windowAttention(given: AttentionRows, options: WindowAttentionOptions): Tensor {
  checkNames("windowAttention", options, WINDOW_OPTIONS);
  const [B, H, T, K] = given.query.shape, W = options.state.key.shape[2];
  const persistent = options.persistent && forHeads(options.persistent, H);
  const rows = { ...forHeads(given, H), query: given.query };
  if (options.atStart && T <= W) return causalAttention(rows, persistent);
  const state = { ...forHeads(options.state, H), filled: options.state.filled };
  const C = Math.min(T, W), N = Math.ceil(T / C);
  const fill = (x: Tensor): Tensor =>
    pad(x, x.shape.map((_, axis): [number, number] => [0, axis === 2 ? N * C - T : 0]));
  const seen = (past: Tensor, x: Tensor): Tensor => pairBlocks(concat([past, fill(x)], 2), N, C);
  const column = (x: Tensor): Tensor => expandDims(expandDims(x, 1), -1); // [B, T] -> [B, 1, T, 1]
  const query = mul(reshape(fill(rows.query), [B, H, N, C, K]), 1 / Math.sqrt(K));
  const key = seen(state.key, rows.key), value = seen(state.value, rows.value); // [B, H, N, W + C, K]
  const filled = swapAxes(seen(column(state.filled), ones([B, 1, T, 1], state.filled.dtype)), -1, -2); // [B, 1, N, 1, W + C]
  const distance = sub(iota([C, W + C], 1), iota([C, W + C], 0)); // W for the token itself, 1 for the earliest that it sees
  const inWindow = logicalAnd(less(0, distance), lessEqual(distance, W));
  const scores = hide(
    logicalAnd(inWindow, greater(filled, 0.5)),
    scoresOf(rotaryEmbedding(query, { offset: W }), rotaryEmbedding(key)),
  );
  const mixed = persistent ? withPersistent(query, scores, value, persistent) : matmul(softmax(scores), value);
  return sliceAxis(reshape(mixed, [B, H, N * C, K]), 2, 0, T);
}

/** The same for the first tokens of texts, no more than the window holds: every earlier one is visible. */
function causalAttention({ query, key, value }: AttentionRows, persistent: KeysAndValues | undefined): Tensor {
  const [B, H, T, K] = query.shape, scaled = mul(query, 1 / Math.sqrt(K));
  const visible = lessEqual(iota([T, T], 1), iota([T, T], 0));
  const scores = hide(visible, scoresOf(rotaryEmbedding(scaled), rotaryEmbedding(key)));
  if (!persistent) return matmul(where(visible, softmax(scores), 0), value);
  const oneBlock = (x: Tensor): Tensor => expandDims(x, 2);
  return reshape(withPersistent(oneBlock(scaled), oneBlock(scores), oneBlock(value), persistent), [B, H, T, K]);
}

/** Keys and values for each of H heads of queries: those of G key heads are shared by H / G heads in turn. */
export function forHeads({ key, value }: KeysAndValues, H: number): KeysAndValues {
  const [B, G, N, K] = key.shape;
  if (G === H) return { key, value };
  const each = (x: Tensor): Tensor => reshape(broadcastTo(expandDims(x, 2), [B, G, H / G, N, K]), [B, H, N, K]);
  return { key: each(key), value: each(value) };
}

/**
 * Rows [B, H, W + N C, K] as what each block of queries sees, [B, H, N, W + C, K]; C is W if there are several blocks.
 */
function pairBlocks(rows: Tensor, N: number, C: number): Tensor {
  if (N === 1) return expandDims(rows, 2);
  const [B, H, , K] = rows.shape;
  const blocks = reshape(rows, [B, H, N + 1, C, K]);
  return concat([sliceAxis(blocks, 2, 0, N), sliceAxis(blocks, 2, 1, N)], 3);
}

/**
 * Attention over persistent tokens and a window: queries [B, H, N, C, K] before rotation, scores and values of the
 * window.
 */
function withPersistent(query: Tensor, scores: Tensor, value: Tensor, persistent: KeysAndValues): Tensor {
  const [B, H, N, , K] = query.shape, P = persistent.key.shape[2];
  const always = scoresOf(query, expandDims(persistent.key, 2)); // [B, H, N, C, P]
  const values = concat([broadcastTo(expandDims(persistent.value, 2), [B, H, N, P, K]), value], 3);
  return matmul(softmax(concat([always, scores], -1)), values);
}
