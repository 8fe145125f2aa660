/**
 * What a memory does, token by token, as numbers: how surprised it is, how far it steps, what it forgets, how much it
 * changes, what it gets wrong.
 *
 * Nothing here needs a weight matrix per token. Within a tile that begins with memory W and surprise S, every matrix in
 * question is a combination
 *
 *     X_t = x_t W + z_t S - sum over s of r(t,s) u_s            u_s = h_s^T d_s, the gradient of token s, rank one
 *
 *     M_t:             a_t,               b_t,                        theta_s g(t,s)                                the terms of chunked_memory.ts
 *     S_t:             0,                 p(t,0),                     theta_s p(t,s)
 *     M_t - M_{t-1}:   -alpha_t a_{t-1},  p(t,0) - alpha_t b_{t-1},   theta_s p(t,s) - alpha_t theta_s g(t-1,s)     that is S_t - alpha_t M_{t-1}
 *
 * so its norm is a quadratic form in the inner products of W, S and the u_s, and those take rows only: <u_s, u_j> =
 * (h_s . h_j)(d_s . d_j) and <W, u_s> = (h_s W) . d_s. A memory that forgets towards a start M_0 is D_t = M_t - M_0
 * here, whose terms these are, and
 * |M_t|^2 = |D_t|^2 + 2 <M_0, D_t> + |M_0|^2. Where alpha has columns, so have the factors, and inner products are taken column by column.
 *
 * Worked example, linear memory of one number, M_0 = 2, key 1, value 0, theta 0.25, eta 0, alpha 0: the gradient is 2
 * (2 - 0) 1 = 4, so surprise 4, loss 4, update 0.25 * 4 = 1, memory after it 1, error after it 1.
 */
import { isTensor, type Tensor } from "../../../core/graph.ts";
import { scan } from "../../../core/scan.ts";
import { flatten, mapLeaves, unflatten } from "../../../core/tree.ts";
import {
  add,
  broadcastTo,
  cast,
  concat,
  cumprod,
  equal,
  expandDims,
  iota,
  linearScan,
  matmul,
  maximum,
  mean,
  mul,
  neg,
  reshape,
  sliceAxis,
  sqrt,
  square,
  sub,
  sum,
  swapAxes,
  transpose,
} from "../../../ops/mod.ts";
import { defaultTile, RUN_OPTIONS } from "./chunked_memory.ts";
import { checkMemory } from "./check_memory.ts";
import { checkNames, ConfigError } from "../../errors.ts";
import { type LayeredSequence, type LayerGates, toLayered } from "./gates.ts";
import { innerGradient } from "./inner_gradient.ts";
import { type Factors, factorsOf, hasColumns, tileStep } from "./layered_memory.ts";
import {
  absoluteWeights,
  type Memory,
  type MemorySequence,
  type MemoryState,
  readMemory,
  relativeWeights,
} from "./memory_network.ts";

/**
 * What happens to one matrix of a memory's network, or fast vector, at each token; every tensor is [B, H, T]. Norms are
 * Frobenius norms.
 */
export interface MatrixTrace<Leaf = Tensor> {
  /**
   * `|grad loss_t(M_{t'})|`, the norm of the inner loss's gradient with respect to the matrix at the start t' of the
   * mini-batch: `|h_t| |d_t|`.
   */
  readonly surprise: Leaf;
  /** theta_t, the step size, from 0 to thetaMax; 0 for tokens that are not stored. */
  readonly theta: Leaf;
  /** eta_t, how much of the surprise before stays, from 0 to 1. */
  readonly eta: Leaf;
  /**
   * alpha_t, how much of the memory is forgotten, from 0 to 1; for per-channel gates, their mean over the matrix's
   * columns.
   */
  readonly alpha: Leaf;
  /** `|S_t|`, the norm of the surprise with momentum. */
  readonly momentumNorm: Leaf;
  /** `|M_t - M_{t-1}|`, the norm of what the token changes: `|S_t - alpha_t M_{t-1}|`. */
  readonly updateNorm: Leaf;
  /** `|M_t|`, the norm of the weights after the token. */
  readonly memoryNorm: Leaf;
}

/**
 * What a memory does at each token; every tensor is [B, H, T].
 *
 * The quantities of {@link MatrixTrace} summarise all matrices: norms by the root of the sum of squares, i.e. the norm
 * over all weights; gates by their mean, which for per-head gates is the gate itself.
 */
