/** The options of a training run beside those of its model, its optimizer and its text; all but the steps are fixed. */
import type { OptionsOf, OptionTable } from "../titans/mod.ts";
import { defaultsOf } from "../titans/options/option_table.ts";
import { PRECISION_OPTIONS } from "../titans/train/precision.ts";
import { flagsOf } from "./table_flags.ts";

/** The rows. */
export const RUN_OPTIONS = {
  steps: {
    kind: "integer",
    default: 1000,
    min: 0,
    help: "optimizer steps of the whole run; 0 only shows what would be read",
  },
  seqLen: { kind: "integer", default: 128, min: 1, max: 2 ** 20, help: "tokens per training sequence" },
  batch: { kind: "integer", default: 8, min: 1, max: 2 ** 16, help: "sequences per batch" },
  accumulate: {
    kind: "integer",
    default: 1,
    min: 1,
    max: 2 ** 16,
    help: "batches whose gradients are averaged for one step: the step of many with the memory of one",
  },
  stream: {
    kind: "integer",
    default: 0,
    min: 0,
    help:
      "read documents in order and carry memory from step to step for at most this many tokens; 0: every sequence starts with a fresh memory",
    before: 0,
  },
  deterministic: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 2 ** 16,
    help:
      "parts of a batch whose gradients are added in a fixed order, a power of two: any number of ranks that divides it gives the same bits; 0: in whatever order is fast",
    before: 0,
  },
  seed: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 2 ** 32 - 1,
    help: "seed of the initial weights, the order of the text and `--split scattered`",
  },
  ...PRECISION_OPTIONS,
} as const satisfies OptionTable;

/** Values of all rows. */
export type RunOptions = OptionsOf<typeof RUN_OPTIONS>;

/** The flags. */
export const RUN_FLAGS = flagsOf(RUN_OPTIONS, { fallback: defaultsOf(RUN_OPTIONS) });
