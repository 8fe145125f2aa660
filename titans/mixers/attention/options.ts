/** The options of attention without a memory. */
import type { OptionTable } from "../../options/option_table.ts";
import { SHARED_OPTIONS } from "../shared_options.ts";

const { heads, window } = SHARED_OPTIONS;

/** The options that attention alone has. */
export const SPAN_OPTIONS = {
  span: {
    kind: "choice",
    choices: { full: "all earlier tokens, of up to `maxLength`", window: "the last `window`" },
    default: "full",
    group: "Attention",
    help: "which tokens a query of `attention` sees",
    source: "Transformer++; `window`: sliding-window attention",
    before: "full",
  },
  keyHeads: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 1024,
    group: "Attention",
    help: "heads of keys and values in `attention`, shared by groups of queries; a divisor of `heads`, 0 for as many",
    source: "grouped-query attention, arXiv 2305.13245",
    before: 0,
  },
  maxLength: {
    kind: "integer",
    default: 2048,
    min: 1,
    max: 2 ** 20,
    group: "Attention",
    help: "tokens that a text may have where `attention` sees all: rows of its key-value cache",
    before: 2048,
    idleWith: { span: ["window"] },
  },
  attentionConvolution: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 64,
    group: "Attention",
    help: "tokens that a causal convolution after queries, keys and values of `attention` spans; 0 for none",
    source: "ours, for comparisons with models that have one",
    before: 0,
  },
} as const satisfies OptionTable;

/** Options of `attention`. */
export const TRANSFORMER_OPTIONS = {
  heads,
  window: { ...window, idleWith: { span: ["full"] } },
  ...SPAN_OPTIONS,
} as const satisfies OptionTable;
