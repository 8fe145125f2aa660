/** Text as a task: the next token of windows of texts that are given rather than made. */
import type { Tensor } from "../../../core/graph.ts";
import { evenWindows, MixedWindows, type TokenSource, type WeightedText } from "../../text/windows.ts";
import { nextToken, type WindowBatch } from "../../train/next_token.ts";
import { windowBatches } from "../../train/step_input.ts";
import type { TaskInstance } from "../task.ts";

/** What {@link textTask} takes. */
export interface TextTaskOptions {
  /** What is learned from. */
  readonly train: readonly WeightedText[];
  /** What is measured on; validation and test are the same. */
  readonly heldOut: readonly TokenSource[];
  /** Token ids. */
  readonly vocabulary: number;
  /** Tokens of a window. */
  readonly length: number;
  /** Held-out windows at most, spread evenly. */
  readonly windows: number;
}

/** Next-token prediction of texts, with `bitsPerByte` where tokens are bytes. */
export function textTask(
  { train, heldOut, vocabulary, length, windows }: TextTaskOptions,
): TaskInstance<WindowBatch & Record<string, Tensor>> {
  return {
    ...nextToken({ masked: true }),
    requires: { vocabulary },
    length,
    batches: (split, rows, seed) => {
      const cut = split === "train" ? new MixedWindows(train, { batch: rows, length }, seed) : undefined;
      const held = cut ? [] : windowBatches(evenWindows(heldOut, length, windows), rows, length);
      return {
        batch: (step, { first, count } = { first: 0, count: rows }) => {
          const { tokens, mask } = held[step % held.length] ??
            { tokens: cut!.batch(step), mask: new Float32Array(rows * length).fill(1) };
          return {
            tokens: tokens.slice(first * (length + 1), (first + count) * (length + 1)),
            mask: mask.slice(first * length, (first + count) * length),
          };
        },
      };
    },
  };
}
