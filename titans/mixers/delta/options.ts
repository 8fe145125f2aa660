/** The options of DeltaNet and Gated DeltaNet. */
import type { OptionTable } from "../../options/option_table.ts";
import { RECURRENCE_OPTIONS } from "../shared_options.ts";

/** The options of the delta rule. */
export const DELTA_RULE_OPTIONS = {
  negativeEigenvalues: {
    kind: "toggle",
    default: false,
    group: "Delta rule",
    help: "rates of the delta rule up to 2, so that a token can turn what is stored under its key around",
    without: "rates up to 1",
    source: "arXiv 2411.12537",
    before: false,
  },
  keyRatio: {
    kind: "number",
    default: 0.75,
    min: 0,
    aboveMin: true,
    max: 16,
    group: "Delta rule",
    help: "width of all keys of `gatedDeltaNet` over the width of the model; the width of a head's keys is rounded",
    source: "arXiv 2412.06464, 4",
    before: 0.75,
  },
  valueExpansion: {
    kind: "integer",
    default: 2,
    min: 1,
    max: 64,
    group: "Delta rule",
    help: "width of a value over that of a key in `gatedDeltaNet`",
    source: "arXiv 2412.06464, 4",
    before: 2,
  },
} as const satisfies OptionTable;

/** Options of `deltaNet`. */
export const DELTA_NET_OPTIONS = {
  ...RECURRENCE_OPTIONS,
  negativeEigenvalues: DELTA_RULE_OPTIONS.negativeEigenvalues,
} as const satisfies OptionTable;

/** Options of `gatedDeltaNet`. */
export const GATED_DELTA_NET_OPTIONS = { ...RECURRENCE_OPTIONS, ...DELTA_RULE_OPTIONS } as const satisfies OptionTable;