export interface MemoryTrace<Leaf = Tensor> extends MatrixTrace<Leaf> {
  /**
   * `loss_t(M_{t'})`, the inner loss that is differentiated: mean over d of `(M_{t'}(k_t) - v_t)^2`, where t' is the
   * start of the mini-batch.
   */
  readonly loss: Leaf;
  /**
   * `loss_t(M_t)`, the retrieval error after the token's update: mean over d of `(M_t(k_t) - v_t)^2`. Below `loss`
   * where the token was learned.
   */
  readonly error: Leaf;
  /**
   * Mean over d of `(y_t - v_t)^2`: how far what the token reads, `y_t = M_t(q_t)`, is from what it stores. The memory
   * does not minimise it, since a query need not be its key: it says whether a token reads itself (small) or something
   * else.
   */
  readonly readError: Leaf;
  /** Each matrix and fast vector of the network separately. */
  readonly matrices: readonly MatrixTrace<Leaf>[];
}

/** Options of {@link traceMemory}. Accepts those of the traced run; the others have no effect. */
export interface TraceOptions {
  /** The state before the first token. */
  readonly state: MemoryState;
  /** Number of tokens whose gradients are all taken at the memory before the first of them, b. */
  readonly miniBatch: number;
  /** Number of tokens processed at once; must divide `miniBatch`. Affects cost, not values. */
  readonly tile?: number;
}

/**
 * Traces a memory over a sequence.
 *
 * It walks the mini-batches once more, beside the run that gave the output, which it leaves as it is. Cost: about that
 * of the run; with forgetting by channel `out (C + 2)^2` inner products a matrix and tile.
 * @param memory The network and its outer-loop parameters.
 * @param given What the memory learned from: any length T of at least 1; gates of each head, or of each matrix of the
 * network.
 * @param output What the run gave, [B, H, T, K].
 * @throws {ConfigError} if the tile does not divide the mini-batch, or the network is invalid: see {@link MemoryNetwork}.
 */
export function traceMemory(
  memory: Memory,
  given: MemorySequence | LayeredSequence,
  output: Tensor,
  options: TraceOptions,
): MemoryTrace {
  checkNames("traceMemory", options, RUN_OPTIONS);
  const { state, miniBatch, tile = defaultTile(miniBatch) } = options;
  if (!(tile >= 1) || miniBatch % tile !== 0) {
    throw new ConfigError(
      `Cannot trace a memory in tiles of ${tile} tokens: the tile must divide the mini-batch of ${miniBatch}`,
      "tile",
    );
  }
  checkMemory(memory, given.key, state);
  const { key, value, gates } = toLayered(given, memory.network.layers.length);
  const T = key.shape[2], count = Math.floor(T / miniBatch), rest = T % miniBatch;
  const parts: Observed[] = [];
  let last: MemoryState = { ...state, weights: relativeWeights(memory, state.weights) };
  if (count > 0) {
    const xs = mapLeaves({ key, value, gates }, isTensor, (x) => cut(sliceAxis(x, 2, 0, count * miniBatch), count));
    const [end, ys] = scan((carry: MemoryState, x: Stored) => traceMiniBatch(memory, carry, x, tile), last, xs);
    parts.push(mapLeaves(ys, isTensor, uncut));
    last = end;
  }
  if (rest > 0) {
    const x = mapLeaves({ key, value, gates }, isTensor, (leaf) => sliceAxis(leaf, 2, T - rest, rest));
    parts.push(traceMiniBatch(memory, last, x, rest)[1]);
  }
  const { loss, error, matrices } = joinTokens(parts);
  return {
    ...together(matrices, gates),
    loss,
    error,
    readError: meanSquare(output, value),
    matrices: gates.map((gate, l) => together([matrices[l]], [gate])),
  };
}

/** What a memory learns from: the xs of the scan over mini-batches and tiles. */
type Stored = Pick<LayeredSequence, "key" | "value" | "gates">;

/** Squared norms of a matrix, [B, H, C]. */
interface Squares {
  readonly surprise: Tensor;
  readonly momentum: Tensor;
  readonly update: Tensor;
  readonly memory: Tensor;
}

/** The observed quantities at the tokens of a mini-batch or tile, [B, H, C]. */
interface Observed {
  readonly loss: Tensor;
  readonly error: Tensor;
  readonly matrices: readonly Squares[];
}

