/** Figures of evaluations with what is known of their errors. */
import type { Score } from "./task.ts";

/** The deviation of a normal variable that is exceeded, on either side, in one of twenty cases. */
export const DEVIATIONS_95 = 1.959964;

/**
 * A share of answers that are right.
 *
 * The standard error is sqrt(p (1 - p) / n), the interval Wilson's (1927), which says something of none and of all too.
 * @param right How many are right, from 0 to `count`.
 * @param count How many there are.
 */
export function proportion(name: string, right: number, count: number): Score {
  const value = right / count, square = DEVIATIONS_95 ** 2 / count;
  const middle = (value + square / 2) / (1 + square);
  const reach = Math.sqrt(square * (value * (1 - value) + square / 4)) / (1 + square);
  return {
    name,
    value,
    count,
    standardError: Math.sqrt(value * (1 - value) / count),
    interval: [middle - reach, middle + reach],
  };
}

/** The mean of numbers, one a sample; the standard error is their deviation over sqrt(n). */
export function meanOf(name: string, values: ArrayLike<number>): Score {
  const count = values.length;
  let sum = 0, squares = 0;
  for (let i = 0; i < count; i++) sum += values[i];
  const value = sum / count;
  for (let i = 0; i < count; i++) squares += (values[i] - value) ** 2;
  return {
    name,
    value,
    count,
    ...(count > 1 ? { standardError: Math.sqrt(squares / (count - 1) / count) } : {}),
  };
}

/** The 95% confidence interval of a figure, where its error is known. */
export function intervalOf(
  { value, interval, standardError }: Score,
): readonly [low: number, high: number] | undefined {
  if (interval !== undefined || standardError === undefined) return interval;
  return [value - DEVIATIONS_95 * standardError, value + DEVIATIONS_95 * standardError];
}
