/** How the tiled contract kernel cuts its work: tasks, blocks, panels, tiles. */
import type { ContractKernel } from "../../kernel.ts";
import { pointsOf } from "../../lane_index.ts";
import { timeOf, TIMES } from "./expr_time.ts";

/** Rows and columns of the result whose sums are in registers. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/**
 * The two tiles. Nine accumulators hide the latency of the multiply-add, more of them spill; the narrow tile covers
 * what is no multiple of 12 without computing columns that nobody wants.
 */
export const WIDE: Tile = { rows: 3, columns: 12 }, NARROW: Tile = { rows: 4, columns: 8 };

/** A multiple of the rows of both tiles and of four, so that only the last block of an axis has a rest. */
const ROW_STEP = 12;

/**
 * Rows that are packed and multiplied together, columns of a block, steps of k that are packed together: all stays in
 * the second-level cache. Steps that are packed together are also a block of the sum (long_sums.ts): half as many would
 * make sums twice as accurate and products 4% slower.
 */
const CHUNK_ROWS = 96, MAX_COLUMNS = 128, MAX_DEPTH = 256;

/** Most rows of a task: they share the packed columns. */
const MAX_ROWS = 16 * CHUNK_ROWS;

/** Sizes of blocks. */
export interface Blocks {
  /** Rows of a task. */
  readonly rows: number;
  /** Rows of a task that are packed and multiplied together. */
  readonly chunk: number;
  /** Columns of a task. */
  readonly columns: number;
  /** Steps of k that are packed together. */
  readonly depth: number;
}

/** The panels of a block: columns that a tile takes, wide ones first. */
export interface Panels {
  readonly wide: number;
  readonly narrow: number;
}

/** Cuts columns into panels with as few superfluous columns as possible. */
export function panelsOf(columns: number): Panels {
  const wide = Math.floor(columns / WIDE.columns), rest = columns % WIDE.columns;
  if (rest === 0) return { wide, narrow: 0 };
  if (rest <= 4 && wide > 0) return { wide: wide - 1, narrow: 2 };
  return rest <= 8 ? { wide, narrow: 1 } : { wide: wide + 1, narrow: 0 };
}

/** Columns that panels cover. */
export function columnsOf({ wide, narrow }: Panels): number {
  return WIDE.columns * wide + NARROW.columns * narrow;
}

/** The least multiple that is not below a value. */
export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Nanoseconds, by order of magnitude, of a multiply-add, and of a task beside its work. */
const MADD_TIME = 0.05, TASK_TIME = 500;

/** What is known of the operands when blocks are chosen. */
export interface BlockOptions {
  /** Whether rows, or columns, are read where they lie. */
  readonly readsRows: boolean;
  readonly readsColumns: boolean;
  readonly threads: number;
}

/**
 * Chooses blocks: few large ones repeat less packing, and their number should be a multiple of the threads. What is
 * summed in which order does not depend on the choice.
 */
export function chooseBlocks(
  { batch, m, n, k, lhs, rhs, stores }: ContractKernel,
  { readsRows, readsColumns, threads }: BlockOptions,
): Blocks {
  const depth = roundUp(Math.ceil(k.extent / Math.ceil(k.extent / MAX_DEPTH)), 4);
  const rowTime = readsRows ? 0 : timeOf(lhs), columnTime = readsColumns ? 0 : timeOf(rhs);
  const storeTime = stores.reduce((sum, { value }) => sum + timeOf(value) + TIMES.load, 0);
  let best: Blocks | undefined, bestTime = Infinity;
  for (const columns of cuts(n.extent, 4, Math.max(1, Math.ceil(n.extent / MAX_COLUMNS)))) {
    for (const rows of cuts(m.extent, ROW_STEP, Math.max(1, Math.ceil(m.extent / MAX_ROWS)))) {
      const tasks = pointsOf(batch) * Math.ceil(m.extent / rows) * Math.ceil(n.extent / columns);
      const packing = k.extent * (Math.min(rows, m.extent) * rowTime + columns * columnTime);
      const { wide, narrow } = panelsOf(columns);
      const padded = columnsOf({ wide, narrow }) + 0.1 * NARROW.columns * narrow;
      const task = TASK_TIME + packing +
        Math.min(rows, m.extent) * (padded * k.extent * MADD_TIME + columns * storeTime);
      const time = Math.ceil(tasks / threads) * task;
      if (time < bestTime) [best, bestTime] = [{ rows, columns, depth, chunk: Math.min(rows, CHUNK_ROWS) }, time];
    }
  }
  return best!;
}

/** Sizes of equal parts of an extent, in multiples of a step, from `least` parts on. */
function cuts(extent: number, step: number, least: number): number[] {
  const sizes = new Set<number>();
  for (let parts = least; parts <= 64 * least; parts = parts < 8 ? parts + 1 : parts * 2) {
    sizes.add(roundUp(Math.ceil(extent / parts), step));
  }
  return [...sizes].filter((size) => size >= Math.min(extent, 16) || sizes.size === 1);
}
