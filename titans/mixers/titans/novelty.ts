/** How new rows are to a memory that learns them as they pass: its error before each is learned. */
import type { Tensor } from "../../../core/graph.ts";
import { full, reshape, square, sub, sum } from "../../../ops/mod.ts";
import { chunkedMemory } from "./chunked_memory.ts";
import { mlpMemory } from "./memory_network.ts";

/** How a memory learns. */
export interface NoveltyOptions {
  /** Step size of the inner gradient. */
  readonly rate: number;
  /** Share of the memory that is forgotten with each row. */
  readonly forget: number;
  /** Rows whose gradients are taken at one memory. */
  readonly miniBatch: number;
}

/** A linear memory and its momentum, [1, 1, K, K] each. */
export interface NoveltyState {
  /** The matrix. */
  readonly weights: Tensor;
  /** Its momentum, which stays zero. */
  readonly surprise: Tensor;
}

/** Scores of rows, and the memory that has learned them. */
export interface Novelty extends NoveltyState {
  /** Squared errors, [T]: of values of length one, 0 for what is known and about 1 for what is not. */
  readonly scores: Tensor;
}

/** Scores rows and learns them; keys and values are [T, K]. Rows of zeros are not learned, and score zero. */
export function novelty(
  { weights, surprise }: NoveltyState,
  { keys, values }: { readonly keys: Tensor; readonly values: Tensor },
  { rate, forget, miniBatch }: NoveltyOptions,
): Novelty {
  const [T, K] = keys.shape, rows = (x: Tensor): Tensor => reshape(x, [1, 1, T, K]);
  const gate = (of: number): Tensor => full([1, 1, T], of), key = rows(keys), value = rows(values);
  const network = mlpMemory({ width: K, depth: 1, norm: false });
  const { output, state } = chunkedMemory({ network, gains: [] }, {
    query: key,
    key,
    value,
    theta: gate(rate),
    eta: gate(0),
    alpha: gate(forget),
  }, { state: { weights: [weights], surprise: [surprise] }, miniBatch, strict: true });
  const scores = reshape(sum(square(sub(output, value)), { axes: 3 }), [T]);
  return { scores, weights: state.weights[0], surprise: state.surprise[0] };
}
