/** Windows of real values as tokens: statistics that are taken off and put back, and patches. */
import type { Tensor } from "../../core/graph.ts";
import {
  add,
  broadcastTo,
  concat,
  div,
  mean,
  mul,
  reshape,
  sliceAxis,
  sqrt,
  square,
  stack,
  sub,
} from "../../ops/mod.ts";

/** Mean and deviation of the rows of each window and channel. */
export interface WindowMoments {
  /** [B, 1, C] */
  readonly mean: Tensor;
  /** [B, 1, C] */
  readonly deviation: Tensor;
}

/** The moments of windows [B, L, C]; `epsilon` is added to the variance, as in RevIN (Kim et al., ICLR 2022). */
export function windowMoments(x: Tensor, epsilon = 1e-5): WindowMoments {
  const center = mean(x, { axes: 1, keepDims: true });
  return { mean: center, deviation: sqrt(add(mean(square(sub(x, center)), { axes: 1, keepDims: true }), epsilon)) };
}

/** Standardised windows. */
export function standardize(x: Tensor, { mean, deviation }: WindowMoments): Tensor {
  return div(sub(x, mean), deviation);
}

/** The inverse of {@link standardize}. */
export function restore(x: Tensor, { mean, deviation }: WindowMoments): Tensor {
  return add(mul(x, deviation), mean);
}

/** How patches are cut. */
export interface PatchShape {
  /** Rows of a patch. */
  readonly patch: number;
  /** Rows from one patch to the next. */
  readonly stride: number;
}

/** How many patches a window of `rows` rows has: its end is repeated for one stride, so that the last row is seen. */
export function patchCount(rows: number, { patch, stride }: PatchShape): number {
  return Math.floor((rows - patch) / stride) + 2;
}

/**
 * Patches of windows: [B, L, C] to [B, N, patch C] (Nie et al., arXiv 2211.14730). The last row is repeated `stride`
 * times, as there.
 */
export function patchesOf(x: Tensor, shape: PatchShape): Tensor {
  const [B, L, C] = x.shape, { patch, stride } = shape, N = patchCount(L, shape);
  const end = broadcastTo(sliceAxis(x, 1, L - 1, 1), [B, stride, C]), padded = concat([x, end], 1);
  const rows = Array.from({ length: N }, (_, i) => sliceAxis(padded, 1, i * stride, patch));
  return reshape(stack(rows, 1), [B, N, patch * C]);
}
