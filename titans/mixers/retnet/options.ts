/** The options of RetNet. */
import type { OptionTable } from "../../options/option_table.ts";
import { RECURRENCE_OPTIONS } from "../shared_options.ts";

/** The options that RetNet alone has. */
export const RETENTION_OPTIONS = {
  retention: {
    kind: "choice",
    choices: {
      linspace: "`1 - exp(r)`, r evenly from log 1/32 to log 1/512: half-lives from 22 to 355 tokens",
      powers: "`1 - 2^(-5 - h)`: half-lives from 22 tokens on, twice as long in each head",
    },
    default: "linspace",
    group: "RetNet",
    help: "what remains of the state of head h of `retnet` after a token",
    source: "arXiv 2307.08621, 3.1: `powers` for 8 heads and more",
    before: "linspace",
  },
  rotation: {
    kind: "choice",
    choices: {
      rope: "by `10000^(-2i/K)` a step, as in attention",
      paper: "by `10000^(-i/(K/2 - 1))` a step",
      none: "not at all",
    },
    default: "rope",
    group: "RetNet",
    help: "how positions turn queries and keys of `retnet`",
    source: "`rope`: flash-linear-attention; `paper`: arXiv 2307.08621",
    before: "rope",
  },
} as const satisfies OptionTable;

/** Options of `retnet`. */
export const RETNET_OPTIONS = { ...RECURRENCE_OPTIONS, ...RETENTION_OPTIONS } as const satisfies OptionTable;
