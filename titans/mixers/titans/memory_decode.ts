/**
 * The memory one token at a time, for reading: weights are written at every token, so that nothing of the mini-batch is
 * kept but the weights at its start.
 *
 *     S_t = eta_t S_{t-1} - theta_t h^T d          h, d: rows of the gradient at the mini-batch's start (inner_gradient.ts)
 *     M_t = (1 - alpha_t) M_{t-1} + S_t            with a start M_0: + alpha_t M_0
 *     y_t = M_t(q_t)                               strict: M_{t-1}(q_t)
 *
 * The same numbers as chunked_memory.ts, which does many tokens at once, and cheaper for a single one: a product of
 * each matrix with one row four times, and each matrix of weights and surprise read and written once.
 */
import type { Tensor } from "../../../core/graph.ts";
import { add, expandDims, mul, sub, swapAxes, where } from "../../../ops/mod.ts";
import { checkMemory } from "./check_memory.ts";
import type { LayeredSequence } from "./gates.ts";
import { innerGradient } from "./inner_gradient.ts";
import { type Memory, type MemoryState, readMemory } from "./memory_network.ts";

/** Options of {@link readToken}. */
export interface ReadTokenOptions {
  /** The state before the token. */
  readonly state: MemoryState;
  /** Whether it is the last of its mini-batch: a bool scalar. */
  readonly endsMiniBatch: Tensor;
  /** Whether it reads the memory before its own update. */
  readonly strict: boolean;
}

/**
 * Learns one token, then reads the memory with its query.
 * @param memory The network and its outer-loop parameters.
 * @param token Queries, keys and values [B, H, 1, K], and the gates of each matrix [B, H, 1].
 * @returns The output [B, H, 1, K], and the state after the token.
 */
export function readToken(
  memory: Memory,
  { query, key, value, gates }: LayeredSequence,
  { state, endsMiniBatch, strict }: ReadTokenOptions,
): { readonly output: Tensor; readonly state: MemoryState } {
  checkMemory(memory, key, state);
  const { start = state.weights } = state, { rows, deltas } = innerGradient(memory, start, key, value);
  const scalar = (gate: Tensor): Tensor => expandDims(gate, -1); // [B, H, 1] -> [B, H, 1, 1]
  const surprise = state.surprise.map((s, l) => {
    const { theta, eta } = gates[l];
    return sub(mul(scalar(eta), s), mul(swapAxes(rows[l], -1, -2), mul(scalar(theta), deltas[l]))); // [B, H, in, out]
  });
  const weights = state.weights.map((w, l) => {
    const forget = gates[l].alpha.rank === 3 ? scalar(gates[l].alpha) : gates[l].alpha, kept = mul(sub(1, forget), w);
    return add(memory.start ? add(kept, mul(forget, memory.start[l])) : kept, surprise[l]);
  });
  const output = readMemory(memory, strict ? state.weights : weights, query);
  return {
    output,
    state: { weights, surprise, start: start.map((w, l) => where(endsMiniBatch, weights[l], w)) },
  };
}
