/**
 * The memory with matrix products only: never a weight matrix per token, and the same numbers as the token loop of
 * naive.ts.
 *
 * Within a mini-batch all gradients are taken at its start, and the gradient of layer l at token s is rank one:
 * `h_{l-1}(s)^T d_l(s)` with `d_l = dloss/dZ_l`. With the gates as factors,
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
 * With W and S one matrix M = [W; S] these are one product each, [a * X | b * X] M and [H o c | H o e]^T D, and so are
 * their gradients.
 *
 * A memory that forgets towards a start M_0 is carried as its difference from it, W - M_0, which forgets towards zero:
 * the same recurrences, and X M_0 is added to what is read.
 *
 * Every factor lies in [0, 1]; nothing is divided and no logarithm taken, so alpha near 1 and eta near 0 are harmless.
 *
 * Worked example, b = 2 and constant gates: p = [[1, 0], [eta, 1]], g = [[1, 0], [1 - alpha + eta, 1]]: the first
 * token's gradient enters M_2 once through the decayed memory and once more through the momentum.
 */
import { isTensor, type Tensor } from "../../../core/graph.ts";
import { type OptionNames, optionNames } from "../../../core/options.ts";
import { type Rematerialization, scan } from "../../../core/scan.ts";
import { mapLeaves } from "../../../core/tree.ts";
import {
  add,
  broadcastTo,
  concat,
  expandDims,
  greaterEqual,
  iota,
  matmul,
  mul,
  reshape,
  sliceAxis,
  squeeze,
  sub,
  swapAxes,
  transpose,
  where,
} from "../../../ops/mod.ts";
import { checkMemory } from "./check_memory.ts";
import { checkNames, ConfigError } from "../../errors.ts";
import { innerGradient } from "./inner_gradient.ts";
import {
  absoluteWeights,
  type LayerShape,
  type Linear,
  type Memory,
  type MemorySequence,
  type MemoryState,
  relativeWeights,
  type Vector,
} from "./memory_network.ts";
import type { MemoryResult } from "./naive.ts";
import { partsOf, type TileFactors, tileFactors } from "./tile_factors.ts";

/** Options of {@link chunkedMemory}. */
export interface ChunkedMemoryOptions {
  /** The state before the first token. */
  readonly state: MemoryState;
  /** Number of tokens whose gradients are all taken at the memory before the first of them, b. Part of the model. */
  readonly miniBatch: number;
  /**
   * Number of tokens that are processed by one set of products; must divide `miniBatch`; see {@link defaultTile}.
   * Affects cost, not values.
   */
  readonly tile?: number;
  /** Whether token t reads the memory before its own update. */
  readonly strict?: boolean;
  /** What the loop over mini-batches keeps for its gradient. */
  readonly checkpoint?: Rematerialization;
}

/** The option names of a run. */
export const RUN_OPTIONS: OptionNames = optionNames<ChunkedMemoryOptions>({
  state: true,
  miniBatch: true,
  tile: true,
  strict: true,
  checkpoint: true,
});

/** The output of a memory, and the state from which to continue. */
export interface ChunkedMemoryResult extends MemoryResult {
  /** The state before the first token of an incomplete mini-batch; after the last token if all are complete. */
  readonly boundary: MemoryState;
}

/** Larger tiles do more work within the tile, smaller ones move the state more often. */
const LARGEST_TILE = 64, SMALLEST_TILE = 16;

/**
 * The default tile for a mini-batch: the whole mini-batch up to 64 tokens, otherwise its largest divisor of at most 64,
 * or the whole mini-batch again if that is below 16.
 *
 * CPU time of loss and gradients of a layer of width 128 over 2 x 512 tokens, on one thread of the cpu device, relative
 * to tile = mini-batch: b 64 in tiles of 32 1.05, of 16 1.18; b 128 in tiles of 64 0.91, of 32 0.96; b 256 in tiles of
 * 128 0.84, of 64 0.81.
 */
export function defaultTile(miniBatch: number): number {
  if (miniBatch <= LARGEST_TILE) return miniBatch;
  for (let tile = LARGEST_TILE; tile >= SMALLEST_TILE; tile--) if (miniBatch % tile === 0) return tile;
  return miniBatch;
}

/**
 * Runs a memory over a sequence in the matmul-only form.
 *
 * Cost for two layers of P = 2 K hidden weights: about 5.5 P + 2 C (K + hidden) multiply-adds per token. Memory for the
 * gradient: one state per mini-batch.
 * @param memory The network and its outer-loop parameters.
 * @param sequence Any length T of at least 1; mini-batches start with the first token, the last may be short.
 * @param options The state before the first token and the extents.
 * @throws {ConfigError} if the tile does not divide the mini-batch, or the network is invalid: see {@link
 * MemoryNetwork}.
 */
