/** Next-token prediction: the objective of a language model. */
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { crossEntropy, full, mul, sliceAxis, sum } from "../../ops/mod.ts";
import type { Objective } from "./objective.ts";

/** Windows of text. */
export interface WindowBatch {
  /** Token ids [B, length + 1]: the tokens of each window and the one after. */
  readonly tokens: Tensor;
  /** Which tokens are text rather than padding, [B, length] of ones and zeros. */
  readonly mask?: Tensor;
}

/**
 * Cross-entropy of every next token.
 * @param options `masked`: batches have a mask; padding is neither learned by memories nor predicted.
 */
export function nextToken({ masked }: { readonly masked: boolean }): Objective<WindowBatch & Record<string, Tensor>> {
  return {
    fields: (length) => ({
      tokens: spec([length + 1], "i32"),
      ...(masked ? { mask: spec([length]) } : {}),
    }),
    input: ({ tokens, mask }) => ({ tokens: sliceAxis(tokens, 1, 0, tokens.shape[1] - 1), update: mask }),
    derived: (loss) => ({ bitsPerByte: loss / Math.LN2 }),
    loss: (output, { tokens, mask }) => {
      const [B, width] = tokens.shape, targets = sliceAxis(tokens, 1, 1, width - 1);
      const losses = crossEntropy(output, targets, { reduction: "none" }); // [B, T]
      return mask
        ? { sum: sum(mul(losses, mask)), weight: sum(mask) }
        : { sum: sum(losses), weight: full([], B * (width - 1)) };
    },
  };
}
