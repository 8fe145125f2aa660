/**
 * Gates of a memory: step size (theta), momentum decay (eta) and forgetting (alpha), per head or finer.
 *
 * - `head`: one theta, eta and alpha per token and head; all matrices of the memory network share them
 *   ({@link MemorySequence}).
 * - `layer`: one of each per token, head and matrix.
 * - `channel`: theta and eta per token, head and matrix; alpha also per column (output channel).
 *
 * A fast vector of the network counts as a matrix of one row.
 */
import type { Tensor } from "../../../core/graph.ts";
import type { MemorySequence } from "./memory_network.ts";

/** The granularity of gates; see the top of the file. */
export type GateGranularity = "head" | "layer" | "channel";

/** The gates of one matrix of the memory network, per head. */
export interface LayerGates {
  /** Step size of the inner gradient, at least 0: [B, H, T]. */
  readonly theta: Tensor;
  /** The share of the surprise that is kept, in [0, 1]: [B, H, T]. */
  readonly eta: Tensor;
  /** The share of the matrix that is forgotten, in [0, 1]: [B, H, T], or [B, H, T, out] per column. */
  readonly alpha: Tensor;
}

/**
 * The inputs of a memory: what it learns from and what it is queried with, with gates for each matrix of its network.
 */
export interface LayeredSequence {
  /** Queries, [B, H, T, K]. */
  readonly query: Tensor;
  /** Keys, [B, H, T, K]. */
  readonly key: Tensor;
  /** Values, [B, H, T, K]. */
  readonly value: Tensor;
  /** One entry per matrix of the network. */
  readonly gates: readonly LayerGates[];
}

/** The same sequence with the gates repeated for each of `layers` matrices. */
export function toLayered(sequence: MemorySequence | LayeredSequence, layers: number): LayeredSequence {
  if ("gates" in sequence) return sequence;
  const { query, key, value, theta, eta, alpha } = sequence;
  return { query, key, value, gates: Array.from({ length: layers }, () => ({ theta, eta, alpha })) };
}
