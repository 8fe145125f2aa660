/** What prints kernels that are no maps, and the helpers that many of them call; see parts.ts. */
import { BASIC } from "./helpers.ts";
import { CIRCULAR } from "./helpers_circular.ts";
import { SPECIAL } from "./helpers_special.ts";
import type { PrinterParts } from "./parts.ts";
import { printContract } from "./print_contract.ts";
import { printMap } from "./print_map.ts";
import { printRecurrence } from "./print_recurrence.ts";
import { printRow } from "./print_row.ts";
import { printScatter } from "./print_scatter.ts";

/** For kernels of all kinds, with all helpers but those for floats of 16 bits. */
export const PARTS: PrinterParts = {
  kinds: { map: printMap, row: printRow, contract: printContract, recurrence: printRecurrence, scatter: printScatter },
  helpers: { ...BASIC, ...CIRCULAR, ...SPECIAL },
};
