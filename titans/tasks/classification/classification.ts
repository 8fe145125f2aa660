/**
 * The class of a sample. The head is the task's: a model of tokens has an output per class at each token, and the
 * logits of a sample are their mean over its tokens, so that
 *
 *     logits = mean_t (h_t W) = (mean_t h_t) W        with W the head, and no part in it for padding
 *
 * A network that gives [B, classes] itself is taken at its word.
 */
import type { Tensor } from "../../../core/graph.ts";
import { spec } from "../../../core/trace.ts";
import { cast, crossEntropy, div, expandDims, mul, notEqual, sum } from "../../../ops/mod.ts";
import type { Objective } from "../../train/objective.ts";
import type { Alphabet } from "./alphabet.ts";

/** The fields of a batch of samples. */
export interface ClassBatch extends Record<string, Tensor> {
  /** i32 [B, T], filled up with padding at the end. */
  readonly tokens: Tensor;
  /** The number of the class, i32 [B]. */
  readonly label: Tensor;
  /** Ones, and zeros for rows that only fill up a batch, [B]. */
  readonly counts: Tensor;
}

/** Which tokens are no padding, [B, T] of ones and zeros. */
export function tokenMask(tokens: Tensor, { padding }: Pick<Alphabet, "padding">): Tensor {
  return cast(notEqual(tokens, padding), "f32");
}

/** Logits of samples [B, classes], from what a network gives for tokens [B, T]. */
export function classLogits(output: Tensor, tokens: Tensor, alphabet: Pick<Alphabet, "padding">): Tensor {
  if (output.rank === 2) return output;
  const mask = expandDims(tokenMask(tokens, alphabet), 2); // [B, T, 1]
  return div(sum(mul(output, mask), { axis: 1 }), sum(mask, { axis: 1 }));
}

/** Cross-entropy of classes. */
export function classification(alphabet: Pick<Alphabet, "padding">): Objective<ClassBatch> {
  return {
    fields: (length) => ({ tokens: spec([length], "i32"), label: spec([], "i32"), counts: spec([]) }),
    input: ({ tokens }) => ({ tokens, update: tokenMask(tokens, alphabet) }),
    loss: (output, { tokens, label, counts }) => ({
      sum: sum(mul(crossEntropy(classLogits(output, tokens, alphabet), label, { reduction: "none" }), counts)),
      weight: sum(counts),
    }),
  };
}
