/** The options of Mamba and Mamba2. */
import type { OptionTable } from "../../options/option_table.ts";
import { RECURRENCE_OPTIONS, SHARED_OPTIONS } from "../shared_options.ts";

/** The options of state spaces. */
export const STATE_SPACE_OPTIONS = {
  expansion: {
    kind: "integer",
    default: 2,
    min: 1,
    max: 64,
    group: "State space",
    help: "channels of `mamba` and `mamba2` over the width of the model",
    source: "arXiv 2312.00752, 3.4",
    before: 2,
  },
  stateWidth: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 4096,
    group: "State space",
    help: "numbers in the state of a channel; 0 for 16 in `mamba`, for the head width in `mamba2`",
    source: "arXiv 2312.00752, 4.6; arXiv 2405.21060, 9.4",
    before: 0,
  },
  stepRank: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 4096,
    group: "State space",
    help: "rank of the map from a token to the step sizes of `mamba`; 0 for a sixteenth of the width, rounded up",
    source: "arXiv 2312.00752, 3.6",
    before: 0,
  },
  stateGroups: {
    kind: "integer",
    default: 1,
    min: 1,
    max: 1024,
    group: "State space",
    help: "groups of heads of `mamba2` that share what they write under and read by, and a norm",
    source: "arXiv 2405.21060, 7.2",
    before: 1,
  },
} as const satisfies OptionTable;

const { convolution, chunk } = SHARED_OPTIONS;
const { stateGroups, stepRank, ...COMMON_OPTIONS } = STATE_SPACE_OPTIONS;

/** Options of `mamba`. */
export const MAMBA_OPTIONS = {
  ...COMMON_OPTIONS,
  stepRank,
  convolution,
  chunk,
} as const satisfies OptionTable;

/** Options of `mamba2`. */
export const MAMBA2_OPTIONS = {
  ...RECURRENCE_OPTIONS,
  ...COMMON_OPTIONS,
  stateGroups,
} as const satisfies OptionTable;
