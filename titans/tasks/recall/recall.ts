/**
 * Associative recall, several times over: what a memory is for.
 *
 * A sequence is one or more rounds. A round states pairs, each a key and its value, and then asks for every key of the
 * round once, in another order; after each question comes the answer. Keys of a round differ; the next round states some
 * of them again, with other values, which replace the earlier ones.
 *
 *     k3 v7  k1 v2  k1 v2  k3 v7          2 pairs stated, 2 asked: predictions count where a key is asked
 */
import { ConfigError } from "../../errors.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import type { BatchArrays } from "../../train/objective.ts";
import type { SampleRandom } from "../samples.ts";
import { defineTask, type Subject, type Task } from "../task.ts";
import { type TokenBatch, tokenTask } from "../token_task.ts";

/** Options of {@link recall}. */
export const RECALL_OPTIONS = {
  pairs: { kind: "integer", default: 8, min: 1, max: 4096, help: "pairs of a round" },
  rounds: { kind: "integer", default: 1, min: 1, max: 4096, help: "rounds of a sequence" },
  keys: { kind: "integer", default: 32, min: 1, max: 65536, help: "keys, tokens 0 to keys - 1" },
  values: { kind: "integer", default: 32, min: 2, max: 65536, help: "values, the tokens after the keys" },
} as const satisfies OptionTable;

/** How large the task is. */
export type RecallOptions = OptionsOf<typeof RECALL_OPTIONS>;

/** Associative recall. */
export const recall: Task<typeof RECALL_OPTIONS, TokenBatch> = defineTask({
  name: "recall",
  summary: "associative recall, the values of keys stated earlier",
  options: RECALL_OPTIONS,
  create: (options) => {
    const { pairs, rounds, keys, values } = options;
    if (pairs > keys) throw new ConfigError(`Cannot use pairs ${pairs}: it must be at most the keys, ${keys}`, "pairs");
    const length = 4 * pairs * rounds, ofRound = length / rounds;
    const parts = rounds === 1 ? {} : Object.fromEntries(
      Array.from({ length: rounds }, (_, i) => [`accuracy, round ${i + 1}`, [i * ofRound, (i + 1) * ofRound] as const]),
    );
    const task = tokenTask({
      name: "recall",
      vocabulary: keys + values,
      length,
      sample: (random) => recallSample(options, random),
      parts,
      chance: 1 / values,
      answers: (tokens) => recalled(tokens, keys),
    });
    return { ...task, evaluate: (subject) => otherLoads(options, subject) };
  },
});

/** One sequence. */
function recallSample({ pairs, rounds, keys, values }: RecallOptions, random: SampleRandom): BatchArrays<TokenBatch> {
  const length = 4 * pairs * rounds, tokens = new Int32Array(length), targets = new Int32Array(length);
  const mask = new Float32Array(length);
  let at = 0;
  for (let round = 0; round < rounds; round++) {
    const stated = random.shuffled(keys).slice(0, pairs), said = stated.map(() => keys + random.integer(values));
    for (const [i, key] of stated.entries()) {
      tokens[at++] = key;
      tokens[at++] = said[i];
    }
    for (const i of random.shuffled(pairs)) {
      targets[at] = said[i];
      mask[at] = 1;
      tokens[at++] = stated[i];
      tokens[at++] = said[i];
    }
  }
  return { tokens, targets, mask };
}

/** After each key what was last said of it; -1 of one that was never stated. */
function recalled(tokens: Int32Array, keys: number): number[] {
  const known = new Map<number, number>();
  return Array.from(tokens, (token, t) => {
    if (token < keys) return known.get(token) ?? -1;
    known.set(tokens[t - 1], token);
    return -1;
  });
}

/** Accuracy with fewer and with more pairs than it was trained on. */
async function otherLoads(options: RecallOptions, { measure }: Subject) {
  const loads = [options.pairs / 2, options.pairs * 2].filter((pairs) =>
    Number.isInteger(pairs) && pairs <= options.keys
  );
  const scores = [];
  for (const pairs of loads) scores.push(...await measure(recall.create({ ...options, pairs }), `${pairs} pairs`));
  return scores.filter(({ name }) => name.endsWith("accuracy"));
}
