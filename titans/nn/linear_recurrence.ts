/**
 * Linear recurrences with a matrix for a state, of linear attention, RetNet, GLA, HGRN2 and Mamba2: in matrix products
 * over tiles of tokens, and one token at a time.
 *
 *     S_t = a_t * S_{t-1} + k_t^T v_t         a_t: nothing (1), a number per head, per head and token, or per row of S too
 *     o_t = q_t S_t                           the present token is included
 *
 * Decays are given as logarithms g = log a, at most 0. In a tile of C tokens let b_i be the sum of g up to token i, i
 * itself included, and S the state before the tile:
 *
 *     o_i = sum over j <= i of exp(b_i - b_j) (q_i . k_j) v_j  +  (q_i * exp(b_i)) S
 *     S'  = exp(b_C) * S + sum over j of (k_j * exp(b_C - b_j))^T v_j
 *
 * All tiles are computed at once: what each adds to the state, one `linearScan` over tiles, and the outputs. Nothing is
 * divided by a product of decays, and every factor is at most 1: with one decay for all of a head, differences of b are
 * taken and masked before `exp`. (Yang et al., GLA, arXiv 2312.06635, section 4; Dao and Gu, Mamba2, arXiv 2405.21060.)
 *
 * With a decay for each channel k, `exp(b_i - b_j)` is inside of the sum over k. It is split in two factors, one for
 * queries and one for keys, around a reference r between them, which makes products of matrices of it:
 *
 *     pairs in different halves of 8, 16, .. tokens       exp(b_i - r) exp(r - b_j), r at the end of the first half: at most 1
 *     pairs within 4 tokens                               the same with r before the first: at most exp(4 * 20), since g >= -20
 *
 * So decays of less than e^-20 a token, 2e-9, count as that much. A reference in the middle of pairs would do for twice as
 * many tokens, but then the rounding of an output would depend on later tokens.
 */
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import {
  add,
  cast,
  concat,
  constant,
  cumsum,
  exp,
  expandDims,
  greaterEqual,
  iota,
  less,
  linearScan,
  matmul,
  maximum,
  minimum,
  mul,
  neg,
  pad,
  reshape,
  sliceAxis,
  sub,
  swapAxes,
  tril,
  where,
  zeros,
} from "../../ops/mod.ts";
import { checkNames, ConfigError } from "../errors.ts";

/** What tokens bring, [B, H, T, ..]. */
export interface RecurrenceRows {
  /** What each token asks, [B, H, T, K]; or [B, 1, T, K], shared by all heads. */
  readonly query: Tensor;
  /** Under what it stores, like `query`. */
  readonly key: Tensor;
  /** What it stores, [B, H, T, V]. */
  readonly value: Tensor;
}

/** Options of {@link linearRecurrence}. */
export interface LinearRecurrenceOptions {
  /**
   * Logarithms of the decays, at most 0: a number for each head, or a tensor [B, H, T], or [B, H, T, K] with one for each
   * row of the state. Default: no decay.
   */
  readonly decay?: readonly number[] | Tensor;
  /** The state before the first token, [B, H, K, V]. Default: zeros. */
  readonly state?: Tensor;
  /** Tokens of a tile. Changes cost alone. Default: chosen by the widths of a head. */
  readonly tile?: number;
}

const LINEAR_RECURRENCE_OPTIONS = optionNames<LinearRecurrenceOptions>({ decay: true, state: true, tile: true });

/** What a recurrence gives. */
export interface RecurrenceResult {
  /** [B, H, T, V] */
  readonly output: Tensor;
  /** After the last token, [B, H, K, V]. */
  readonly state: Tensor;
}

/**
 * Runs a recurrence over tokens, any number of them.
 *
 * Cost for each token and head: about C (K + V) + 2 K V multiplications. Memory: K V / C floats for each token and head.
 */
