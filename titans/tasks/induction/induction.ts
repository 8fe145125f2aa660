/**
 * Induction (Olsson et al., 2022; the lengths are those of Gu and Dao, "Mamba", 2023): among random tokens a trigger
 * occurs once, and again as the last token. The answer is what followed it.
 *
 *     4 11 0 15 7 2 9 .. 3 15        answer: 7, where 15 is the trigger of 16 tokens
 */
import type { OptionTable } from "../../options/option_table.ts";
import { numbersOf } from "../lists.ts";
import { measureVariants } from "../long_rows.ts";
import { defineTask, type Task } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";

/** Options of {@link induction}. */
export const INDUCTION_OPTIONS = {
  vocabulary: { kind: "integer", default: 16, min: 3, max: 65536, help: "tokens, of which the last is the trigger" },
  length: { kind: "integer", default: 256, min: 3, max: 2 ** 20, help: "tokens of a sequence" },
  testLengths: {
    kind: "text",
    default: "64,128,256,512,1024,2048,4096",
    placeholder: "LIST",
    help: "lengths to evaluate at",
  },
} as const satisfies OptionTable;

/** Induction. */
export const induction: Task<typeof INDUCTION_OPTIONS, TokenBatch> = defineTask({
  name: "induction",
  summary: "what followed a token that occurred once before",
  options: INDUCTION_OPTIONS,
  presets: { mamba: { testLengths: "64,128,256,512,1024,2048,4096,8192,16384" } },
  create: ({ vocabulary, length, testLengths }) => {
    const lengths = numbersOf(testLengths, { option: "testLengths", min: 3, max: 2 ** 20 });
    const instance = (length: number) => instanceOf(vocabulary, length);
    return {
      ...instance(length),
      evaluate: (subject) =>
        measureVariants(subject, Object.fromEntries(lengths.map((length) => [`length ${length}`, instance(length)]))),
    };
  },
});

function instanceOf(vocabulary: number, length: number) {
  const trigger = vocabulary - 1;
  return tokenTask({
    name: "induction",
    vocabulary,
    length,
    sample: (random) => {
      const tokens = Int32Array.from({ length }, () => random.integer(trigger)), at = random.integer(length - 2);
      tokens[at] = tokens[length - 1] = trigger;
      return tokenRow(tokens, tokens.map((_, t) => t === length - 1 ? tokens[at + 1] : -1));
    },
    chance: 1 / trigger,
    answers: (tokens) => tokens.map(() => tokens[tokens.indexOf(trigger) + 1]),
    baselines: { "most frequent token": (tokens) => tokens.map(() => mostFrequent(tokens, trigger)) },
  });
}

/** The most frequent of the tokens 0 .. bound - 1. */
function mostFrequent(tokens: Int32Array, bound: number): number {
  const counts = new Int32Array(bound);
  for (const token of tokens) if (token < bound) counts[token]++;
  return counts.indexOf(Math.max(...counts));
}
