/**
 * Memory networks: the small networks whose weights are the memory.
 *
 * A memory network is built of linear layers, whose matrices are the fast weights, and of row-wise functions between
 * them. It never sees a matrix: it asks its `linear` argument for the product of rows with layer l. That one hook is
 * what makes three readings of the same network possible:
 *
 * - on weights as they are, `rows W_l` (the token loop, and queries to a fixed memory);
 * - on keys with a zero tap added to every product, so that `grad` with respect to the taps gives the rows D_l =
 *   dloss/dZ_l;
 * - on queries with a state per token, where the product is written with the rows H_l and D_l and no per-token matrix
 *   exists.
 *
 * A layer may also be one row: a fast vector m, such as a gain (`x * m`) or a bias (`x + m`). It is a matrix of one row
 * that is read by rows of ones, so all that is done to matrices is done to it: the gradient at token s is `1^T D_l(s)`,
 * with D_l the gradient with respect to the vector as token s finds it (of a gain `x(s) * dloss/d(x m)`), and the
 * vector as the tokens of a tile find it is one product, `a m + b S - C D_l`. The network gets it by its `vector`
 * argument, which spares the products with ones.
 */
import type { Tensor } from "../../../core/graph.ts";
import { optionNames } from "../../../core/options.ts";
import { checkMemory, trusted } from "./check_memory.ts";
import { checkNames } from "../../errors.ts";
import { add, gelu, layerNorm, matmul, mul, reshape, silu, sub, swiglu } from "../../../ops/mod.ts";

/** The product of rows `[..., H, T, in]` with the fast matrix of a layer: `[..., H, T, out]`. */
export type Linear = (layer: number, rows: Tensor) => Tensor;

/** The fast vector of a layer as of each row, [..., H, T, out], or [..., H, 1, out] if it is the same for all rows. */
export type Vector = (layer: number) => Tensor;

/** The extents of a fast matrix, or of a fast vector: see {@link fastVector}. */
export interface LayerShape {
  /** Rows of the matrix. */
  readonly in: number;
  /** Columns of the matrix. */
  readonly out: number;
  /** Standard deviation of the initial values, times sqrt(in). Default: 1. */
  readonly scale?: number;
  /** Whether it is a vector, i.e. one row that `vector` returns: it is initialised to zero and has no weight decay. */
  readonly vector?: boolean;
}

/** A layer that is a fast vector, [1, width] per head: a gain, stored as its difference from one, or a bias. */
export function fastVector(width: number): LayerShape {
  return { in: 1, out: width, vector: true };
}

/** A network of linear layers, fast vectors and row-wise functions. */
export interface MemoryNetwork {
  /**
   * The fast matrices, each [in, out] a head, and fast vectors. `linear` is called exactly once for each matrix,
   * `vector` for each vector, in any order; the layers of this library check that while tracing, and say which is not.
   */
  readonly layers: readonly LayerShape[];
  /**
   * Shapes per head of parameters that belong to the outer loop only (such as the gain of the norm); initialised to
   * zero.
   */
  readonly gains: readonly (readonly number[])[];
  /**
   * Maps rows to rows: each by itself, all alike, whatever their number T. Nothing may run over axis -2 or vary along
   * it, which is checked too.
   * @param linear Multiplies rows with a fast matrix.
   * @param x Rows [..., H, T, K].
   * @param gains One tensor [H, ...shape] for each of `gains`.
   * @param vector Gives a fast vector.
   */
  readonly forward: (linear: Linear, x: Tensor, gains: readonly Tensor[], vector: Vector) => Tensor;
}

/** The row-wise function between layers. */
export type Activation = "gelu" | "geluErf" | "silu";

/**
 * Which loop learns the gain of the memory's norm. `outer`: it is a parameter. `fast`: it is part of the memory,
 * learned while reading.
 */
export type MemoryGain = "outer" | "fast";