function together(squares: readonly Squares[], gates: readonly LayerGates[]): MatrixTrace {
  const total = (xs: readonly Tensor[]): Tensor => xs.reduce((sum, x) => add(sum, x));
  const norm = (of: (matrix: Squares) => Tensor): Tensor => sqrt(total(squares.map(of)));
  const average = (xs: readonly Tensor[]): Tensor =>
    xs.every((x) => x === xs[0]) ? xs[0] : mul(total(xs), 1 / xs.length);
  return {
    surprise: norm(({ surprise }) => surprise),
    theta: average(gates.map(({ theta }) => theta)),
    eta: average(gates.map(({ eta }) => eta)),
    alpha: average(gates.map((gate) => hasColumns(gate) ? mean(gate.alpha, { axes: -1 }) : gate.alpha)),
    momentumNorm: norm(({ momentum }) => momentum),
    updateNorm: norm(({ update }) => update),
    memoryNorm: norm(({ memory }) => memory),
  };
}

function meanSquare(x: Tensor, y: Tensor): Tensor {
  return mean(square(sub(x, y)), { axes: -1 });
}

/** Splits axis 2 of [B, H, T, ...] into `count` parts along a new leading axis: [count, B, H, T / count, ...]. */
function cut(x: Tensor, count: number): Tensor {
  const [B, H, T, ...rest] = x.shape;
  return transpose(reshape(x, [B, H, count, T / count, ...rest]), [2, 0, 1, 3, ...rest.map((_, i) => 4 + i)]);
}

/** Concatenates parts [N, B, H, C]: [B, H, N C]. */
export function uncut(x: Tensor): Tensor {
  const [N, B, H, C] = x.shape;
  return reshape(transpose(x, [1, 2, 0, 3]), [B, H, N * C]);
}

/** Concatenates trees of tensors [B, H, C] along the token axis: [B, H, T]. */
export function joinTokens<T>(parts: readonly T[]): T {
  const trees = parts.map((part) => flatten(part, isTensor));
  return unflatten(
    trees[0].spec,
    trees[0].leaves.map((leaf, i) => trees.length === 1 ? leaf : concat(trees.map(({ leaves }) => leaves[i]), 2)),
  ) as T;
}

/** One mini-batch: computes its gradient at the memory before it, then processes its tiles in order. */
function traceMiniBatch(memory: Memory, state: MemoryState, stored: Stored, tile: number): [MemoryState, Observed] {
  const { key, value } = stored, count = key.shape[2] / tile;
  const weights = absoluteWeights(memory, state.weights);
  const { rows, deltas } = innerGradient(memory, weights, key, value);
  const whole: Tile = { ...stored, rows, deltas, loss: meanSquare(readMemory(memory, weights, key), value) };
  if (count === 1) return traceTile(memory, state, whole);
  const tiles = mapLeaves(whole, isTensor, (x) => cut(x, count));
  const [last, ys] = scan((carry: MemoryState, x: Tile) => traceTile(memory, carry, x), state, tiles);
  return [last, mapLeaves(ys, isTensor, uncut)];
}

/** The tokens of a tile with their gradients, [B, H, C, ...]. */
interface Tile extends Stored {
  readonly rows: readonly Tensor[];
  readonly deltas: readonly Tensor[];
  readonly loss: Tensor;
}

function traceTile(
  memory: Memory,
  state: MemoryState,
  { key, value, gates, rows, deltas, loss }: Tile,
): [MemoryState, Observed] {
  const factors = gates.map((gate) => factorsOf(gate, false));
  const [next, learned] = tileStep(memory, state, { query: key, rows, deltas, tiles: factors }, false);
  const matrices = gates.map((gate, l): Squares => {
    const columns = hasColumns(gate);
    const products = innerProducts(
      state.weights[l],
      state.surprise[l],
      { rows: rows[l], deltas: deltas[l], columns },
      memory.start?.[l],
    );
    const momentum = momentumTerms(gate), before = memoryTerms(factorsOf(gate, true)), after = memoryTerms(factors[l]);
    const alpha = columns ? swapAxes(gate.alpha, -1, -2) : expandDims(gate.alpha, 2); // [B, H, w, C]
    const update: Combination = {
      weights: neg(mul(alpha, before.weights)),
      surprise: sub(momentum.surprise, mul(alpha, before.surprise)),
      rows: sub(momentum.rows, mul(expandDims(alpha, -1), before.rows)),
    };
    return {
      surprise: mul(sum(square(rows[l]), { axes: -1 }), sum(square(deltas[l]), { axes: -1 })),
      momentum: squaredNorm(momentum, products),
      update: squaredNorm(update, products),
      memory: squaredNorm(after, products, products.start),
    };
  });
  return [next, { loss, error: meanSquare(learned, value), matrices }];
}

/**
 * Matrices X_t, one per token: factors of W and of S [B, H, w, C], absent if zero, and of the gradients [B, H, w, C,
 * C]; w is 1 or the number of columns.
 */
