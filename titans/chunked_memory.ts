/**
 * The memory with matrix products only: never a weight matrix per token, and the same numbers as the token loop of naive.ts.
 *
 * Within a mini-batch all gradients are taken at its start, and the gradient of layer l at token s is rank one: `h_{l-1}(s)^T d_l(s)` with
 * `d_l = dloss/dZ_l`. With the gates as factors,
 *
 *     p(t,s) = eta_t p(t-1,s), p(s,s) = 1           g(t,s) = (1 - alpha_t) g(t-1,s) + p(t,s), g(s,s) = 1
 *     a_t = (1 - alpha_t) a_{t-1}, a_0 = 1          b_t = (1 - alpha_t) b_{t-1} + p(t,0), b_0 = 0
 *     M_t = a_t M_0 + b_t S_0 - sum_{s<=t} g(t,s) theta_s u_s         S_t = p(t,0) S_0 - sum_{s<=t} p(t,s) theta_s u_s
 *
 * a product of query rows with the matrix of "its" token is, with C = G diag(theta),
 *
 *     X M_l = a * (X W_l) + b * (X S_l) - (C o (X H_{l-1}^T)) D_l
 *
 * and the state after the last token T is
 *
 *     W' = a_T W + b_T S - (H o c)^T D,   S' = p(T,0) S - (H o e)^T D,   c_s = theta_s g(T,s),  e_s = theta_s p(T,s)
 *
 * Every factor lies in [0, 1]; nothing is divided and no logarithm taken, so alpha near 1 and eta near 0 are harmless.
 *
 * Worked example, b = 2 and constant gates: p = [[1, 0], [eta, 1]], g = [[1, 0], [1 - alpha + eta, 1]]: the first token's gradient enters M_2 once
 * through the decayed memory and once more through the momentum.
 */
import { valueAndGrad } from "../core/grad.ts";
import { isTensor, type Tensor } from "../core/graph.ts";
import { type Checkpoint, scan } from "../core/scan.ts";
import { mapLeaves } from "../core/tree.ts";
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
  mean,
  mul,
  pad,
  reshape,
  sliceAxis,
  square,
  squeeze,
  sub,
  sum,
  swapAxes,
  transpose,
  zeros,
} from "../ops/mod.ts";
import { ConfigError } from "./errors.ts";
import type { Linear, Memory, MemorySequence, MemoryState } from "./memory_network.ts";
import type { MemoryResult } from "./naive.ts";

/** Options of {@link chunkedMemory}. */
export interface ChunkedMemoryOptions {
  /** The state before the first token. */
  readonly state: MemoryState;
  /** Tokens whose gradients are all taken at the memory before the first of them, b. Part of the model. */
  readonly miniBatch: number;
  /** Tokens that are handled by one set of products; divides `miniBatch`, which it is unless said. Changes cost, not values. */
  readonly tile?: number;
  /** Whether token t reads the memory before its own update. */
  readonly strict?: boolean;
  /** What the loop over mini-batches keeps for its gradient. */
  readonly checkpoint?: Checkpoint;
}

/** What a memory gave, with the state from which it can go on. */
export interface ChunkedMemoryResult extends MemoryResult {
  /** The state before the first token of the mini-batch that is not complete; after the last token if all are. */
  readonly boundary: MemoryState;
}

/**
 * Runs a memory over a sequence in the matmul-only form.
 *
 * Cost for two layers of P = 2 K hidden weights: about 5.5 P + 2 C (K + hidden) multiply-adds a token. Memory for the gradient: one state a mini-batch.
 * @param memory The network and its outer-loop parameters.
 * @param sequence Any length T of at least 1; mini-batches start with the first token, the last may be short.
 * @param options The state before the first token and the extents.
 * @throws {ConfigError} if the tile does not divide the mini-batch.
 */