/** Options of {@link mlpMemory}. */
export interface MlpMemoryOptions {
  /** Width of keys and values of one head, K. */
  readonly width: number;
  /** Number of matrices, L; 1 is a linear memory. */
  readonly depth: number;
  /** Hidden width over K. Default: 4. */
  readonly expansion?: number;
  /** `gelu` is the tanh approximation, `geluErf` GELU itself. Default: `gelu`. */
  readonly activation?: Activation;
  /** Whether M(x) = x + (1 + gain) LN(f(x)) instead of f(x). */
  readonly norm?: boolean;
  /** Which loop learns the gain of the norm. Default: `outer`. */
  readonly gain?: MemoryGain;
}

const MLP_OPTIONS = optionNames<MlpMemoryOptions>({
  width: true,
  depth: true,
  expansion: true,
  activation: true,
  norm: true,
  gain: true,
});

/**
 * The memory of the paper: `f(x) = phi(... phi(x W_1) ...) W_L`, optionally `x + (1 + gain) LN(f(x))`.
 *
 * By default, the gain of the norm is a parameter of the outer loop: as a fast weight it overshoots and grows without
 * bound where inner steps are large (docs/stability.md). It is stored as its difference from one, which is what a fast
 * gain forgets: towards zero that leaves the plain norm. Were the gain itself forgotten towards zero, f would fade from
 * the output, and with it, as its gradient passes through the gain, all learning of the matrices.
 */
export function mlpMemory(options: MlpMemoryOptions): MemoryNetwork {
  checkNames("mlpMemory", options, MLP_OPTIONS);
  const { width, depth, expansion = 4, activation = "gelu", norm = true, gain = "outer" } = options;
  const hidden = Math.round(width * expansion);
  const layers = Array.from({ length: depth }, (_, l) => ({
    in: l === 0 ? width : hidden,
    out: l === depth - 1 ? width : hidden,
    // Both functions halve small rows, and a norm after small rows makes the inner step large: deep memories are
    // initialised so that the rows are as large as those of two layers.
    scale: l < 2 ? 1 : 2,
  }));
  const phi = ACTIVATIONS[activation];
  return withNorm({ norm, gain }, width, {
    layers,
    forward(linear, x) {
      let z = linear(0, x);
      for (let l = 1; l < depth; l++) z = linear(l, phi(z));
      return z;
    },
  });
}

const ACTIVATIONS: Readonly<Record<Activation, (z: Tensor) => Tensor>> = {
  gelu: (z) => gelu(z),
  geluErf: (z) => gelu(z, { approximate: "none" }),
  silu,
};

/** Options of {@link swigluMemory}: as of {@link mlpMemory}. */
export type SwigluMemoryOptions = Pick<MlpMemoryOptions, "width" | "expansion" | "norm" | "gain">;

const SWIGLU_OPTIONS = optionNames<SwigluMemoryOptions>({ width: true, expansion: true, norm: true, gain: true });

/**
 * A gated memory: `f(x) = (silu(x W_1) * (x W_2)) W_3` (Shazeer, arXiv 2002.05202), optionally
 * `x + (1 + gain) LN(f(x))`.
 *
 * It is also the pattern of a network of your own: list the matrices, and write the function with `linear(l, rows)`
 * where matrix l would stand, and with `vector(l)` for a layer that is a {@link fastVector}.
 */
export function swigluMemory(options: SwigluMemoryOptions): MemoryNetwork {
  checkNames("swigluMemory", options, SWIGLU_OPTIONS);
  const { width, expansion = 4, norm = true, gain = "outer" } = options;
  const hidden = Math.round(width * expansion);
  return withNorm({ norm, gain }, width, {
    // The product of two small rows is smaller still: the last matrix is initialised so that what the norm divides by
    // is as large as for an mlp.
    layers: [{ in: width, out: hidden }, { in: width, out: hidden }, { in: hidden, out: width, scale: 6 }],
    forward: (linear, x) => linear(2, swiglu(linear(0, x), linear(1, x))),
  });
}

