/**
 * A model beside another one on the same questions.
 *
 * Questions are paired by what was asked, not by their number: the same choices after a context that ends alike, as it
 * has other solved examples before it, or none. Both models' figures are of the questions that both were asked, and a
 * difference has the error of its own mean over them: where models are right and wrong about the same questions, that
 * is less than the errors of the two figures suggest.
 */
import { ConfigError } from "../../errors.ts";
import type { Answer, PairedScore } from "../benchmark.ts";
import { meanOf } from "../figures.ts";
import { SampleRandom } from "../samples.ts";
import type { Score, TaskFile } from "../task.ts";
import { type Answered, bytesIn, isWord, withAnswer } from "./answered.ts";
import { characters, firstLargest } from "./choice_figures.ts";
import type { Question } from "./formats.ts";
import { type HarnessSample, harnessSamples, isSummary } from "./harness_samples.ts";

/** A set of questions. */
interface QuestionsOf {
  readonly name: string;
  readonly questions: readonly Question[];
}

/** A question that both models were asked. */
interface Pair {
  readonly own: Answered;
  readonly other: Answered;
}

const RESAMPLES = 1000;

/**
 * Pairs questions with the samples of files.
 * @returns Compares answers; sets that the files have nothing of are left out.
 * @throws {ConfigError} if no sample asks one of the questions.
 */
export function pairedWith(
  sets: readonly QuestionsOf[],
  files: readonly TaskFile[],
): (answers: (part: string) => readonly Answer[]) => PairedScore[] {
  const names = files.map(({ name }) => name).join(", ");
  const used = files.filter((file) => /\.jsonl?$/.test(file.name) && !isSummary(file));
  if (used.length === 0) {
    throw new ConfigError(
      `Cannot compare with ${names}: there are no answers in it; give the samples_*.jsonl that lm-evaluation-harness writes with --log_samples, or their folder`,
      "against",
    );
  }
  const samples = used.flatMap(harnessSamples), find = finder(samples);
  const found = sets.map(({ questions }) => questions.map(find));
  if (found.flat().every((sample) => sample === undefined)) {
    throw new ConfigError(
      `Cannot compare with ${names}: none of its ${samples.length} samples asks one of these questions, the first of which is ${
        JSON.stringify(sets[0].questions[0].contexts[0].slice(-60))
      }; give samples of the same set, as lm-evaluation-harness --log_samples writes them`,
      "against",
    );
  }
  return (answers) =>
    sets.flatMap(({ name, questions }, s) => {
      const own = answers(name);
      if (found[s].some((sample, i) => sample !== undefined && own[i] === undefined)) {
        throw new ConfigError(
          `Cannot compare ${name}: of an earlier evaluation there are figures, but no answers; evaluate into another file`,
          "against",
        );
      }
      const pairs = questions.flatMap((question, i): Pair[] => {
        const sample = found[s][i];
        return sample ? [{ own: withAnswer(question, own[i]), other: withAnswer(question, sample) }] : [];
      });
      if (pairs.length === 0) return [];
      return figuresOf(pairs, questions.some(isWord)).map((score) => ({ ...score, name: `${name}: ${score.name}` }));
    });
}

/** Finds the first sample that asks a question and was not found before. */
function finder(samples: readonly HarnessSample[]): (question: Question) => HarnessSample | undefined {
  const byChoices = Map.groupBy(samples, ({ continuations }) => keyOf(continuations));
  return ({ contexts, continuations }) => {
    // A question has one context or one continuation; a sample has as many of both as it has choices.
    const choices = contexts.flatMap((context) =>
      continuations.map((continuation) => ({ context: context.trim(), continuation }))
    );
    const alike = byChoices.get(keyOf(choices.map(({ continuation }) => continuation))) ?? [];
    const at = alike.findIndex((sample) =>
      choices.every(({ context }, i) => sample.contexts[i].trimEnd().endsWith(context))
    );
    return at < 0 ? undefined : alike.splice(at, 1)[0];
  };
}

const keyOf = (continuations: readonly string[]): string =>
  JSON.stringify(continuations.map((continuation) => continuation.trim()));

/** The figures of both models on the same questions. */
function figuresOf(pairs: readonly Pair[], areWords: boolean): PairedScore[] {
  const share = (name: string, isRight: (one: Answered) => boolean): PairedScore => {
    const mean = (of: (pair: Pair) => number) => meanOf(name, pairs.map(of));
    return {
      name,
      value: mean(({ own }) => Number(isRight(own))).value,
      other: mean(({ other }) => Number(isRight(other))).value,
      difference: mean(({ own, other }) => Number(isRight(own)) - Number(isRight(other))),
    };
  };
  if (areWords) return [share("acc", ({ greedy }) => greedy), bitsOfGold(pairs)];
  const likeliest = (name: string, length: (choice: string) => number): PairedScore =>
    share(
      name,
      ({ logLikelihoods, choices, gold }) =>
        firstLargest(logLikelihoods.map((value, i) => value / length(choices[i]))) === gold,
    );
  return [
    likeliest("acc", () => 1),
    ...(pairs.some(({ own }) => own.byContext)
      ? []
      : [likeliest("acc_norm", characters), likeliest("acc_bytes", bytesIn)]),
    bitsOfGold(pairs),
  ];
}

/** Bits of all right answers over their bytes; the interval is that of a bootstrap over questions. */
function bitsOfGold(pairs: readonly Pair[]): PairedScore {
  const bitsOf = ({ logLikelihoods, gold }: Answered): number => -logLikelihoods[gold] / Math.LN2;
  const own = pairs.map((pair) => bitsOf(pair.own)), other = pairs.map((pair) => bitsOf(pair.other));
  const bytes = pairs.map(({ own: { scoredBytes, gold } }) => scoredBytes[gold]), count = pairs.length;
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const all = sum(bytes), value = sum(own) / all, otherValue = sum(other) / all;
  const random = new SampleRandom(0, "bootstrap of bits");
  const differences = Float64Array.from({ length: RESAMPLES }, () => {
    let bits = 0, length = 0;
    for (let i = 0; i < count; i++) {
      const at = random.integer(count);
      bits += own[at] - other[at];
      length += bytes[at];
    }
    return bits / length;
  }).sort();
  const at = (share: number): number => differences[Math.round(share * (RESAMPLES - 1))];
  const difference: Score = {
    name: "bitsPerByte",
    value: value - otherValue,
    count,
    interval: [at(0.025), at(0.975)],
  };
  return { name: "bitsPerByte", value, other: otherValue, difference };
}