export function chunkedMemory(
  memory: Memory,
  sequence: MemorySequence,
  { state, miniBatch, tile = miniBatch, strict = false, checkpoint }: ChunkedMemoryOptions,
): ChunkedMemoryResult {
  if (!(tile >= 1) || miniBatch % tile !== 0) {
    throw new ConfigError(`Cannot run a memory in tiles of ${tile} tokens: the tile must divide the mini-batch of ${miniBatch}`, "tile");
  }
  const T = sequence.query.shape[2];
  const count = Math.floor(T / miniBatch), rest = T % miniBatch;
  const outputs: Tensor[] = [];
  let boundary = state, last = state;
  if (count > 0) {
    const xs = miniBatches(sequence, { count, miniBatch, tile, strict });
    const [end, ys] = scan((carry: MemoryState, x: MiniBatch) => miniBatchStep(memory, carry, x, checkpoint), state, xs, { checkpoint });
    const [N, B, H, b, K] = ys.shape;
    outputs.push(reshape(transpose(ys, [1, 2, 0, 3, 4]), [B, H, N * b, K]));
    boundary = last = end;
  }
  if (rest > 0) {
    const x = miniBatches(sequence, { start: T - rest, count: 1, miniBatch: rest, tile: rest, strict });
    const [end, y] = miniBatchStep(memory, boundary, mapLeaves(x, isTensor, (leaf) => squeeze(leaf, 0)));
    outputs.push(y);
    last = end;
  }
  return { output: outputs.length === 1 ? outputs[0] : concat(outputs, 2), state: last, boundary };
}

/** The factors of a tile of C tokens; `n` is the number of tiles of a mini-batch, an axis that a mini-batch of one tile lacks. */
interface Coefficients {
  /** What the queries read: weights of the rows [n?, B, H, C, C], of the memory and of the surprise [n?, B, H, C, 1]. */
  readonly read: { readonly rows: Tensor; readonly memory: Tensor; readonly surprise: Tensor };
  /** The memory after the tile: weights of the rows [n?, B, H, C, 1], of the memory and of the surprise [n?, B, H, 1, 1]. */
  readonly memory: { readonly rows: Tensor; readonly memory: Tensor; readonly surprise: Tensor };
  /** The surprise after the tile: weights of the rows [n?, B, H, C, 1] and of the surprise [n?, B, H, 1, 1]. */
  readonly surprise: { readonly rows: Tensor; readonly surprise: Tensor };
}

/** One mini-batch; as the xs of a scan every tensor has a leading axis N. */
interface MiniBatch {
  readonly query: Tensor; // [B, H, b, K]
  readonly key: Tensor;
  readonly value: Tensor;
  readonly coefficients: Coefficients;
}

interface Cut {
  readonly start?: number;
  readonly count: number;
  readonly miniBatch: number;
  readonly tile: number;
  readonly strict: boolean;
}

/** Cuts a sequence into mini-batches [N, B, H, b, ...] and computes the factors of all of them: nothing here depends on the memory. */
function miniBatches(sequence: MemorySequence, { start = 0, count, miniBatch, tile, strict }: Cut): MiniBatch {
  const [B, H, , K] = sequence.query.shape;
  const rows = (x: Tensor): Tensor => transpose(reshape(sliceAxis(x, 2, start, count * miniBatch), [B, H, count, miniBatch, K]), [2, 0, 1, 3, 4]);
  const tiles = miniBatch / tile;
  const gate = (x: Tensor): Tensor => {
    const part = sliceAxis(x, 2, start, count * miniBatch);
    return tiles === 1 ? transpose(reshape(part, [B, H, count, tile]), [2, 0, 1, 3]) : transpose(reshape(part, [B, H, count, tiles, tile]), [2, 3, 0, 1, 4]);
  };
  return {
    query: rows(sequence.query),
    key: rows(sequence.key),
    value: rows(sequence.value),
    coefficients: coefficients(gate(sequence.theta), gate(sequence.eta), gate(sequence.alpha), strict),
  };
}

/** The factors of tiles, from gates [..., C] of their tokens. */
function coefficients(theta: Tensor, eta: Tensor, alpha: Tensor, strict = false): Coefficients {
  const C = theta.shape[theta.rank - 1];
  const identity = broadcastTo(cast(equal(iota([C, C], 0), iota([C, C], 1)), theta.dtype), [...theta.shape, C]);
  const keep = sub(1, alpha);
  const p = linearScan(expandDims(eta, -1), identity, { axis: -2 }); // [..., C, C] at (t, s), zero for s > t
  const g = linearScan(expandDims(keep, -1), p, { axis: -2 });
  const p0 = cumprod(eta, { axis: -1 }); // p(t, 0)
  const a = cumprod(keep, { axis: -1 });
  const b = linearScan(keep, p0, { axis: -1 });
  const lastRow = (matrix: Tensor): Tensor => swapAxes(mul(sliceAxis(matrix, -2, C - 1, 1), expandDims(theta, -2)), -1, -2); // [..., C, 1]
  const last = (vector: Tensor): Tensor => expandDims(sliceAxis(vector, -1, C - 1, 1), -1); // [..., 1, 1]
  const before = (x: Tensor, axis: number, first: number): Tensor => (strict ? delay(x, axis, first) : x);
  return {
    read: {
      rows: before(mul(g, expandDims(theta, -2)), -2, 0),
      memory: expandDims(before(a, -1, 1), -1),
      surprise: expandDims(before(b, -1, 0), -1),
    },
    memory: { rows: lastRow(g), memory: last(a), surprise: last(b) },
    surprise: { rows: lastRow(p), surprise: last(p0) },
  };
}