interface Combination {
  readonly weights?: Tensor;
  readonly surprise: Tensor;
  readonly rows: Tensor;
}

function memoryTerms({ read: { rows, memory, surprise } }: Factors): Required<Combination> {
  return {
    weights: swapAxes(memory, -1, -2),
    surprise: swapAxes(surprise, -1, -2),
    rows: rows.rank === 4 ? expandDims(rows, 2) : transpose(rows, [0, 1, 4, 2, 3]),
  };
}

function momentumTerms({ theta, eta }: LayerGates): Combination {
  const C = theta.shape[2];
  const identity = broadcastTo(cast(equal(iota([C, C], 0), iota([C, C], 1)), theta.dtype), [...theta.shape, C]);
  const p = linearScan(expandDims(eta, -1), identity, { axis: -2 }); // [B, H, C, C]
  return { surprise: expandDims(cumprod(eta, { axis: -1 }), 2), rows: expandDims(mul(p, expandDims(theta, -2)), 2) };
}

/** Inner products of W, S and the gradients u, over whole matrices (w = 1) or column by column. */
interface InnerProducts {
  readonly ww: Tensor; // [B, H, w, 1]
  readonly ws: Tensor;
  readonly ss: Tensor;
  readonly wu: Tensor; // [B, H, w, C]
  readonly su: Tensor;
  readonly uu: Tensor; // [B, H, w, C, C]
  /** Products of M_0 with them and with itself, if W is relative to M_0. */
  readonly start?: { readonly mm: Tensor; readonly mw: Tensor; readonly ms: Tensor; readonly mu: Tensor };
}

interface Gradients {
  readonly rows: Tensor; // [B, H, C, in]
  readonly deltas: Tensor; // [B, H, C, out]
  readonly columns: boolean;
}

function innerProducts(w: Tensor, s: Tensor, { rows, deltas, columns }: Gradients, start?: Tensor): InnerProducts {
  // [B, H, n, out] -> [B, H, w, n]
  const perColumn = (x: Tensor): Tensor => columns ? swapAxes(x, -1, -2) : expandDims(sum(x, { axes: -1 }), 2);
  const ofState = (x: Tensor, y: Tensor): Tensor => perColumn(sum(mul(x, y), { axes: -2, keepDims: true }));
  const withGradients = (m: Tensor): Tensor => perColumn(mul(matmul(rows, m), deltas));
  const alike = matmul(rows, swapAxes(rows, -1, -2)); // [B, H, C, C]
  const byColumn = swapAxes(deltas, -1, -2); // [B, H, out, C]
  const uu = columns
    ? mul(expandDims(alike, 2), mul(expandDims(byColumn, -1), expandDims(byColumn, -2)))
    : expandDims(mul(alike, matmul(deltas, byColumn)), 2);
  const products = {
    ww: ofState(w, w),
    ws: ofState(w, s),
    ss: ofState(s, s),
    wu: withGradients(w),
    su: withGradients(s),
    uu,
  };
  if (!start) return products;
  const m = expandDims(start, 0);
  return { ...products, start: { mm: ofState(m, m), mw: ofState(m, w), ms: ofState(m, s), mu: withGradients(m) } };
}

/** `|X_t|^2` of each token, or `|M_0 + X_t|^2`, [B, H, C], clamped to 0 where rounding makes it negative. */
function squaredNorm(
  { weights, surprise, rows }: Combination,
  { ww, ws, ss, wu, su, uu }: InnerProducts,
  start?: InnerProducts["start"],
): Tensor {
  const outer = (t: Tensor, s: Tensor): Tensor => mul(expandDims(t, -1), expandDims(s, -2)); // [B, H, w, C, C]
  const ofSurprise = mul(square(surprise), ss), mixed = outer(surprise, su);
  const ofState = weights
    ? add(ofSurprise, mul(weights, add(mul(weights, ww), mul(2, mul(surprise, ws)))))
    : ofSurprise;
  const withState = weights ? add(mixed, outer(weights, wu)) : mixed;
  const ofRows = sum(mul(rows, sub(matmul(rows, uu), mul(2, withState))), { axes: -1 });
  const squares = add(ofState, ofRows);
  if (!start) return maximum(sum(squares, { axes: 2 }), 0);
  const { mm, mw, ms, mu } = start, across = sub(mul(surprise, ms), sum(mul(rows, expandDims(mu, -2)), { axes: -1 }));
  return maximum(sum(add(squares, add(mul(2, weights ? add(across, mul(weights, mw)) : across), mm)), { axes: 2 }), 0);
}
