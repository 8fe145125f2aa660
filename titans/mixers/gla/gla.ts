/**
 * Gated linear attention: linear attention that forgets as the token says, each row of the state at its own rate.
 *
 *     log a_t = logsigmoid(x_t W_1 W_2 + bias) / 16                          for each channel of keys, K = D / (2 H)
 *     S_t = diag(a_t) S_{t-1} + k_t^T v_t;   o_t = K^-1/2 q_t S_t
 *     y = (silu(x W_G) * norm(o)) W_O                                        RMS norm per head, one gain for all heads
 *
 * (Yang et al., Gated Linear Attention Transformers, arXiv 2312.06635.)
 */
import { add, logSigmoid, matmul, mul, silu, split } from "../../../ops/mod.ts";
import { normalizeHeads, splitHeads } from "../../nn/layers.ts";
import { linearRecurrence } from "../../nn/linear_recurrence.ts";
import { matrix, type Parameter, vector } from "../../nn/parameters.ts";
import { refuse } from "../../options/option_table.ts";
import { convolve, type Convolved, convolvedParameters, initialConvolved } from "../convolved.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import { checkHeads, emptyMemory, type RecurrentState, storedKeys } from "../recurrent.ts";
import { GLA_OPTIONS } from "./options.ts";

/** Parameters of {@link gla}. */
export interface GlaParameters<Leaf> extends Convolved<Leaf> {
  /** `[W_Q | W_K | W_V]`, [D, 2 D]. */
  readonly projection: Leaf;
  /** The decays: `down` [D, rank], `up` [rank, D / 2], `bias` [D / 2]. */
  readonly decay: { readonly down: Leaf; readonly up: Leaf; readonly bias: Leaf };
  /** [D, D] */
  readonly gate: Leaf;
  /** Gain of the norm, [V]. */
  readonly norm: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** Gated linear attention. */
export const gla: AnyMixer = defineMixer<typeof GLA_OPTIONS, GlaParameters<Parameter>, RecurrentState>({
  name: "gla",
  summary: "gated linear attention: each token says how fast each channel forgets",
  paper: "2312.06635",
  options: GLA_OPTIONS,
  create({ heads, convolution, chunk, decayRank, decayTemperature, decayBias }, { width: D }) {
    if (D % 2 !== 0) refuse("heads", heads, `keys have half the width, ${D}, which must be even`);
    checkHeads(heads, D / 2, "half the width");
    const half = D / 2, K = half / heads, V = D / heads;
    return {
      interval: 1,
      parameters: (scale) => ({
        projection: matrix([D, 2 * D]),
        ...convolvedParameters(2 * D, convolution),
        decay: { down: matrix([D, decayRank]), up: matrix([decayRank, half]), bias: vector([half], decayBias) },
        gate: matrix([D, D]),
        norm: vector([V], 1),
        out: matrix([D, D], scale),
      }),
      initialState: (params, batch) => ({
        memory: emptyMemory({ batch, heads, keyWidth: K, valueWidth: V }),
        ...initialConvolved(params, batch),
      }),
      forward(params, x, { state, update }) {
        const { rows, state: convolved } = convolve(params, matmul(x, params.projection), { state });
        const [query, key, value] = split(rows, [half, half, D], 2).map((part) => splitHeads(part, heads));
        const logits = add(matmul(matmul(x, params.decay.down), params.decay.up), params.decay.bias);
        const { output, state: memory } = linearRecurrence(
          { query: mul(query, 1 / Math.sqrt(K)), key: storedKeys(key, update), value },
          {
            decay: splitHeads(mul(logSigmoid(logits), 1 / decayTemperature), heads),
            state: state.memory,
            tile: chunk || undefined,
          },
        );
        const gated = mul(silu(matmul(x, params.gate)), normalizeHeads(params.norm, output, 1e-5));
        return { output: matmul(gated, params.out), state: { memory, ...convolved } };
      },
    };
  },
});
