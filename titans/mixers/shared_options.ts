/** Options that mixers of different families use: one row each, whatever table lists it. */
import type { OptionTable } from "../options/option_table.ts";

/** The rows. */
export const SHARED_OPTIONS = {
  heads: {
    kind: "integer",
    default: 2,
    min: 1,
    max: 1024,
    group: "Sizes",
    help: "heads of memory and attention; divides the width, and with attention, the head width must be even",
  },
  window: {
    kind: "integer",
    default: 64,
    min: 1,
    max: 65536,
    group: "Attention",
    help: "tokens that a query of `mag` and `mal` sees, itself among them",
    source: "4.2, 4.3; CR has 2,048",
    before: 64,
  },
  miniBatch: {
    kind: "integer",
    default: 16,
    min: 1,
    max: 4096,
    group: "Memory learning",
    help: "tokens whose inner gradients are taken at the same memory, b; training and writing use the same",
    source: "3.2 (b), equations 16 and 17; 16: CR",
  },
  convolution: {
    kind: "integer",
    default: 4,
    min: 0,
    max: 64,
    group: "Memory learning",
    help: "tokens that the causal convolution after queries, keys and values spans; 0 for none",
    source: "4.4",
  },
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
  checkpoint: {
    kind: "choice",
    choices: {
      auto: "all but the most expensive products",
      recompute: "nothing, which takes the least memory",
      save: "all matrix products, which is fastest",
    },
    default: "save",
    group: "Cost",
    help: "what loops keep for the gradient",
    costOnly: true,
    flag: false,
  },
} as const satisfies OptionTable;

/** Options of every linear recurrence, whatever its decay. */
export const RECURRENCE_OPTIONS = {
  heads: SHARED_OPTIONS.heads,
  convolution: SHARED_OPTIONS.convolution,
  chunk: SHARED_OPTIONS.chunk,
} as const satisfies OptionTable;
