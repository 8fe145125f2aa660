/**
 * Fuzzy in-context recall of the MAD suite: keys and values are one to three tokens in an order, all different. In
 * training keys have one to three tokens, in tests always three. Sequences are padded on the left.
 *
 *     . . k1 k4 k2 v9 v8 k3 k0 k1 v7 .. k1 k4 k2 v9 v8        answers at the second k2: v9, and then v8
 */
import type { OptionTable } from "../../options/option_table.ts";
import type { BatchArrays } from "../../train/objective.ts";
import { numbersOf } from "../lists.ts";
import { measureVariants } from "../long_rows.ts";
import type { SampleRandom } from "../samples.ts";
import { defineTask, type Split, type Task } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";
import { EXAMPLES, nextTokens } from "./shared.ts";

/** Options of {@link fuzzyInContextRecall}. */
export const FUZZY_IN_CONTEXT_RECALL_OPTIONS = {
  vocabulary: {
    kind: "integer",
    default: 16,
    min: 8,
    max: 65536,
    help: "tokens: half of keys, half of values, the last for padding",
  },
  length: { kind: "integer", default: 128, min: 24, max: 2 ** 20, help: "tokens of a sequence" },
  examples: EXAMPLES,
  testLengths: { kind: "text", default: "256,512,1024", placeholder: "LIST", help: "further lengths to evaluate at" },
} as const satisfies OptionTable;

const LONGEST = 3;

/** Fuzzy in-context recall. */
export const fuzzyInContextRecall: Task<typeof FUZZY_IN_CONTEXT_RECALL_OPTIONS, TokenBatch> = defineTask({
  name: "fuzzyInContextRecall",
  summary: "MAD: values of several tokens of keys of several tokens that come again",
  options: FUZZY_IN_CONTEXT_RECALL_OPTIONS,
  create: ({ vocabulary, length, examples, testLengths }) => {
    const lengths = numbersOf(testLengths, { option: "testLengths", min: 24, max: 2 ** 20 });
    const instance = (length: number) => instanceOf({ vocabulary, length, examples });
    const test = Object.fromEntries(lengths.map((length) => [`length ${length}`, instance(length)]));
    return { ...instance(length), evaluate: (subject) => measureVariants(subject, test) };
  },
});

interface Fuzzy {
  readonly vocabulary: number;
  readonly length: number;
  readonly examples: number;
}

function instanceOf(options: Fuzzy) {
  const { vocabulary, length, examples } = options, { keys, padding } = partsOf(vocabulary);
  return tokenTask({
    name: "fuzzyInContextRecall",
    vocabulary,
    length,
    sample: (random, split) => sampleOf(options, random, split),
    examples,
    chance: 1 / (padding - keys),
    answers: (tokens) => recalled(tokens, vocabulary),
    baselines: { "value token read last": (tokens) => lastValues(tokens, vocabulary) },
  });
}

function partsOf(vocabulary: number): { readonly keys: number; readonly padding: number } {
  return { keys: Math.floor((vocabulary - 1) / 2), padding: vocabulary - 1 };
}

interface Pair {
  readonly key: readonly number[];
  readonly value: readonly number[];
}

/** Pairs of motifs; the last is one that was there before. */
function sampleOf({ vocabulary, length }: Fuzzy, random: SampleRandom, split: Split): BatchArrays<TokenBatch> {
  const { keys, padding } = partsOf(vocabulary), values = new Map<string, readonly number[]>();
  const size = (): number => 1 + random.integer(LONGEST);
  const drawPair = (): Pair => {
    const key = random.distinct(split === "train" ? size() : LONGEST, keys);
    const value = values.get(key.join()) ?? random.distinct(size(), padding - keys).map((v) => v + keys);
    values.set(key.join(), value);
    return { key, value };
  };
  const probe = drawPair(), asked = [...probe.key, ...probe.value], tokens: number[] = [];
  // A pair has at most six tokens, so that one begins between `at` and `end`.
  const end = length - asked.length - 2 * LONGEST, at = random.integer(Math.max(1, end - 2 * LONGEST));
  let isStated = false;
  while (tokens.length < end) {
    const { key, value }: Pair = tokens.length >= at && !isStated ? probe : drawPair();
    isStated ||= key.join() === probe.key.join();
    tokens.push(...key, ...value);
  }
  const row = Int32Array.from([...tokens, ...asked]);
  const padded = new Int32Array(length).fill(padding);
  padded.set(row, length - row.length);
  return tokenRow(padded, split === "train" ? nextTokens(padded, padding) : recalled(padded, vocabulary));
}

/** Each next token of the value of a key of three tokens that was seen before, else -1. */
function recalled(tokens: Int32Array, vocabulary: number): number[] {
  const { keys, padding } = partsOf(vocabulary), answers = new Array<number>(tokens.length).fill(-1);
  const known = new Map<string, readonly number[]>(), isKey = (t: number): boolean => tokens[t] < keys;
  let t = tokens.findIndex((token) => token !== padding);
  while (t < tokens.length) {
    const start = t;
    while (t < tokens.length && isKey(t)) t++;
    const middle = t, key = tokens.slice(start, middle).join();
    while (t < tokens.length && !isKey(t)) t++;
    known.get(key)?.forEach((token, i) => answers[middle - 1 + i] = token);
    known.set(key, [...tokens.slice(middle, t)]);
  }
  return answers;
}

function lastValues(tokens: Int32Array, vocabulary: number): number[] {
  const { keys, padding } = partsOf(vocabulary);
  let last = keys;
  return Array.from(tokens, (token) => token >= keys && token < padding ? last = token : last);
}
