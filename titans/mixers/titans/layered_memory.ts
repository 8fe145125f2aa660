/**
 * The memory in matrix products, with gates for each matrix of its network and forgetting for each column of a matrix:
 * the same numbers as naive.ts.
 *
 * As in chunked_memory.ts, with p, g, a, b of each layer from the gates of that layer. Where alpha has columns j, so
 * have g, a and b:
 *
 *     g_j(t,s) = (1 - alpha_tj) g_j(t-1,s) + p(t,s)        a_tj, b_tj alike
 *     (X M_l)_tj = a_tj (X W_l)_tj + b_tj (X S_l)_tj - sum over s of g_j(t,s) theta_s (x_t . h_s) D_sj
 *     W'_ij = a_Tj W_ij + b_Tj S_ij - sum over s of h_si (theta_s g_j(T,s) D_sj)
 *
 * W is the difference from where the memory forgets to, as there.
 *
 * The sum over s of the retrieval is no matrix product: for each layer it takes C out multiply-adds a token and C^2 out
 * factors a tile, so tiles of 16 or fewer are meant. These factors are computed tile by tile; those without columns are
 * computed for the whole sequence at once.
 */
import { isTensor, type Tensor } from "../../../core/graph.ts";
import { scan } from "../../../core/scan.ts";
import { mapLeaves } from "../../../core/tree.ts";
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
  mul,
  pad,
  reshape,
  sliceAxis,
  squeeze,
  sub,
  sum,
  swapAxes,
  transpose,
} from "../../../ops/mod.ts";
import { type ChunkedMemoryOptions, type ChunkedMemoryResult, RUN_OPTIONS } from "./chunked_memory.ts";
import { checkMemory } from "./check_memory.ts";
import { checkNames, ConfigError } from "../../errors.ts";
import type { LayeredSequence, LayerGates } from "./gates.ts";
import { innerGradient } from "./inner_gradient.ts";
import {
  absoluteWeights,
  type Linear,
  type Memory,
  type MemoryState,
  relativeWeights,
  type Vector,
} from "./memory_network.ts";

/**
 * Runs a memory with gates per matrix over a sequence, in the matmul-only form.
 * @param memory The network and its outer-loop parameters.
 * @param sequence Any length T of at least 1; mini-batches start with the first token, the last may be short.
 * @param options The state before the first token and the extents, as for per-head gates.
 * @throws {ConfigError} if the tile does not divide the mini-batch, the gates do not match the network, or the network
 * is invalid.
 */
export function layeredMemory(
  memory: Memory,
  sequence: LayeredSequence,
  options: ChunkedMemoryOptions,
): ChunkedMemoryResult {
  checkNames("layeredMemory", options, RUN_OPTIONS);
  const { state, miniBatch, tile = miniBatch, strict = false, checkpoint } = options;
  if (!(tile >= 1) || miniBatch % tile !== 0) {
    throw new ConfigError(
      `Cannot run a memory in tiles of ${tile} tokens: the tile must divide the mini-batch of ${miniBatch}`,
      "tile",
    );
  }
  checkMemory(memory, sequence.query, state);
  checkGates(memory, sequence);
  const whole = (state: MemoryState): MemoryState => ({ ...state, weights: absoluteWeights(memory, state.weights) });
  const [B, H, T, K] = sequence.query.shape;
  const count = Math.floor(T / miniBatch), rest = T % miniBatch;
  const outputs: Tensor[] = [];
  let boundary: MemoryState = { ...state, weights: relativeWeights(memory, state.weights) }, last = boundary;
  if (count > 0) {
    const rows = mapLeaves(sequence, isTensor, (x) => cut(sliceAxis(x, 2, 0, count * miniBatch), count)); // [N, B, H, b, ...]
    const xs = prepare(rows, miniBatch / tile, strict);
    const [end, ys] = scan(
      (carry: MemoryState, x: MiniBatch) => miniBatchStep(memory, carry, x, { strict, checkpoint }),
      boundary,
      xs,
      { rematerialize: checkpoint },
    );
    outputs.push(reshape(transpose(ys, [1, 2, 0, 3, 4]), [B, H, count * miniBatch, K]));
    boundary = last = end;
  }
  if (rest > 0) {
    const [end, y] = miniBatchStep(
      memory,
      boundary,
      prepare(mapLeaves(sequence, isTensor, (x) => sliceAxis(x, 2, T - rest, rest)), 1, strict),
      { strict },
    );
    outputs.push(y);
    last = end;
  }
  return {
    output: outputs.length === 1 ? outputs[0] : concat(outputs, 2),
    state: whole(last),
    boundary: whole(boundary),
  };
}

