/**
 * The memory as titans-pytorch has it (`NeuralMemory` with chunks of one token): a layer of its own, rather than a
 * mixer
 * in a block. It learns by the rule of all memories here; what differs is around it:
 *
 *     u = norm_s(x),  r = norm_r(x)                                         RMS norms of the tokens, each with its gain
 *     k = phi(u W_K),  v = phi(u W_V),  q = phi(r W_Q)                      phi is the identity or SiLU; heads of any
 * width
 *     theta = theta_max sigmoid(u W_theta + b_theta),  eta and alpha alike
 *     y = sigmoid(r W_gate) M_t(q)                                          a gate per head where there are several
 *     output = y W_out                                                      likewise
 *
 * optionally with RMS norms of q, k and y per head. The memory is a network of matrices with GELU between them, within
 * a
 * residual and a norm whose gain is part of the memory; it forgets towards zero, and a token reads its own update.
 */
import type { Tensor } from "../../../core/graph.ts";
import { optionNames } from "../../../core/options.ts";
import type { MapTree } from "../../../core/tree.ts";
import {
  add,
  broadcastTo,
  expandDims,
  matmul,
  mul,
  rmsNorm,
  sigmoid,
  silu,
  swapAxes,
  zerosLike,
} from "../../../ops/mod.ts";
import { checkNames, ConfigError } from "../../errors.ts";
import type { Layer } from "../../nn/layer.ts";
import { mergeHeads, splitHeads } from "../../nn/layers.ts";
import { matrix, type Parameter, vector } from "../../nn/parameters.ts";
import { chunkedMemory } from "./chunked_memory.ts";
import { type MemoryState, mlpMemory } from "./memory_network.ts";

/** A gate: a linear function of the token, per head. */
export interface NeuralMemoryGate<Leaf> {
  /** [D, H] */
  readonly weight: Leaf;
  /** [H] */
  readonly bias: Leaf;
}

/** Parameters of {@link neuralMemory}. */
export interface NeuralMemoryParameters<Leaf> {
  /** Gain of the norm of tokens that are learned, [D]; absent without `tokenNorm`. */
  readonly storeNorm?: Leaf;
  /** Gain of the norm of tokens that ask, [D]. */
  readonly retrieveNorm?: Leaf;
  /** [D, H K] */
  readonly query: Leaf;
  /** [D, H K] */
  readonly key: Leaf;
  /** [D, H K] */
  readonly value: Leaf;
  /** The step size. */
  readonly theta: NeuralMemoryGate<Leaf>;
  /** The momentum; absent without. */
  readonly eta?: NeuralMemoryGate<Leaf>;
  /** The forgetting. */
  readonly alpha: NeuralMemoryGate<Leaf>;
  /** The memory before the first token: a matrix [H, in, out] a layer, then the gain of its norm, [H, 1, K]. */
  readonly initial: readonly Leaf[];
  /** Gain of the norm of queries, [H, K]; absent without `keyNorm`. */
  readonly queryNorm?: Leaf;
  /** Gain of the norm of keys, [H, K]. */
  readonly keyNorm?: Leaf;
  /** Gain of the norm of outputs, [H, K]; absent without `outputNorm`. */
  readonly outputNorm?: Leaf;
  /** [D, H]; absent with one head. */
  readonly gate?: Leaf;
  /** [H K, D]; absent with one head. */
  readonly out?: Leaf;
}

/** Options of {@link neuralMemory}. */
export interface NeuralMemoryOptions {
  /** Width of tokens, D. */
  readonly width: number;
  /** Number of heads, H. Default: 1. */
  readonly heads?: number;
  /** Width of a head, K. Default: the width, by the number of heads; with one head it must be the width. */
  readonly headWidth?: number;
  /** Number of tokens whose gradients are all taken at the memory before the first of them. */
  readonly miniBatch: number;
  /** Matrices of the memory. Default: 2. */
  readonly depth?: number;
  /** Width between the matrices. Default: 4 K. */
  readonly hidden?: number;
  /** Whether M(x) = x + (1 + gain) LN(f(x)) instead of f(x), with a gain that is part of the memory. Default: true. */
  readonly residual?: boolean;
  /** The largest step. Default: 1. */
  readonly thetaMax?: number;
  /** Default: true. */
  readonly momentum?: boolean;
  /** What becomes of queries, keys and values. Default: `none`. */
  readonly activation?: "none" | "silu";
  /** Whether tokens are normalised first. Default: true. */
  readonly tokenNorm?: boolean;
  /** Whether queries and keys are normalised, per head. Default: false. */
  readonly keyNorm?: boolean;
  /** Whether what the memory gives is normalised, per head. Default: false. */
  readonly outputNorm?: boolean;
}

const OPTIONS = optionNames<NeuralMemoryOptions>({
  width: true,
  heads: true,
  headWidth: true,
  miniBatch: true,
  depth: true,
  hidden: true,
  residual: true,
  thetaMax: true,
  momentum: true,
  activation: true,
  tokenNorm: true,
  keyNorm: true,
  outputNorm: true,
});

/** How a sequence is read. */
export interface NeuralMemoryCall {
  /** The memory before the first token, as an earlier call left it at the end of a mini-batch. Default: `initial`. */
  readonly state?: MemoryState;
}

const CALL = optionNames<NeuralMemoryCall>({ state: true });

