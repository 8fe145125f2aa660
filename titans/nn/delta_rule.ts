/**
 * The delta rule, of DeltaNet and Gated DeltaNet: a state that is a matrix, in which each token replaces what is stored
 * under its key. In matrix products over tiles of tokens, and one token at a time.
 *
 *     S'  = a_t S_{t-1}                                   a_t: nothing (1), or a number per head and token
 *     S_t = S' + beta_t k_t^T (v_t - k_t S')              beta_t: how much of the error is corrected
 *     o_t = q_t S_t
 *
 * Decays are given as logarithms g = log a, at most 0. In a tile of C tokens let b_i be the sum of g up to token i, i
 * itself included, L_ij = exp(b_i - b_j) for j <= i and 0 above, and S the state before the tile. What the tokens of
 * the tile store, u, depends on what earlier ones stored: a triangular system, whose inverse all tiles find at once
 * (the WY form of products of Householder matrices; Yang et al., arXiv 2406.06484, section 3; arXiv 2412.06464):
 *
 *     A = strictly lower part of diag(beta) (K K^T * L)
 *     U = (I + A)^-1 diag(beta) V,  W = (I + A)^-1 diag(beta) diag(exp b) K,  R = diag(exp(b_C - b)) K
 *     u = U - W S;   o = diag(exp b) Q S + (Q K^T * L) u;   S' = exp(b_C) S + R^T u
 *
 * The last of these is linear in S: `S' = (exp(b_C) I - R^T W) S + R^T U`. With both matrices known for all tiles, the
 * only thing computed tile by tile is one product of K x K by K x V; all else are products over all tiles at once.
 *
 * Keys of length 1 and beta of at most 1 make every factor at most 1. The inverse is that of {@link triangularInverse},
 * exact where keys repeat.
 */
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import {
  add,
  cumsum,
  exp,
  expandDims,
  eye,
  greaterEqual,
  iota,
  matmul,
  mul,
  pad,
  reshape,
  scan,
  sliceAxis,
  squeeze,
  sub,
  swapAxes,
  transpose,
  triangularInverse,
  tril,
  where,
  zeros,
} from "../../ops/mod.ts";
import { checkNames, ConfigError } from "../errors.ts";
import { decayFactor, type RecurrenceResult, type RecurrenceRows } from "./linear_recurrence.ts";

/** What tokens bring: {@link RecurrenceRows}, with keys of length at most 1 and as many heads as values have. */
export interface DeltaRuleRows extends RecurrenceRows {
  /** How much of the error each token corrects, [B, H, T]: from 0 to 1, or to 2 with negative eigenvalues. */
  readonly rate: Tensor;
}

/** Options of {@link deltaRule}. */
export interface DeltaRuleOptions {
  /** Logarithms of the decays, at most 0, [B, H, T]. Default: no decay. */
  readonly decay?: Tensor;
  /** The state before the first token, [B, H, K, V]. Default: zeros. */
  readonly state?: Tensor;
  /** Tokens of a tile. Changes cost alone. Default: 64. */
  readonly tile?: number;
}

const DELTA_RULE_OPTIONS = optionNames<DeltaRuleOptions>({ decay: true, state: true, tile: true });

/**
 * Runs the delta rule over tokens, any number of them.
 *
 * Cost for each token and head: about C (3 K + 2 V) + K^2 + 3 K V + K^2 V / C multiplications, and C^2 / 3 for the
 * inverse. Memory: K (K + 2 V) / C + 2 (K + V) + 2 C floats for each token and head.
 */
