/**
 * The short convolution before a mixer: each channel is a weighted sum of its last few values, the present one among
 * them, through SiLU. Depthwise and causal, and as cheap as an activation.
 *
 *     y_t = silu(sum over j of w_j x_{t - (W - 1) + j} + bias)          the last tap is the present
 *
 * What it carries from token to token is its last W - 1 inputs. (Fu et al., H3, arXiv 2212.14052; Gu and Dao, Mamba,
 * arXiv 2312.00752.)
 */
import type { DType } from "../../core/dtype.ts";
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import { add, causalConv1d, silu, zeros } from "../../ops/mod.ts";
import { checkNames } from "../errors.ts";
import { type Parameter, table, vector } from "./parameters.ts";
import { lastRows } from "./rows.ts";

/** Parameters of {@link shortConvolution}. */
export interface ShortConvolution<Leaf> {
  /** [D, W] */
  readonly taps: Leaf;
  /** [D], if the convolution has one. */
  readonly bias?: Leaf;
}

/**
 * Describes a short convolution of D channels over W tokens. Taps start normal with deviation `1 / sqrt(W)`, the bias at
 * zero.
 */
export function shortConvolutionParameters(
  channels: number,
  taps: number,
  { bias = false }: { readonly bias?: boolean } = {},
): ShortConvolution<Parameter> {
  return { taps: table([channels, taps], 1 / Math.sqrt(taps)), ...(bias && { bias: vector([channels], 0) }) };
}

/** Options of {@link shortConvolution}. */
export interface ShortConvolutionOptions {
  /** The W - 1 rows before the first, [B, W - 1, D]. Default: zeros. */
  readonly state?: Tensor;
  /** Whether SiLU follows. Default: true. */
  readonly activation?: boolean;
}

const SHORT_CONVOLUTION_OPTIONS = optionNames<ShortConvolutionOptions>({ state: true, activation: true });

/**
 * Convolves rows [B, T, D], any T of at least 1.
 * @param params Taps and bias.
 * @param x Rows before the convolution.
 */
export function shortConvolution(
  { taps, bias }: ShortConvolution<Tensor>,
  x: Tensor,
  options: ShortConvolutionOptions = {},
): Tensor {
  checkNames("shortConvolution", options, SHORT_CONVOLUTION_OPTIONS);
  const { state, activation = true } = options;
  const sum = causalConv1d(x, taps, { state }), shifted = bias ? add(sum, bias) : sum;
  return activation ? silu(shifted) : shifted;
}

/** What a convolution with these taps has before the first row: zeros [B, W - 1, D]. */
export function initialConvolutionState(taps: Tensor, batch: number, dtype: DType = taps.dtype): Tensor {
  const [channels, W] = taps.shape;
  return zeros([batch, W - 1, channels], dtype);
}

/** The state after the first `count` of some rows [B, T, D], which are those before the convolution. Default: all. */
export function advanceConvolution(state: Tensor, rows: Tensor, count: number = rows.shape[1]): Tensor {
  return lastRows(state, rows, count, 1);
}