/** What a sequence gives. */
export interface NeuralMemoryResult {
  /** [B, T, D] */
  readonly output: Tensor;
  /** The memory at the end of the last whole mini-batch: where T is a multiple of it, after the last token. */
  readonly state: MemoryState;
}

/** A memory as a layer of sequences [B, T, D]. */
export type NeuralMemory = Layer<
  NeuralMemoryParameters<Tensor>,
  [x: Tensor, call?: NeuralMemoryCall],
  NeuralMemoryResult
>;

// What torch.nn.RMSNorm adds to the mean of squares: the precision of f32.
const EPSILON = 2 ** -23;

/**
 * A memory of titans-pytorch: see the top of the file, and `decodeNeuralMemory`, which gives one with its weights.
 * @param options Its width and mini-batch, and what differs from the defaults, which are those of the package.
 * @throws {ConfigError} for an unknown option, or widths that do not fit.
 */
export function neuralMemory(options: NeuralMemoryOptions): NeuralMemory {
  checkNames("neuralMemory", options, OPTIONS);
  const { width: D, heads: H = 1, headWidth: K = D / H, miniBatch, thetaMax = 1, momentum = true } = options;
  const { activation = "none", tokenNorm = true, keyNorm = false, outputNorm = false } = options;
  const { depth = 2, hidden = 4 * K, residual = true } = options;
  for (const [name, value] of Object.entries({ width: D, heads: H, headWidth: K, miniBatch, depth, hidden })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new ConfigError(`Cannot make a memory with ${name} ${value}: it must be an integer of at least 1`, name);
  }
  if (H === 1 && K !== D) {
    throw new ConfigError(
      `Cannot make a memory with headWidth ${K}: a single head has the width of the tokens, ${D}`,
      "headWidth",
    );
  }
  if (!(thetaMax > 0)) {
    throw new ConfigError(`Cannot make a memory with thetaMax ${thetaMax}: it must be above 0`, "thetaMax");
  }
  const network = mlpMemory({
    width: K,
    depth,
    expansion: hidden / K,
    activation: "geluErf",
    norm: residual,
    gain: "fast",
  });
  const phi = activation === "silu" ? silu : (x: Tensor): Tensor => x;
  const gate = (): NeuralMemoryGate<Parameter> => ({ weight: matrix([D, H]), bias: vector([H], 0) });
  const parameters: NeuralMemoryParameters<Parameter> = {
    ...(tokenNorm && { storeNorm: vector([D], 1), retrieveNorm: vector([D], 1) }),
    query: matrix([D, H * K]),
    key: matrix([D, H * K]),
    value: matrix([D, H * K]),
    theta: gate(),
    ...(momentum && { eta: gate() }),
    alpha: gate(),
    initial: network.layers.map((layer) =>
      layer.vector ? vector([H, layer.in, layer.out], 0) : matrix([H, layer.in, layer.out], layer.scale)
    ),
    ...(keyNorm && { queryNorm: vector([H, K], 1), keyNorm: vector([H, K], 1) }),
    ...(outputNorm && { outputNorm: vector([H, K], 1) }),
    ...(H > 1 && { gate: matrix([D, H]), out: matrix([H * K, D]) }),
  };
  return {
    parameters: parameters as MapTree<NeuralMemoryParameters<Tensor>, Tensor, Parameter>,
    apply(params, x, call = {}) {
      checkNames("a neural memory", call, CALL);
      const [B] = x.shape;
      const stored = normed(x, params.storeNorm), asking = normed(x, params.retrieveNorm);
      const heads = (rows: Tensor, weight: Tensor): Tensor => splitHeads(phi(matmul(rows, weight)), H); // [B, H, T, K]
      const theta = mul(opened(params.theta, stored), thetaMax);
      const memory = chunkedMemory({ network, gains: [] }, {
        query: normedHeads(heads(asking, params.query), params.queryNorm),
        key: normedHeads(heads(stored, params.key), params.keyNorm),
        value: heads(stored, params.value),
        theta,
        eta: params.eta ? opened(params.eta, stored) : zerosLike(theta),
        alpha: opened(params.alpha, stored),
      }, { state: call.state ?? initialState(params, B), miniBatch });
      const read = normedHeads(memory.output, params.outputNorm);
      const gated = params.gate
        ? mul(read, expandDims(swapAxes(sigmoid(matmul(asking, params.gate)), 1, 2), -1))
        : read;
      const merged = mergeHeads(gated);
      return { output: params.out ? matmul(merged, params.out) : merged, state: memory.boundary };
    },
  };
}

function initialState({ initial }: NeuralMemoryParameters<Tensor>, batch: number): MemoryState {
  const weights = initial.map((w) => broadcastTo(expandDims(w, 0), [batch, ...w.shape]));
  return { weights, surprise: weights.map(zerosLike) };
}

function normed(x: Tensor, gain: Tensor | undefined): Tensor {
  return gain ? rmsNorm(x, { gain, epsilon: EPSILON }) : x;
}

/** Rows [B, H, T, K] normalised, with a gain [H, K]. */
function normedHeads(rows: Tensor, gain: Tensor | undefined): Tensor {
  return gain ? normed(rows, expandDims(gain, 1)) : rows;
}

/** A gate of each token and head, [B, H, T]. */
function opened({ weight, bias }: NeuralMemoryGate<Tensor>, x: Tensor): Tensor {
  return swapAxes(sigmoid(add(matmul(x, weight), bias)), 1, 2);
}
