/** Forecasts by encoders of attention: over the patches of a column (PatchTST), or over whole columns (iTransformer). */
import type { Tensor } from "../../../core/graph.ts";
import { add, sliceAxis, transpose } from "../../../ops/mod.ts";
import { type Layer, sequential } from "../../nn/layer.ts";
import { linear, type LinearParameters } from "../../nn/linear.ts";
import { mlp, type MlpParameters } from "../../nn/mlp.ts";
import { multiHeadAttention, type MultiHeadAttentionParameters } from "../../nn/multi_head_attention.ts";
import { layerNorm, type NormParameters } from "../../nn/normalization.ts";
import { restore, standardize, windowMoments } from "../../nn/patches.ts";
import { anyLayer, type Forecaster, type ForecasterOptions } from "./forecaster.ts";
import { patched } from "./patched.ts";

interface EncoderParameters {
  readonly attention: MultiHeadAttentionParameters<Tensor>;
  readonly attentionNorm: NormParameters<Tensor>;
  readonly mlp: MlpParameters<Tensor>;
  readonly mlpNorm: NormParameters<Tensor>;
}

/** A layer of an encoder, with norms after the residuals: `x <- norm(x + attention(x)); x <- norm(x + mlp(x))`. */
function encoderLayer({ width, heads, hidden }: ForecasterOptions): Layer<EncoderParameters> {
  const attention = multiHeadAttention(width, { heads, bias: true }), feed = mlp(width, hidden);
  const first = layerNorm(width), second = layerNorm(width);
  return {
    parameters: {
      attention: attention.parameters,
      attentionNorm: first.parameters,
      mlp: feed.parameters,
      mlpNorm: second.parameters,
    },
    apply: (params, x) => {
      const seen = first.apply(params.attentionNorm, add(x, attention.apply(params.attention, x)));
      return second.apply(params.mlpNorm, add(seen, feed.apply(params.mlp, seen)));
    },
  };
}

function encoder(options: ForecasterOptions): Layer<readonly unknown[]> {
  return sequential(...Array.from({ length: options.blocks }, () => encoderLayer(options) as Layer<unknown>));
}

/** PatchTST, with layer norms in the place of batch norms and without dropout. */
export const patchTst: Forecaster = {
  name: "patchtst",
  summary: "PatchTST: attention over the patches of each column",
  paper: "2211.14730",
  defaults: { width: 16, blocks: 3, heads: 4, hidden: 128 },
  learningRate: 1e-3,
  readsCovariates: true,
  create: (options, shape) => patched(options, shape, { body: encoder(options), positions: true }),
};

interface InvertedParameters {
  readonly embedding: LinearParameters<Tensor>;
  readonly encoder: readonly unknown[];
  readonly norm: NormParameters<Tensor>;
  readonly head: LinearParameters<Tensor>;
}

/** iTransformer, without dropout: a token is the whole window of a column. */
export const iTransformer: Forecaster = {
  name: "itransformer",
  summary: "iTransformer: attention over columns, each a token",
  paper: "2310.06625",
  defaults: { width: 128, blocks: 2, heads: 8, hidden: 128 },
  learningRate: 3e-4,
  readsCovariates: true,
  create(options, { lookback, horizon, outputs }) {
    const embedding = linear(lookback, options.width), layers = encoder(options), norm = layerNorm(options.width);
    const head = linear(options.width, horizon);
    return anyLayer<InvertedParameters>({
      parameters: {
        embedding: embedding.parameters,
        encoder: layers.parameters,
        norm: norm.parameters,
        head: head.parameters,
      },
      apply: (params, past) => {
        const moments = windowMoments(past), x = options.normalize ? standardize(past, moments) : past;
        const tokens = embedding.apply(params.embedding, transpose(x, [0, 2, 1])); // [B, F, D]
        const seen = norm.apply(params.norm, layers.apply(params.encoder, tokens));
        const rows = transpose(head.apply(params.head, seen), [0, 2, 1]); // [B, H, F]
        return sliceAxis(options.normalize ? restore(rows, moments) : rows, 2, 0, outputs);
      },
    });
  },
};
