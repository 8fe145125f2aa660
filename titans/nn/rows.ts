/** Rows of a sequence that a state keeps: the last few, whatever the length read. */
import type { Tensor } from "../../core/graph.ts";
import { concat, sliceAxis } from "../../ops/mod.ts";

/**
 * The last rows of `tail` and the first `count` rows of `rows` together, as many as `tail` has.
 * @param tail What was kept before, such as [B, W, D].
 * @param rows What came since; like `tail` but along the axis.
 * @param count How many of the new rows belong to the past.
 * @param axis Along which rows stand.
 */
export function lastRows(tail: Tensor, rows: Tensor, count: number, axis: number): Tensor {
  const kept = tail.shape[axis];
  if (count >= kept) return sliceAxis(rows, axis, count - kept, kept);
  return count === 0
    ? tail
    : concat([sliceAxis(tail, axis, count, kept - count), sliceAxis(rows, axis, 0, count)], axis);
}
