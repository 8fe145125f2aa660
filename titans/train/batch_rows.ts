/** Some rows of a batch, for ranks that share it. */
import { isSpec } from "../../core/trace.ts";
import { flatten, mapLeaves } from "../../core/tree.ts";
import type { StoredTensor } from "../models/safetensors.ts";
import type { Share } from "./collective.ts";
import type { BatchArray, BatchArrays, Objective } from "./objective.ts";
import type { SplitBatch } from "./step_input.ts";

/** The extents of the axes of rows: batches that follow each other, and the rows of each. */
export interface RowAxes {
  readonly accumulate: number;
  readonly batch: number;
}

/** Some rows of each of the batches of a step, [A, count, ...] of [A, B, ...]. */
export function rowsOfBatch(
  { data, fresh }: SplitBatch,
  { objective, length, axes, rows }: {
    readonly objective: Objective;
    readonly length: number;
    readonly axes: RowAxes;
    readonly rows: Share;
  },
): SplitBatch {
  const sizes = rowSizes(data, objective, length);
  let next = 0;
  const own = mapLeaves(data, isBatchArray, (array) => {
    const size = sizes[next++];
    return cut(array, axes, { first: rows.first * size, count: rows.count * size, of: axes.batch * size });
  }) as BatchArrays;
  return { data: own, fresh: fresh && cut(fresh, axes, { ...rows, of: axes.batch }) as Float32Array };
}

/** How many elements a row has in each of the arrays of a batch. */
export function rowSizes(data: BatchArrays, objective: Objective, length: number): number[] {
  const { leaves, paths } = flatten(objective.fields(length), isSpec);
  return flatten(data, isBatchArray).paths.map((path) =>
    leaves[paths.indexOf(path)].shape.reduce((size, extent) => size * extent, 1)
  );
}

/** Some rows of stored states [A, B, ...]. */
export function rowsOfStates(
  states: Readonly<Record<string, StoredTensor>>,
  { first, count }: Share,
): Record<string, StoredTensor> {
  return Object.fromEntries(
    Object.entries(states).map(([name, { shape: [accumulate, batch, ...rest], data }]) => {
      const size = rest.reduce((a, b) => a * b, 1),
        part = { first: first * size, count: count * size, of: batch * size };
      return [name, { shape: [accumulate, count, ...rest], data: cut(data as Float32Array, { accumulate }, part) }];
    }),
  );
}

/** States of all rows from those of parts, in their order. */
export function joinStates(parts: readonly Readonly<Record<string, StoredTensor>>[]): Record<string, StoredTensor> {
  return Object.fromEntries(
    Object.entries(parts[0]).map(([name, { shape: [accumulate, , ...rest] }]) => {
      const batch = parts.reduce((sum, part) => sum + part[name].shape[1], 0), size = rest.reduce((a, b) => a * b, 1);
      const data = new Float32Array(accumulate * batch * size);
      let at = 0;
      for (let a = 0; a < accumulate; a++) {
        for (const part of parts) {
          const { shape, data: own } = part[name], count = shape[1] * size;
          data.set((own as Float32Array).subarray(a * count, (a + 1) * count), at);
          at += count;
        }
      }
      return [name, { shape: [accumulate, batch, ...rest], data }];
    }),
  );
}

/** Elements from `first` on of each of `accumulate` runs of `of` elements. */
function cut<Data extends BatchArray>(
  data: Data,
  { accumulate }: Pick<RowAxes, "accumulate">,
  { first, count, of }: Share & { readonly of: number },
): Data {
  if (accumulate === 1) return data.subarray(first, first + count) as Data;
  const out = data.slice(0, accumulate * count) as Data;
  for (let a = 0; a < accumulate; a++) out.set(data.subarray(a * of + first, a * of + first + count), a * count);
  return out;
}

/** Whether a part of a batch is an array. */
export function isBatchArray(value: unknown): value is BatchArray {
  return ArrayBuffer.isView(value);
}