/** Moves everything one place later along an axis; `first` comes in, the last falls out. */
function delay(x: Tensor, axis: number, first: number): Tensor {
  const position = axis + x.rank;
  const shorter = sliceAxis(x, axis, 0, x.shape[position] - 1);
  return pad(shorter, shorter.shape.map((_, i): [number, number] => (i === position ? [1, 0] : [0, 0])), first);
}

/** One mini-batch: the gradient rows at its start, then its tiles in order. */
function miniBatchStep(memory: Memory, state: MemoryState, miniBatch: MiniBatch, checkpoint?: Checkpoint): [MemoryState, Tensor] {
  const { query, key, value, coefficients } = miniBatch;
  const { rows, deltas } = innerGradient(memory, state.weights, key, value);
  if (coefficients.read.rows.rank === 4) return tileStep(memory, state, { query, rows, deltas, coefficients });
  const tiles = coefficients.read.rows.shape[0];
  const cut = (x: Tensor): Tensor => {
    const [B, H, b, K] = x.shape;
    return transpose(reshape(x, [B, H, tiles, b / tiles, K]), [2, 0, 1, 3, 4]);
  };
  const xs: Tile = { query: cut(query), rows: rows.map(cut), deltas: deltas.map(cut), coefficients };
  const [last, ys] = scan((carry: MemoryState, tile: Tile) => tileStep(memory, carry, tile), state, xs, { checkpoint });
  return [last, reshape(transpose(ys, [1, 2, 0, 3, 4]), query.shape)];
}

/**
 * The inner gradient in rank-one parts: for each layer the rows H that it reads, and D, the gradient of the inner loss with respect to its product.
 * D comes from `grad` on zero taps that are added to the products, so any network of linear layers and row-wise functions works.
 */
function innerGradient({ network, gains }: Memory, weights: readonly Tensor[], key: Tensor, value: Tensor): { rows: Tensor[]; deltas: Tensor[] } {
  const [B, H, b] = key.shape;
  const loss = (taps: Tensor[]): [Tensor, Tensor[]] => {
    const rows: Tensor[] = [];
    const linear: Linear = (l, x) => {
      rows[l] = x;
      return add(matmul(x, weights[l]), taps[l]);
    };
    return [sum(mean(square(sub(network.forward(linear, key, gains), value)), { axes: [-1] })), rows];
  };
  const [[, rows], deltas] = valueAndGrad(loss)(network.layers.map((layer) => zeros([B, H, b, layer.out], key.dtype)));
  return { rows, deltas };
}

/** One tile: queries, and of each layer the rows and the gradient rows, [B, H, C, ...]. */
interface Tile {
  readonly query: Tensor;
  readonly rows: readonly Tensor[];
  readonly deltas: readonly Tensor[];
  readonly coefficients: Coefficients;
}

/** Reads the memory as each token of the tile finds it, then moves the state to the end of the tile. */
function tileStep({ network, gains }: Memory, state: MemoryState, { query, rows, deltas, coefficients }: Tile): [MemoryState, Tensor] {
  const { read, memory, surprise } = coefficients;
  const linear: Linear = (l, x) => {
    const past = add(mul(read.memory, matmul(x, state.weights[l])), mul(read.surprise, matmul(x, state.surprise[l])));
    const similarity = matmul(x, swapAxes(rows[l], -1, -2)); // [B, H, C, C]
    return sub(past, matmul(mul(read.rows, similarity), deltas[l]));
  };
  const output = network.forward(linear, query, gains);
  const outer = (l: number, weight: Tensor): Tensor => matmul(swapAxes(mul(rows[l], weight), -1, -2), deltas[l]);
  const next: MemoryState = {
    weights: state.weights.map((w, l) => sub(add(mul(memory.memory, w), mul(memory.surprise, state.surprise[l])), outer(l, memory.rows))),
    surprise: state.surprise.map((s, l) => sub(mul(surprise.surprise, s), outer(l, surprise.rows))),
  };
  return [next, output];
}
