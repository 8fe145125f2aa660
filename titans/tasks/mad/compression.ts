/**
 * Compression of the MAD suite: random tokens and a last one that asks for all of them, from what the model has at that
 * position alone. The suite decodes each token by a network of state and position; here the outputs of the last position
 * are logits of every token, linear in its state.
 *
 *     5 2 9 .. 1 ?        answers 5 2 9 .. 1, all at the question mark
 */
import type { Tensor } from "../../../core/graph.ts";
import { spec } from "../../../core/trace.ts";
import { argmax, cast, crossEntropy, equal, full, reshape, sliceAxis, sum } from "../../../ops/mod.ts";
import type { OptionTable } from "../../options/option_table.ts";
import { proportion } from "../figures.ts";
import { fromSamples } from "../samples.ts";
import { defineTask, type Task, type TaskInstance } from "../task.ts";
import { EXAMPLES } from "./shared.ts";

/** Options of {@link compression}. */
export const COMPRESSION_OPTIONS = {
  vocabulary: { kind: "integer", default: 16, min: 3, max: 65536, help: "tokens; the last is the question" },
  length: { kind: "integer", default: 32, min: 2, max: 2 ** 16, help: "tokens of a sequence, with the question" },
  examples: EXAMPLES,
} as const satisfies OptionTable;

/** The fields of {@link compression}. */
export interface CompressionBatch extends Record<string, Tensor> {
  /** What the model reads, and but for the last the answers, i32 [B, T]. */
  readonly tokens: Tensor;
}

/** Compression. */
export const compression: Task<typeof COMPRESSION_OPTIONS, CompressionBatch> = defineTask({
  name: "compression",
  summary: "MAD: a whole sequence from the state at its end",
  options: COMPRESSION_OPTIONS,
  create: ({ vocabulary, length: T, examples }): TaskInstance<CompressionBatch> => {
    const kept = vocabulary - 1, count = T - 1, outputs = count * kept;
    const batches = fromSamples("compression", (random) => ({
      tokens: Int32Array.from({ length: T }, (_, t) => t < count ? random.integer(kept) : kept),
    }), examples);
    const logitsOf = (output: Tensor): Tensor => {
      const [B] = output.shape;
      return reshape(sliceAxis(output, 1, count, 1), [B, count, kept]);
    };
    return {
      requires: { vocabulary, outputs },
      length: T,
      fields: (length) => ({ tokens: spec([length], "i32") }),
      batches,
      input: ({ tokens }) => ({ tokens }),
      loss: (output, { tokens }) => ({
        sum: crossEntropy(logitsOf(output), sliceAxis(tokens, 1, 0, count), { reduction: "sum" }),
        weight: full([], output.shape[0] * count),
      }),
      metrics: (output, { tokens }) => {
        const right = equal(argmax(logitsOf(output), { axis: -1 }), sliceAxis(tokens, 1, 0, count));
        return { accuracy: { sum: sum(cast(right, "f32")), weight: full([], output.shape[0] * count) } };
      },
      chance: { accuracy: 1 / kept },
      proportions: ["accuracy"],
      oracle: ({ tokens }) => {
        const rows = tokens.length / T, logits = new Float32Array(rows * T * outputs);
        for (let row = 0; row < rows; row++) {
          const last = (row * T + count) * outputs;
          for (let t = 0; t < count; t++) logits[last + t * kept + tokens[row * T + t]] = 100;
        }
        return logits;
      },
      floors: (samples) => {
        const { tokens } = batches("test", samples, 0).batch(0);
        // A state that holds nothing but the token before the question.
        let right = 0;
        tokens.forEach((token, at) => right += at % T < count && token === tokens[at - at % T + count - 1] ? 1 : 0);
        return { "last token alone": [{ ...proportion("accuracy", right, samples * count), chance: 1 / kept }] };
      },
    };
  },
});
