/** The options of the TTT layers. */
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import { SHARED_OPTIONS } from "../shared_options.ts";

const { heads, miniBatch, convolution, checkpoint } = SHARED_OPTIONS;

/** The options that TTT layers alone have. */
export const INNER_OPTIONS = {
  baseRate: {
    kind: "number",
    default: 0,
    min: 0,
    max: 64,
    group: "Test-time training",
    help: "upper bound of a token's inner learning rate times the head width; 0 for 1 in `tttLinear`, 0.1 in `tttMlp`",
    source: "arXiv 2407.04620, 2.7",
    before: 0,
  },
  backboneGate: {
    kind: "toggle",
    default: false,
    group: "Test-time training",
    help: "a GELU gate, linear in the token, on the normalised output of a TTT layer",
    without: "none, as in the Transformer backbone",
    source: "arXiv 2407.04620, 2.7: the Mamba backbone",
    before: false,
  },
} as const satisfies OptionTable;

/** Options of `tttLinear` and `tttMlp`. */
export const TTT_OPTIONS = {
  heads,
  miniBatch,
  convolution,
  ...INNER_OPTIONS,
  checkpoint,
} as const satisfies OptionTable;

/** The options of a TTT layer. */
export type TttOptions = OptionsOf<typeof TTT_OPTIONS>;
