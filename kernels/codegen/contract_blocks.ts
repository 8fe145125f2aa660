/** How the tiled contract kernel partitions its work into tasks, blocks, panels and tiles. */
import { invariant } from "../../core/errors.ts";
import type { ContractKernel } from "../kernel.ts";
import { pointsOf } from "./lane_index.ts";
import { timeOf, TIMES } from "./expr_time.ts";
import type { Blocking, Target, Tiles } from "./target.ts";

/** The least common multiple of the row counts of both tiles and W: only the last block of an axis has a remainder. */
export function rowStepOf(lanes: number, { wide, narrow }: Tiles): number {
  let step = lanes;
  while (step % wide.rows !== 0 || step % narrow.rows !== 0) step += lanes;
  return step;
}

/** Columns and multiply-adds from which on a product is large. */
const LARGE_COLUMNS = 512, LARGE_PRODUCT = 2 ** 27;

/** The blocking on machines that do not say. */
const BLOCKING: Blocking = { unroll: 4, maxColumns: 128 };

/** The blocking of a product. */
export function blockingFor(
  { m, n, k }: ContractKernel,
  { blocking = BLOCKING, largeBlocking = blocking }: Target,
): Blocking {
  const isLarge = n.extent >= LARGE_COLUMNS && m.extent * n.extent * k.extent >= LARGE_PRODUCT;
  return isLarge ? largeBlocking : blocking;
}

/** The tiles that cover a number of columns in the least time. */
export function tilesFor(columns: number, { tiles }: Target): Tiles {
  const timeOf = (each: Tiles) => timeOfPanels(panelsOf(columns, each), each);
  return tiles.reduce((best, each) => (timeOf(each) < timeOf(best) ? each : best));
}

/** The time that panels take, in columns of a wide tile. */
function timeOfPanels(panels: Panels, tiles: Tiles): number {
  return columnsOf(panels, tiles) + 0.1 * tiles.narrow.columns * panels.narrow;
}

/**
 * Rows that are packed and multiplied together, maximum columns of a block whose rows are scattered, and maximum steps
 * of k that are packed together, chosen so that everything stays in the L2 cache. A packed run of k is also a block of
 * the sum (long_sums.ts): halving it would make sums twice as accurate and products 4% slower.
 */
const CHUNK_ROWS = 96, MAX_SCATTERED = 128, MAX_DEPTH = 256;

/** Maximum number of rows of a task. All rows of a task share the packed columns. */
const MAX_ROWS = 16 * CHUNK_ROWS;

/** Block sizes. */
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

/** How many panels of each width a block consists of; wide panels come first. */
export interface Panels {
  readonly wide: number;
  readonly narrow: number;
}

/** Partitions columns into panels with the least padding and, among equal choices, the most wide panels. */
export function panelsOf(columns: number, tiles: Tiles): Panels {
  // At least two: they cover what one wide panel and a third of one would.
  const maxNarrow = Math.max(2, tiles.wide.columns / tiles.narrow.columns - 1);
  const cuts = Array.from({ length: maxNarrow + 1 }, (_, narrow): Panels => {
    const rest = columns - tiles.narrow.columns * narrow;
    return { wide: Math.max(0, Math.ceil(rest / tiles.wide.columns)), narrow };
  });
  return cuts.reduce((best, cut) => (columnsOf(cut, tiles) < columnsOf(best, tiles) ? cut : best));
}

/** Number of columns that the panels cover, padding included. */
export function columnsOf({ wide, narrow }: Panels, tiles: Tiles): number {
  return tiles.wide.columns * wide + tiles.narrow.columns * narrow;
}

/** Rounds `value` up to a multiple of `multiple`. */
export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Approximate nanoseconds of a vector multiply-add, and the fixed overhead of a task. */
const MADD_TIME = 0.2, TASK_TIME = 500;

/** What is known about the operands when block sizes are chosen. */
export interface BlockOptions {
  /** Whether rows (or columns) are read in place, without packing. */
  readonly readsRows: boolean;
  readonly readsColumns: boolean;
  /** Whether results in a row are written to addresses far apart. */
  readonly scattersRows: boolean;
  readonly target: Target;
  /** What the target has for the product. */
  readonly tiles: Tiles;
  readonly blocking: Blocking;
}

/**
 * Chooses block sizes. Fewer, larger blocks repeat less packing; the number of tasks should be a multiple of the number
 * of threads. The order of summation does not depend on the choice.
 */
export function chooseBlocks(
  { batch, m, n, k, lhs, rhs, stores }: ContractKernel,
  { readsRows, readsColumns, scattersRows, target: { lanes, threads = 1 }, tiles, blocking: { maxColumns } }:
    BlockOptions,
): Blocks {
  const rowStep = rowStepOf(lanes, tiles);
  // The lines that a row is scattered to are written to again by the next rows: they have to stay in the L1 cache.
  const leastParts = Math.max(1, Math.ceil(n.extent / (scattersRows ? MAX_SCATTERED : maxColumns)));
  const depth = roundUp(Math.ceil(k.extent / Math.ceil(k.extent / MAX_DEPTH)), lanes);
  const rowTime = readsRows ? 0 : timeOf(lhs), columnTime = readsColumns ? 0 : timeOf(rhs);
  const storeTime = stores.reduce((sum, { value }) => sum + timeOf(value) + TIMES.load, 0);
  const chunk = CHUNK_ROWS - CHUNK_ROWS % rowStep;
  invariant(
    chunk > 0,
    `tiles need rows in multiples of ${rowStep}, more than the ${CHUNK_ROWS} that are packed together`,
  );
  let best: Blocks | undefined, bestTime = Infinity;
  for (const columns of sizesOf(n.extent, lanes, leastParts)) {
    for (const rows of sizesOf(m.extent, rowStep, Math.max(1, Math.ceil(m.extent / MAX_ROWS)))) {
      const tasks = pointsOf(batch) * Math.ceil(m.extent / rows) * Math.ceil(n.extent / columns);
      const packing = k.extent * (Math.min(rows, m.extent) * rowTime + columns * columnTime);
      const covered = timeOfPanels(panelsOf(columns, tiles), tiles);
      const task = TASK_TIME + packing +
        Math.min(rows, m.extent) * (covered * k.extent * (MADD_TIME / lanes) + columns * storeTime);
      const time = Math.ceil(tasks / threads) * task;
      if (time < bestTime) [best, bestTime] = [{ rows, columns, depth, chunk: Math.min(rows, chunk) }, time];
    }
  }
  return best!;
}

/**
 * Candidate sizes that split an extent into equal parts, rounded up to a multiple of `step`, starting with `least`
 * parts.
 */
function sizesOf(extent: number, step: number, least: number): number[] {
  const sizes = new Set<number>();
  for (let parts = least; parts <= 64 * least; parts = parts < 8 ? parts + 1 : parts * 2) {
    sizes.add(roundUp(Math.ceil(extent / parts), step));
  }
  return [...sizes].filter((size) => size >= Math.min(extent, 16) || sizes.size === 1);
}
