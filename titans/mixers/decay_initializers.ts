/** How the decays of Mamba, Mamba2 and Gated DeltaNet start: `exp(-A softplus(x W + bias))`, spread over many lengths. */
import { Parameter } from "../nn/parameters.ts";

/** Steps in time that a bias stands for at the start (Gu and Dao, arXiv 2312.00752, 3.6). */
const SHORTEST_STEP = 1e-3, LONGEST_STEP = 0.1;

/** Rates per head at the start, from 1 to 16 (Dao and Gu, Mamba2's code). */
const LARGEST_RATE = 16;

/**
 * Biases in front of a softplus, [count]: such that steps are spread log-uniformly from 0.001 to 0.1. In order rather
 * than at random.
 */
export function stepBiases(count: number): Parameter {
  const parts = quantiles(count).map((at) => {
    const step = SHORTEST_STEP * (LONGEST_STEP / SHORTEST_STEP) ** at;
    return Math.log(Math.expm1(step));
  });
  return new Parameter([count], { parts }, false);
}

/** Logarithms of rates A per head, [count]: A spread uniformly from 1 to 16, in order. */
export function logRates(count: number): Parameter {
  const parts = quantiles(count).map((at) => Math.log(1 + (LARGEST_RATE - 1) * at));
  return new Parameter([count], { parts }, false);
}

/** The middles of equal parts of the range from 0 to 1. */
function quantiles(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i + 0.5) / count);
}
