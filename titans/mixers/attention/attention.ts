/**
 * Causal attention without a memory, as in Llama: rotary positions, grouped queries, no biases. Over all earlier tokens
 * (Transformer++), or over a sliding window (Child et al., arXiv 1904.10509; Mistral's, arXiv 2310.06825).
 *
 *     q, k, v = x W_Q, x W_K, x W_V;   o = softmax(R(q) R(k)^T / sqrt(K)) v O       R turns by position, K the head width
 *
 * Either way the state is the last rows of keys and values: all that a window holds, or, where every earlier token is
 * seen, as many as a text may have (`maxLength`).
 */
import { matmul } from "../../../ops/mod.ts";
import {
  advanceWindow,
  initialWindowState,
  rowsOfProjected,
  windowAttention,
  type WindowState,
} from "../../nn/attention.ts";
import { mergeHeads } from "../../nn/layers.ts";
import { matrix, type Parameter } from "../../nn/parameters.ts";
import { refuse } from "../../options/option_table.ts";
import { convolve, type Convolved, convolvedParameters, type ConvolvedState, initialConvolved } from "../convolved.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import { TRANSFORMER_OPTIONS } from "./options.ts";

/** Parameters of {@link attention}. */
export interface AttentionParameters<Leaf> extends Convolved<Leaf> {
  /** `[W_Q | W_K | W_V]`, [D, D + 2 G K] with G key heads of width K. */
  readonly projection: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** The window, and the rows that the convolution sees. */
export type AttentionState = WindowState & ConvolvedState;

/** Attention over all earlier tokens, or a window of them. */
export const attention: AnyMixer = defineMixer<
  typeof TRANSFORMER_OPTIONS,
  AttentionParameters<Parameter>,
  AttentionState
>(
  {
    name: "attention",
    summary: "causal attention, over all earlier tokens or a sliding window, no memory",
    paper: "1706.03762",
    options: TRANSFORMER_OPTIONS,
    create(options, { width: D }) {
      const { heads, span, window, maxLength, attentionConvolution } = options, keyHeads = options.keyHeads || heads;
      if (D % heads !== 0) refuse("heads", heads, `it must divide the width, ${D}`);
      if (heads % keyHeads !== 0) refuse("keyHeads", keyHeads, `it must divide the heads, ${heads}`);
      const headWidth = D / heads;
      if (headWidth % 2 !== 0) {
        refuse("heads", heads, `rotary positions need an even head width, ${D} / ${heads} is ${headWidth}`);
      }
      const capacity = span === "full" ? maxLength : window;
      return {
        interval: 1,
        ...(span === "full" ? { maxLength } : { together: window }),
        parameters: (scale) => ({
          projection: matrix([D, D + 2 * keyHeads * headWidth]),
          ...convolvedParameters(D + 2 * keyHeads * headWidth, attentionConvolution),
          out: matrix([D, D], scale),
        }),
        initialState: (params, batch) => ({
          ...initialWindowState({ batch, heads: keyHeads, window: capacity, headWidth }, params.out.dtype),
          ...initialConvolved(params, batch),
        }),
        forward(params, x, { state, atStart }) {
          const T = x.shape[1];
          if (span === "full" && T > maxLength) {
            refuse("maxLength", maxLength, `${T} tokens are read at once, give a capacity of as many`);
          }
          const convolved = convolve(params, matmul(x, params.projection), { state });
          const rows = rowsOfProjected({ heads, keyHeads }, convolved.rows);
          const y = mergeHeads(windowAttention(rows, { state, atStart })); // [B, T, D]
          return { output: matmul(y, params.out), state: { ...advanceWindow(state, rows, T), ...convolved.state } };
        },
      };
    },
  },
);
