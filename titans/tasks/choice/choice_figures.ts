/** What the log-likelihoods of choices say: accuracies as lm-evaluation-harness reports them, and finer figures. */
import { SampleRandom } from "../samples.ts";
import { meanOf, proportion } from "../figures.ts";
import type { Score } from "../task.ts";
import { type Answered, bytesIn } from "./answered.ts";

const RESAMPLES = 1000;

/** The first of the largest numbers. */
export function firstLargest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}

/** Characters, as Python counts them. */
export function characters(text: string): number {
  return [...text].length;
}

/**
 * Figures of questions with several choices.
 *
 *     acc        the likeliest choice is right                 acc_norm   likeliest by character
 *     acc_bytes  likeliest by byte in UTF-8                    margin     mean over questions of ln p a byte of the right
 *                                                                         choice minus that of the wrong ones
 */
export function choiceFigures(answered: readonly Answered[]): Score[] {
  const count = answered.length, chance = answered.reduce((sum, { choices }) => sum + 1 / choices.length, 0) / count;
  const share = (name: string, value: (one: Answered, i: number) => number): Score => ({
    ...proportion(name, right(answered, value), count),
    chance,
  });
  const byContext = answered.some((one) => one.byContext);
  return [
    share("acc", ({ logLikelihoods }, i) => logLikelihoods[i]),
    // Where contexts differ, every choice has the same text.
    ...(byContext ? [] : [
      share("acc_norm", ({ logLikelihoods, choices }, i) => logLikelihoods[i] / characters(choices[i])),
      share("acc_bytes", ({ logLikelihoods, choices }, i) => logLikelihoods[i] / bytesIn(choices[i])),
    ]),
    bitsOfGold(answered),
    marginOf(answered),
  ];
}

/** Figures of one word that is to be written, as LAMBADA asks for it. */
export function wordFigures(answered: readonly Answered[], lastSentence: readonly number[]): Score[] {
  const likelihoods = answered.map(({ logLikelihoods, gold }) => logLikelihoods[gold]);
  const mean = meanOf("ll", likelihoods);
  return [
    proportion("acc", answered.filter(({ greedy }) => greedy).length, answered.length),
    { name: "perplexity", value: Math.exp(-mean.value), count: mean.count! },
    mean,
    bitsOfGold(answered),
    meanOf("useOfContext", likelihoods.map((value, i) => value - lastSentence[i])),
  ];
}

/** What the rules get that take the shortest, the longest or the first choice. */
export function lengthFloors(
  answered: readonly Pick<Answered, "choices" | "gold" | "byContext">[],
): Record<string, Score[]> {
  const rules: Record<string, (choice: string, i: number) => number> = {
    shortest: (choice) => -bytesIn(choice),
    longest: bytesIn,
    first: (_, i) => -i,
  };
  return Object.fromEntries(
    Object.entries(rules).map(([rule, value]) => {
      const hits = answered.filter(({ choices, gold }) => firstLargest(choices.map(value)) === gold).length;
      const names = answered.some(({ byContext }) => byContext) ? ["acc"] : ["acc", "acc_norm", "acc_bytes"];
      return [rule, names.map((name) => proportion(name, hits, answered.length))];
    }),
  );
}

function right(answered: readonly Answered[], value: (one: Answered, i: number) => number): number {
  return answered.filter((one) => firstLargest(one.choices.map((_, i) => value(one, i))) === one.gold).length;
}

/** Bits of all right answers over their bytes. */
function bitsOfGold(answered: readonly Answered[]): Score {
  const bits = answered.reduce((sum, { logLikelihoods, gold }) => sum - logLikelihoods[gold] / Math.LN2, 0);
  const bytes = answered.reduce((sum, { scoredBytes, gold }) => sum + scoredBytes[gold], 0);
  return { name: "bitsPerByte", value: bits / bytes, count: bytes };
}

/** The margin; its interval is that of a bootstrap over questions, of which each keeps its right and wrong choices. */
function marginOf(answered: readonly Answered[]): Score {
  const margins = answered.map(({ logLikelihoods, scoredBytes, gold }) => {
    const perByte = logLikelihoods.map((value, i) => value / scoredBytes[i]);
    const wrong = perByte.filter((_, i) => i !== gold);
    return perByte[gold] - wrong.reduce((sum, value) => sum + value, 0) / wrong.length;
  });
  const random = new SampleRandom(0, "bootstrap of margins"), n = margins.length;
  const means = Float64Array.from({ length: RESAMPLES }, () => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += margins[random.integer(n)];
    return sum / n;
  }).sort();
  const at = (share: number): number => means[Math.round(share * (RESAMPLES - 1))];
  return { ...meanOf("margin", margins), interval: [at(0.025), at(0.975)] };
}