export function linearRecurrence(rows: RecurrenceRows, options: LinearRecurrenceOptions = {}): RecurrenceResult {
  checkNames("linearRecurrence", options, LINEAR_RECURRENCE_OPTIONS);
  const [B, H, T, V] = rows.value.shape, K = rows.key.shape[3], { decay } = options;
  const state = options.state ?? zeros([B, H, K, V], rows.value.dtype);
  if (T === 1) return linearRecurrenceStep(rows, { decay, state });
  const C = tileOf(T, options), N = Math.ceil(T / C);
  const tiles = (x: Tensor): Tensor => {
    const { shape } = x, filled = pad(x, shape.map((_, axis) => [0, axis === 2 ? N * C - T : 0]));
    return reshape(filled, [...shape.slice(0, 2), N, C, ...shape.slice(3)]);
  };
  const query = tiles(rows.query), key = tiles(rows.key), value = tiles(rows.value); // [B, H, N, C, ..]
  const factors = decay === undefined
    ? WITHOUT_DECAY
    : "rank" in decay
    ? decay.rank === 4
      ? channelFactors(tiles(maximum(decay, LEAST_LOG_DECAY)))
      : headFactors(cumsum(tiles(decay), { axis: -1 }))
    : headFactors(constantDecays(decay, { T, C, N }));
  const added = matmul(swapAxes(factors.write(key), -1, -2), value); // [B, H, N, K, V]
  const states = passOn(added, expandDims(state, 2), factors.keep);
  const before = sliceAxis(states, 2, 0, N);
  const output = add(factors.within(query, key, value), matmul(factors.read(query), before));
  return {
    output: sliceAxis(reshape(output, [B, H, N * C, V]), 2, 0, T),
    state: reshape(sliceAxis(states, 2, N, 1), [B, H, K, V]),
  };
}

/**
 * The same for one token, T = 1, for the cost of one token.
 * @param rows [B, H, 1, ..]
 */
export function linearRecurrenceStep(
  { query, key, value }: RecurrenceRows,
  { decay, state }: { readonly decay?: readonly number[] | Tensor; readonly state: Tensor },
): RecurrenceResult {
  const added = mul(swapAxes(key, -1, -2), value); // [B, H, K, V]
  const factor = decay === undefined ? undefined : exp(
    "rank" in decay
      ? decay.rank === 4 ? swapAxes(maximum(decay, LEAST_LOG_DECAY), -1, -2) : expandDims(decay, -1)
      : constant(decay, [1, decay.length, 1, 1]),
  );
  const next = add(factor ? mul(factor, state) : state, added);
  return { output: matmul(query, next), state: next };
}

/** Logarithms of what is left of a value below which nothing counts as left, 2e-22; and of a number that f32 rounds to 0. */
const LEAST_LEFT = -50, NOTHING = -200;

/**
 * What is left of a value after decays whose logarithms sum to `log`: `exp(log)`, or 0 where that is far below the
 * rounding of anything it is added to. Otherwise strong decays make subnormal numbers, with which a multiplication takes
 * processors over a hundred cycles: a layer of Mamba2 took up to 1.4 times as long.
 */
export function decayFactor(log: Tensor): Tensor {
  return exp(where(less(log, LEAST_LEFT), NOTHING, log));
}

/** The least logarithm of a decay per channel. */
const LEAST_LOG_DECAY = -20;

/** Tokens within which one reference serves all pairs: so many of {@link LEAST_LOG_DECAY} do not overflow. */
const SUB_TILE = 4;

/** Tokens of a tile: where a decay is per channel, a power of two, since tiles are halved. */
function tileOf(T: number, { decay, tile }: LinearRecurrenceOptions): number {
  const isPerChannel = decay !== undefined && "rank" in decay && decay.rank === 4;
  const wanted = tile ?? (isPerChannel ? 16 : 64);
  if (!Number.isInteger(wanted) || wanted < 1) {
    throw new ConfigError(`Cannot use tile ${wanted} of a recurrence: it must be a whole number, at least 1`, "tile");
  }
  const C = Math.min(wanted, T);
  return isPerChannel ? 2 ** Math.ceil(Math.log2(C)) : C;
}

/** What decays do in tiles [B, H, N, C, ..]. */
interface TileFactors {
  /** Outputs of what is stored within the tile, [B, H, N, C, V]. */
  within(query: Tensor, key: Tensor, value: Tensor): Tensor;
  /** Queries of the state before the tile, `q_i * exp(b_i)`. */
  read(query: Tensor): Tensor;
  /** Keys as they are when the tile ends, `k_i * exp(b_C - b_i)`. */
  write(key: Tensor): Tensor;
  /** What remains of the state before the tile, `exp(b_C)`, such as [B, H, N, K, 1]. Default: all. */
  readonly keep?: Tensor;
}

function products(query: Tensor, key: Tensor): Tensor {
  return matmul(query, swapAxes(key, -1, -2));
}

const WITHOUT_DECAY: TileFactors = {
  within: (query, key, value) => matmul(tril(products(query, key)), value),
  read: (query) => query,
  write: (key) => key,
};

