/**
 * The inner models of TTT layers, whose weights are the hidden state (Sun et al., arXiv 2407.04620).
 *
 *     M(z) = z + LN(f(z));   f(z) = z W_1 + b_1 (linear)   |   gelu(z W_1 + b_1) W_2 + b_2 (mlp)
 *
 * An inner model never sees its weights: it asks `affine` for `rows W_l + b_l`. So the same function is read at given
 * weights, with zero taps added, whose gradients are rows of the inner gradient, and at weights of each token's own.
 */
import { valueAndGrad } from "../../../core/grad.ts";
import type { Tensor } from "../../../core/graph.ts";
import { add, expandDims, gelu, layerNorm, matmul, mul, square, sub, sum, zeros } from "../../../ops/mod.ts";

/** The weights of an affine map: as parameters [H, in, out] and [H, out], as a state [B, H, in, out] and [B, H, 1, out]. */
export interface Affine<Leaf = Tensor> {
  /** Multiplies rows. */
  readonly matrix: Leaf;
  /** Is added to each row. */
  readonly bias: Leaf;
}

/** An affine map of layer `layer` on rows [B, H, T, in]. */
export type AffineMap = (layer: number, rows: Tensor) => Tensor;

/** The function f of an inner model. */
export interface InnerModel {
  /** Input and output widths of its affine maps for heads of width K. */
  readonly widths: (headWidth: number) => readonly (readonly [input: number, output: number])[];
  /** The upper bound of the inner learning rate times K. */
  readonly baseRate: number;
  /** Maps rows [B, H, T, K], each by itself. */
  readonly apply: (affine: AffineMap, rows: Tensor) => Tensor;
}

/** f is a matrix and a bias. */
export const linearModel: InnerModel = {
  widths: (K) => [[K, K]],
  baseRate: 1,
  apply: (affine, rows) => affine(0, rows),
};

/** f is an MLP of one hidden layer, four times as wide. */
export const mlpModel: InnerModel = {
  widths: (K) => [[K, 4 * K], [4 * K, K]],
  baseRate: 0.1,
  apply: (affine, rows) => affine(1, gelu(affine(0, rows))),
};

/** The layer norm after f: outer parameters, each [H, K]. */
export interface InnerNorm<Leaf = Tensor> {
  /** Multiplies. */
  readonly gain: Leaf;
  /** Is added. */
  readonly bias: Leaf;
}

/** LN, of each head by its own gain and bias: [B, H, T, K] to the same. */
export function normalizeInner({ gain, bias }: InnerNorm, rows: Tensor): Tensor {
  return layerNorm(rows, { gain: expandDims(gain, 1), bias: expandDims(bias, 1), epsilon: EPSILON });
}

/** In every layer norm of the paper's code. */
export const EPSILON = 1e-6;

/** The affine maps at weights that are the same for all rows. */
export function mapsAt(weights: readonly Affine[]): AffineMap {
  return (l, rows) => add(matmul(rows, weights[l].matrix), weights[l].bias);
}

/** The inner gradient of a map in rank-one parts: at token s that of the matrix is `rows(s)^T deltas(s)`. */
export interface GradientRows {
  /** What the map reads, [B, H, b, in]. */
  readonly rows: Tensor;
  /** The gradient with respect to what it gives, and so to the bias, [B, H, b, out]. */
  readonly deltas: Tensor;
}

/**
 * The gradient of the inner loss of tokens, `1/2 |LN(f(key)) - (value - key)|^2`, all at the same weights.
 * @param weights [B, H, in, out] and [B, H, 1, out] of each map.
 * @param key Rows [B, H, b, K].
 * @param value Rows [B, H, b, K].
 */
export function gradientRows(
  model: InnerModel,
  norm: InnerNorm,
  weights: readonly Affine[],
  { key, value }: { readonly key: Tensor; readonly value: Tensor },
): GradientRows[] {
  const [B, H, b] = key.shape, maps = mapsAt(weights);
  const loss = (taps: Tensor[]): [Tensor, Tensor[]] => {
    const rows: Tensor[] = [];
    const affine: AffineMap = (l, x) => {
      rows[l] = x;
      return add(maps(l, x), taps[l]);
    };
    const error = sub(normalizeInner(norm, model.apply(affine, key)), sub(value, key));
    return [mul(sum(square(error)), 0.5), rows];
  };
  const taps = weights.map(({ bias }) => zeros([B, H, b, bias.shape[3]], key.dtype));
  const [[, rows], deltas] = valueAndGrad(loss)(taps);
  return deltas.map((delta, l) => ({ rows: rows[l], deltas: delta }));
}
