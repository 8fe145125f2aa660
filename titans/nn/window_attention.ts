/**
 * Sliding-window attention: each token sees itself, the W - 1 tokens before it, and persistent tokens, which are always
 * visible.
 *
 * The sequence, after the W rows that the state carries, is cut into blocks of W. A query of block i sees nothing
 * before block i - 1, so each block of queries is multiplied with two blocks of keys, all blocks at once: time and
 * memory grow with T W, not with T^2.
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
 */
import type { DType } from "../../core/dtype.ts";
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import {
  broadcastTo,
  concat,
  expandDims,
  greater,
  iota,
  less,
  lessEqual,
  logicalAnd,
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
import type { ModelConfig } from "../config.ts";
import { checkNames } from "../errors.ts";
import { type KeysAndValues, splitHeads } from "./layers.ts";
import { lastRows } from "./rows.ts";

/** The window before the next token: the last W keys and values, before rotation. Of constant size. */
export interface WindowState extends KeysAndValues {
  /** Which rows hold a token, [B, W] of ones and zeros: the first tokens of a text have fewer than W before them. */
  readonly filled: Tensor;
}

/** Queries, keys and values of tokens, [B, H, T, K], before rotation. */
export interface AttentionRows extends KeysAndValues {
  /** What each token asks. */
  readonly query: Tensor;
}

/** What {@link windowAttention} takes beside its rows. */
export interface WindowAttentionOptions {
  /** The window before the first token; its length is W. */
  readonly state: WindowState;
  /** Tokens that every query sees, [B, H, P, K]. */
  readonly persistent?: KeysAndValues;
}

const WINDOW_OPTIONS = optionNames<WindowAttentionOptions>({ state: true, persistent: true });

/** The window at the beginning of `batch` texts: no token. */
export function initialWindowState({ heads, width, window }: ModelConfig, batch: number, dtype: DType): WindowState {
  const rows = zeros([batch, heads, window, width / heads], dtype);
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
 * Projects tokens to rows of attention.
 * @param projection `[W_Q | W_K | W_V]`, [D, 3 D].
 * @param x Tokens [B, T, D].
 */
export function attentionRows(heads: number, projection: Tensor, x: Tensor): AttentionRows {
  const D = x.shape[2];
  const [query, key, value] = split(matmul(x, projection), [D, D, D], 2).map((part) => splitHeads(part, heads));
  return { query, key, value };
}

/** Keys and values of tokens that are the same in all texts of a batch: rows [1, P, D] to [B, H, P, K]. */
export function sharedKeys(heads: number, projection: Tensor, rows: Tensor, batch: number): KeysAndValues {
  const all = (x: Tensor): Tensor => broadcastTo(x, [batch, ...x.shape.slice(1)]);
  const { key, value } = attentionRows(heads, projection, rows);
  return { key: all(key), value: all(value) };
}

/**
 * Attention over a sliding window of W tokens, the query's own among them, and persistent tokens.
 *
 * Memory: scores [B, H, T, P + 2 W].
 * @param rows Of tokens [B, H, T, K], any T of at least 1, K even.
 * @param options What came before, and what is always visible.
 * @returns [B, H, T, K]
 */
export function windowAttention(rows: AttentionRows, options: WindowAttentionOptions): Tensor {
  checkNames("windowAttention", options, WINDOW_OPTIONS);
  const { state, persistent } = options;
  const [B, H, T, K] = rows.query.shape, W = state.key.shape[2];
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
  const scores = where(
    logicalAnd(inWindow, greater(filled, 0.5)),
    matmul(rotaryEmbedding(query, { offset: W }), swapAxes(rotaryEmbedding(key), -1, -2)),
    -1e30,
  );
  const mixed = persistent ? withPersistent(query, scores, value, persistent) : matmul(softmax(scores), value);
  return sliceAxis(reshape(mixed, [B, H, N * C, K]), 2, 0, T);
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
  const always = matmul(query, swapAxes(expandDims(persistent.key, 2), -1, -2)); // [B, H, N, C, P]
  const values = concat([broadcastTo(expandDims(persistent.value, 2), [B, H, N, P, K]), value], 3);
  return matmul(softmax(concat([always, scores], -1)), values);
}