/** With one decay for a head: `b` is [B, H, N, C], where any extent but the last may be 1. */
function headFactors(b: Tensor): TileFactors {
  const C = b.shape[b.rank - 1], total = sliceAxis(b, -1, C - 1, 1), column = expandDims(b, -1);
  const isEarlier = greaterEqual(iota([C, C], 0), iota([C, C], 1));
  // Masked before exp: above the diagonal differences are positive, and inf * 0 would be NaN in the gradient.
  const weights = decayFactor(where(isEarlier, sub(column, expandDims(b, -2)), 0));
  return {
    within: (query, key, value) => matmul(tril(mul(products(query, key), weights)), value),
    read: (query) => mul(query, decayFactor(column)),
    write: (key) => mul(key, decayFactor(expandDims(sub(total, b), -1))),
    keep: decayFactor(expandDims(total, -1)),
  };
}

/** Sums of constant logarithms of decays, [1, H, 1, C]; or [1, H, N, C], where the last tile is not full and ends early. */
function constantDecays(
  decays: readonly number[],
  { T, C, N }: { readonly T: number; readonly C: number; readonly N: number },
): Tensor {
  const perToken = constant(decays, [1, decays.length, 1, 1]);
  if (T === N * C) return mul(perToken, add(iota([1, 1, 1, C], 3, "f32"), 1));
  const start = mul(iota([1, 1, N, C], 2), C), end = minimum(add(add(start, iota([1, 1, N, C], 3)), 1), T);
  return mul(perToken, cast(sub(end, start), "f32"));
}

/** With a decay for each channel: `g` is [B, H, N, C, K], C a power of two. */
function channelFactors(g: Tensor): TileFactors {
  const b = cumsum(g, { axis: -2 }), C = b.shape[b.rank - 2];
  const total = sliceAxis(b, -2, C - 1, 1); // [B, H, N, 1, K]
  return {
    within: (query, key, value) => {
      let output = withinSubTiles(query, key, { value, g });
      for (let half = SUB_TILE; half < C; half *= 2) {
        output = add(output, fromFirstHalves(query, key, { value, b, half }));
      }
      return output;
    },
    read: (query) => mul(query, decayFactor(b)),
    write: (key) => mul(key, decayFactor(sub(total, b))),
    keep: decayFactor(swapAxes(total, -1, -2)),
  };
}

/** Cuts rows [B, H, N, C, K] in parts, [B, H, N, C / size, size, K]. */
function parts(x: Tensor, size: number): Tensor {
  const [B, H, N, C, K] = x.shape;
  return reshape(x, [B, H, N, C / size, size, K]);
}

/** Pairs of tokens within 4. */
function withinSubTiles(
  query: Tensor,
  key: Tensor,
  { value, g }: { readonly value: Tensor; readonly g: Tensor },
): Tensor {
  const size = Math.min(SUB_TILE, g.shape[3]), b = cumsum(parts(g, size), { axis: -2 });
  const weighted = tril(products(mul(parts(query, size), exp(b)), mul(parts(key, size), exp(neg(b)))));
  return reshape(matmul(weighted, parts(value, size)), value.shape);
}

/** What second halves of parts of `2 half` tokens read of what first halves store. */
function fromFirstHalves(
  query: Tensor,
  key: Tensor,
  { value, b, half }: { readonly value: Tensor; readonly b: Tensor; readonly half: number },
): Tensor {
  const first = (x: Tensor): Tensor => sliceAxis(parts(x, 2 * half), -2, 0, half);
  const second = (x: Tensor): Tensor => sliceAxis(parts(x, 2 * half), -2, half, half);
  const end = sliceAxis(parts(b, 2 * half), -2, half - 1, 1);
  const weighted = products(
    mul(second(query), decayFactor(sub(second(b), end))),
    mul(first(key), decayFactor(sub(end, first(b)))),
  );
  const output = matmul(weighted, first(value)); // [B, H, N, C / (2 half), half, V]
  return reshape(pad(output, output.shape.map((_, axis) => [axis === 4 ? half : 0, 0])), value.shape);
}

/** States before each tile and after the last, [B, H, N + 1, K, V]: what tiles add, and what remains of what was before. */
function passOn(added: Tensor, first: Tensor, keep: Tensor | undefined): Tensor {
  const terms = concat([first, added], 2);
  if (!keep) return cumsum(terms, { axis: 2 });
  const [, , N] = added.shape;
  // The first state is a term; the factor before it is not read.
  const whole = keep.shape[2] === N ? pad(keep, keep.shape.map((_, axis) => [axis === 2 ? 1 : 0, 0])) : keep;
  return linearScan(whole, terms, { axis: 2 });
}
