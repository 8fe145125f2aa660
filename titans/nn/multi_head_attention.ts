/** Attention with several heads, each with queries, keys and values of its own. */
import { ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import { formatType } from "../../core/shape.ts";
import { attention, rotaryEmbedding } from "../../ops/mod.ts";
import { checkNames, ConfigError } from "../errors.ts";
import { forHeads } from "./attention.ts";
import type { InitializerFor } from "./initializers.ts";
import type { Layer } from "./layer.ts";
import { mergeHeads, splitHeads } from "./layers.ts";
import { linear, type LinearParameters } from "./linear.ts";

/** Parameters of {@link multiHeadAttention}. */
export interface MultiHeadAttentionParameters<Leaf> {
  /** [width, width] */
  readonly query: LinearParameters<Leaf>;
  /** [width, keyHeads headWidth] */
  readonly key: LinearParameters<Leaf>;
  /** [width, keyHeads headWidth] */
  readonly value: LinearParameters<Leaf>;
  /** [width, width] */
  readonly out: LinearParameters<Leaf>;
}

/** Options of {@link multiHeadAttention}. */
export interface MultiHeadAttentionOptions {
  /** Heads of queries; a divisor of the width. */
  readonly heads: number;
  /**
   * Heads of keys and values, a divisor of `heads`; each is shared by an equal number of query heads. Default: `heads`.
   */
  readonly keyHeads?: number;
  /** Whether a token sees itself and earlier tokens only. */
  readonly causal?: boolean;
  /** With `causal`: how many tokens a token sees, itself among them. Default: all. */
  readonly window?: number;
  /** Whether queries and keys are rotated by their positions (Su et al., arXiv 2104.09864). Head widths are then even. */
  readonly rotary?: boolean;
  /** Whether projections have biases. Default: false. */
  readonly bias?: boolean;
  /** How the projections are initialised. Default: LeCun's normal. */
  readonly weightInitializer?: InitializerFor;
}

const OPTIONS = optionNames<MultiHeadAttentionOptions>({
  heads: true,
  keyHeads: true,
  causal: true,
  window: true,
  rotary: true,
  bias: true,
  weightInitializer: true,
});

/**
 * `softmax(Q K^T / sqrt(K)) V` for each head, and a projection of all heads together (Vaswani et al., arXiv
 * 1706.03762): tokens [B, T, width] to [B, T, width]. With `keyHeads` it is grouped-query attention (Ainslie et al.,
 * arXiv 2305.13245). A second input [B, S, width] is what keys and values come from: cross-attention.
 * @param width Width of a token.
 */
export function multiHeadAttention(
  width: number,
  options: MultiHeadAttentionOptions,
): Layer<MultiHeadAttentionParameters<Tensor>, [x: Tensor, context?: Tensor]> {
  checkNames("multiHeadAttention", options, OPTIONS);
  const { heads, keyHeads = heads, causal, window, rotary = false, bias = false, weightInitializer } = options;
  requireDivisor("heads", heads, "the width", width);
  requireDivisor("keyHeads", keyHeads, "heads", heads);
  const headWidth = width / heads;
  if (rotary && headWidth % 2 !== 0) {
    throw new ConfigError(`Cannot rotate heads of width ${headWidth}: rotary heads have an even width`, "rotary");
  }
  const project = (out: number) => linear(width, out, { bias, weightInitializer });
  const layers = {
    query: project(width),
    key: project(keyHeads * headWidth),
    value: project(keyHeads * headWidth),
    out: project(width),
  };
  const place = (x: Tensor): Tensor => (rotary ? rotaryEmbedding(x) : x);
  return {
    parameters: {
      query: layers.query.parameters,
      key: layers.key.parameters,
      value: layers.value.parameters,
      out: layers.out.parameters,
    },
    apply: (params, x, context = x) => {
      for (const tokens of [x, context]) {
        if (tokens.rank === 3) continue;
        throw new ShapeError(`Cannot attend to ${formatType(tokens)}: tokens have shape [B, T, ${width}]`, [
          tokens.shape,
        ]);
      }
      const query = place(splitHeads(layers.query.apply(params.query, x), heads));
      const { key, value } = forHeads({
        key: place(splitHeads(layers.key.apply(params.key, context), keyHeads)),
        value: splitHeads(layers.value.apply(params.value, context), keyHeads),
      }, heads);
      return layers.out.apply(params.out, mergeHeads(attention(query, key, value, { causal, window })));
    },
  };
}

function requireDivisor(what: string, value: number, of: string, whole: number): void {
  if (Number.isInteger(value) && value > 0 && whole % value === 0) return;
  throw new ConfigError(`Cannot make attention with ${what} ${value}: it must divide ${of}, ${whole}`, what);
}
