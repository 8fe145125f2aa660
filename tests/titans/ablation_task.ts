/**
 * Associative recall: what the table of docs/ablations.md is measured on.
 *
 * A sequence is one or more rounds. A round tells pairs, each a key and its value, and then asks for every key of the
 * round once, in another order; after each question comes the answer. Keys of a round differ; the next round tells some
 * of them again, with other values.
 *
 *     k3 v7  k1 v2  k3 v7  k1 v2          2 pairs told, 2 asked: predictions count where a key is asked
 */
import type { HostRng } from "../../titans/nn/host_rng.ts";

/** How large the task is. */
export interface RecallTask {
  /** Number of keys: tokens 0 .. keys - 1. */
  readonly keys: number;
  /** Number of values: the tokens after the keys. */
  readonly values: number;
  /** Pairs of a round. */
  readonly pairs: number;
  /** Rounds of a sequence. */
  readonly rounds: number;
}

/** Sequences of a task. */
export interface RecallBatch {
  /** i32 [B, T]. */
  readonly tokens: Int32Array;
  /** What comes after each token where a key is asked, {@link NOT_ASKED} elsewhere: i32 [B, T]. */
  readonly targets: Int32Array;
}

/** The target of tokens whose prediction does not count. */
export const NOT_ASKED = -1;

/** Tokens of a sequence, T. */
export function recallLength({ pairs, rounds }: RecallTask): number {
  return 4 * pairs * rounds;
}

/**
 * Sequences of a task: a pure function of the seed and of which they are.
 * @param task Its size, with at least as many keys as pairs.
 * @param options `first` is the number of the first sequence in the stream of the seed, `count` how many there are.
 */
export function recallBatch(
  task: RecallTask,
  { rng, first, count }: { readonly rng: HostRng; readonly first: number; readonly count: number },
): RecallBatch {
  const T = recallLength(task), tokens = new Int32Array(count * T), targets = new Int32Array(count * T).fill(NOT_ASKED);
  const draws = task.rounds * (task.keys + 2 * task.pairs);
  for (let row = 0; row < count; row++) {
    let next = (first + row) * draws, at = row * T;
    const integer = (bound: number): number => rng.integer(next++, bound);
    for (let round = 0; round < task.rounds; round++) {
      const keys = shuffled(task.keys, integer).slice(0, task.pairs);
      const values = keys.map(() => task.keys + integer(task.values));
      for (const [i, key] of keys.entries()) {
        tokens[at++] = key;
        tokens[at++] = values[i];
      }
      for (const i of shuffled(task.pairs, integer)) {
        targets[at] = values[i];
        tokens[at++] = keys[i];
        tokens[at++] = values[i];
      }
    }
  }
  return { tokens, targets };
}

/** The numbers 0 .. count - 1 in a random order; draws `count` integers. */
function shuffled(count: number, integer: (bound: number) => number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i >= 0; i--) {
    const other = integer(i + 1);
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order;
}
