/**
 * The memory as a layer: from tokens to queries, keys, values and gates, through the memory, to a normalised output.
 *
 *     q, k, v = silu(conv(x W_Q)), silu(conv(x W_K)), silu(conv(x W_V));   q and k l2-normalised, per head
 *     theta = theta_max sigmoid(x W_theta + bias),  eta = sigmoid(x W_eta + bias),  alpha = sigmoid(x W_alpha + bias)    per token and head
 *     output = RMS norm per head of M_t(q_t)
 *
 * Forgetting leads the memory back to its learned start M_0 or to zero (`forgetTo`).
 *
 * With finer gates (gates.ts) there is a column of W_theta, W_eta and W_alpha for each head and matrix of the memory
 * network, and of W_alpha for each of the matrix's output channels.
 *
 * (Titans, arXiv 2501.00663, section 4.4 and equations 9-15.)
 */
import { isTensor, type Tensor } from "../../../core/graph.ts";
import { mapLeaves } from "../../../core/tree.ts";
import {
  add,
  broadcastTo,
  expandDims,
  l2Normalize,
  matmul,
  mul,
  reshape,
  sigmoid,
  silu,
  split,
  swapAxes,
  zerosLike,
} from "../../../ops/mod.ts";
import { chunkedMemory, type ChunkedMemoryResult } from "./chunked_memory.ts";
import { optionNames } from "../../../core/options.ts";
import { checkNames } from "../../errors.ts";
import { type LayeredSequence, type LayerGates, toLayered } from "./gates.ts";
import { layeredMemory } from "./layered_memory.ts";
import { normalizeHeads, splitHeads } from "../../nn/layers.ts";
import {
  type Memory,
  type MemoryNetwork,
  type MemorySequence,
  type MemoryState,
  mlpMemory,
  swigluMemory,
} from "./memory_network.ts";
import { endsInterval } from "../../nn/intervals.ts";
import { readToken } from "./memory_decode.ts";
import { checkMemoryConfig, type MemoryConfig } from "./memory_config.ts";
import { matrix, Parameter, table, vector } from "../../nn/parameters.ts";
import { advanceConvolution, initialConvolutionState, shortConvolution } from "../../nn/short_convolution.ts";
import type { Mixed, StepContext } from "../mixer_interface.ts";
import { type MemoryTrace, traceMemory } from "./trace.ts";

/** Parameters of {@link memoryLayer}. */
export interface MemoryLayer<Leaf> {
  /** `[W_Q | W_K | W_V]`, [D, 3 D]. */
  readonly projection: Leaf;
  /** Taps of the depthwise convolution of queries, keys and values, [3 D, W]; absent without convolution. */
  readonly convolution?: Leaf;
  /**
   * `[W_theta | W_eta | W_alpha]`, [D, G]. Per-head gates: G = 3 H. Per-layer gates: each part is ordered by matrix,
   * with H columns each, G = 3 L H. Per-channel gates: theta and eta likewise, and alpha has, matrix by matrix, H out
   * columns, head by head.
   */
  readonly gates: Leaf;
  /** Biases of the gates, [G]. */
  readonly gateBias: Leaf;
  /** The memory before the first token, M_0: one matrix [H, in, out] a layer; a fast vector is one of one row. */
  readonly initial: readonly Leaf[];
  /** Outer-loop parameters of the memory network, [H, ...]. */
  readonly gains: readonly Leaf[];
  /** Gain of the norm of the output, [H, K]. */
  readonly norm: Leaf;
}

/** The recurrent state of a memory layer, of constant size. */
export interface MemoryLayerState {
  /** Weights and surprise before the next token; within a mini-batch, also the weights before the mini-batch. */
  readonly memory: MemoryState;
  /** The last rows of the projection, [B, W - 1, 3 D]; absent without convolution. */
  readonly convolution?: Tensor;
}

/** The memory network of a configuration: the custom one, or the one that its options describe. */
export function memoryNetworkOf(config: MemoryConfig): MemoryNetwork {
  const { width, heads, memory, memoryDepth, memoryExpansion, memoryActivation, memoryNorm, memoryGain } = config;
  if (config.network) return config.network;
  const common = { width: width / heads, expansion: memoryExpansion, norm: memoryNorm, gain: memoryGain };
  return memory === "swiglu"
    ? swigluMemory(common)
    : mlpMemory({ ...common, depth: memoryDepth, activation: memoryActivation });
}

/**
 * The number of gate columns for theta and for eta, and for the alpha of each matrix; per-head gates have a single
 * alpha for all matrices.
 */
function gateColumns(config: MemoryConfig): { readonly step: number; readonly forget: readonly number[] } {
  const { heads: H, gateGranularity } = config, { layers } = memoryNetworkOf(config);
  if (gateGranularity === "head") return { step: H, forget: [H] };
  return {
    step: H * layers.length,
    forget: layers.map((layer) => (gateGranularity === "channel" ? H * layer.out : H)),
  };
}