function checkGates({ network }: Memory, { gates }: LayeredSequence): void {
  if (gates.length !== network.layers.length) {
    throw new ConfigError(
      `Cannot run a memory of ${network.layers.length} matrices with gates for ${gates.length}: each needs its own`,
      "gateGranularity",
    );
  }
  gates.forEach(({ alpha }, l) => {
    const { out } = network.layers[l];
    if (alpha.rank === 4 && alpha.shape[3] !== out) {
      throw new ConfigError(`Cannot forget ${alpha.shape[3]} columns of matrix ${l}: it has ${out}`, "gateGranularity");
    }
  });
}

/** The factors of one layer for a tile of C tokens; `w` is the number of columns with separate alphas, or 1. */
export interface Factors {
  /**
   * What the queries read: weights of the rows [B, H, C, C] (with columns [B, H, C, C, w]), of the memory and of the
   * surprise [B, H, C, w].
   */
  readonly read: { readonly rows: Tensor; readonly memory: Tensor; readonly surprise: Tensor };
  /** The memory after the tile: weights of the rows [B, H, C, w], of the memory and of the surprise [B, H, 1, w]. */
  readonly memory: { readonly rows: Tensor; readonly memory: Tensor; readonly surprise: Tensor };
  /** The surprise after the tile: weights of the rows [B, H, C, 1] and of the surprise [B, H, 1, 1]. */
  readonly surprise: { readonly rows: Tensor; readonly surprise: Tensor };
}

/** One mini-batch; as the xs of a scan every tensor has a leading axis N. */
interface MiniBatch {
  readonly query: Tensor; // [B, H, b, K]
  readonly key: Tensor;
  readonly value: Tensor;
  /** One entry per layer, tile by tile: [n, ...]. */
  readonly tiles: readonly (LayerGates | Factors)[];
}

interface StepOptions {
  readonly strict: boolean;
  readonly checkpoint?: ChunkedMemoryOptions["checkpoint"];
}

/** Splits axis 2 of [B, H, T, ...] into `count` parts along a new leading axis: [count, B, H, T / count, ...]. */
function cut(x: Tensor, count: number): Tensor {
  const [B, H, T, ...rest] = x.shape;
  return transpose(reshape(x, [B, H, count, T / count, ...rest]), [2, 0, 1, 3, ...rest.map((_, i) => 4 + i)]);
}

/** Splits gates [N?, B, H, b, ...] into tiles [N?, n, B, H, C, ...], and computes all factors that are small. */
function prepare({ query, key, value, gates }: LayeredSequence, tiles: number, strict: boolean): MiniBatch {
  const time = query.rank - 2;
  const tiled = (x: Tensor): Tensor => {
    const before = x.shape.slice(0, time - 2), [B, H, b, ...rest] = x.shape.slice(time - 2);
    const parts = reshape(x, [...before, B, H, tiles, b / tiles, ...rest]);
    const axes = parts.shape.map((_, axis) => axis);
    return transpose(parts, [...axes.slice(0, time - 2), time, time - 2, time - 1, ...axes.slice(time + 1)]);
  };
  const perLayer = gates.map((gate) => {
    const cutGates: LayerGates = { theta: tiled(gate.theta), eta: tiled(gate.eta), alpha: tiled(gate.alpha) };
    return hasColumns(cutGates) ? cutGates : factorsOf(cutGates, strict);
  });
  return { query, key, value, tiles: perLayer };
}

/** Whether the gates differ between the columns of their matrix. */
export function hasColumns({ theta, alpha }: LayerGates): boolean {
  return alpha.rank > theta.rank;
}

/** The factors of tiles, from gates [..., C] of their tokens. */
export function factorsOf(gates: LayerGates, strict: boolean): Factors {
  const { theta, eta } = gates, C = theta.shape[theta.rank - 1], columns = hasColumns(gates);
  const step = expandDims(theta, -1); // [..., C, 1]
  const keep = sub(1, columns ? gates.alpha : expandDims(gates.alpha, -1)); // [..., C, w]
  const identity = broadcastTo(cast(equal(iota([C, C], 0), iota([C, C], 1)), theta.dtype), [...theta.shape, C]);
  const p = linearScan(expandDims(eta, -1), identity, { axis: -2 }); // [..., C, C] at (t, s), zero for s > t
  const p0 = cumprod(expandDims(eta, -1), { axis: -2 }); // p(t, 0), [..., C, 1]
  const a = cumprod(keep, { axis: -2 }), b = linearScan(keep, p0, { axis: -2 }); // [..., C, w]
  const g = columns
    ? linearScan(expandDims(keep, -2), expandDims(p, -1), { axis: -3 }) // [..., C, C, w]
    : linearScan(keep, p, { axis: -2 });
  const last = (x: Tensor): Tensor => sliceAxis(x, -2, C - 1, 1);
  const lastRow = columns ? squeeze(sliceAxis(g, -3, C - 1, 1), -3) : swapAxes(last(g), -1, -2); // [..., C, w]
  const before = (x: Tensor, axis: number, first: number): Tensor => (strict ? delay(x, axis, first) : x);
  return {
    read: {
      rows: columns ? before(mul(g, expandDims(step, -3)), -3, 0) : before(mul(g, expandDims(theta, -2)), -2, 0),
      memory: before(a, -2, 1),
      surprise: before(b, -2, 0),
    },
    memory: { rows: mul(lastRow, step), memory: last(a), surprise: last(b) },
    surprise: { rows: mul(swapAxes(last(p), -1, -2), step), surprise: last(p0) },
  };
}

