/**
 * Following a state (Merrill et al., "The Illusion of State in State-Space Models", 2024; Grazzi et al., 2025): tokens
 * are elements of a group, and at every token the product of all so far is due.
 *
 *     parity          1 0 1 1         answers 1 1 0 1
 *     mod5           +1 +1 -1 0       answers 1 2 1 1
 *
 * What is trained on is short; what a state is worth shows beyond.
 */
import { ConfigError } from "../../errors.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import { numbersOf } from "../lists.ts";
import { measureVariants } from "../long_rows.ts";
import { defineTask, type Task } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";
import { cyclic, type Group, permutationGroup, statesOf } from "./groups.ts";

/** Options of {@link stateTracking}. */
export const STATE_TRACKING_OPTIONS = {
  group: {
    kind: "choice",
    default: "parity",
    choices: {
      parity: "whether the ones so far are odd in number",
      mod5: "a counter modulo 5, of tokens that add 1, subtract 1 and leave it",
      s3: "permutations of three things",
      a5: "even permutations of five things",
      s5: "permutations of five things",
    },
    help: "what is followed",
  },
  tokens: {
    kind: "choice",
    default: "elements",
    choices: {
      elements: "any permutation",
      generators: "two, of which all are products: a swap or 3-cycle, and a cycle",
    },
    help: "what permutations are read",
    idleWith: { group: ["parity", "mod5"] },
  },
  shortest: { kind: "integer", default: 3, min: 1, max: 2 ** 16, help: "tokens of a sequence at least" },
  length: { kind: "integer", default: 40, min: 1, max: 2 ** 16, help: "tokens of a sequence at most" },
  testLengths: { kind: "text", default: "40,64,128,256", placeholder: "LIST", help: "lengths to evaluate at" },
} as const satisfies OptionTable;

type StateTrackingOptions = OptionsOf<typeof STATE_TRACKING_OPTIONS>;

const SWAP3 = [1, 0, 2], CYCLE3 = [1, 2, 0];
const SWAP5 = [1, 0, 2, 3, 4], THREE_OF_5 = [1, 2, 0, 3, 4], CYCLE5 = [1, 2, 3, 4, 0];

/** Following a state. */
export const stateTracking: Task<typeof STATE_TRACKING_OPTIONS, TokenBatch> = defineTask({
  name: "stateTracking",
  summary: "the product of all tokens so far in a group: parity, a counter, permutations",
  options: STATE_TRACKING_OPTIONS,
  create: (options) => {
    const { shortest, length, testLengths } = options, group = groupOf(options);
    if (shortest > length) {
      throw new ConfigError(`Cannot use shortest ${shortest}: it must be at most length, ${length}`, "shortest");
    }
    const lengths = numbersOf(testLengths, { option: "testLengths", min: 1, max: 2 ** 20 });
    const test = lengths.map((length) => [`length ${length}`, instanceOf(group, [length, length])] as const);
    return {
      ...instanceOf(group, [shortest, length]),
      evaluate: (subject) => measureVariants(subject, Object.fromEntries(test)),
    };
  },
});

function groupOf({ group, tokens }: StateTrackingOptions): Group {
  if (group === "parity") return cyclic(2, [0, 1]);
  if (group === "mod5") return cyclic(5, [1, -1, 0]);
  const some = (...generators: number[][]) => tokens === "generators" ? { generators } : {};
  if (group === "s3") return permutationGroup(3, some(SWAP3, CYCLE3));
  if (group === "s5") return permutationGroup(5, some(SWAP5, CYCLE5));
  return permutationGroup(5, { even: true, ...some(THREE_OF_5, CYCLE5) });
}

function instanceOf(group: Group, [shortest, length]: readonly [number, number]) {
  const { order, moves, start } = group;
  return tokenTask({
    name: "stateTracking",
    vocabulary: Math.max(order, moves.length),
    length,
    sample: (random) => {
      const count = shortest + random.integer(length - shortest + 1);
      const tokens = Array.from({ length: count }, () => random.integer(moves.length));
      return tokenRow(tokens, statesOf(group, tokens), length);
    },
    chance: 1 / order,
    answers: (tokens) => statesOf(group, tokens),
    baselines: { "last token alone": (tokens) => tokens.map((token) => moves[token][start]) },
  });
}
