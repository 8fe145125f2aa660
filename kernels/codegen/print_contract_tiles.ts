/**
 * The tiled contract kernel. A task is a block of the result. For each block of k, it packs both operands (unless they
 * can be read in place) and multiplies rows with panels of columns, accumulating one tile of sums in registers at a
 * time. Sums that are the result unchanged are stored in place; others stay in scratch memory until the epilogue, a map
 * over the block.
 *
 * Every sum accumulates in increasing order within each block of k, and over the blocks in order. The blocks of k
 * depend only on its extent, so results depend neither on how rows and columns are partitioned nor on what a mask
 * skips.
 */
import type { Index, Var } from "../../core/index_expr.ts";
import { constantIndex, makeVar, scaleIndex, substituteIndex } from "../../core/index_expr.ts";
import type { ContractKernel } from "../kernel.ts";
import type { Tile as MaskTile } from "../mask_range.ts";
import { isWorthSkipping } from "../mask_share.ts";
import {
  blockingFor,
  type Blocks,
  chooseBlocks,
  columnsOf,
  type Panels,
  panelsOf,
  roundUp,
  rowStepOf,
  tilesFor,
} from "./contract_blocks.ts";
import { type Direct, directColumns, directResult, directRows, scattersRows } from "./contract_direct.ts";
import { orient, printEpilogue } from "./contract_epilogue.ts";
import { type Block, Packer } from "./contract_pack.ts";
import { TileSums } from "./contract_tile.ts";
import type { Evaluator } from "./evaluator.ts";
import { Integers } from "./integers.ts";
import { assign, pointsOf, unflatten } from "./lane_index.ts";
import { type Depth, maskedStepsIn, overMaskedSteps } from "./print_mask.ts";
import type { Blocking, Tile, Tiles } from "./target.ts";
import { type Division, shareOf } from "./walk.ts";
import type { Value, Writer } from "./writer.ts";

/** A task: the values of the batch variables, and the ranges of rows and columns. */
interface Task {
  readonly batch: ReadonlyMap<number, Index>;
  readonly m0: Value;
  readonly mEnd: Value;
  readonly n0: Value;
  readonly nEnd: Value;
  /** Number of panels of each tile width. */
  readonly wide: Value;
  readonly narrow: Value;
}

/** A range of the rows and columns of a task. */
interface Place {
  readonly row: Value;
  readonly height: number;
  readonly column: Value;
  readonly width: number;
}

/** Prints a contract kernel of floats with at least a tile of outputs. */
export function printTiles(kernel: ContractKernel, evaluator: Evaluator): Division {
  return new TilePrinter(orient(kernel, evaluator), evaluator).print();
}

class TilePrinter {
  readonly #w: Writer;
  readonly #int: Integers;
  readonly #tiles: Tiles;
  readonly #blocking: Blocking;
  readonly #packer: Packer;
  readonly #blocks: Blocks;
  readonly #rowStep: number;
  readonly #rows: Direct | undefined;
  readonly #columns: Direct | undefined;
  readonly #result: Direct | undefined;
  /** Panels of a full block, and of the last one. */
  readonly #panels: Panels;
  readonly #lastPanels: Panels;
  /** Whether the columns are covered without padding. */
  readonly #isExact: boolean;
  /** Whether a mask skips enough to be worth testing. */
  readonly #skips: boolean;
  /** Row pitch in bytes of packed rows and of sums. */
  readonly #rowPitch: number;
  readonly #sumPitch: number;
  #packedRows!: Value;
  #packedColumns!: Value;
  #sums!: Value;

