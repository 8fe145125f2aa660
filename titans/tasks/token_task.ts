/** Tasks whose answers are tokens: cross-entropy and accuracy of marked predictions. */
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { argmax, cast, crossEntropy, equal, greater, mul, sliceAxis, sub, sum } from "../../ops/mod.ts";
import { optionNames } from "../../core/options.ts";
import { checkNames } from "../errors.ts";
import type { BatchArrays, Weighted } from "../train/objective.ts";
import { fromSamples, type SampleRandom } from "./samples.ts";
import { proportion } from "./figures.ts";
import type { Score, Split, TaskInstance } from "./task.ts";

/** The fields of a task of tokens. */
export interface TokenBatch extends Record<string, Tensor> {
  /** What the model reads, i32 [B, T]. */
  readonly tokens: Tensor;
  /** The answer at each token, i32 [B, T]; anything where none counts. */
  readonly targets: Tensor;
  /** 1 where an answer counts, 0 elsewhere, [B, T]. */
  readonly mask: Tensor;
}

/** Answers to a sequence of tokens, one for each token; -1 where there is none. */
export type Answers = (tokens: Int32Array) => ArrayLike<number>;

/**
 * A sequence as a row of a batch, padded at its end with token 0.
 * @param tokens What the model reads.
 * @param answers The answer at each token, -1 where none counts; missing ones do not count.
 * @param length Tokens of the row.
 */
export function tokenRow(
  tokens: ArrayLike<number>,
  answers: ArrayLike<number>,
  length: number = tokens.length,
): BatchArrays<TokenBatch> {
  const row = { tokens: new Int32Array(length), targets: new Int32Array(length), mask: new Float32Array(length) };
  row.tokens.set(tokens);
  for (let t = 0; t < answers.length; t++) {
    if (answers[t] < 0) continue;
    row.targets[t] = answers[t];
    row.mask[t] = 1;
  }
  return row;
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
  readonly sample: (random: SampleRandom, split: Split) => BatchArrays<TokenBatch>;
  /** Sequences of the training split, which then come again. Default: as many as are asked for. */
  readonly examples?: number;
  /** Accuracies of parts of a sequence by name: from and to which token. */
  readonly parts?: Readonly<Record<string, readonly [from: number, to: number]>>;
  /** Accuracy of guessing. */
  readonly chance?: number;
  /** The answers of a sequence, from its tokens alone; what it says where no answer counts does not matter. */
  readonly answers?: Answers;
  /** Whether `exactMatch` is a figure too: the share of sequences of which every answer is right. */
  readonly exact?: boolean;
  /** What to beat, by name: answers that are simpler than the right ones. */
  readonly baselines?: Readonly<Record<string, Answers>>;
}

const TOKEN_TASK = optionNames<TokenTaskParts>({
  name: true,
  vocabulary: true,
  length: true,
  sample: true,
  examples: true,
  parts: true,
  chance: true,
  answers: true,
  exact: true,
  baselines: true,
});

/** A task of tokens. Its figures are `loss`, the cross-entropy in nats, and `accuracy`. */
export function tokenTask(given: TokenTaskParts): TaskInstance<TokenBatch> {
  checkNames("tokenTask", given, TOKEN_TASK);
  const { name, vocabulary, length, sample, examples, parts = {}, chance, answers, exact, baselines } = given;
  const figures = ["accuracy", ...Object.keys(parts)];
  const batches = fromSamples(name, sample, examples);
  return {
    requires: { vocabulary },
    length,
    fields: (length) => ({ tokens: spec([length], "i32"), targets: spec([length], "i32"), mask: spec([length]) }),
    batches,
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
        ...(exact ? { exactMatch: exactMatch(right, mask) } : {}),
      };
    },
    proportions: exact ? [...figures, "exactMatch"] : figures,
    ...(chance === undefined ? {} : { chance: Object.fromEntries(figures.map((name) => [name, chance])) }),
    ...(answers ? { oracle: (data) => oneHot(data, { answers, length, vocabulary }) } : {}),
    ...(baselines
      ? {
        floors: (samples) => {
          const data = batches("test", samples, 0).batch(0);
          const measured = ([name, answers]: [string, Answers]): [string, Score[]] => [
            name,
            [accuracyOf(data, answers, { length, chance })],
          ];
          return Object.fromEntries(Object.entries(baselines).map(measured));
        },
      }
      : {}),
  };
}

/** Sequences without a wrong answer, of those with an answer. */
function exactMatch(right: Tensor, mask: Tensor): Weighted {
  const asked = sum(mask, { axis: 1 }), isAsked = cast(greater(asked, 0.5), "f32"); // [B]
  const wrong = sub(asked, sum(right, { axis: 1 }));
  return { sum: sum(mul(cast(greater(0.5, wrong), "f32"), isAsked)), weight: sum(isAsked) };
}

/** The accuracy of answers to a batch. */
function accuracyOf(
  { tokens, targets, mask }: BatchArrays<TokenBatch>,
  answers: Answers,
  { length, chance }: { readonly length: number; readonly chance?: number },
): Score {
  let right = 0, count = 0;
  for (let row = 0; row < tokens.length; row += length) {
    const said = answers((tokens as Int32Array).subarray(row, row + length));
    for (let t = 0; t < length; t++) {
      count += mask[row + t];
      if (mask[row + t] > 0 && said[t] === targets[row + t]) right++;
    }
  }
  return { ...proportion("accuracy", right, count), ...(chance === undefined ? {} : { chance }) };
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