/** Describes the parameters of a memory layer. */
export function memoryLayerParameters(config: MemoryConfig): MemoryLayer<Parameter> {
  checkMemoryConfig(config);
  const { width: D, heads: H, convolution: W } = config;
  const network = memoryNetworkOf(config);
  const { step, forget } = gateColumns(config);
  const biases = [[config.thetaBias, step], [config.etaBias, step], ...forget.map((count) => [config.alphaBias, count])]
    .flatMap(([bias, count]) => new Array<number>(count).fill(bias));
  return {
    projection: matrix([D, 3 * D]),
    ...(W > 0 ? { convolution: table([3 * D, W], 1 / Math.sqrt(W)) } : {}),
    gates: matrix([D, biases.length]),
    gateBias: new Parameter([biases.length], { parts: biases }, false),
    initial: network.layers.map((layer) =>
      layer.vector ? vector([H, layer.in, layer.out], 0) : matrix([H, layer.in, layer.out], layer.scale)
    ),
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
  return { memory, convolution: initialConvolutionState(params.convolution, batch) };
}

/** Options of {@link memoryLayer}. */
export interface MemoryLayerOptions {
  /** The state before the first token. */
  readonly state: MemoryLayerState;
  /** Mask of the tokens that the memory learns from, [B, T] of ones and zeros. Default: all. */
  readonly update?: Tensor;
  /** Whether to trace what the memory does at each token, which takes another run of the memory. */
  readonly trace?: boolean;
}

const MEMORY_LAYER_OPTIONS = optionNames<MemoryLayerOptions>({ state: true, update: true, trace: true });

/** The output of a memory layer. */
export interface MemoryLayerResult {
  /** [B, T, D] */
  readonly output: Tensor;
  /** The state at the last boundary between mini-batches. */
  readonly state: MemoryLayerState;
  /** The state after the last token, for texts whose mini-batches restart after these tokens. */
  readonly last: MemoryLayerState;
  /** What the memory did at each token, if requested. */
  readonly trace?: MemoryTrace;
}

/** The memory of a layer's parameters. */
export function memoryOf(config: MemoryConfig, params: MemoryLayer<Tensor>): Memory {
  const memory = { network: memoryNetworkOf(config), gains: params.gains };
  return config.forgetting && config.forgetTo === "start" ? { ...memory, start: params.initial } : memory;
}

/**
 * Runs a memory over tokens.
 * @param config The model's options.
 * @param params The layer's parameters.
 * @param x Tokens [B, T, D], any T of at least 1.
 */
export function memoryLayer(
  config: MemoryConfig,
  params: MemoryLayer<Tensor>,
  x: Tensor,
  options: MemoryLayerOptions,
): MemoryLayerResult {
  checkMemoryConfig(config);
  checkNames("memoryLayer", options, MEMORY_LAYER_OPTIONS);
  const { state, update, trace } = options;
  const { miniBatch, tile, strictRetrieval, checkpoint } = config;
  const T = x.shape[1];
  const projected = matmul(x, params.projection);
  const rows = projectTokens(config, params, projected, state.convolution);
  const memory = memoryOf(config, params),
    run = { state: atBoundary(state.memory), miniBatch, tile, strict: strictRetrieval, checkpoint };
  const sequence: MemorySequence | LayeredSequence = config.gateGranularity === "head"
    ? { ...rows, ...headGates(config, params, x, update) }
    : { ...rows, gates: layerGates(config, params, x, update) };
  const result: ChunkedMemoryResult = "gates" in sequence
    ? layeredMemory(memory, sequence, run)
    : chunkedMemory(memory, sequence, run);
  const after = (memory: MemoryState, count: number): MemoryLayerState =>
    state.convolution ? { memory, convolution: advanceConvolution(state.convolution, projected, count) } : { memory };
  return {
    output: normalizeHeads(params.norm, result.output),
    state: after(result.boundary, T - T % miniBatch),
    last: after(result.state, T),
    ...(trace ? { trace: traceMemory(memory, sequence, result.output, run) } : {}),
  };
}

/**
 * Runs a memory over one token: the same output as {@link memoryLayer}, at about the cost of one token.
 * @param config The model's options.
 * @param params The layer's parameters.
 * @param x One token per text, [B, 1, D].
 * @param context The state before the token, and the number of tokens before it.
 * @returns The output [B, 1, D], and the state after the token.
 */
export function memoryLayerToken(
  config: MemoryConfig,
  params: MemoryLayer<Tensor>,
  x: Tensor,
  { state, position }: StepContext<MemoryLayerState>,
): Mixed<MemoryLayerState> {
  const projected = matmul(x, params.projection);
  const rows = projectTokens(config, params, projected, state.convolution), memory = memoryOf(config, params);
  const sequence = config.gateGranularity === "head"
    ? toLayered({ ...rows, ...headGates(config, params, x, undefined) }, memory.network.layers.length)
    : { ...rows, gates: layerGates(config, params, x, undefined) };
  const result = readToken(memory, sequence, {
    state: state.memory,
    endsMiniBatch: endsInterval(config.miniBatch, position),
    strict: config.strictRetrieval,
  });
  return {
    output: normalizeHeads(params.norm, result.output),
    state: state.convolution
      ? { memory: result.state, convolution: advanceConvolution(state.convolution, projected) }
      : { memory: result.state },
  };
}

/** The state at a boundary between mini-batches, where whole mini-batches need only weights and surprise. */
function atBoundary({ weights, surprise }: MemoryState): MemoryState {
  return { weights, surprise };
}

/**
 * The state at a boundary between mini-batches, extended by what single tokens need: the weights before the mini-batch.
 */
export function memoryLayerStepState({ memory, ...rest }: MemoryLayerState): MemoryLayerState {
  return { memory: { ...memory, start: memory.weights }, ...rest };
}

/**
 * The memory's output for the persistent tokens, and the state after them, from which texts begin with a new
 * mini-batch.
 * @param persistent Learned tokens [P, D].
 * @param batch Number of texts, B.
 * @returns The output [1, P, D], the same for all texts, and the state of B texts.
 */
export function readPersistent(
  config: MemoryConfig,
  params: MemoryLayer<Tensor>,
  persistent: Tensor,
  batch: number,
): { readonly output: Tensor; readonly state: MemoryLayerState } {
  checkMemoryConfig(config);
  const { output, last } = memoryLayer(config, params, expandDims(persistent, 0), {
    state: initialMemoryLayerState(params, 1),
  });
  return { output, state: mapLeaves(last, isTensor, (x) => broadcastTo(x, [batch, ...x.shape.slice(1)])) };
}

/** Queries, keys and values [B, H, T, K] from the projection [B, T, 3 D]. */
function projectTokens(
  { heads, normalizeKeys }: MemoryConfig,
  params: MemoryLayer<Tensor>,
  projected: Tensor,
  tail: Tensor | undefined,
): Pick<MemorySequence, "query" | "key" | "value"> {
  const mixed = params.convolution
    ? shortConvolution({ taps: params.convolution }, projected, { state: tail })
    : silu(projected);
  const D = projected.shape[2] / 3;
  const [query, key, value] = split(mixed, [D, D, D], 2).map((part) => splitHeads(part, heads));
  return normalizeKeys ? { query: l2Normalize(query), key: l2Normalize(key), value } : { query, key, value };
}

/** The gates of each token and head, [B, H, T]. */
function headGates(
  { heads: H, thetaMax, momentum, forgetting }: MemoryConfig,
  params: MemoryLayer<Tensor>,
  x: Tensor,
  update: Tensor | undefined,
): Pick<MemorySequence, "theta" | "eta" | "alpha"> {
  const open = swapAxes(sigmoid(add(matmul(x, params.gates), params.gateBias)), 1, 2); // [B, 3 H, T]
  const [theta, eta, alpha] = split(open, [H, H, H], 1);
  const step = mul(theta, thetaMax);
  return {
    theta: update ? mul(step, expandDims(update, 1)) : step,
    eta: momentum ? eta : zerosLike(eta),
    alpha: forgetting ? alpha : zerosLike(alpha),
  };
}

/** The gates per token, head and matrix; for per-channel gates, alpha also per output channel. */
function layerGates(
  config: MemoryConfig,
  params: MemoryLayer<Tensor>,
  x: Tensor,
  update: Tensor | undefined,
): LayerGates[] {
  const { heads: H, thetaMax, momentum, forgetting, gateGranularity } = config;
  const { step, forget } = gateColumns(config);
  const open = sigmoid(add(matmul(x, params.gates), params.gateBias)); // [B, T, G]
  const [theta, eta, ...alphas] = split(open, [step, step, ...forget], 2);
  const each = (gates: Tensor): Tensor[] => split(swapAxes(gates, 1, 2), forget.map(() => H), 1); // a matrix [B, H, T]
  const thetas = each(mul(theta, thetaMax)), etas = each(eta);
  return alphas.map((columns, l) => {
    const [B, T] = columns.shape;
    const alpha = gateGranularity === "channel"
      ? swapAxes(reshape(columns, [B, T, H, columns.shape[2] / H]), 1, 2)
      : swapAxes(columns, 1, 2);
    return {
      theta: update ? mul(thetas[l], expandDims(update, 1)) : thetas[l],
      eta: momentum ? etas[l] : zerosLike(etas[l]),
      alpha: forgetting ? alpha : zerosLike(alpha),
    };
  });
}
