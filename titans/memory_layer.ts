/**
 * The memory as a layer: from tokens to queries, keys, values and gates, through the memory, to a normalised output.
 *
 *     q, k, v = silu(conv(x W_Q)), silu(conv(x W_K)), silu(conv(x W_V));   q and k l2-normalised, per head
 *     theta = theta_max sigmoid(x W_theta + bias),  eta = sigmoid(x W_eta + bias),  alpha = sigmoid(x W_alpha + bias)    per token and head
 *     output = RMS norm per head of M_t(q_t)
 *
 * (Titans, arXiv 2501.00663, section 4.4 and equations 9-15.)
 */
import type { Tensor } from "../core/graph.ts";
import {
  add,
  broadcastTo,
  causalConv1d,
  concat,
  expandDims,
  l2Normalize,
  matmul,
  mul,
  rmsNorm,
  sigmoid,
  silu,
  sliceAxis,
  split,
  swapAxes,
  zeros,
  zerosLike,
} from "../ops/mod.ts";
import { chunkedMemory } from "./chunked_memory.ts";
import type { ModelConfig } from "./config.ts";
import { mergeHeads, splitHeads } from "./layers.ts";
import { type Memory, type MemoryNetwork, type MemorySequence, type MemoryState, mlpMemory } from "./memory_network.ts";
import { matrix, Parameter, table, vector } from "./parameters.ts";

/** Parameters of {@link memoryLayer}. */
export interface MemoryLayer<Leaf> {
  /** `[W_Q | W_K | W_V]`, [D, 3 D]. */
  readonly projection: Leaf;
  /** Taps of the depthwise convolution of queries, keys and values, [3 D, W]; absent without convolution. */
  readonly convolution?: Leaf;
  /** `[W_theta | W_eta | W_alpha]`, [D, 3 H]. */
  readonly gates: Leaf;
  /** Biases of the gates, [3 H]. */
  readonly gateBias: Leaf;
  /** The memory before the first token, M_0: one matrix [H, in, out] a layer. */
  readonly initial: readonly Leaf[];
  /** Outer-loop parameters of the memory network, [H, ...]. */
  readonly gains: readonly Leaf[];
  /** Gain of the norm of the output, [H, K]. */
  readonly norm: Leaf;
}

/** What a memory layer carries from one piece of a sequence to the next: all of constant size. */
export interface MemoryLayerState {
  /** Weights and surprise before the first token of the mini-batch to come. */
  readonly memory: MemoryState;
  /** The last rows of the projection, [B, W - 1, 3 D]; absent without convolution. */
  readonly convolution?: Tensor;
}

/** The memory network of a configuration. */
export function memoryNetworkOf({ width, heads, memoryDepth, memoryExpansion, memoryActivation, memoryNorm }: ModelConfig): MemoryNetwork {
  return mlpMemory({ width: width / heads, depth: memoryDepth, expansion: memoryExpansion, activation: memoryActivation, norm: memoryNorm });
}

/** Describes the parameters of a memory layer. */
export function memoryLayerParameters(config: ModelConfig): MemoryLayer<Parameter> {
  const { width: D, heads: H, convolution: W } = config;
  const network = memoryNetworkOf(config);
  return {
    projection: matrix([D, 3 * D]),
    ...(W > 0 ? { convolution: table([3 * D, W], 1 / Math.sqrt(W)) } : {}),
    gates: matrix([D, 3 * H]),
    gateBias: new Parameter([3 * H], { parts: [config.thetaBias, config.etaBias, config.alphaBias] }, false),
    initial: network.layers.map((layer) => matrix([H, layer.in, layer.out])),
    gains: network.gains.map((shape) => vector([H, ...shape], 0)),
    norm: vector([H, D / H], 1),
  };
}

/**
 * The state before the first token.
 * @param params Of the layer: the memory starts at `initial`.
 * @param batch Number of sequences, B.
 */
export function initialMemoryLayerState(params: MemoryLayer<Tensor>, batch: number): MemoryLayerState {
  const weights = params.initial.map((w) => broadcastTo(expandDims(w, 0), [batch, ...w.shape]));
  const memory = { weights, surprise: weights.map(zerosLike) };
  if (!params.convolution) return { memory };
  const [rows, W] = params.convolution.shape;
  return { memory, convolution: zeros([batch, W - 1, rows], params.projection.dtype) };
}

