/**
 * The memory as the equations say it: token by token, with a full weight matrix for every token. Slow, and the oracle
 * of everything faster.
 *
 *     loss_t(M) = mean over d of (M(k_t) - v_t)^2
 *     S_t = eta_t S_{t-1} - theta_t grad loss_t(M_{t'})        t' = t - (t mod b)
 *     M_t = (1 - alpha_t) M_{t-1} + S_t
 *     y_t = M_t(q_t)                                           strict: M_{t-1}(q_t)
 *
 * A memory with a start M_0 forgets towards it: M_t = (1 - alpha_t) M_{t-1} + alpha_t M_0 + S_t.
 *
 * (Titans, arXiv 2501.00663, equations 9-15.)
 */
import { grad } from "../../../core/grad.ts";
import { isTensor, type Tensor } from "../../../core/graph.ts";
import { scan } from "../../../core/scan.ts";
import { mapLeaves } from "../../../core/tree.ts";
import {
  add,
  concat,
  expandDims,
  mean,
  mul,
  reshape,
  sliceAxis,
  square,
  squeeze,
  sub,
  sum,
  transpose,
} from "../../../ops/mod.ts";
import { checkMemory } from "./check_memory.ts";
import { RUN_OPTIONS } from "./chunked_memory.ts";
import { checkNames } from "../../errors.ts";
import { type LayeredSequence, toLayered } from "./gates.ts";
import { type Memory, type MemorySequence, type MemoryState, readMemory } from "./memory_network.ts";

/** Options of {@link naiveMemory}. Accepts those of a run in matrix products; the others have no effect. */
export interface NaiveMemoryOptions {
  /** The state before the first token. */
  readonly state: MemoryState;
  /** Number of tokens whose gradients are all taken at the memory before the first of them, b. */
  readonly miniBatch: number;
  /** Whether token t reads the memory before its own update. */
  readonly strict?: boolean;
}

/** The output of a memory. */
export interface MemoryResult {
  /** [B, H, T, K] */
  readonly output: Tensor;
  /** The state after the last token. */
  readonly state: MemoryState;
}

/**
 * Runs a memory over a sequence, one token after another.
 * @param memory The network and its outer-loop parameters.
 * @param given Any length T of at least 1; gates of each head, or of each matrix of the network.
 * @param options The state before the first token, and the mini-batch, which starts with the first token.
 * @throws {ConfigError} if the network is invalid: see {@link MemoryNetwork}.
 */
export function naiveMemory(
  memory: Memory,
  given: MemorySequence | LayeredSequence,
  options: NaiveMemoryOptions,
): MemoryResult {
  checkNames("naiveMemory", options, RUN_OPTIONS);
  const { state, miniBatch, strict = false } = options;
  checkMemory(memory, given.query, state);
  const sequence = toLayered(given, memory.network.layers.length);
  const [B, H, T] = sequence.query.shape;
  const count = Math.floor(T / miniBatch);
  const outputs: Tensor[] = [];
  let current = state;
  if (count > 0) {
    const xs = mapLeaves(sequence, isTensor, (x) => {
      const rest = x.shape.slice(3);
      const parts = reshape(sliceAxis(x, 2, 0, count * miniBatch), [B, H, count, miniBatch, ...rest]);
      return transpose(parts, [2, 3, 0, 1, ...rest.map((_, i) => 4 + i)]); // [N, b, B, H, ...]
    });
    const [last, ys] = scan(
      (carry: MemoryState, x: LayeredSequence) => miniBatchLoop(memory, x, carry, strict),
      state,
      xs,
    );
    const K = ys.shape[4];
    outputs.push(reshape(transpose(ys, [2, 3, 0, 1, 4]), [B, H, count * miniBatch, K]));
    current = last;
  }
  const rest = T - count * miniBatch;
  if (rest > 0) {
    const xs = mapLeaves(
      sequence,
      isTensor,
      (x) => transpose(sliceAxis(x, 2, T - rest, rest), [2, 0, 1, ...x.shape.slice(3).map((_, i) => 3 + i)]),
    );
    const [last, ys] = miniBatchLoop(memory, xs, current, strict);
    outputs.push(transpose(ys, [1, 2, 0, 3]));
    current = last;
  }
  return { output: outputs.length === 1 ? outputs[0] : concat(outputs, 2), state: current };
}

/** The tokens of one mini-batch, [b, B, H, ...]: gradients at the weights before it. */
function miniBatchLoop(
  memory: Memory,
  tokens: LayeredSequence,
  start: MemoryState,
  strict: boolean,
): [MemoryState, Tensor] {
  return scan(
    (carry: MemoryState, token: LayeredSequence): [MemoryState, Tensor] => {
      const row = (x: Tensor): Tensor => expandDims(x, -2); // [B, H, K] -> [B, H, 1, K]
      const scalar = (x: Tensor): Tensor => expandDims(expandDims(x, -1), -1); // [B, H] -> [B, H, 1, 1]
      const { gates } = token;
      const forget = gates.map(({ alpha }) => alpha.rank === 2 ? scalar(alpha) : row(alpha)); // [B, H, 1, 1], or [B, H, 1, out] for columns
      const gradients = grad((weights: readonly Tensor[]) =>
        associativeLoss(memory, weights, row(token.key), row(token.value))
      )(start.weights);
      const surprise = carry.surprise.map((s, l) =>
        sub(mul(scalar(gates[l].eta), s), mul(scalar(gates[l].theta), gradients[l]))
      );
      const weights = carry.weights.map((w, l) => {
        const kept = mul(sub(1, forget[l]), w);
        return add(memory.start ? add(kept, mul(forget[l], memory.start[l])) : kept, surprise[l]);
      });
      const output = readMemory(memory, strict ? carry.weights : weights, row(token.query));
      return [{ weights, surprise }, squeeze(output, -2)];
    },
    start,
    tokens,
  );
}

/** The inner loss, summed over everything but the width: sum over tokens of mean over d of (M(k) - v)^2. */
function associativeLoss(memory: Memory, weights: readonly Tensor[], key: Tensor, value: Tensor): Tensor {
  return sum(mean(square(sub(readMemory(memory, weights, key), value)), { axes: [-1] }));
}
