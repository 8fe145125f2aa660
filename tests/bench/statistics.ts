/** What a list of times says. */

/** Times of one contestant's runs, in milliseconds. */
export interface Timing {
  /** How many times were taken. */
  readonly runs: number;
  readonly minMs: number;
  readonly medianMs: number;
  /** Nine of ten runs were at most this long. */
  readonly p90Ms: number;
}

/** The value below which a share of the sorted values lies, linear between neighbours. NaN for an empty list. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) return NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1), below = Math.floor(at), above = Math.ceil(at);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

/** Minimum, median and 90th percentile. */
export function summarize(times: readonly number[]): Timing {
  return { runs: times.length, minMs: quantile(times, 0), medianMs: quantile(times, 0.5), p90Ms: quantile(times, 0.9) };
}

/**
 * The largest difference of two arrays, relative to the largest magnitude of the second; infinite where one has NaN or
 * another length.
 */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let difference = 0, magnitude = 1e-30;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(actual[i] - expected[i]));
    magnitude = Math.max(magnitude, Math.abs(expected[i]));
  }
  return Number.isNaN(difference) ? Infinity : difference / magnitude;
}