  constructor(readonly kernel: ContractKernel, readonly evaluator: Evaluator) {
    const { n } = kernel, { target } = evaluator.writer, { lanes } = target;
    const tiles = tilesFor(n.extent, target), blocking = blockingFor(kernel, target);
    this.#w = evaluator.writer;
    this.#tiles = tiles;
    this.#blocking = blocking;
    this.#int = new Integers(evaluator.writer);
    this.#packer = new Packer(evaluator);
    this.#skips = isWorthSkipping(kernel, { ...tiles.narrow, depth: lanes });
    this.#isExact = n.extent % lanes === 0 && n.extent >= tiles.narrow.columns;
    this.#rows = directRows(kernel);
    this.#columns = this.#isExact ? directColumns(kernel, target.fewRows ?? 2 * tiles.narrow.rows) : undefined;
    this.#result = this.#isExact ? directResult(kernel) : undefined;
    this.#blocks = chooseBlocks(kernel, {
      readsRows: !!this.#rows,
      readsColumns: !!this.#columns,
      scattersRows: scattersRows(kernel),
      target,
      tiles,
      blocking,
    });
    this.#rowStep = rowStepOf(lanes, tiles);
    const { columns, depth } = this.#blocks;
    this.#panels = panelsOf(Math.min(columns, n.extent), tiles);
    this.#lastPanels = panelsOf(n.extent - columns * (Math.ceil(n.extent / columns) - 1), tiles);
    this.#rowPitch = 4 * depth + 64;
    this.#sumPitch = 4 * Math.max(columnsOf(this.#panels, tiles), columnsOf(this.#lastPanels, tiles));
  }

  print(): Division {
    const w = this.#w,
      int = this.#int,
      { batch, m, n, k } = this.kernel,
      { rows, chunk, columns, depth } = this.#blocks;
    const kBlocks = Math.ceil(k.extent / depth), isWhole = kBlocks === 1;
    const sizeRows = this.#rows ? 0 : roundUp(chunk * this.#rowPitch, 64),
      sizeColumns = this.#columns ? 0 : depth * this.#sumPitch;
    const sizeSums = this.#result
      ? 0
      : (isWhole ? chunk : Math.min(rows, roundUp(m.extent, this.#rowStep))) * this.#sumPitch;
    this.evaluator.scratchBytes = roundUp(sizeRows + sizeColumns + sizeSums, 256) + 64;
    this.#packedRows = w.parameter("scratch");
    this.#packedColumns = int.plus(this.#packedRows, sizeRows);
    this.#sums = int.plus(this.#packedColumns, sizeColumns);
    const rowBlock = makeVar("mb", Math.ceil(m.extent / rows)),
      columnBlock = makeVar("nb", Math.ceil(n.extent / columns));
    // Row blocks vary fastest, so that consecutive tasks share the packed columns.
    const space = [...batch, columnBlock, rowBlock];
    const tasks = pointsOf(space), { start, end } = shareOf(w, tasks);
    const first = int.plus(start, 0);
    w.loop({ start, end, extent: Math.max(1, tasks) }, (number) => {
      const task = this.#task(
        unflatten(tasks === 1 ? constantIndex(0) : number, space),
        rowBlock.extent,
        columnBlock.extent,
      );
      if (isWhole) {
        const part: Depth = { k0: int.literal(0), kEnd: int.literal(k.extent), isFirst: int.literal(1) };
        const isNew = rowBlock.extent === 1
          ? undefined
          : int.op("bits.or", int.op("i32.eq", this.#index(number), first), int.op("i32.eqz", task.m0));
        if (isNew) w.when(isNew, () => this.#packColumns(task, part));
        else this.#packColumns(task, part);
        this.#overChunks(task, (from, to) => {
          this.#multiply(task, part, { from, to, origin: from });
          this.#store(task, from, to);
        });
        return;
      }
      w.loop({ start: int.literal(0), end: int.literal(kBlocks), extent: kBlocks }, (block) => {
        const k0 = this.#index(scaleIndex(block, depth));
        const part: Depth = { k0, kEnd: this.#endOf(k0, depth, k.extent), isFirst: int.op("i32.eqz", k0) };
        this.#packColumns(task, part);
        this.#overChunks(task, (from, to) => this.#multiply(task, part, { from, to, origin: task.m0 }));
      });
      this.#store(task, task.m0, task.mEnd);
    });
    return { leading: batch.length, items: tasks };
  }

  #task(place: readonly Index[], rowBlocks: number, columnBlocks: number): Task {
    const int = this.#int, { batch: variables, m, n } = this.kernel, { rows, columns } = this.#blocks;
    const batch = new Map<number, Index>();
    assign(batch, variables, place.slice(0, -2));
    const startOf = (
      at: Index,
      size: number,
      blocks: number,
    ) => (blocks === 1 ? int.literal(0) : this.#index(scaleIndex(at, size)));
    const n0 = startOf(place[place.length - 2], columns, columnBlocks),
      m0 = startOf(place[place.length - 1], rows, rowBlocks);
    const nEnd = this.#endOf(n0, columns, n.extent);
    const isLast = int.op("i32.eq", nEnd, int.literal(n.extent));
    const count = (whole: number, last: number) =>
      whole === last
        ? int.literal(whole)
        : columnBlocks === 1
        ? int.literal(last)
        : int.op("select", int.literal(last), int.literal(whole), isLast);
    return {
      batch,
      m0,
      n0,
      nEnd,
      mEnd: this.#endOf(m0, rows, m.extent),
      wide: count(this.#panels.wide, this.#lastPanels.wide),
      narrow: count(this.#panels.narrow, this.#lastPanels.narrow),
    };
  }

  #index(index: Index): Value {
    return this.evaluator.scalar(index, this.evaluator.env(new Map()));
  }

  #endOf(start: Value, size: number, extent: number): Value {
    const end = this.#int.plus(start, size);
    return extent % size === 0 ? end : this.#int.min(end, extent);
  }

  /** Runs `body` for each chunk of a task's rows. */
  #overChunks({ m0, mEnd }: Task, body: (from: Value, to: Value) => void): void {
    const { rows, chunk } = this.#blocks, int = this.#int, w = this.#w, { m } = this.kernel;
    if (chunk >= Math.min(rows, m.extent)) return body(m0, mEnd);
    w.loop({ start: m0, end: mEnd, extent: m.extent, step: chunk }, (at) => {
      const from = this.#index(at), to = int.plus(from, chunk);
      body(
        from,
        rows % chunk === 0 && m.extent % chunk === 0 ? to : int.op("select", to, mEnd, int.op("i32.lt_s", to, mEnd)),
      );
    });
  }

  #block(task: Task, { k0, kEnd }: Depth, axis: Var, start: Value, end: Value): Block {
    const { m, k, lhs, rhs } = this.kernel;
    return { expr: axis === m ? lhs : rhs, axis, k, batch: task.batch, start, end, k0, kEnd };
  }

  #packColumns(task: Task, part: Depth): void {
    if (this.#columns) return;
    const int = this.#int, block = this.#block(task, part, this.kernel.n, task.n0, task.nEnd), isExact = this.#isExact;
    this.#overTiles((tile) => {
      const { first, count } = this.#span(task, tile);
      const last = int.add(first, int.times(count, tile.columns));
      this.#packer.columns(block, this.#packedColumns, { width: tile.columns, first, last, isExact });
    });
  }

  #packRows(task: Task, part: Depth, from: Value, to: Value): void {
    const { kernel, evaluator } = this, { m } = kernel, { chunk } = this.#blocks;
    // As wide as the panels, padding included, because padding columns are multiplied as well.
    const tile = this.#sides(task, { row: from, height: chunk, column: task.n0, width: this.#sumPitch / 4 });
    const steps = this.#skips ? maskedStepsIn(kernel, evaluator, tile, part) : part;
    const base = this.#skips
      ? this.#int.add(this.#packedRows, this.#int.times(this.#int.sub(steps.k0, part.k0), 4))
      : this.#packedRows;
    this.#packer.rows(this.#block(task, steps, m, from, to), base, this.#rowPitch);
  }

  /** Runs `body` for each tile width in use. */
  #overTiles(body: (tile: Tile) => void): void {
    if (this.#panels.wide + this.#lastPanels.wide > 0) body(this.#tiles.wide);
    if (this.#panels.narrow + this.#lastPanels.narrow > 0) body(this.#tiles.narrow);
  }

  /** The first column of a tile's panels, and the number of panels. */
  #span({ n0, wide, narrow }: Task, tile: Tile): { first: Value; count: Value } {
    const { wide: widest } = this.#tiles;
    if (tile === widest) return { first: n0, count: wide };
    return { first: this.#int.add(n0, this.#int.times(wide, widest.columns)), count: narrow };
  }

  /**
   * Multiplies rows `from` to `to` with the task's columns. Row `origin` is the first row of the sums in scratch
   * memory.
   */
  #multiply(task: Task, part: Depth, { from, to, origin }: { from: Value; to: Value; origin: Value }): void {
    const w = this.#w, int = this.#int, { k, m } = this.kernel, { k0, kEnd } = part;
    if (!this.#rows) this.#packRows(task, part, from, to);
    const depth = int.sub(kEnd, k0), rows = int.sub(to, from);
    const addressOf = ({ operand, at }: Direct) => {
      const { address, offset } = this.evaluator.address(
        operand,
        substituteIndex(at, task.batch),
        this.evaluator.env(new Map()),
      );
      return int.plus(address, offset);
    };
    const rowsAt = this.#rows
      ? int.add(
        addressOf(this.#rows),
        int.add(int.times(k0, this.#rows.otherBytes), int.times(from, this.#rows.axisBytes)),
      )
      : this.#packedRows;
    const [rowBytes, rowStep] = this.#rows ? [this.#rows.axisBytes, this.#rows.otherBytes] : [this.#rowPitch, 4];
    const columnsAt = this.#columns && int.add(addressOf(this.#columns), int.times(k0, this.#columns.otherBytes));
    const cornerStep = this.#result?.axisBytes ?? this.#sumPitch;
    const corner = this.#result
      ? int.add(addressOf(this.#result), int.add(int.times(from, cornerStep), int.times(task.n0, 4)))
      : int.add(this.#sums, int.times(int.sub(from, origin), cornerStep));
    this.#overTiles((tile) => {
      const { first, count } = this.#span(task, tile), width = tile.columns;
      const whole = int.over(rows, tile.rows), rest = m.extent % tile.rows;
      w.loop(
        { start: int.literal(0), end: count, extent: Math.max(2, Math.ceil(this.#blocks.columns / width)) },
        (panel) => {
          const offset = int.add(int.sub(first, task.n0), int.times(this.#index(panel), width));
          const columns = columnsAt
            ? int.add(columnsAt, int.times(int.add(task.n0, offset), 4))
            : int.add(this.#packedColumns, int.op("i32.mul", int.times(offset, 4), depth));
          const columnStep = this.#columns?.otherBytes ?? 4 * width;
          const print = (height: number, row: Value) => {
            const rowAt = int.add(rowsAt, int.times(row, rowBytes)),
              cornerAt = int.add(int.add(corner, int.times(offset, 4)), int.times(row, cornerStep));
            const sums = new TileSums(w, { rows: height, columns: width }, this.#blocking.unroll);
            const place = { row: int.add(from, row), height, column: int.add(task.n0, offset), width };
            this.#whereUnmasked(task, part, place, () => {
              sums.clear();
              this.#overUnmasked(task, part, place, (steps) => {
                const skipped = int.sub(steps.k0, k0);
                sums.add({
                  rows: int.add(rowAt, int.times(skipped, rowStep)),
                  rowBytes,
                  rowStep,
                  columns: int.add(columns, int.times(skipped, columnStep)),
                  columnStep,
                  depth: int.sub(steps.kEnd, steps.k0),
                  isWhole: k.extent % this.#blocking.unroll === 0,
                });
              });
              sums.store(cornerAt, cornerStep, part.isFirst);
            });
          };
          w.loop(
            { start: int.literal(0), end: whole, extent: Math.max(2, Math.ceil(this.#blocks.chunk / tile.rows)) },
            (i) => {
              print(tile.rows, int.times(this.#index(i), tile.rows));
            },
          );
          if (rest === 0) return;
          const at = int.times(whole, tile.rows);
          w.when(int.op("i32.lt_s", at, rows), () => print(rest, at));
        },
      );
    });
  }

  /**
   * Runs `body` unless a mask excludes an entire part of k. The first part always runs, since it initializes the sums.
   */
  #whereUnmasked(task: Task, part: Depth, place: Place, body: () => void): void {
    const int = this.#int;
    if (!this.#skips || part.isFirst.local === undefined) return body();
    const steps = maskedStepsIn(this.kernel, this.evaluator, this.#sides(task, place), part);
    this.#w.when(int.op("bits.or", part.isFirst, int.op("i32.lt_s", steps.k0, steps.kEnd)), body);
  }

  /**
   * Runs `body` for the steps of k that the mask leaves in a tile, in order, or for all steps if skipping does not pay
   * off.
   */
  #overUnmasked(task: Task, part: Depth, place: Place, body: (steps: Depth) => void): void {
    if (this.#skips) overMaskedSteps(this.kernel, this.evaluator, { tile: this.#sides(task, place), part }, body);
    else body(part);
  }

  /** The region of the kernel's space that a part of a task covers. */
  #sides({ batch }: Task, { row, height, column, width }: Place): MaskTile {
    const { m, n } = this.kernel, sides = new Map([...batch].map(([id, start]) => [id, { start, size: 1 }]));
    return sides.set(m.id, { start: this.#w.indexOf(row, m.extent), size: height }).set(n.id, {
      start: this.#w.indexOf(column, n.extent),
      size: width,
    });
  }

  /** Applies the epilogue to the sums of some rows and stores the results, unless the sums are stored in place. */
  #store({ batch, n0, nEnd }: Task, from: Value, to: Value): void {
    if (this.#result) return;
    printEpilogue(this.kernel, this.evaluator, {
      batch,
      from,
      to,
      n0,
      nEnd,
      sums: this.#sums,
      pitch: this.#sumPitch,
    });
  }
}
