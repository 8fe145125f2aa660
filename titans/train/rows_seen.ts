/**
 * Whether ranks train on the rows of one batch, and on each of them once: what they saw, in numbers that are added up
 * along with the gradients.
 *
 * A row's hash depends on its place in the batch and on its numbers, and hashes are added, so that it does not matter
 * which rank has which row. Of R ranks, let s_r be the sum over the rows that rank r took, and b_r that over the whole
 * batch as rank r has it. If all have the same batch, and each row is taken once, then
 *
 *     sum over r of (R s_r - b_r) = 0    (mod 2^12)
 *
 * A row that nobody takes, that two ranks take, or that one of them reads otherwise breaks this, but for one time in
 * 2^24: it is asked of two sums. In f32 they are exact for up to 2^12 ranks, and all ranks come to the same verdict.
 */
import { flatten } from "../../core/tree.ts";
import { isBatchArray, type RowAxes, rowSizes } from "./batch_rows.ts";
import type { Share } from "./collective.ts";
import type { Objective } from "./objective.ts";
import type { SplitBatch } from "./step_input.ts";

const BITS = 12, MASK = 2 ** BITS - 1;

/** Two sums of hashes, integers of any size. */
export type RowSums = readonly [low: number, high: number];

/** How many numbers {@link rowsTaken} gives. */
export const ROW_SUMS = 2;

/** What {@link rowSums} needs to know of rows. */
export interface PlacedRows {
  readonly objective: Objective;
  readonly length: number;
  /** Of the batch that they are rows of. */
  readonly axes: RowAxes;
  readonly rows: Share;
}

/** Sums over some rows of a batch, [A, count, ...]. */
export function rowSums({ data, fresh }: SplitBatch, { objective, length, axes, rows }: PlacedRows): RowSums {
  const fields = flatten(data, isBatchArray).leaves.map(wordsOf), sizes = rowSizes(data, objective, length);
  if (fresh) {
    fields.push(wordsOf(fresh));
    sizes.push(1);
  }
  let low = 0, high = 0;
  for (let a = 0; a < axes.accumulate; a++) {
    for (let row = 0; row < rows.count; row++) {
      let hash = a * axes.batch + rows.first + row;
      for (const [field, words] of fields.entries()) {
        const from = (a * rows.count + row) * sizes[field];
        for (let i = from; i < from + sizes[field]; i++) hash = mixed(hash, words[i]);
      }
      hash = finished(hash);
      low += hash & MASK;
      high += hash >>> BITS & MASK;
    }
  }
  return [low, high];
}

/** What a rank adds to the sums over all ranks. @param taken Of the rows that it took. @param batch Of all rows. */
export function rowsTaken(taken: RowSums, batch: RowSums, ranks: number): RowSums {
  const [low, high] = taken.map((sum, i) => (ranks * sum - batch[i]) & MASK);
  return [low, high];
}

/** Whether, by the sums over all ranks, each row of one batch was taken once. */
export function areTakenOnce(sums: ArrayLike<number>): boolean {
  return Array.from(sums).every((sum) => (sum & MASK) === 0);
}

function wordsOf({ buffer, byteOffset, length }: Int32Array | Float32Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length);
}

/** One word more (FNV-1a, a word at a time). */
function mixed(hash: number, word: number): number {
  return Math.imul(hash ^ word, 0x01000193);
}

/** Makes all bits depend on all others: the finaliser of MurmurHash3. */
function finished(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ h >>> 16, 0x85ebca6b);
  h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
  return h ^ h >>> 16;
}
