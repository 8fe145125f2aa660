/** The options that linear recurrences share, whatever their decay. */
import type { OptionTable } from "../options/option_table.ts";
import { HEAD_OPTIONS, MEMORY_OPTIONS } from "./titans/options.ts";

/** What a recurrence computes at once. */
export const CHUNK_OPTIONS = {
  chunk: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 4096,
    group: "Cost",
    help: "tokens that a linear recurrence computes together in matrix products; 0 for what is fastest",
    costOnly: true,
    flag: false,
    before: 0,
  },
} as const satisfies OptionTable;

/** Options of every linear recurrence. */
export const RECURRENCE_OPTIONS = {
  ...HEAD_OPTIONS,
  convolution: MEMORY_OPTIONS.convolution,
  ...CHUNK_OPTIONS,
} as const satisfies OptionTable;
