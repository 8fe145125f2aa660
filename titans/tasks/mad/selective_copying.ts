/**
 * Selective copying of the MAD suite: tokens among blanks, then a token that asks for them, in order and without the
 * blanks.
 *
 *     3 . . 7 . 1 . ? . . .        answers 3 7 1 at the three blanks behind the question mark
 */
import { ConfigError } from "../../errors.ts";
import type { OptionTable } from "../../options/option_table.ts";
import { measureVariants } from "../long_rows.ts";
import { defineTask, type Task } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";
import { EXAMPLES } from "./shared.ts";

/** Options of {@link selectiveCopying}. */
export const SELECTIVE_COPYING_OPTIONS = {
  vocabulary: { kind: "integer", default: 16, min: 4, max: 65536, help: "tokens; the last two are blank and question" },
  length: { kind: "integer", default: 256, min: 3, max: 2 ** 20, help: "tokens of a sequence" },
  copied: { kind: "integer", default: 16, min: 1, max: 2 ** 16, help: "tokens to copy" },
  examples: EXAMPLES,
} as const satisfies OptionTable;

/** Selective copying. */
export const selectiveCopying: Task<typeof SELECTIVE_COPYING_OPTIONS, TokenBatch> = defineTask({
  name: "selectiveCopying",
  summary: "MAD: the tokens among blanks",
  options: SELECTIVE_COPYING_OPTIONS,
  create: (options) => {
    const { length, copied } = options;
    // One change at a time, as the suite has it.
    const more = [2, 4, 6].map((times) => times * copied).filter((copied) => 2 * copied < length);
    const test = {
      ...Object.fromEntries(more.map((copied) => [`copied ${copied}`, instanceOf({ ...options, copied })])),
      ...Object.fromEntries(
        [2 * length, 4 * length].map((length) => [`length ${length}`, instanceOf({ ...options, length })]),
      ),
    };
    return { ...instanceOf(options), evaluate: (subject) => measureVariants(subject, test, { exact: true }) };
  },
});

function instanceOf(
  { vocabulary, length, copied, examples }: Readonly<Record<"vocabulary" | "length" | "copied" | "examples", number>>,
) {
  if (2 * copied >= length) {
    throw new ConfigError(
      `Cannot use length ${length}: it must be at least 2 x ${copied} + 1, for ${copied} tokens twice and a question`,
      "length",
    );
  }
  const kept = vocabulary - 2, blank = vocabulary - 2, question = vocabulary - 1, blanks = length - 2 * copied - 1;
  return tokenTask({
    name: "selectiveCopying",
    vocabulary,
    length,
    sample: (random) => {
      const text = Array.from({ length: copied }, () => random.integer(kept));
      const before = new Int32Array(copied);
      for (let i = 0; i < blanks; i++) before[random.integer(copied)]++;
      const tokens = [
        ...text.flatMap((token, i) => [...new Array<number>(before[i]).fill(blank), token]),
        question,
        ...text.map(() => blank),
      ];
      return tokenRow(tokens, [...new Array<number>(length - copied).fill(-1), ...text]);
    },
    examples,
    chance: 1 / kept,
    exact: true,
    answers: (tokens) => {
      const text = tokens.filter((token) => token < kept), first = tokens.indexOf(question) + 1;
      return tokens.map((_, t) => t < first ? -1 : text[t - first]);
    },
    baselines: { "first token": (tokens) => tokens.map((_, __, all) => all.find((token) => token < kept)!) },
  });
}
