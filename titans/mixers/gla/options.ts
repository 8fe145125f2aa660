/** The options of gated linear attention. */
import type { OptionTable } from "../../options/option_table.ts";
import { RECURRENCE_OPTIONS } from "../shared_options.ts";

/** The options that gated linear attention alone has. */
export const DECAY_OPTIONS = {
  decayRank: {
    kind: "integer",
    default: 16,
    min: 1,
    max: 4096,
    group: "Gated linear attention",
    help: "rank of the map from a token to the decays of `gla`",
    source: "arXiv 2312.06635, 4.4",
    before: 16,
  },
  decayTemperature: {
    kind: "number",
    default: 16,
    min: 0,
    aboveMin: true,
    max: 4096,
    group: "Gated linear attention",
    help: "what the logarithms of the decays of `gla` are divided by: a token keeps `sigmoid(x)^(1/temperature)`",
    source: "arXiv 2312.06635, 4.4",
    before: 16,
  },
  decayBias: {
    kind: "number",
    default: 0,
    min: -64,
    max: 64,
    group: "Gated linear attention",
    help: "initial bias of the decays of `gla`: 0 is a half-life of 16 tokens, 2 of 87, 4 of 611",
    source: "0: flash-linear-attention",
    before: 0,
  },
} as const satisfies OptionTable;

/** Options of `gla`. */
export const GLA_OPTIONS = { ...RECURRENCE_OPTIONS, ...DECAY_OPTIONS } as const satisfies OptionTable;
