/** The options of HGRN2. */
import type { OptionTable } from "../../options/option_table.ts";
import { RECURRENCE_OPTIONS } from "../shared_options.ts";

/** The options that HGRN2 alone has. */
export const LOWER_BOUND_OPTIONS = {
  lowerBound: {
    kind: "choice",
    choices: {
      depth: "`n / blocks` in block n from 0 on, so that deep blocks remember for long",
      zero: "0 in all blocks",
    },
    default: "depth",
    group: "HGRN2",
    help: "least value of the forget gates of `hgrn2`; the paper learns it, starting from `depth`",
    source: "arXiv 2404.07904; constant: ours, blocks share no parameters",
    before: "depth",
  },
} as const satisfies OptionTable;

/** Options of `hgrn2`. */
export const HGRN2_OPTIONS = { ...RECURRENCE_OPTIONS, ...LOWER_BOUND_OPTIONS } as const satisfies OptionTable;
