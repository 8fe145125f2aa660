/**
 * The inner gradient in rank-one parts: for each layer the rows H that it reads, and D, the gradient of the inner loss
 * with respect to its product. D comes from `grad` on zero taps that are added to the products, so any network of
 * linear layers and row-wise functions works. A fast vector gets taps too; it reads rows of ones.
 */
import { valueAndGrad } from "../../../core/grad.ts";
import type { Tensor } from "../../../core/graph.ts";
import { add, matmul, mean, ones, square, sub, sum, zeros } from "../../../ops/mod.ts";
import type { Linear, Memory, Vector } from "./memory_network.ts";

/** The gradient of a matrix at token s is `rows(s)^T deltas(s)`. */
export interface InnerGradient {
  /** The rows that each matrix reads, [B, H, b, in]. */
  readonly rows: readonly Tensor[];
  /** The gradient of the loss with respect to the output of each matrix, [B, H, b, out]. */
  readonly deltas: readonly Tensor[];
}

/**
 * The inner gradient of tokens, all at the same weights.
 * @param memory The network and its gains.
 * @param weights One matrix [B, H, in, out] for each layer.
 * @param key Rows [B, H, b, K].
 * @param value Rows [B, H, b, K].
 */
export function innerGradient(
  { network, gains }: Memory,
  weights: readonly Tensor[],
  key: Tensor,
  value: Tensor,
): InnerGradient {
  const [B, H, b] = key.shape;
  const loss = (taps: Tensor[]): [Tensor, Tensor[]] => {
    const rows: Tensor[] = [];
    const linear: Linear = (l, x) => {
      rows[l] = x;
      return add(matmul(x, weights[l]), taps[l]);
    };
    const vector: Vector = (l) => {
      rows[l] = ones([B, H, b, 1], key.dtype);
      return add(weights[l], taps[l]);
    };
    return [sum(mean(square(sub(network.forward(linear, key, gains, vector), value)), { axes: [-1] })), rows];
  };
  const [[, rows], deltas] = valueAndGrad(loss)(network.layers.map((layer) => zeros([B, H, b, layer.out], key.dtype)));
  return { rows, deltas };
}
