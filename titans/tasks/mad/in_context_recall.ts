/**
 * In-context recall of the MAD suite (Poli et al., "Mechanistic Design and Scaling of Hybrid Architectures", 2024), and
 * the same among noise: pairs of keys and values, drawn with repetition, where each key keeps its value.
 *
 *     k1 v7 k3 v2 k1 v7 ..        trained on every next token, asked for the value of a key seen before: 7
 */
import { ConfigError } from "../../errors.ts";
import type { OptionTable } from "../../options/option_table.ts";
import type { BatchArrays } from "../../train/objective.ts";
import { numbersOf } from "../lists.ts";
import { measureVariants } from "../long_rows.ts";
import type { SampleRandom } from "../samples.ts";
import { defineTask, type Split, type Task } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";
import { EXAMPLES, nextTokens } from "./shared.ts";

/** Options of {@link inContextRecall}. */
export const IN_CONTEXT_RECALL_OPTIONS = {
  vocabulary: { kind: "integer", default: 16, min: 4, max: 65536, help: "keys, the first half, and values" },
  length: { kind: "integer", default: 128, min: 4, max: 2 ** 20, help: "tokens of a sequence, an even number" },
  examples: EXAMPLES,
  testLengths: { kind: "text", default: "256,512,1024", placeholder: "LIST", help: "further lengths to evaluate at" },
} as const satisfies OptionTable;

/** Options of {@link noisyInContextRecall}. */
export const NOISY_IN_CONTEXT_RECALL_OPTIONS = {
  ...IN_CONTEXT_RECALL_OPTIONS,
  noiseTokens: { kind: "integer", default: 16, min: 1, max: 65536, help: "tokens of noise, beside keys and values" },
  noise: {
    kind: "number",
    default: 0.2,
    min: 0,
    max: 1,
    belowMax: true,
    help: "probability that two tokens of noise replace a pair",
  },
} as const satisfies OptionTable;

/** What sequences are made of. */
interface Recall {
  readonly vocabulary: number;
  readonly length: number;
  readonly examples: number;
  readonly noiseTokens: number;
  readonly noise: number;
}

/** In-context recall. */
export const inContextRecall: Task<typeof IN_CONTEXT_RECALL_OPTIONS, TokenBatch> = defineTask({
  name: "inContextRecall",
  summary: "MAD: values of keys that come again",
  options: IN_CONTEXT_RECALL_OPTIONS,
  create: (options) => {
    const given = { ...options, noiseTokens: 0, noise: 0 }, test = lengthVariants(given, options.testLengths);
    return { ...instanceOf(given), evaluate: (subject) => measureVariants(subject, test) };
  },
});

/** In-context recall among noise. */
export const noisyInContextRecall: Task<typeof NOISY_IN_CONTEXT_RECALL_OPTIONS, TokenBatch> = defineTask({
  name: "noisyInContextRecall",
  summary: "MAD: values of keys that come again, among noise",
  options: NOISY_IN_CONTEXT_RECALL_OPTIONS,
  create: (options) => {
    const noisier = [0.4, 0.6, 0.8].filter((noise) => noise > options.noise);
    const test = {
      ...lengthVariants(options, options.testLengths),
      ...Object.fromEntries(noisier.map((noise) => [`noise ${noise}`, instanceOf({ ...options, noise })])),
    };
    return { ...instanceOf(options), evaluate: (subject) => measureVariants(subject, test) };
  },
});

function lengthVariants(options: Recall, testLengths: string) {
  const lengths = numbersOf(testLengths, { option: "testLengths", min: 4, max: 2 ** 20 });
  return Object.fromEntries(lengths.map((length) => [`length ${length}`, instanceOf({ ...options, length })]));
}

function instanceOf(options: Recall) {
  const { vocabulary, length, examples, noiseTokens } = options, keys = Math.floor(vocabulary / 2);
  if (length % 2 !== 0) throw new ConfigError(`Cannot use length ${length}: it must be an even number`, "length");
  return tokenTask({
    name: "inContextRecall",
    vocabulary: vocabulary + noiseTokens,
    length,
    sample: (random, split) => sampleOf(options, random, split),
    examples,
    chance: 1 / (vocabulary - keys),
    answers: (tokens) => recalled(tokens, keys),
    baselines: { "value read last": (tokens) => lastValues(tokens, keys, vocabulary) },
  });
}

/** Pairs, and noise in place of some; the last is a pair whose key was seen before. */
function sampleOf(
  { vocabulary, length, noiseTokens, noise }: Recall,
  random: SampleRandom,
  split: Split,
): BatchArrays<TokenBatch> {
  const pairs = length / 2,
    keys = Math.floor(vocabulary / 2),
    tokens: number[] = [],
    values = new Map<number, number>();
  const surely = random.integer(pairs - 1);
  for (let i = 0; i < pairs - 1; i++) {
    if (random.uniform() < noise && i !== surely) {
      tokens.push(vocabulary + random.integer(noiseTokens), vocabulary + random.integer(noiseTokens));
      continue;
    }
    const key = random.integer(keys);
    if (!values.has(key)) values.set(key, keys + random.integer(vocabulary - keys));
    tokens.push(key, values.get(key)!);
  }
  const [key, value] = random.oneOf([...values]);
  tokens.push(key, value);
  const row = Int32Array.from(tokens);
  return tokenRow(row, split === "train" ? nextTokens(row) : recalled(row, keys));
}

/** At each key its value if it was seen before, else -1. */
function recalled(tokens: Int32Array, keys: number): number[] {
  const known = new Map<number, number>();
  return Array.from(tokens, (token, t) => {
    if (token >= keys) return -1;
    const value = known.get(token) ?? -1;
    known.set(token, tokens[t + 1]);
    return value;
  });
}

function lastValues(tokens: Int32Array, keys: number, vocabulary: number): number[] {
  let last = keys;
  return Array.from(tokens, (token) => token >= keys && token < vocabulary ? last = token : last);
}
