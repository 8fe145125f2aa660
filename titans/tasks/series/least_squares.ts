/**
 * The best linear forecast, in closed form: one map from the `lookback` values of a window, less the last of them, to
 * the `horizon` values after it, less the same, for all columns (Zeng et al., arXiv 2205.13504, call it NLinear; Toner
 * and Darlow, arXiv 2403.14587, solve it).
 *
 *     W = (X^T X + 1e-6 n I)^-1 X^T Y      X [n, lookback + 1]: x_i - x_last, and 1 or the window's deviation
 *                                          Y [n, horizon]:      y_j - x_last
 *
 * With the deviation in the place of one it is the map of windows divided by their deviation, rows weighted by their
 * variance: minimal is the same sum of squares. Products of windows are sums over time, and from one to the next a term
 * goes and one comes: `S(a + 1, b + 1) = S(a, b) - x_a x_b + x_{n + a} x_{n + b}`, so X and Y are never made.
 */
import type { SeriesWindows } from "./windows.ts";

const RIDGE = 1e-6;

/** A linear map of windows. */
export interface LinearForecast {
  /** [lookback + 1, horizon], the last row for what stands beside the window. */
  readonly weights: Float64Array;
  /** Whether that is the window's deviation; one otherwise. */
  readonly byDeviation: boolean;
}

/** Fits the map to the windows to train on. */
export function fitLinear(windows: SeriesWindows, byDeviation: boolean): LinearForecast {
  const { lookback: L, horizon: H, frame: { targets } } = windows, size = L + 1;
  const gram = new Float64Array(size * size), cross = new Float64Array(size * H);
  for (let channel = 0; channel < targets; channel++) addChannel(windows, channel, byDeviation, { gram, cross });
  const count = windows.count("train") * targets;
  for (let i = 0; i < size; i++) gram[i * size + i] += RIDGE * count;
  solveInPlace(gram, cross, size, H);
  return { weights: cross, byDeviation };
}

/** A column of the scaled values. */
export function columnAt({ scaled, frame: { names } }: SeriesWindows, channel: number): Float64Array {
  return Float64Array.from({ length: scaled.length / names.length }, (_, row) => scaled[row * names.length + channel]);
}

function addChannel(
  windows: SeriesWindows,
  channel: number,
  byDeviation: boolean,
  { gram, cross }: { readonly gram: Float64Array; readonly cross: Float64Array },
): void {
  const { lookback: L, horizon: H, spans: { train: { from } } } = windows, n = windows.count("train"), size = L + 1;
  const x = columnAt(windows, channel).subarray(from), width = L + H, last = L - 1;
  // products[a, b] = sum over windows t of x[t + a] x[t + b]; beside[b] = sum of the column beside times x[t + b].
  const products = new Float64Array(L * width), beside = new Float64Array(width);
  const extra = byDeviation ? windowDeviations(x, n, L) : new Float64Array(n).fill(1);
  for (let b = 0; b < width; b++) {
    for (let t = 0; t < n; t++) {
      products[b] += x[t] * x[t + b];
      beside[b] += extra[t] * x[t + b];
    }
  }
  for (let a = 1; a < L; a++) {
    for (let t = 0; t < n; t++) products[a * width] += x[t + a] * x[t];
    for (let b = 1; b < width; b++) {
      products[a * width + b] = products[(a - 1) * width + b - 1] - x[a - 1] * x[b - 1] + x[n + a - 1] * x[n + b - 1];
    }
  }
  const S = (a: number, b: number): number => products[a * width + b];
  // Products of differences to the last value.
  const less = (a: number, b: number): number => S(a, b) - S(last, b) - S(a, last) + S(last, last);
  const squares = extra.reduce((sum, value) => sum + value * value, 0);
  for (let a = 0; a < L; a++) {
    for (let b = 0; b < L; b++) gram[a * size + b] += less(a, b);
    for (let h = 0; h < H; h++) cross[a * H + h] += less(a, L + h);
    gram[a * size + L] += beside[a] - beside[last];
    gram[L * size + a] += beside[a] - beside[last];
  }
  gram[L * size + L] += squares;
  for (let h = 0; h < H; h++) cross[L * H + h] += beside[L + h] - beside[last];
}

/** The deviation of each window of standardised values; 1 of one that is constant, but for rounding. */
export function windowDeviations(x: Float64Array, count: number, lookback: number): Float64Array {
  return Float64Array.from({ length: count }, (_, t) => {
    let mean = 0, square = 0;
    for (let i = t; i < t + lookback; i++) mean += x[i] / lookback;
    for (let i = t; i < t + lookback; i++) square += (x[i] - mean) ** 2 / lookback;
    return square > 1e-12 ? Math.sqrt(square) : 1;
  });
}

/** Solves A X = B for a positive definite A [n, n] and B [n, m], by Cholesky, in the place of both. */
export function solveInPlace(A: Float64Array, B: Float64Array, n: number, m: number): void {
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = A[i * n + j];
      for (let k = 0; k < j; k++) sum -= A[i * n + k] * A[j * n + k];
      A[i * n + j] = i === j ? Math.sqrt(sum) : sum / A[j * n + j];
    }
  }
  const subtract = (row: number, other: number, factor: number): void => {
    for (let c = 0; c < m; c++) B[row * m + c] -= factor * B[other * m + c];
  };
  const divide = (row: number): void => {
    for (let c = 0; c < m; c++) B[row * m + c] /= A[row * n + row];
  };
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) subtract(i, k, A[i * n + k]);
    divide(i);
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) subtract(i, k, A[k * n + i]);
    divide(i);
  }
}
