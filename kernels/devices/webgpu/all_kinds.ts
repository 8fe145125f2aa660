/** What prints kernels of all kinds, with all helpers; see parts.ts. */
import { HALF } from "./helpers_half.ts";
import { PARTS as OTHERS } from "./other_kinds.ts";
import type { PrinterParts } from "./parts.ts";

/** For all kernels. */
export const PARTS: PrinterParts = { ...OTHERS, helpers: { ...OTHERS.helpers, ...HALF } };
