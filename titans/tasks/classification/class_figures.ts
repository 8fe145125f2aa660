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
 * Accuracy, of two classes also sensitivity, specificity and F1 of the positive one, F1 as a mean over classes, and
 * Matthews correlation (of several classes Gorodkin's).
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
    ...(isBinary ? [{ name: "f1", value: f1[positive], count }] : []),
    { name: "macroF1", value: sumOf(f1) / f1.length, count, ...macroError(confusion, f1) },
    { name: "matthewsCorrelation", value: matthews(sumOf(right), count, { rows, columns }), count },
  ];
}

/**
 * The standard error of the mean of F1, by the delta method (Takahashi et al., 2022). With p_ij the share of samples of
 * class i that are called j, and s_c = sum_j p_cj + p_jc,
 *
 *     F_c = 2 p_cc / s_c    so that  d F_c / d p_cc = 2 (1 - F_c) / s_c,    d F_c / d p_cj = d F_c / d p_jc = -F_c / s_c
 *
 * and the variance of the mean over C classes is that of its gradient g over the samples: (E g^2 - (E g)^2) / n. Where
 * all is right it would be zero, which says nothing.
 */
function macroError(confusion: Confusion, f1: readonly number[]): Pick<Score, "standardError"> {
  const C = confusion.length, count = sumOf(confusion.map(sumOf));
  const shares = f1.map((_, c) => sumOf(confusion.map((row, i) => row[c] + confusion[c][i])) / count);
  // The classes that are neither there nor predicted have no part in any cell that counts.
  const slope = (c: number): number => f1[c] / shares[c];
  let mean = 0, square = 0;
  confusion.forEach((row, i) =>
    row.forEach((cell, j) => {
      if (cell === 0) return;
      const gradient = (i === j ? 2 / shares[i] - 2 * slope(i) : -slope(i) - slope(j)) / C;
      mean += cell / count * gradient;
      square += cell / count * gradient ** 2;
    })
  );
  const variance = (square - mean ** 2) / count;
  return variance > 1e-15 ? { standardError: Math.sqrt(variance) } : {};
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
