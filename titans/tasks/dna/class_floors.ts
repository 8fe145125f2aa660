/** What simple rules get on sequences with classes: the commonest class, and logistic regressions on words and places. */
import type { Score } from "../task.ts";
import { classFigures, confusionOf } from "./class_figures.ts";
import type { LabelledData, LabelledSequence } from "./labelled.ts";
import { LogisticRegression, type SparseSample } from "./logistic.ts";
import { KNOWN } from "./nucleotides.ts";

/** Nucleotides of a word. */
const WORD = 4;

/** Fitting to more sequences takes minutes, and changes little; they are taken at even distances. */
export const MOST_FITTED = 5000;

/** Places beyond this one are too many features. */
const MOST_PLACES = 4096;

/** How often each word of four nucleotides is in a sequence; words with an N do not count. */
export function wordCounts({ tokens }: Pick<LabelledSequence, "tokens">): SparseSample {
  const counts = new Map<number, number>();
  let word = 0, known = 0;
  for (const token of tokens) {
    known = token < KNOWN ? known + 1 : 0;
    word = (word << 2 | token) & KNOWN ** WORD - 1;
    if (known >= WORD) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return { features: Uint32Array.from(counts.keys()), values: Uint32Array.from(counts.values()) };
}

/** Which nucleotide is at each place. */
export function placesOf({ tokens }: Pick<LabelledSequence, "tokens">): SparseSample {
  const features = Array.from(tokens, (token, i) => token < KNOWN ? i * KNOWN + token : -1).filter((at) => at >= 0);
  return { features: Uint32Array.from(features), values: new Uint8Array(features.length).fill(1) };
}

/**
 * The floors by name, on the test part. The regression on places is there where all sequences are of one length.
 * @param positive Of two classes, the number of the one that is looked for.
 */
export function classFloors(data: LabelledData, positive: number = 1): Readonly<Record<string, readonly Score[]>> {
  const { train, validation, test, classes, longest } = data;
  // What counting learns from needs no validation.
  const known = [...train, ...validation], number = ({ label }: LabelledSequence): number => classes.indexOf(label);
  const labels = test.map(number);
  const measured = (predict: (one: LabelledSequence) => number): readonly Score[] =>
    classFigures(confusionOf(labels, test.map(predict), classes.length), positive);
  const counts = classes.map((label) => known.filter((one) => one.label === label).length);
  const commonest = counts.indexOf(Math.max(...counts));
  const distance = Math.max(1, Math.ceil(known.length / MOST_FITTED)),
    fitted = known.filter((_, i) => i % distance === 0);
  const regression = (featuresOf: typeof wordCounts, features: number): readonly Score[] => {
    const samples = fitted.map(featuresOf), problem = { samples, labels: fitted.map(number), features };
    const model = LogisticRegression.fit({ ...problem, classes: classes.length });
    return measured((one) => model.predict(featuresOf(one)));
  };
  const hasPlaces = longest <= MOST_PLACES && [...known, ...test].every(({ tokens }) => tokens.length === longest);
  return {
    "commonest class": measured(() => commonest),
    "4-mer logistic": regression(wordCounts, KNOWN ** WORD),
    ...(hasPlaces ? { "position logistic": regression(placesOf, KNOWN * longest) } : {}),
  };
}
