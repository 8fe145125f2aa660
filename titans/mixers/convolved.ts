/** The short convolution of a mixer's rows as an option: mixers with the same one, or with none, compare fairly. */
import type { Tensor } from "../../core/graph.ts";
import type { Parameter } from "../nn/parameters.ts";
import {
  advanceConvolution,
  initialConvolutionState,
  type ShortConvolution,
  shortConvolution,
  shortConvolutionParameters,
} from "../nn/short_convolution.ts";

/** Parameters of a mixer that may have a convolution. */
export interface Convolved<Leaf> {
  /** The convolution, if there is one. */
  readonly convolution?: ShortConvolution<Leaf>;
}

/** What such a mixer carries from token to token. */
export interface ConvolvedState {
  /** The last rows before the convolution, [B, W - 1, channels]; absent without convolution. */
  readonly convolution?: Tensor;
}

/** Describes a convolution over W tokens, perhaps with a bias, or none where W is 0. */
export function convolvedParameters(
  channels: number,
  taps: number,
  options?: { readonly bias?: boolean },
): Convolved<Parameter> {
  return taps === 0 ? {} : { convolution: shortConvolutionParameters(channels, taps, options) };
}

/** The state before the first token. */
export function initialConvolved({ convolution }: Convolved<Tensor>, batch: number): ConvolvedState {
  return convolution ? { convolution: initialConvolutionState(convolution.taps, batch) } : {};
}

/**
 * Rows after the convolution, or as they are without one, and the state after them.
 * @param params Of the mixer.
 * @param rows [B, T, channels]
 * @param context The state before the rows, whether SiLU follows a convolution, as by default, and how many of the rows
 * the state after them has read. Default: all.
 */
export function convolve(
  { convolution }: Convolved<Tensor>,
  rows: Tensor,
  { state, activation, count }: {
    readonly state: ConvolvedState;
    readonly activation?: boolean;
    readonly count?: number;
  },
): { readonly rows: Tensor; readonly state: ConvolvedState } {
  if (!convolution || !state.convolution) return { rows, state: {} };
  return {
    rows: shortConvolution(convolution, rows, { state: state.convolution, activation }),
    state: { convolution: advanceConvolution(state.convolution, rows, count) },
  };
}
