/**
 * Memorisation of the MAD suite: every key has one value, the same in all sequences, which the parameters must learn.
 *
 *     k7 ? k2 ? ..        answers at each question mark: the value of the key before it
 */
import { ConfigError } from "../../errors.ts";
import type { OptionTable } from "../../options/option_table.ts";
import { SampleRandom } from "../samples.ts";
import { defineTask, type Task } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";
import { EXAMPLES } from "./shared.ts";

/** Options of {@link memorization}. */
export const MEMORIZATION_OPTIONS = {
  vocabulary: {
    kind: "integer",
    default: 256,
    min: 5,
    max: 65536,
    help: "keys, values, and the last for the question",
  },
  length: { kind: "integer", default: 32, min: 2, max: 2 ** 20, help: "tokens of a sequence, an even number" },
  examples: { ...EXAMPLES, default: 256 },
} as const satisfies OptionTable;

// The map is part of the task, not of a run.
const MAP_SEED = 12345;

/** Memorisation. */
export const memorization: Task<typeof MEMORIZATION_OPTIONS, TokenBatch> = defineTask({
  name: "memorization",
  summary: "MAD: a fixed value for every key, which the parameters learn",
  options: MEMORIZATION_OPTIONS,
  create: ({ vocabulary, length, examples }) => {
    if (length % 2 !== 0) throw new ConfigError(`Cannot use length ${length}: it must be an even number`, "length");
    const question = vocabulary - 1, keys = Math.floor(question / 2);
    const values = new SampleRandom(MAP_SEED, "memorization").distinct(keys, question - keys).map((v) => v + keys);
    const answers = (tokens: ArrayLike<number>): number[] =>
      Array.from(tokens, (token, t) => token === question && t > 0 ? values[tokens[t - 1]] : -1);
    return tokenTask({
      name: "memorization",
      vocabulary,
      length,
      sample: (random) => {
        const tokens = Int32Array.from({ length }, (_, t) => t % 2 === 0 ? random.integer(keys) : question);
        return tokenRow(tokens, answers(tokens));
      },
      examples,
      chance: 1 / (question - keys),
      answers,
      baselines: { "the same value always": (tokens) => tokens.map(() => values[0]) },
    });
  },
});