/** Shifts by one along an axis: `first` is inserted at the start and the last element is dropped. */
function delay(x: Tensor, axis: number, first: number): Tensor {
  const position = axis + x.rank;
  const shorter = sliceAxis(x, axis, 0, x.shape[position] - 1);
  return pad(shorter, shorter.shape.map((_, i): [number, number] => (i === position ? [1, 0] : [0, 0])), first);
}

/** One tile: queries, and for each layer the rows, the gradient rows and the gates or factors, [B, H, C, ...]. */
export interface Tile {
  readonly query: Tensor;
  readonly rows: readonly Tensor[];
  readonly deltas: readonly Tensor[];
  readonly tiles: readonly (LayerGates | Factors)[];
}

/** One mini-batch: computes the gradient rows at its start, then processes its tiles in order. */
function miniBatchStep(
  memory: Memory,
  state: MemoryState,
  miniBatch: MiniBatch,
  { strict, checkpoint }: StepOptions,
): [MemoryState, Tensor] {
  const { query, key, value, tiles } = miniBatch;
  const { rows, deltas } = innerGradient(memory, absoluteWeights(memory, state.weights), key, value);
  const count = firstLeaf(tiles).shape[0];
  if (count === 1) {
    return tileStep(
      memory,
      state,
      { query, rows, deltas, tiles: mapLeaves(tiles, isTensor, (x) => squeeze(x, 0)) },
      strict,
    );
  }
  const xs: Tile = {
    query: cut(query, count),
    rows: rows.map((x) => cut(x, count)),
    deltas: deltas.map((x) => cut(x, count)),
    tiles,
  };
  const [last, ys] = scan((carry: MemoryState, tile: Tile) => tileStep(memory, carry, tile, strict), state, xs, {
    rematerialize: checkpoint,
  });
  return [last, reshape(transpose(ys, [1, 2, 0, 3, 4]), query.shape)];
}

function firstLeaf([first]: readonly (LayerGates | Factors)[]): Tensor {
  return "theta" in first ? first.theta : first.surprise.rows;
}

/**
 * Reads the memory as of each token of the tile, then advances the state, whose weights are relative, to the end of the
 * tile.
 */
export function tileStep(
  { network, gains, start }: Memory,
  state: MemoryState,
  { query, rows, deltas, tiles }: Tile,
  strict: boolean,
): [MemoryState, Tensor] {
  const factors = tiles.map((tile) => ("theta" in tile ? factorsOf(tile, strict) : tile));
  const linear: Linear = (l, x) => {
    const { read } = factors[l];
    const learned = add(
      mul(read.memory, matmul(x, state.weights[l])),
      mul(read.surprise, matmul(x, state.surprise[l])),
    );
    const past = start ? add(learned, matmul(x, start[l])) : learned;
    const similarity = matmul(x, swapAxes(rows[l], -1, -2)); // [B, H, C, C]
    const recent = read.rows.rank === 4
      ? matmul(mul(read.rows, similarity), deltas[l])
      : sum(mul(mul(read.rows, expandDims(similarity, -1)), expandDims(deltas[l], 2)), { axes: [3] });
    return sub(past, recent);
  };
  // The same for a fast vector: [B, H, C, out].
  const vector: Vector = (l) => {
    const { read } = factors[l];
    const learned = add(mul(read.memory, state.weights[l]), mul(read.surprise, state.surprise[l]));
    const recent = read.rows.rank === 4
      ? matmul(read.rows, deltas[l])
      : sum(mul(read.rows, expandDims(deltas[l], 2)), { axes: [3] });
    return sub(start ? add(learned, start[l]) : learned, recent);
  };
  const output = network.forward(linear, query, gains, vector);
  const outer = (l: number, weight: Tensor): Tensor => matmul(swapAxes(rows[l], -1, -2), mul(weight, deltas[l]));
  const next: MemoryState = {
    weights: state.weights.map((w, l) => {
      const { memory } = factors[l];
      return sub(add(mul(memory.memory, w), mul(memory.surprise, state.surprise[l])), outer(l, memory.rows));
    }),
    surprise: state.surprise.map((s, l) =>
      sub(mul(factors[l].surprise.surprise, s), outer(l, factors[l].surprise.rows))
    ),
  };
  return [next, output];
}