/** Options of {@link memoryLayer}. */
export interface MemoryLayerOptions {
  /** The state before the first token. */
  readonly state: MemoryLayerState;
  /** Which tokens the memory learns from, [B, T] of ones and zeros; all unless given. */
  readonly store?: Tensor;
}

/** What a memory layer gave. */
export interface MemoryLayerResult {
  /** [B, T, D] */
  readonly output: Tensor;
  /** At the last boundary between mini-batches. */
  readonly state: MemoryLayerState;
}

/** The memory of a layer's parameters. */
export function memoryOf(config: ModelConfig, params: MemoryLayer<Tensor>): Memory {
  return { network: memoryNetworkOf(config), gains: params.gains };
}

/**
 * Runs a memory over tokens.
 * @param config The model's options.
 * @param params The layer's parameters.
 * @param x Tokens [B, T, D], any T of at least 1.
 */
export function memoryLayer(config: ModelConfig, params: MemoryLayer<Tensor>, x: Tensor, { state, store }: MemoryLayerOptions): MemoryLayerResult {
  const { miniBatch, tile, strictRetrieval, checkpoint } = config;
  const projected = matmul(x, params.projection);
  const sequence = { ...projectTokens(config, params, projected, state.convolution), ...gates(config, params, x, store) };
  const result = chunkedMemory(memoryOf(config, params), sequence, { state: state.memory, miniBatch, tile, strict: strictRetrieval, checkpoint });
  const complete = x.shape[1] - x.shape[1] % miniBatch;
  const convolution = state.convolution && lastRows(state.convolution, projected, complete);
  return {
    output: normalizeHeads(params.norm, result.output),
    state: { memory: result.boundary, ...(convolution ? { convolution } : {}) },
  };
}

/** RMS norm of each head with a gain [H, K]: `[B, H, T, K] -> [B, T, H K]`. */
export function normalizeHeads(gain: Tensor, x: Tensor): Tensor {
  return mergeHeads(rmsNorm(x, { gain: expandDims(gain, 1) }));
}

/** Queries, keys and values [B, H, T, K] from the projection [B, T, 3 D]. */
function projectTokens(
  { heads }: ModelConfig,
  params: MemoryLayer<Tensor>,
  projected: Tensor,
  tail: Tensor | undefined,
): Pick<MemorySequence, "query" | "key" | "value"> {
  const mixed = silu(params.convolution ? causalConv1d(projected, params.convolution, { state: tail }) : projected);
  const D = projected.shape[2] / 3;
  const [query, key, value] = split(mixed, [D, D, D], 2).map((part) => splitHeads(part, heads));
  return { query: l2Normalize(query), key: l2Normalize(key), value };
}

/** The gates of each token and head, [B, H, T]. */
function gates(
  { heads: H, thetaMax, momentum, forgetting }: ModelConfig,
  params: MemoryLayer<Tensor>,
  x: Tensor,
  store: Tensor | undefined,
): Pick<MemorySequence, "theta" | "eta" | "alpha"> {
  const open = swapAxes(sigmoid(add(matmul(x, params.gates), params.gateBias)), 1, 2); // [B, 3 H, T]
  const [theta, eta, alpha] = split(open, [H, H, H], 1);
  const step = mul(theta, thetaMax);
  return {
    theta: store ? mul(step, expandDims(store, 1)) : step,
    eta: momentum ? eta : zerosLike(eta),
    alpha: forgetting ? alpha : zerosLike(alpha),
  };
}

/** The last rows of `tail` and the first `count` rows of `rows` together, as many as `tail` has: [B, W - 1, D]. */
function lastRows(tail: Tensor, rows: Tensor, count: number): Tensor {
  const kept = tail.shape[1];
  if (count >= kept) return sliceAxis(rows, 1, count - kept, kept);
  return count === 0 ? tail : concat([sliceAxis(tail, 1, count, kept - count), sliceAxis(rows, 1, 0, count)], 1);
}
