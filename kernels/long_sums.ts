/**
 * How sums of many terms are ordered, on every device.
 *
 * Adding terms one after another accumulates up to half a unit in the last place per term, all in the same direction if
 * the terms are alike: 65,536 times 0.1 is off by 6e-4. Terms are therefore added in blocks, and blocks in blocks: the
 * error then grows with the number of levels (three are enough for 2^21 terms) instead of the number of terms. The
 * bound is about `SUM_BLOCK / 4` units per level for terms that are alike (measured: 3.5e-6 of the sum for up to 2^20
 * of them), and far less for random ones.
 *
 * Product kernels use two levels, up to {@link MAX_TERMS} terms; the scheduler splits longer ones (schedule/stages.ts).
 * Rows and recurrences use three levels. Blocks are counted from the start, whatever the length, so that the sum of the
 * first terms does not depend on how many follow.
 */
import { isFloat } from "../core/dtype.ts";
import type { RecurrenceKernel, RecurrenceState } from "./kernel.ts";

/** Terms of a block that are added one after another. */
export const SUM_BLOCK = 128;

/** Sums of at most this many terms are a single block: blocks would gain little and cost code size. */
export const SHORT_SUM = 2 * SUM_BLOCK;

/**
 * Products with at most this many terms are a single block on WebGPU, where the error for terms that are alike is up to
 * 1.5e-5 of the sum. On software drivers a nested loop makes products 5 to 15% slower, whatever is between the loops.
 */
export const SHORT_PRODUCT = 1024;

/** Maximum number of terms that two levels can sum. */
export const MAX_TERMS = SUM_BLOCK ** 2;

/**
 * Whether a recurrence is a sum of many terms: `state_t = state_{t-1} + b_t`. Other recurrences forget what they added,
 * or must multiply at every step.
 */
export function isLongSum({ time }: RecurrenceKernel, { a, b }: RecurrenceState): boolean {
  return isFloat(b.dtype) && a.kind === "const" && a.value === 1 && time.extent > SHORT_SUM;
}