/**
 * f, or `x + (1 + gain) LN(f(x))` with a gain that is a parameter of the outer loop [H, K] or a fast vector, the layer
 * after those of f.
 */
function withNorm(
  { norm, gain }: Required<Pick<MlpMemoryOptions, "norm" | "gain">>,
  width: number,
  { layers, forward: f }: Pick<MemoryNetwork, "layers" | "forward">,
): MemoryNetwork {
  if (!norm) return trusted({ layers, gains: [], forward: f });
  const fast = gain === "fast";
  return trusted({
    layers: fast ? [...layers, fastVector(width)] : layers,
    gains: fast ? [] : [[width]],
    forward(linear, x, [outer], vector) {
      const z = f(linear, x, [], vector);
      const scale = fast ? add(vector(layers.length), 1) : reshape(add(outer, 1), [outer.shape[0], 1, width]); // [..., H, T or 1, K]
      return add(x, mul(layerNorm(z), scale));
    },
  });
}

/** A network together with its outer-loop parameters. */
export interface Memory {
  /** The function that maps rows. */
  readonly network: MemoryNetwork;
  /** Its outer-loop parameters, each [H, ...]. */
  readonly gains: readonly Tensor[];
  /**
   * The weights that the memory forgets towards, M_0: one matrix [H, in, out] per layer. Default: zero. See {@link
   * relativeWeights}.
   */
  readonly start?: readonly Tensor[];
}

/**
 * The memory's weights relative to those that it forgets towards, D = M - M_0; unchanged if these are zero.
 *
 * Forgetting towards M_0, `M_t = (1 - alpha_t) M_{t-1} + alpha_t M_0 + S_t`, is forgetting towards zero for D: `D_t =
 * (1 - alpha_t) D_{t-1} + S_t`.
 */
export function relativeWeights({ start }: Memory, weights: readonly Tensor[]): readonly Tensor[] {
  return start ? weights.map((w, l) => sub(w, start[l])) : weights;
}

/** The memory's weights M from the relative weights D: the inverse of {@link relativeWeights}. */
export function absoluteWeights({ start }: Memory, weights: readonly Tensor[]): readonly Tensor[] {
  return start ? weights.map((w, l) => add(w, start[l])) : weights;
}

/**
 * Reads a memory: `M(x)` with the same weights for all rows.
 * @param memory The network and its gains.
 * @param weights One matrix [..., H, in, out] for each layer.
 * @param x Rows [..., H, T, K].
 * @throws {ConfigError} if the network is invalid: see {@link MemoryNetwork}.
 */
export function readMemory(memory: Memory, weights: readonly Tensor[], x: Tensor): Tensor {
  checkMemory(memory, x);
  const { network, gains } = memory;
  return network.forward((layer, rows) => matmul(rows, weights[layer]), x, gains, (layer) => weights[layer]);
}

/** The state of a memory after some token: weights M and surprise S, each a list of matrices [B, H, in, out]. */
export interface MemoryState {
  /** The memory M: one matrix per layer. */
  readonly weights: readonly Tensor[];
  /** The momentum S, with the same shapes. */
  readonly surprise: readonly Tensor[];
  /**
   * M before the mini-batch of the next token, at which its gradient is taken. It differs from M only within
   * mini-batches, and is omitted where whole mini-batches are processed.
   */
  readonly start?: readonly Tensor[];
}

/** The inputs of a memory: rows [B, H, T, K] and gates [B, H, T], one per token and head. */
export interface MemorySequence {
  /** Queries, [B, H, T, K]. */
  readonly query: Tensor;
  /** Keys, [B, H, T, K]. */
  readonly key: Tensor;
  /** Values, [B, H, T, K]. */
  readonly value: Tensor;
  /** Step size of the inner gradient, at least 0. */
  readonly theta: Tensor;
  /** The share of the surprise that is kept, in [0, 1]. */
  readonly eta: Tensor;
  /** The share of the memory that is forgotten, in [0, 1]. */
  readonly alpha: Tensor;
}