export function chunkedMemory(
  memory: Memory,
  sequence: MemorySequence,
  options: ChunkedMemoryOptions,
): ChunkedMemoryResult {
  checkNames("chunkedMemory", options, RUN_OPTIONS);
  const { state, miniBatch, tile = defaultTile(miniBatch), strict = false, checkpoint } = options;
  if (!(tile >= 1) || miniBatch % tile !== 0) {
    throw new ConfigError(
      `Cannot run a memory in tiles of ${tile} tokens: the tile must divide the mini-batch of ${miniBatch}`,
      "tile",
    );
  }
  checkMemory(memory, sequence.query, state);
  const T = sequence.query.shape[2];
  const count = Math.floor(T / miniBatch), rest = T % miniBatch;
  const outputs: Tensor[] = [];
  let boundary = stack(memory, state), last = boundary;
  if (count > 0) {
    const xs = miniBatches(sequence, { layers: memory.network.layers, count, miniBatch, tile, strict });
    const [end, ys] = scan(
      (carry: Stacked, x: MiniBatch) => miniBatchStep(memory, carry, x, checkpoint),
      boundary,
      xs,
      { rematerialize: checkpoint },
    );
    const [N, B, H, b, K] = ys.shape;
    outputs.push(reshape(transpose(ys, [1, 2, 0, 3, 4]), [B, H, N * b, K]));
    boundary = last = end;
  }
  if (rest > 0) {
    const x = miniBatches(sequence, {
      layers: memory.network.layers,
      start: T - rest,
      count: 1,
      miniBatch: rest,
      tile: rest,
      strict,
    });
    const [end, y] = miniBatchStep(memory, boundary, mapLeaves(x, isTensor, (leaf) => squeeze(leaf, 0)));
    outputs.push(y);
    last = end;
  }
  return {
    output: outputs.length === 1 ? outputs[0] : concat(outputs, 2),
    state: unstack(memory, last),
    boundary: unstack(memory, boundary),
  };
}

/**
 * Memory and surprise of each layer as one tensor [B, H, 2, in, out], M = [W; S], so that one product applies to both,
 * forward and backward. W is relative to the matrix that the memory forgets towards.
 */
type Stacked = readonly Tensor[];

/**
 * One mini-batch. As the xs of a scan, every tensor has a leading axis N. `n` is the number of tiles per mini-batch, an
 * axis that is absent for a single tile.
 */
interface MiniBatch {
  readonly query: Tensor; // [B, H, b, K]
  readonly key: Tensor;
  readonly value: Tensor;
  /**
   * Products of queries with unnormalised keys, see {@link similarityOf}: the first layer of most networks reads rows
   * that do not depend on the state. [n?, B, H, C, C]
   */
  readonly alike: Tensor;
  /** Their leading axes are [n?, B, H]. */
  readonly factors: TileFactors;
}

interface Cut {
  readonly layers: readonly LayerShape[];
  readonly start?: number;
  readonly count: number;
  readonly miniBatch: number;
  readonly tile: number;
  readonly strict: boolean;
}

/**
 * Splits a sequence into mini-batches [N, B, H, b, ...] and computes the factors of all of them, none of which depends
 * on the memory.
 */
function miniBatches(sequence: MemorySequence, { layers, start = 0, count, miniBatch, tile, strict }: Cut): MiniBatch {
  const [B, H, , K] = sequence.query.shape;
  const rows = (x: Tensor): Tensor =>
    transpose(reshape(sliceAxis(x, 2, start, count * miniBatch), [B, H, count, miniBatch, K]), [2, 0, 1, 3, 4]);
  const tiles = miniBatch / tile;
  const gate = (x: Tensor): Tensor => {
    const part = sliceAxis(x, 2, start, count * miniBatch);
    return tiles === 1
      ? transpose(reshape(part, [B, H, count, tile]), [2, 0, 1, 3])
      : transpose(reshape(part, [B, H, count, tiles, tile]), [2, 3, 0, 1, 4]);
  };
  const factors = tileFactors(
    { theta: gate(sequence.theta), eta: gate(sequence.eta), alpha: gate(sequence.alpha) },
    layers,
    strict,
  );
  const query = rows(sequence.query), key = rows(sequence.key);
  const tiled = (x: Tensor): Tensor =>
    tiles === 1 ? x : transpose(reshape(x, [count, B, H, tiles, tile, K]), [0, 3, 1, 2, 4, 5]);
  return {
    query,
    key,
    value: rows(sequence.value),
    alike: similarityOf(tiled(query), tiled(key), factors.read.rows),
    factors,
  };
}

function stack(memory: Memory, { weights, surprise }: MemoryState): Stacked {
  return relativeWeights(memory, weights).map((w, l) => concat([expandDims(w, 2), expandDims(surprise[l], 2)], 2));
}

