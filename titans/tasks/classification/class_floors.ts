/** What simple rules get on samples with classes: the commonest class, and those of the samples' alphabet. */
import type { Score } from "../task.ts";
import { classFigures, confusionOf } from "./class_figures.ts";
import type { LabelledData, LabelledSequence } from "./labelled.ts";
import { LogisticRegression, type SparseSample } from "./logistic.ts";

/** Gives the number of a sample's class. */
export type Predictor = (one: Pick<LabelledSequence, "tokens">) => number;

/** Samples whose classes are known. */
export interface Samples {
  readonly samples: readonly LabelledSequence[];
  /** The number of the class of each. */
  readonly labels: readonly number[];
  /** How many classes there are. */
  readonly classes: number;
}

/** Fitting to more samples takes minutes, and changes little; they are taken at even distances. */
export const MOST_FITTED = 5000;

/** So many samples at most, at even distances. */
export function thinned({ samples, labels, classes }: Samples, most: number): Samples {
  const distance = Math.max(1, Math.ceil(samples.length / most)),
    isTaken = (_: unknown, i: number): boolean => i % distance === 0;
  return { samples: samples.filter(isTaken), labels: labels.filter(isTaken), classes };
}

/** A logistic regression on features of samples. */
export function regressionOn(
  known: Samples,
  featuresOf: (one: Pick<LabelledSequence, "tokens">) => SparseSample,
  features: number,
): Predictor {
  const { samples, labels, classes } = thinned(known, MOST_FITTED);
  const model = LogisticRegression.fit({ samples: samples.map(featuresOf), labels, features, classes });
  return (one) => model.predict(featuresOf(one));
}

/**
 * The floors by name, on the test part.
 * @param positive Of two classes, the number of the one that is looked for.
 */
export function classFloors(data: LabelledData, positive: number = 1): Readonly<Record<string, readonly Score[]>> {
  const { train, validation, test, classes, alphabet } = data;
  const number = ({ label }: LabelledSequence): number => classes.indexOf(label);
  // What counting learns from needs no validation.
  const samples = [...train, ...validation], known = { samples, labels: samples.map(number), classes: classes.length };
  const counts = classes.map((_, label) => known.labels.filter((one) => one === label).length);
  const commonest = counts.indexOf(Math.max(...counts)), labels = test.map(number);
  const predictors: Readonly<Record<string, Predictor>> = {
    "commonest class": () => commonest,
    ...alphabet.floors(known, test),
  };
  return Object.fromEntries(
    Object.entries(predictors).map(([name, predict]) => [
      name,
      classFigures(confusionOf(labels, test.map(predict), classes.length), positive),
    ]),
  );
}
