/**
 * HGRN2: a gated recurrence in which forgetting and storing are one gate: what a channel forgets is what it takes in.
 *
 *     q = silu(x W_Q);   f = l + (1 - l) sigmoid(x W_F);   k = 1 - f;   v = x W_I       l: the least that is kept
 *     S_t = diag(f_t) S_{t-1} + k_t^T v_t;   o_t = K^-1/2 q_t S_t;   y = norm(o) W_O    RMS norm over all channels
 *
 * (Qin et al., HGRN2, arXiv 2404.07904.)
 */
import { add, log, logSigmoid, matmul, mul, neg, rmsNorm, sigmoid, silu, split } from "../../../ops/mod.ts";
import type { Tensor } from "../../../core/graph.ts";
import { mergeHeads, splitHeads } from "../../nn/layers.ts";
import { linearRecurrence } from "../../nn/linear_recurrence.ts";
import { matrix, type Parameter, vector } from "../../nn/parameters.ts";
import { convolve, type Convolved, convolvedParameters, initialConvolved } from "../convolved.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import { checkHeads, emptyMemory, type RecurrentState, storedKeys } from "../recurrent.ts";
import { HGRN2_OPTIONS } from "./options.ts";

/** Parameters of {@link hgrn2}. */
export interface Hgrn2Parameters<Leaf> extends Convolved<Leaf> {
  /** `[W_Q | W_F | W_I]`, [D, 3 D]. */
  readonly projection: Leaf;
  /** Gain of the norm, [D]. */
  readonly norm: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** The logarithm of `least + (1 - least) sigmoid(x)`. */
function logGate(x: Tensor, least: number): Tensor {
  return least === 0 ? logSigmoid(x) : log(add(mul(sigmoid(x), 1 - least), least));
}

/** HGRN2's recurrence. */
export const hgrn2: AnyMixer = defineMixer<typeof HGRN2_OPTIONS, Hgrn2Parameters<Parameter>, RecurrentState>({
  name: "hgrn2",
  summary: "a gated recurrence in which a channel takes in what it forgets",
  paper: "2404.07904",
  options: HGRN2_OPTIONS,
  create({ heads, convolution, chunk, lowerBound }, dimensions) {
    const { width: D } = dimensions;
    checkHeads(heads, D, "the width");
    const K = D / heads, least = lowerBound === "depth" ? dimensions.block / dimensions.blocks : 0;
    return {
      interval: 1,
      parameters: (scale) => ({
        projection: matrix([D, 3 * D]),
        ...convolvedParameters(3 * D, convolution),
        norm: vector([D], 1),
        out: matrix([D, D], scale),
      }),
      initialState: (params, batch) => ({
        memory: emptyMemory({ batch, heads, keyWidth: K, valueWidth: K }),
        ...initialConvolved(params, batch),
      }),
      forward(params, x, { state, update }) {
        // The nonlinearities are the gates' own.
        const { rows, state: convolved } = convolve(params, matmul(x, params.projection), { state, activation: false });
        const [q, forget, value] = split(rows, [D, D, D], 2).map((part) => splitHeads(part, heads));
        const key = mul(sigmoid(neg(forget)), 1 - least);
        const { output, state: memory } = linearRecurrence(
          { query: mul(silu(q), 1 / Math.sqrt(K)), key: storedKeys(key, update), value },
          { decay: logGate(forget, least), state: state.memory, tile: chunk || undefined },
        );
        const normed = rmsNorm(mergeHeads(output), { gain: params.norm, epsilon: 1e-5 });
        return { output: matmul(normed, params.out), state: { memory, ...convolved } };
      },
    };
  },
});
