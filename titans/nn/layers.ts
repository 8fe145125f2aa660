/** What all blocks have beside their mixers: heads split and merged, and the gated MLP. */
import type { Tensor } from "../../core/graph.ts";
import { matmul, reshape, split, swiglu, transpose } from "../../ops/mod.ts";
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
