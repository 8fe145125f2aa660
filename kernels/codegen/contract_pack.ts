/**
 * Packing of the operands of the tiled contract kernel. The fused expression of an operand is evaluated once per block
 * and written to scratch memory: rows as a row-major matrix [rows][k], columns in panels of the tiles' widths. Lanes
 * run along the axis or along k, whichever reads memory more efficiently; where that is not the order of the packed
 * layout, blocks of W x W are transposed.
 */
import type { Expr } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { addIndex, makeVar, scaleIndex, varIndex } from "../../core/index_expr.ts";
import { convert, laneNumbers, splat, transposed } from "./lanes.ts";
import type { Env, Evaluator } from "./evaluator.ts";
import { Integers } from "./integers.ts";
import { repeat } from "./loops.ts";
import type { Value, Writer } from "./writer.ts";

/** An operand and the range of it to pack. Ranges start at multiples of W. */
export interface Block {
  readonly expr: Expr;
  /** The row or column variable. */
  readonly axis: Var;
  readonly k: Var;
  /** Values of the batch variables. */
  readonly batch: ReadonlyMap<number, Index>;
  readonly start: Value;
  readonly end: Value;
  readonly k0: Value;
  readonly kEnd: Value;
}

/**
 * The most lanes with which the transpositions of a panel are written one after the other: with more, they are so long
 * that a loop over them costs nothing, and they would be most of a kernel's code.
 */
const MAX_UNROLLED_LANES = 4;

/** Writes blocks to scratch memory. */
export class Packer {
  readonly #w: Writer;
  readonly #int: Integers;
  readonly #plain: Env;

  constructor(readonly evaluator: Evaluator) {
    this.#w = evaluator.writer;
    this.#int = new Integers(evaluator.writer);
    this.#plain = evaluator.env(new Map());
  }

  #index(index: Index): Value {
    return this.evaluator.scalar(index, this.#plain);
  }

