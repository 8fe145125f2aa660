/**
 * Linear attention: attention whose weights are products of positive features, so that the past is a sum.
 *
 *     phi(x) = elu(x) + 1;   S_t = S_{t-1} + phi(k_t)^T v_t;   z_t = z_{t-1} + phi(k_t)
 *     o_t = phi(q_t) S_t / (phi(q_t) . z_t);   y = o W_O
 *
 * Without the normaliser z: `o_t = norm(K^-1/2 phi(q_t) S_t)`, with an RMS norm per head. Nothing is forgotten, and
 * without a convolution the order of earlier tokens is unknown.
 *
 * (Katharopoulos et al., Transformers are RNNs, arXiv 2006.16236.)
 */
import type { Tensor } from "../../../core/graph.ts";
import {
  add,
  concat,
  div,
  exp,
  greater,
  matmul,
  minimum,
  mul,
  ones,
  sliceAxis,
  split,
  where,
} from "../../../ops/mod.ts";
import { mergeHeads, normalizeHeads, splitHeads } from "../../nn/layers.ts";
import { linearRecurrence } from "../../nn/linear_recurrence.ts";
import { matrix, type Parameter, vector } from "../../nn/parameters.ts";
import { convolve, type Convolved, convolvedParameters, initialConvolved } from "../convolved.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import { checkHeads, emptyMemory, type RecurrentState, storedKeys } from "../recurrent.ts";
import { LINEAR_OPTIONS } from "./options.ts";

/** Parameters of {@link linear}. */
export interface LinearAttentionParameters<Leaf> extends Convolved<Leaf> {
  /** `[W_Q | W_K | W_V]`, [D, 3 D]. */
  readonly projection: Leaf;
  /** Gain of the norm, [V]; absent with a normaliser. */
  readonly norm?: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** Added to the sum of weights. */
const NORMALIZER_EPSILON = 1e-10;

/** `elu(x) + 1`: `x + 1` above 0, else `exp(x)`. */
function positive(x: Tensor): Tensor {
  // Clamped, or at large x the branch that is not taken would make NaN of the gradient.
  return where(greater(x, 0), add(x, 1), exp(minimum(x, 0)));
}

/** Linear attention. */
export const linear: AnyMixer = defineMixer<
  typeof LINEAR_OPTIONS,
  LinearAttentionParameters<Parameter>,
  RecurrentState
>({
  name: "linear",
  summary: "linear attention: sums of all earlier tokens, nothing forgotten",
  paper: "2006.16236",
  options: LINEAR_OPTIONS,
  create({ heads, convolution, chunk, normalizer }, { width: D }) {
    checkHeads(heads, D, "the width");
    const K = D / heads;
    return {
      interval: 1,
      parameters: (scale) => ({
        projection: matrix([D, 3 * D]),
        ...convolvedParameters(3 * D, convolution),
        ...(normalizer ? {} : { norm: vector([K], 1) }),
        out: matrix([D, D], scale),
      }),
      initialState: (params, batch) => ({
        // With a normaliser the last column is z.
        memory: emptyMemory({ batch, heads, keyWidth: K, valueWidth: normalizer ? K + 1 : K }),
        ...initialConvolved(params, batch),
      }),
      forward(params, x, { state, update }) {
        const { rows, state: convolved } = convolve(params, matmul(x, params.projection), { state });
        const [q, k, v] = split(rows, [D, D, D], 2).map((part) => splitHeads(part, heads));
        const query = positive(q), key = storedKeys(positive(k), update);
        const options = { state: state.memory, tile: chunk || undefined };
        if (!params.norm) {
          const value = concat([v, ones([...v.shape.slice(0, 3), 1], v.dtype)], 3);
          const { output, state: memory } = linearRecurrence({ query, key, value }, options);
          const sums = sliceAxis(output, 3, 0, K), weights = add(sliceAxis(output, 3, K, 1), NORMALIZER_EPSILON);
          return { output: matmul(mergeHeads(div(sums, weights)), params.out), state: { memory, ...convolved } };
        }
        const scaled = mul(query, 1 / Math.sqrt(K));
        const { output, state: memory } = linearRecurrence({ query: scaled, key, value: v }, options);
        return {
          output: matmul(normalizeHeads(params.norm, output, 1e-5), params.out),
          state: { memory, ...convolved },
        };
      },
    };
  },
});
