/** The options of linear attention. */
import type { OptionTable } from "../../options/option_table.ts";
import { RECURRENCE_OPTIONS } from "../shared_options.ts";

/** The options that linear attention alone has. */
export const NORMALIZER_OPTIONS = {
  normalizer: {
    kind: "toggle",
    default: true,
    group: "Linear attention",
    help: "outputs of `linear` divided by the sum of their weights, as in softmax",
    without: "an RMS norm per head instead",
    source: "arXiv 2006.16236, equation 9; without: flash-linear-attention",
    before: true,
  },
} as const satisfies OptionTable;

/** Options of `linear`. */
export const LINEAR_OPTIONS = { ...RECURRENCE_OPTIONS, ...NORMALIZER_OPTIONS } as const satisfies OptionTable;