  #env({ axis, k, batch }: Block, at: Index, step: Index, lane?: Var): Env {
    return this.evaluator.env(new Map([...batch, [axis.id, at], [k.id, step]]), lane);
  }

  #value(block: Block, at: Index, step: Index, lane?: Var): Value {
    const value = convert(this.#w, this.evaluator.value(block.expr, this.#env(block, at, step, lane)), "f32");
    return lane ? splat(this.#w, value) : value;
  }

  /** Whether vectors along k need fewer memory instructions than vectors along the axis. */
  #prefersK(block: Block): boolean {
    const { axis, k } = block, { lanes } = this.#w, lane = makeVar("lane", lanes);
    const vector = (number: Index) => addIndex(scaleIndex(number, lanes), varIndex(lane));
    const probe = (extent: number) => varIndex(makeVar("q", Math.max(2, extent)));
    const costOf = (env: Env) => this.evaluator.cost([block.expr], [], env);
    const alongAxis = costOf(this.#env(block, vector(probe(Math.floor(axis.extent / lanes))), probe(k.extent), lane));
    return costOf(this.#env(block, probe(axis.extent), vector(probe(Math.floor(k.extent / lanes))), lane)) < alongAxis;
  }

  /** Packs rows, starting at `base`, with a row pitch of `pitch` bytes. */
  rows(block: Block, base: Value, pitch: number): void {
    const { axis, start, end } = block, w = this.#w, int = this.#int, { lanes } = w, lane = makeVar("lane", lanes);
    const vectors = Math.floor(axis.extent / lanes),
      isAlongK = this.#prefersK(block),
      whole = isAlongK ? 0 : lanes * vectors;
    const lineOf = (row: Value) =>
      int.sub(int.add(base, int.times(int.sub(row, start), pitch)), int.times(block.k0, 4));
    if (!isAlongK) {
      w.loop({ start: int.over(start, lanes), end: int.over(end, lanes), extent: vectors }, (vector) => {
        const row = scaleIndex(vector, lanes), line = lineOf(this.#index(row));
        this.#overVectors(block, (step) => {
          const cell = int.add(line, int.times(this.#index(step), 4));
          const columns = laneNumbers(w).map((at) =>
            this.#value(block, addIndex(row, varIndex(lane)), addIndex(step, at), lane)
          );
          transposed(w, columns).forEach((value, at) =>
            w.effect("lanes.store", [int.plus(cell, at * pitch), value], [0])
          );
        });
        this.#overRest(block, (step) => {
          const cell = int.add(line, int.times(this.#index(step), 4)),
            value = this.#value(block, addIndex(row, varIndex(lane)), step, lane);
          for (let at = 0; at < lanes; at++) w.effect("lanes.store_lane", [int.plus(cell, at * pitch), value], [0, at]);
        });
      });
    }
    if (whole === axis.extent) return;
    w.loop({ start: int.max(start, whole), end, extent: axis.extent }, (row) => {
      const line = lineOf(this.#index(row));
      const cellOf = (step: Index) => int.add(line, int.times(this.#index(step), 4));
      this.#overVectors(block, (step) => {
        if (isAlongK) {
          return w.effect(
            "lanes.store",
            [cellOf(step), this.#value(block, row, addIndex(step, varIndex(lane)), lane)],
            [
              0,
            ],
          );
        }
        for (let at = 0; at < lanes; at++) {
          w.effect("f32.store", [cellOf(step), this.#value(block, row, addIndex(step, at))], [4 * at]);
        }
      });
      this.#overRest(block, (step) => w.effect("f32.store", [cellOf(step), this.#value(block, row, step)], [0]));
    });
  }

  /** Packs columns `first` to `last` into panels of `width` columns. Columns from `block.end` on are not written. */
  columns(
    block: Block,
    base: Value,
    { width, first, last, isExact }: { width: number; first: Value; last: Value; isExact: boolean },
  ): void {
    const { axis, end } = block, w = this.#w, int = this.#int, { lanes } = w, vectors = width / lanes;
    const all = Math.floor(axis.extent / lanes), isAlongK = this.#prefersK(block);
    const fitting = int.add(first, int.times(int.over(int.max(int.sub(end, first), 0), width), width));
    const whole = isExact ? last : int.op("select", last, fitting, int.op("i32.lt_s", last, fitting));
    // The largest value of the counter leaves room for the other vectors of its panel.
    w.loop(
      { start: int.over(first, lanes), end: int.over(whole, lanes), extent: all - vectors + 1, step: vectors },
      (vector) => {
        const column = scaleIndex(vector, lanes);
        this.#panel(block, {
          column,
          line: int.add(base, this.#bytes(block, int.sub(this.#index(column), block.start))),
          width,
          vectors,
          isAlongK,
        });
      },
    );
    if (isExact) return;
    const line = int.add(base, this.#bytes(block, int.sub(whole, block.start))),
      inside = int.op("select", last, end, int.op("i32.lt_s", last, end));
    w.loop({ start: int.over(whole, lanes), end: int.over(inside, lanes), extent: all }, (vector) => {
      const column = scaleIndex(vector, lanes);
      const own = int.add(line, int.times(int.sub(this.#index(column), whole), 4));
      this.#panel(block, { column, line: own, width, vectors: 1, isAlongK });
    });
    if (axis.extent % lanes === 0) return;
    w.loop({ start: int.max(whole, lanes * all), end: inside, extent: axis.extent }, (column) => {
      const own = int.add(line, int.times(int.sub(this.#index(column), whole), 4));
      w.loop({ start: block.k0, end: block.kEnd, extent: block.k.extent }, (step) => {
        const cell = int.add(own, int.times(int.sub(this.#index(step), block.k0), 4 * width));
        w.effect("f32.store", [cell, this.#value(block, column, step)], [0]);
      });
    });
  }

  /** Bytes that the given number of packed columns occupies. */
  #bytes({ k0, kEnd }: Block, columns: Value): Value {
    const depth = this.#int.sub(kEnd, k0);
    return this.#int.times(
      depth.local === undefined ? this.#int.times(columns, depth.literal) : this.#int.op("i32.mul", columns, depth),
      4,
    );
  }

  /** Packs some vectors of the columns of a panel, for all k. */
  #panel(
    block: Block,
    { column, line, width, vectors, isAlongK }: {
      column: Index;
      line: Value;
      width: number;
      vectors: number;
      isAlongK: boolean;
    },
  ): void {
    const w = this.#w, int = this.#int, { lanes } = w, lane = makeVar("lane", lanes);
    const cellOf = (step: Index) => int.add(line, int.times(int.sub(this.#index(step), block.k0), 4 * width));
    const across = (step: Index) => {
      const cell = cellOf(step);
      for (let vector = 0; vector < vectors; vector++) {
        const value = this.#value(block, addIndex(addIndex(column, lanes * vector), varIndex(lane)), step, lane);
        w.effect("lanes.store", [cell, value], [4 * lanes * vector]);
      }
    };
    if (!isAlongK) return w.loop({ start: block.k0, end: block.kEnd, extent: block.k.extent }, across);
    const square = (step: Index, first: Index, corner: Value, offset: number) => {
      const rows = laneNumbers(w).map((at) =>
        this.#value(block, addIndex(first, at), addIndex(step, varIndex(lane)), lane)
      );
      transposed(w, rows).forEach((value, at) => w.effect("lanes.store", [corner, value], [offset + 4 * width * at]));
    };
    this.#overVectors(block, (step) => {
      const cell = cellOf(step);
      if (lanes > MAX_UNROLLED_LANES) {
        return repeat(w, vectors, (vector) => {
          const first = addIndex(column, scaleIndex(vector, lanes));
          square(step, first, int.add(cell, int.times(this.#index(vector), 4 * lanes)), 0);
        });
      }
      for (let vector = 0; vector < vectors; vector++) {
        square(step, addIndex(column, lanes * vector), cell, 4 * lanes * vector);
      }
    });
    this.#overRest(block, across);
  }

  /** Runs `body` for each step of k that starts a whole vector. */
  #overVectors({ k, k0, kEnd }: Block, body: (step: Index) => void): void {
    const { lanes } = this.#w;
    this.#w.loop(
      { start: this.#int.over(k0, lanes), end: this.#int.over(kEnd, lanes), extent: Math.floor(k.extent / lanes) },
      (vector) => body(scaleIndex(vector, lanes)),
    );
  }

  /** Runs `body` for the remaining steps of k after the last whole vector. */
  #overRest({ k, k0, kEnd }: Block, body: (step: Index) => void): void {
    const { lanes } = this.#w, whole = lanes * Math.floor(k.extent / lanes);
    if (whole < k.extent) this.#w.loop({ start: this.#int.max(k0, whole), end: kEnd, extent: k.extent }, body);
  }
}
