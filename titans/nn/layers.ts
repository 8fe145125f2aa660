/** What blocks have in common: heads split, merged and normalised, and the gated MLP. */
import type { Tensor } from "../../core/graph.ts";
import { expandDims, matmul, reshape, rmsNorm, split, swiglu, transpose } from "../../ops/mod.ts";
import { matrix, type Parameter } from "./parameters.ts";

/** `[B, T, H K] -> [B, H, T, K]`. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [B, T, D] = x.shape;
  return transpose(reshape(x, [B, T, heads, D / heads]), [0, 2, 1, 3]);
}

/** `[B, H, T, K] -> [B, T, H K]`. */
export function mergeHeads(x: Tensor): Tensor {
  const [B, H, T, K] = x.shape;
  return reshape(transpose(x, [0, 2, 1, 3]), [B, T, H * K]);
}

/**
 * RMS norm of each head, the heads then merged: `[B, H, T, K] -> [B, T, H K]`.
 * @param gain Of each head, [H, K], or one for all, [K].
 * @param x What the heads gave.
 * @param epsilon Added to the mean square.
 */
export function normalizeHeads(gain: Tensor, x: Tensor, epsilon = 1e-6): Tensor {
  return mergeHeads(rmsNorm(x, { gain: gain.rank === 2 ? expandDims(gain, 1) : gain, epsilon }));
}

/** Parameters of {@link gatedMlp}. */
export interface GatedMlp<Leaf> {
  /** Gate and input, [D, 2 F]. */
  readonly expand: Leaf;
  /** [F, D] */
  readonly contract: Leaf;
}

/**
 * Describes a gated MLP of width D and hidden width F; `scale` shrinks what it adds to the residual stream at the
 * start.
 */
export function gatedMlpParameters(width: number, hidden: number, scale: number): GatedMlp<Parameter> {
  return { expand: matrix([width, 2 * hidden]), contract: matrix([hidden, width], scale) };
}

/** SwiGLU: `(silu(x G) * (x U)) C` (Shazeer, arXiv 2002.05202). Shapes: [..., D] to [..., D]. */
export function gatedMlp({ expand, contract }: GatedMlp<Tensor>, x: Tensor): Tensor {
  const F = contract.shape[0];
  const [gate, up] = split(matmul(x, expand), [F, F], -1);
  return matmul(swiglu(gate, up), contract);
}
