/**
 * How sums of many terms are ordered, on every device.
 *
 * Terms added one after another lose up to half a unit in the last place each, all in one direction where they are
 * alike: 65,536 times 0.1 is off by 6e-4. So terms are added in blocks, and blocks in blocks: the error then grows with
 * the number of levels, of which three take 2^21 terms, not with the number of terms. The bound is about
 * `SUM_BLOCK / 4` units a level for terms that are alike (measured: 3.5e-6 of the sum for up to 2^20 of them), far less
 * for random ones.
 *
 * Kernels of products add up two levels, up to {@link MAX_TERMS} terms; the scheduler cuts longer ones in parts
 * (schedule/stages.ts). Rows and recurrences have three levels. Blocks are counted from the start, whatever the length,
 * so that the sum of the first terms does not depend on how many follow.
 */
import { isFloat } from "../core/dtype.ts";
import type { RecurrenceKernel, RecurrenceState } from "./kernel.ts";

/** Terms of a block that are added one after another. */
export const SUM_BLOCK = 128;

/** Sums of no more terms are one block: blocks gain little there, and cost text. */
export const SHORT_SUM = 2 * SUM_BLOCK;

/**
 * Products of no more terms are one block on WebGPU, where terms that are alike are off by up to 1.5e-5 of the sum. On
 * software drivers a loop in a loop, whatever stands between the two, makes products 5 to 15% slower than one loop.
 */
export const SHORT_PRODUCT = 1024;

/** Most terms that two levels add up. */
export const MAX_TERMS = SUM_BLOCK ** 2;

/**
 * Whether a recurrence is a sum of many terms: `state_t = state_{t-1} + b_t`. Others forget what they added, or must
 * multiply at every step.
 */
export function isLongSum({ time }: RecurrenceKernel, { a, b }: RecurrenceState): boolean {
  return isFloat(b.dtype) && a.kind === "const" && a.value === 1 && time.extent > SHORT_SUM;
}
