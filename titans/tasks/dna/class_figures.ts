/**
 * What a classifier is worth, from the table of true classes against predicted ones.
 *
 *     8 of 10 positives and 27 of 30 negatives found:  sensitivity .8, specificity .9, accuracy .875,
 *     Matthews correlation (8 27 - 3 2) / sqrt(11 10 30 29) = .679
 */
import { proportion } from "../figures.ts";
import type { Score } from "../task.ts";

/** Counts by true class, then by predicted class. */
export type Confusion = readonly (readonly number[])[];

/** Counts predictions. @param classes How many classes there are. */
export function confusionOf(labels: ArrayLike<number>, predicted: ArrayLike<number>, classes: number): Confusion {
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < labels.length; i++) counts[labels[i]][predicted[i]]++;
  return counts;
}

/**
 * Accuracy, of two classes also sensitivity and specificity, F1 (of two classes that of the positive one, else the mean
 * over classes), and Matthews correlation (of several classes Gorodkin's).
 * @param positive Of two classes, the number of the one that is looked for.
 */
export function classFigures(confusion: Confusion, positive: number = 1): readonly Score[] {
  const right = confusion.map((row, label) => row[label]), rows = confusion.map(sumOf);
  const columns = confusion.map((_, label) => sumOf(confusion.map((row) => row[label])));
  const count = sumOf(rows), accuracy = proportion("accuracy", sumOf(right), count);
  const f1 = right.map((own, label) => 2 * own / Math.max(1, rows[label] + columns[label]));
  const negative = 1 - positive, isBinary = confusion.length === 2;
  return [
    accuracy,
    ...(isBinary && rows[positive] > 0 ? [proportion("sensitivity", right[positive], rows[positive])] : []),
    ...(isBinary && rows[negative] > 0 ? [proportion("specificity", right[negative], rows[negative])] : []),
    { name: "f1", value: isBinary ? f1[positive] : sumOf(f1) / f1.length, count },
    { name: "matthewsCorrelation", value: matthews(sumOf(right), count, { rows, columns }), count },
  ];
}

/** Zero where it is not defined, since one class is never there or never predicted. */
function matthews(
  right: number,
  count: number,
  { rows, columns }: { readonly rows: readonly number[]; readonly columns: readonly number[] },
): number {
  const both = (a: readonly number[], b: readonly number[]): number => sumOf(a.map((value, i) => value * b[i]));
  const spread = Math.sqrt((count ** 2 - both(columns, columns)) * (count ** 2 - both(rows, rows)));
  return spread === 0 ? 0 : (right * count - both(rows, columns)) / spread;
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