export function deltaRule(rows: DeltaRuleRows, options: DeltaRuleOptions = {}): RecurrenceResult {
  checkNames("deltaRule", options, DELTA_RULE_OPTIONS);
  const [B, H, T, V] = rows.value.shape, K = rows.key.shape[3], { decay, state, tile = 64 } = options;
  if (!Number.isInteger(tile) || tile < 1) {
    throw new ConfigError(`Cannot use tile ${tile} of the delta rule: it must be a whole number, at least 1`, "tile");
  }
  const C = Math.min(tile, T), N = Math.ceil(T / C);
  // Tokens of rate 0 fill the last tile: they store nothing.
  const tiles = (x: Tensor): Tensor => {
    const filled = pad(x, x.shape.map((_, axis) => [0, axis === 2 ? N * C - T : 0]));
    return reshape(filled, [B, H, N, C, ...x.shape.slice(3)]);
  };
  const query = tiles(rows.query), key = tiles(rows.key), value = tiles(rows.value); // [B, H, N, C, ..]
  const rate = expandDims(tiles(rows.rate), -1), factors = decay && tileDecays(tiles(decay));
  const within = (x: Tensor): Tensor => (factors ? mul(x, factors.within) : x);
  const since = (x: Tensor): Tensor => (factors ? mul(x, factors.since) : x);

  const inverse = triangularInverse(mul(rate, within(matmul(key, transposed(key)))), { unitDiagonal: true });
  const stored = matmul(inverse, mul(rate, value)), seen = matmul(inverse, mul(rate, since(key))); // U, W
  const kept = transposed(factors ? mul(key, factors.until) : key); // R^T, [B, H, N, K, C]
  const change = sub(factors ? mul(factors.whole, eye(K)) : eye(K), matmul(kept, seen)); // [B, H, N, K, K]
  const { before, last } = chain(change, matmul(kept, stored), state ?? zeros([B, H, K, V], value.dtype));

  const news = sub(stored, matmul(seen, before)); // u
  const output = add(matmul(since(query), before), matmul(tril(within(matmul(query, transposed(key)))), news));
  return { output: sliceAxis(reshape(output, [B, H, N * C, V]), 2, 0, T), state: last };
}

/**
 * The same for one token, T = 1, for the cost of one token.
 * @param rows [B, H, 1, ..]
 */
export function deltaRuleStep(
  { query, key, value, rate }: DeltaRuleRows,
  { decay, state }: { readonly decay?: Tensor; readonly state: Tensor },
): RecurrenceResult {
  const decayed = decay ? mul(exp(expandDims(decay, -1)), state) : state; // [B, H, K, V]
  const error = sub(value, matmul(key, decayed)); // [B, H, 1, V]
  const next = add(decayed, mul(transposed(key), mul(expandDims(rate, -1), error)));
  return { output: matmul(query, next), state: next };
}

/** The states before each tile [B, H, N, K, V], and after the last one: `S_{n+1} = change_n S_n + added_n`. */
function chain(
  change: Tensor,
  added: Tensor,
  first: Tensor,
): { readonly before: Tensor; readonly last: Tensor } {
  const next = (state: Tensor, change: Tensor, added: Tensor): Tensor => add(matmul(change, state), added);
  if (change.shape[2] === 1) {
    return { before: expandDims(first, 2), last: next(first, squeeze(change, 2), squeeze(added, 2)) };
  }
  const tileFirst = (x: Tensor): Tensor => transpose(x, [2, 0, 1, 3, 4]);
  const [last, states] = scan(
    (state: Tensor, tile: { readonly change: Tensor; readonly added: Tensor }): [Tensor, Tensor] => [
      next(state, tile.change, tile.added),
      state,
    ],
    first,
    { change: tileFirst(change), added: tileFirst(added) },
    { rematerialize: "recompute" },
  );
  return { before: transpose(states, [1, 2, 0, 3, 4]), last };
}

/** What decays do in tiles [B, H, N, C]. */
interface TileDecays {
  /** From token j to token i, exp(b_i - b_j), [B, H, N, C, C]; of no meaning above the diagonal, but finite. */
  readonly within: Tensor;
  /** From the start of the tile to a token, exp(b_i), [B, H, N, C, 1]. */
  readonly since: Tensor;
  /** From a token to the end of the tile, exp(b_C - b_i), [B, H, N, C, 1]. */
  readonly until: Tensor;
  /** Over the whole tile, exp(b_C), [B, H, N, 1, 1]. */
  readonly whole: Tensor;
}

function tileDecays(logarithms: Tensor): TileDecays {
  const C = logarithms.shape[3], b = expandDims(cumsum(logarithms, { axis: -1 }), -1);
  const total = sliceAxis(b, -2, C - 1, 1), isEarlier = greaterEqual(iota([C, C], 0), iota([C, C], 1));
  return {
    // Masked before exp: above the diagonal differences are positive, and inf * 0 would be NaN in the gradient.
    within: decayFactor(where(isEarlier, sub(b, transposed(b)), 0)),
    since: decayFactor(b),
    until: decayFactor(sub(total, b)),
    whole: decayFactor(total),
  };
}

function transposed(x: Tensor): Tensor {
  return swapAxes(x, -1, -2);
}
