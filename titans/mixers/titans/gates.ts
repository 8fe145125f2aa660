/**
 * Gates of a memory: how far it steps (theta), how much surprise stays (eta), how much it forgets (alpha); for each
 * head, or finer.
 *
 * - `head`: one theta, eta and alpha for each token and head; all matrices of the memory network share them
 *   ({@link MemorySequence}).
 * - `layer`: one of each for each token, head and matrix.
 * - `channel`: theta and eta for each token, head and matrix; alpha for each of its columns (output channels) too.
 *
 * A fast vector of the network is a matrix of one row.
 */
import type { Tensor } from "../../../core/graph.ts";
import type { MemorySequence } from "./memory_network.ts";

/** What shares a gate. See the file's head. */
export type GateGranularity = "head" | "layer" | "channel";

/** The gates of one matrix of the memory network, in each head. */
export interface LayerGates {
  /** Step size of the inner gradient, at least 0: [B, H, T]. */
  readonly theta: Tensor;
  /** How much of the surprise stays, in [0, 1]: [B, H, T]. */
  readonly eta: Tensor;
  /** How much of the matrix is forgotten, in [0, 1]: [B, H, T], or [B, H, T, out] for each of its columns. */
  readonly alpha: Tensor;
}

/** What a memory learns from and is asked, with gates for each matrix of its network. */
export interface LayeredSequence {
  /** What each token asks, [B, H, T, K]. */
  readonly query: Tensor;
  /** What each token stores under, [B, H, T, K]. */
  readonly key: Tensor;
  /** What each token stores, [B, H, T, K]. */
  readonly value: Tensor;
  /** One entry a matrix of the network. */
  readonly gates: readonly LayerGates[];
}

/** The same sequence with gates for each of `layers` matrices. */
export function toLayered(sequence: MemorySequence | LayeredSequence, layers: number): LayeredSequence {
  if ("gates" in sequence) return sequence;
  const { query, key, value, theta, eta, alpha } = sequence;
  return { query, key, value, gates: Array.from({ length: layers }, () => ({ theta, eta, alpha })) };
}