function unstack(memory: Memory, state: Stacked): MemoryState {
  return { weights: weightsOf(memory, state), surprise: state.map((m) => part(m, 1)) };
}

/** The memory's matrices. */
function weightsOf(memory: Memory, state: Stacked): readonly Tensor[] {
  return absoluteWeights(memory, state.map((m) => part(m, 0)));
}

/** The memory (0) or the surprise (1) of a layer. */
function part(m: Tensor, which: 0 | 1): Tensor {
  return squeeze(sliceAxis(m, 2, which, 1), 2);
}

/** One mini-batch: computes the gradient rows at its start, then processes its tiles in order. */
function miniBatchStep(
  memory: Memory,
  state: Stacked,
  miniBatch: MiniBatch,
  checkpoint?: Rematerialization,
): [Stacked, Tensor] {
  const { query, key, value, alike, factors } = miniBatch;
  const { rows, deltas } = innerGradient(memory, weightsOf(memory, state), key, value);
  const readsKeys = rows.map((row) => row === key);
  if (factors.read.rows.rank === 4) return tileStep(memory, state, { query, alike, rows, deltas, factors, readsKeys });
  const tiles = factors.read.rows.shape[0];
  const cut = (x: Tensor): Tensor => {
    const [B, H, b, K] = x.shape;
    return transpose(reshape(x, [B, H, tiles, b / tiles, K]), [2, 0, 1, 3, 4]);
  };
  const xs = { query: cut(query), alike, rows: rows.map(cut), deltas: deltas.map(cut), factors };
  const [last, ys] = scan(
    (carry: Stacked, x: Omit<Tile, "readsKeys">) => tileStep(memory, carry, { ...x, readsKeys }),
    state,
    xs,
    { rematerialize: checkpoint },
  );
  return [last, reshape(transpose(ys, [1, 2, 0, 3, 4]), query.shape)];
}

/** One tile: queries, and for each layer the rows and gradient rows, [B, H, C, ...]. */
interface Tile {
  readonly query: Tensor;
  readonly alike: Tensor;
  readonly rows: readonly Tensor[];
  readonly deltas: readonly Tensor[];
  readonly factors: TileFactors;
  /** Whether a layer's rows are the keys themselves. */
  readonly readsKeys: readonly boolean[];
}

/** Reads the memory as of each token of the tile, then advances the state to the end of the tile. */
function tileStep(
  { network, gains, start }: Memory,
  state: Stacked,
  { query, alike, rows, deltas, factors, readsKeys }: Tile,
): [Stacked, Tensor] {
  const { read, next } = factors;
  const linear: Linear = (l, x) => {
    const [B, H, , K, out] = state[l].shape;
    const similarity = x === query && readsKeys[l] ? alike : similarityOf(x, rows[l], read.rows);
    const learned = matmul(twice(x, read.state), reshape(state[l], [B, H, 2 * K, out]));
    const past = start ? add(learned, matmul(x, start[l])) : learned;
    return sub(past, matmul(similarity, deltas[l]));
  };
  // The same for a fast vector: [B, H, C, out].
  const vector: Vector = (l) => {
    const [B, H, , , out] = state[l].shape;
    const learned = matmul(read.state, reshape(state[l], [B, H, 2, out]));
    return sub(start ? add(learned, start[l]) : learned, matmul(read.rows, deltas[l]));
  };
  const output = network.forward(linear, query, gains, vector);
  const after = network.layers.map((layer, l) => {
    const m = state[l], [B, H] = m.shape;
    const learned = matmul(swapAxes(twice(rows[l], next.rows), -1, -2), deltas[l]); // [B, H, 2 in, out]
    const parts = reshape(m, [B, H, 2, ...partsOf(layer)]);
    const kept = add(mul(next.memory[l], sliceAxis(parts, 2, 0, 1)), mul(next.surprise[l], sliceAxis(parts, 2, 1, 1)));
    return sub(reshape(kept, m.shape), reshape(learned, m.shape));
  });
  return [after, output];
}

/** `C o (X H^T)`, [..., C, C]: how much of each token's gradient row each query reads, none of later tokens. */
function similarityOf(x: Tensor, rows: Tensor, weights: Tensor): Tensor {
  const C = weights.shape[weights.rank - 1];
  const causal = broadcastTo(greaterEqual(iota([C, C], 0), iota([C, C], 1)), weights.shape);
  return where(causal, mul(weights, matmul(x, swapAxes(rows, -1, -2))), 0);
}

/** Rows [..., C, K] with each of two weights [..., C, 2], side by side: [..., C, 2 K]. */
function twice(rows: Tensor, weights: Tensor): Tensor {
  return reshape(mul(expandDims(rows, -2), expandDims(weights, -1)), [
    ...rows.shape.slice(0, -1),
    2 * rows.shape[rows.rank - 1],
  ]);
}
