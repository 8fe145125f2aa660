/**
 * RetNet: linear attention that forgets at a fixed rate, another one in each head.
 *
 *     S_t = gamma_h S_{t-1} + R(k_t)^T v_t;   o_t = K^-1/2 R(q_t) S_t        R turns by position, V = 2 K
 *     y = (silu(x W_G) * norm(o)) W_O                                        RMS norm per head, one gain for all heads
 *
 * The paper's three normalisations of scores only rescale rows, which vanishes in the norm.
 *
 * (Sun et al., Retentive Network, arXiv 2307.08621.)
 */
import { matmul, mul, silu, split } from "../../../ops/mod.ts";
import { normalizeHeads, splitHeads } from "../../nn/layers.ts";
import { linearRecurrence } from "../../nn/linear_recurrence.ts";
import { matrix, type Parameter, vector } from "../../nn/parameters.ts";
import { type OptionsOf, refuse } from "../../options/option_table.ts";
import { convolve, type Convolved, convolvedParameters, initialConvolved } from "../convolved.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import { checkHeads, emptyMemory, type RecurrentState, storedKeys } from "../recurrent.ts";
import { RETNET_OPTIONS } from "./options.ts";
import { turned, turnedBack } from "./rotation.ts";

/** Parameters of {@link retnet}. */
export interface RetNetParameters<Leaf> extends Convolved<Leaf> {
  /** `[W_Q | W_K | W_V]`, [D, 4 D]. */
  readonly projection: Leaf;
  /** [D, 2 D] */
  readonly gate: Leaf;
  /** Gain of the norm, [V]. */
  readonly norm: Leaf;
  /** [2 D, D] */
  readonly out: Leaf;
}

/** Logarithms of what remains of the state of each head after a token. */
function logDecays(retention: OptionsOf<typeof RETNET_OPTIONS>["retention"], heads: number): number[] {
  return Array.from({ length: heads }, (_, h) => {
    const forgotten = retention === "powers" ? 2 ** (-5 - h) : 2 ** (-5 - 4 * h / Math.max(heads - 1, 1));
    return Math.log1p(-forgotten);
  });
}

/** RetNet's retention. */
export const retnet: AnyMixer = defineMixer<typeof RETNET_OPTIONS, RetNetParameters<Parameter>, RecurrentState>({
  name: "retnet",
  summary: "retention: linear attention that forgets at a fixed rate per head",
  paper: "2307.08621",
  options: RETNET_OPTIONS,
  create({ heads, convolution, chunk, retention, rotation }, { width: D }) {
    checkHeads(heads, D, "the width");
    const K = D / heads, V = 2 * K, decay = logDecays(retention, heads);
    if (rotation !== "none" && K % 2 !== 0) {
      refuse("heads", heads, `rotary positions need an even head width, ${D} / ${heads} is ${K}`);
    }
    return {
      interval: 1,
      parameters: (scale) => ({
        projection: matrix([D, 4 * D]),
        ...convolvedParameters(4 * D, convolution),
        gate: matrix([D, 2 * D]),
        norm: vector([V], 1),
        out: matrix([2 * D, D], scale),
      }),
      initialState: (params, batch) => ({
        memory: emptyMemory({ batch, heads, keyWidth: K, valueWidth: V }),
        ...initialConvolved(params, batch),
      }),
      forward(params, x, { state, update }) {
        const { rows, state: convolved } = convolve(params, matmul(x, params.projection), { state });
        const [q, k, value] = split(rows, [D, D, 2 * D], 2).map((part) => splitHeads(part, heads));
        const query = turned(rotation, mul(q, 1 / Math.sqrt(K))), key = storedKeys(turned(rotation, k), update);
        const { output, state: after } = linearRecurrence({ query, key, value }, {
          decay,
          state: state.memory,
          tile: chunk || undefined,
        });
        const gated = mul(silu(matmul(x, params.gate)), normalizeHeads(params.norm, output, 1e-5));
        return {
          output: matmul(gated, params.out),
          state: { memory: turnedBack(rotation, after, x.shape[1]), ...convolved },
        };
      },
    };
  },
});
