/** Tasks whose answers are tokens: cross-entropy and accuracy of marked predictions. */
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { argmax, cast, crossEntropy, equal, mul, sliceAxis, sum } from "../../ops/mod.ts";
import { optionNames } from "../../core/options.ts";
import { checkNames } from "../errors.ts";
import type { BatchArrays, Weighted } from "../train/objective.ts";
import { fromSamples, type SampleRandom } from "./samples.ts";
import type { TaskInstance } from "./task.ts";

/** The fields of a task of tokens. */
export interface TokenBatch extends Record<string, Tensor> {
  /** What the model reads, i32 [B, T]. */
  readonly tokens: Tensor;
  /** The answer at each token, i32 [B, T]; anything where none counts. */
  readonly targets: Tensor;
  /** 1 where an answer counts, 0 elsewhere, [B, T]. */
  readonly mask: Tensor;
}

/** What a task of tokens is made of. */
export interface TokenTaskParts {
  /** Of the task. */
  readonly name: string;
  /** Token ids. */
  readonly vocabulary: number;
  /** Tokens of a sequence. */
  readonly length: number;
  /** Makes one sequence. */
  readonly sample: (random: SampleRandom) => BatchArrays<TokenBatch>;
  /** Accuracies of parts of a sequence by name: from and to which token. */
  readonly parts?: Readonly<Record<string, readonly [from: number, to: number]>>;
  /** Accuracy of guessing. */
  readonly chance?: number;
  /** The answers of a sequence, from its tokens alone; what it says where no answer counts does not matter. */
  readonly answers?: (tokens: Int32Array) => ArrayLike<number>;
}

const TOKEN_TASK = optionNames<TokenTaskParts>({
  name: true,
  vocabulary: true,
  length: true,
  sample: true,
  parts: true,
  chance: true,
  answers: true,
});

/** A task of tokens. Its figures are `loss`, the cross-entropy in nats, and `accuracy`. */
export function tokenTask(given: TokenTaskParts): TaskInstance<TokenBatch> {
  checkNames("tokenTask", given, TOKEN_TASK);
  const { name, vocabulary, length, sample, parts = {}, chance, answers } = given;
  const figures = ["accuracy", ...Object.keys(parts)];
  return {
    requires: { vocabulary },
    length,
    fields: (length) => ({ tokens: spec([length], "i32"), targets: spec([length], "i32"), mask: spec([length]) }),
    batches: fromSamples(name, sample),
    input: ({ tokens }) => ({ tokens }),
    loss: (output, { targets, mask }) => ({
      sum: sum(mul(crossEntropy(output, targets, { reduction: "none" }), mask)),
      weight: sum(mask),
    }),
    metrics: (output, { targets, mask }) => {
      const right = mul(cast(equal(argmax(output, { axis: -1 }), targets), "f32"), mask); // [B, T]
      const within = (from: number, to: number): Weighted => ({
        sum: sum(sliceAxis(right, 1, from, to - from)),
        weight: sum(sliceAxis(mask, 1, from, to - from)),
      });
      return {
        accuracy: within(0, length),
        ...Object.fromEntries(Object.entries(parts).map(([name, [from, to]]) => [name, within(from, to)])),
      };
    },
    proportions: figures,
    ...(chance === undefined ? {} : { chance: Object.fromEntries(figures.map((name) => [name, chance])) }),
    ...(answers ? { oracle: (data) => oneHot(data, { answers, length, vocabulary }) } : {}),
  };
}

/** Logits that leave no doubt. */
function oneHot(
  { tokens }: BatchArrays<TokenBatch>,
  { answers, length, vocabulary }:
    & Required<Pick<TokenTaskParts, "answers">>
    & Pick<TokenTaskParts, "length" | "vocabulary">,
): Float32Array {
  const logits = new Float32Array(tokens.length * vocabulary);
  for (let row = 0; row < tokens.length; row += length) {
    const own = answers((tokens as Int32Array).subarray(row, row + length));
    for (let t = 0; t < length; t++) if (own[t] >= 0) logits[(row + t) * vocabulary + own[t]] = 100;
  }
  return logits;
}
