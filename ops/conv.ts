/** Causal convolution over time. */
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatType, sameShape } from "../core/shape.ts";
import { add, mul } from "./binary.ts";
import { concat } from "./concat.ts";
import { pad, sliceAxis } from "./slice.ts";
import { squeeze } from "./views.ts";
import { checkSameDType } from "./define.ts";

/** Options of {@link causalConv1d}. */
export interface CausalConvOptions {
  /** The W - 1 inputs before the first, `[B, W - 1, D]`. Default: zeros. */
  readonly state?: Tensor;
}

const CAUSAL_CONV_OPTIONS = optionNames<CausalConvOptions>({ state: true });

/**
 * Depthwise causal convolution: `y[b, t, d] = sum over j of w[d, j] x[b, t - (W - 1) + j, d]`, so the last tap applies
 * to the current input. Shapes: x `[B, T, D]`, w `[D, W]`, result `[B, T, D]`. To continue later, pass the last W - 1
 * rows of state and input as the next state.
 * @throws {ShapeError} if the shapes do not match.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function causalConv1d(x: Tensor, w: Tensor, options: CausalConvOptions = {}): Tensor {
  checkOptions("causalConv1d", options, CAUSAL_CONV_OPTIONS);
  const { state } = options;
  checkSameDType("convolve", x, w);
  if (x.rank !== 3 || w.rank !== 2 || w.shape[0] !== x.shape[2] || w.shape[1] < 1) {
    throw new ShapeError(
      `Cannot convolve x ${formatType(x)} with w ${
        formatType(w)
      }: x must be [B, T, D] and w [D, W] with the same D and W at least 1`,
      [
        x.shape,
        w.shape,
      ],
    );
  }
  const [B, T, D] = x.shape, W = w.shape[1];
  if (state && !sameShape(state.shape, [B, W - 1, D])) {
    throw new ShapeError(
      `Cannot convolve x ${formatType(x)} after state ${
        formatType(state)
      }: the state must be [B, W - 1, D], here [${B}, ${W - 1}, ${D}]`,
      [
        x.shape,
        state.shape,
      ],
    );
  }
  const history = state ? concat([state, x], 1) : pad(x, [[0, 0], [W - 1, 0], [0, 0]]); // [B, W - 1 + T, D]
  const taps = Array.from({ length: W }, (_, j) => mul(sliceAxis(history, 1, j, T), squeeze(sliceAxis(w, 1, j, 1), 1)));
  return taps.reduce((sum, tap) => add(sum, tap));
}
