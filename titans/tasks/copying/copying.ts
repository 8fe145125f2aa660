/**
 * Copying (Jelassi et al., "Repeat After Me", 2024): random letters, a separator, and the letters once more.
 *
 *     2 0 1 3 2 0          answers 2 0 1 from the separator, token 3 of 4, on; the last letter need not be read
 */
import { ConfigError } from "../../errors.ts";
import type { OptionTable } from "../../options/option_table.ts";
import { numbersOf } from "../lists.ts";
import { measureVariants } from "../long_rows.ts";
import { defineTask, type Task } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";

/** Options of {@link copying}. */
export const COPYING_OPTIONS = {
  letters: { kind: "integer", default: 26, min: 2, max: 65536, help: "letters; one more token is the separator" },
  shortest: { kind: "integer", default: 1, min: 1, max: 2 ** 16, help: "letters to copy at least" },
  longest: { kind: "integer", default: 32, min: 1, max: 2 ** 16, help: "letters to copy at most" },
  testCounts: {
    kind: "text",
    default: "32,64,128,256",
    placeholder: "LIST",
    help: "numbers of letters to evaluate with",
  },
} as const satisfies OptionTable;

/** Copying. */
export const copying: Task<typeof COPYING_OPTIONS, TokenBatch> = defineTask({
  name: "copying",
  summary: "random letters once more",
  options: COPYING_OPTIONS,
  create: ({ letters, shortest, longest, testCounts }) => {
    if (shortest > longest) {
      throw new ConfigError(`Cannot use shortest ${shortest}: it must be at most longest, ${longest}`, "shortest");
    }
    const counts = numbersOf(testCounts, { option: "testCounts", min: 1, max: 2 ** 16 });
    const test = counts.map((count) => [`letters ${count}`, instanceOf(letters, [count, count])] as const);
    return {
      ...instanceOf(letters, [shortest, longest]),
      evaluate: (subject) => measureVariants(subject, Object.fromEntries(test), { exact: true }),
    };
  },
});

function instanceOf(letters: number, [shortest, longest]: readonly [number, number]) {
  const length = 2 * longest, separator = letters;
  return tokenTask({
    name: "copying",
    vocabulary: letters + 1,
    length,
    sample: (random) => {
      const count = shortest + random.integer(longest - shortest + 1);
      const text = Array.from({ length: count }, () => random.integer(letters));
      return tokenRow([...text, separator, ...text.slice(0, -1)], [...text.map(() => -1), ...text], length);
    },
    chance: 1 / letters,
    exact: true,
    answers: (tokens) => {
      const count = tokens.indexOf(separator);
      return tokens.map((_, t) => t < count ? -1 : tokens[t - count]);
    },
    baselines: { "letter read last": (tokens) => tokens },
  });
}
