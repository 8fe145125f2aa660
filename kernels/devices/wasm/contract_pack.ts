/**
 * Packing of the operands of the tiled contract kernel: their fused expressions are evaluated once for a block and
 * written to scratch memory, rows as they lie in a matrix [rows][k], columns in panels [k][12] and [k][8]. Lanes run
 * along the axis or along k, whichever reads memory better; blocks of 4 x 4 are transposed where that is not the way
 * they are written.
 */
import type { Expr } from "../../../core/expr.ts";
import type { Index, Var } from "../../../core/index_expr.ts";
import { addIndex, makeVar, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import { convert, splat } from "./lanes.ts";
import type { Env, Evaluator } from "./print_expr.ts";
import type { Value, Writer } from "./writer.ts";

const I32 = { dtype: "i32", width: 1 } as const;
const F32X4 = { dtype: "f32", width: 4 } as const;

/** An operand, and what of it is packed. Starts divide by four. */
export interface Block {
  readonly expr: Expr;
  /** The row, or the column. */
  readonly axis: Var;
  readonly k: Var;
  /** Values of the batch variables. */
  readonly batch: ReadonlyMap<number, Index>;
  readonly start: Value;
  readonly end: Value;
  readonly k0: Value;
  readonly kEnd: Value;
}

/** Arithmetic of addresses. */
export class Integers {
  constructor(readonly w: Writer) {}

  op(name: string, ...args: Value[]): Value {
    return this.w.op(name, args, I32);
  }

  literal(value: number): Value {
    return this.w.literal(value, "i32");
  }

  add(x: Value, y: Value): Value {
    return x.local === undefined && y.local === undefined
      ? this.literal(x.literal + y.literal)
      : this.op("i32.add", x, y);
  }

  plus(value: Value, amount: number): Value {
    return amount === 0 ? value : this.add(value, this.literal(amount));
  }

  sub(x: Value, y: Value): Value {
    return y.local === undefined ? this.plus(x, -y.literal) : this.op("i32.sub", x, y);
  }

  times(value: Value, factor: number): Value {
    if (value.local === undefined) return this.literal(value.literal * factor);
    return factor === 1 ? value : this.op("i32.mul", value, this.literal(factor));
  }

  over(value: Value, divisor: number): Value {
    if (value.local === undefined) return this.literal(Math.floor(value.literal / divisor));
    return divisor === 4
      ? this.op("i32.shr_u", value, this.literal(2))
      : this.op("i32.div_u", value, this.literal(divisor));
  }

  min(x: Value, most: number): Value {
    if (x.local === undefined) return this.literal(Math.min(x.literal, most));
    const other = this.literal(most);
    return this.op("select", x, other, this.op("i32.lt_s", x, other));
  }

  max(x: Value, least: number): Value {
    if (x.local === undefined) return this.literal(Math.max(x.literal, least));
    const other = this.literal(least);
    return this.op("select", x, other, this.op("i32.gt_s", x, other));
  }
}

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

  /**
   * Whether reading four steps of k at a time takes fewer memory instructions than reading four neighbours along the
   * axis.
   */
  #prefersK(block: Block): boolean {
    const { axis, k } = block, lane = makeVar("lane", 4);
    const probe = (extent: number) => varIndex(makeVar("q", Math.max(2, extent)));
    const costOf = (env: Env) => this.evaluator.cost([block.expr], [], env);
    const alongAxis = costOf(this.#env(block, fourth(probe(axis.extent >> 2), lane), probe(k.extent), lane));
    return costOf(this.#env(block, probe(axis.extent), fourth(probe(k.extent >> 2), lane), lane)) < alongAxis;
  }

  /** Writes rows, `pitch` bytes apart, from `base` on. */
  rows(block: Block, base: Value, pitch: number): void {
    const { axis, start, end } = block, w = this.#w, int = this.#int, lane = makeVar("lane", 4);
    const isAlongK = this.#prefersK(block), whole = isAlongK ? 0 : 4 * (axis.extent >> 2);
    const lineOf = (row: Value) =>
      int.sub(int.add(base, int.times(int.sub(row, start), pitch)), int.times(block.k0, 4));
    if (!isAlongK) {
      w.loop({ start: int.over(start, 4), end: int.over(end, 4), extent: axis.extent >> 2 }, (quad) => {
        const row = scaleIndex(quad, 4), line = lineOf(this.#index(row));
        this.#overQuads(block, (step) => {
          const cell = int.add(line, int.times(this.#index(step), 4));
          const columns = [0, 1, 2, 3].map((at) =>
            this.#value(block, addIndex(row, varIndex(lane)), addIndex(step, at), lane)
          );
          this.#transposed(columns).forEach((value, at) =>
            w.effect("v128.store", [int.plus(cell, at * pitch), value], [0])
          );
        });
        this.#overRest(block, (step) => {
          const cell = int.add(line, int.times(this.#index(step), 4)),
            value = this.#value(block, addIndex(row, varIndex(lane)), step, lane);
          for (let at = 0; at < 4; at++) w.effect("v128.store32_lane", [int.plus(cell, at * pitch), value], [0, at]);
        });
      });
    }
    if (whole === axis.extent) return;
    w.loop({ start: int.max(start, whole), end, extent: axis.extent }, (row) => {
      const line = lineOf(this.#index(row));
      const cellOf = (step: Index) => int.add(line, int.times(this.#index(step), 4));
      this.#overQuads(block, (step) => {
        if (isAlongK) {
          return w.effect("v128.store", [cellOf(step), this.#value(block, row, addIndex(step, varIndex(lane)), lane)], [
            0,
          ]);
        }
        for (let at = 0; at < 4; at++) {
          w.effect("f32.store", [cellOf(step), this.#value(block, row, addIndex(step, at))], [4 * at]);
        }
      });
      this.#overRest(block, (step) => w.effect("f32.store", [cellOf(step), this.#value(block, row, step)], [0]));
    });
  }

  /**
   * Writes the panels of `width` columns from column `first` to `last`; beyond `block.end` there is nothing to write.
   */
  columns(
    block: Block,
    base: Value,
    { width, first, last, isExact }: { width: number; first: Value; last: Value; isExact: boolean },
  ): void {
    const { axis, end } = block, w = this.#w, int = this.#int, quads = width / 4;
    const isAlongK = this.#prefersK(block);
    const fitting = int.add(first, int.times(int.over(int.max(int.sub(end, first), 0), width), width));
    const whole = isExact ? last : int.op("select", last, fitting, int.op("i32.lt_s", last, fitting));
    // The greatest number that the counter takes leaves room for the other groups of four of its panel.
    w.loop(
      { start: int.over(first, 4), end: int.over(whole, 4), extent: (axis.extent >> 2) - quads + 1, step: quads },
      (quad) => {
        const column = scaleIndex(quad, 4);
        this.#panel(block, {
          column,
          line: int.add(base, this.#bytes(block, int.sub(this.#index(column), block.start))),
          width,
          quads,
          isAlongK,
        });
      },
    );
    if (isExact) return;
    const line = int.add(base, this.#bytes(block, int.sub(whole, block.start))),
      inside = int.op("select", last, end, int.op("i32.lt_s", last, end));
    w.loop({ start: int.over(whole, 4), end: int.over(inside, 4), extent: axis.extent >> 2 }, (quad) => {
      const column = scaleIndex(quad, 4);
      const own = int.add(line, int.times(int.sub(this.#index(column), whole), 4));
      this.#panel(block, { column, line: own, width, quads: 1, isAlongK });
    });
    if (axis.extent % 4 === 0) return;
    w.loop({ start: int.max(whole, 4 * (axis.extent >> 2)), end: inside, extent: axis.extent }, (column) => {
      const own = int.add(line, int.times(int.sub(this.#index(column), whole), 4));
      w.loop({ start: block.k0, end: block.kEnd, extent: block.k.extent }, (step) => {
        const cell = int.add(own, int.times(int.sub(this.#index(step), block.k0), 4 * width));
        w.effect("f32.store", [cell, this.#value(block, column, step)], [0]);
      });
    });
  }

  /** Bytes that columns take in panels. */
  #bytes({ k0, kEnd }: Block, columns: Value): Value {
    const depth = this.#int.sub(kEnd, k0);
    return this.#int.times(
      depth.local === undefined ? this.#int.times(columns, depth.literal) : this.#int.op("i32.mul", columns, depth),
      4,
    );
  }

  /** Some groups of four columns of a panel, for all k. */
  #panel(
    block: Block,
    { column, line, width, quads, isAlongK }: {
      column: Index;
      line: Value;
      width: number;
      quads: number;
      isAlongK: boolean;
    },
  ): void {
    const w = this.#w, int = this.#int, lane = makeVar("lane", 4);
    const cellOf = (step: Index) => int.add(line, int.times(int.sub(this.#index(step), block.k0), 4 * width));
    const across = (step: Index) => {
      const cell = cellOf(step);
      for (let quad = 0; quad < quads; quad++) {
        const value = this.#value(block, addIndex(addIndex(column, 4 * quad), varIndex(lane)), step, lane);
        w.effect("v128.store", [cell, value], [16 * quad]);
      }
    };
    if (!isAlongK) return w.loop({ start: block.k0, end: block.kEnd, extent: block.k.extent }, across);
    this.#overQuads(block, (step) => {
      const cell = cellOf(step);
      for (let quad = 0; quad < quads; quad++) {
        const rows = [0, 1, 2, 3].map((at) =>
          this.#value(block, addIndex(column, 4 * quad + at), addIndex(step, varIndex(lane)), lane)
        );
        this.#transposed(rows).forEach((value, at) =>
          w.effect("v128.store", [cell, value], [16 * quad + 4 * width * at])
        );
      }
    });
    this.#overRest(block, across);
  }

  /** Runs `body` for every fourth step of k that begins a whole group of four. */
  #overQuads({ k, k0, kEnd }: Block, body: (step: Index) => void): void {
    this.#w.loop(
      { start: this.#int.over(k0, 4), end: this.#int.over(kEnd, 4), extent: k.extent >> 2 },
      (quad) => body(scaleIndex(quad, 4)),
    );
  }

  /** Runs `body` for the steps of k after the last whole group of four. */
  #overRest({ k, k0, kEnd }: Block, body: (step: Index) => void): void {
    const whole = 4 * (k.extent >> 2);
    if (whole < k.extent) this.#w.loop({ start: this.#int.max(k0, whole), end: kEnd, extent: k.extent }, body);
  }

  #transposed([a, b, c, d]: readonly Value[]): Value[] {
    const shuffle = (x: Value, y: Value, words: readonly number[]) =>
      this.#w.op("i8x16.shuffle", [x, y], F32X4, words.flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * word + byte)));
    const low = [0, 4, 1, 5], high = [2, 6, 3, 7], firsts = [0, 1, 4, 5], lasts = [2, 3, 6, 7];
    const [p, q, r, s] = [shuffle(a, b, low), shuffle(c, d, low), shuffle(a, b, high), shuffle(c, d, high)];
    return [shuffle(p, q, firsts), shuffle(p, q, lasts), shuffle(r, s, firsts), shuffle(r, s, lasts)];
  }
}

function fourth(quad: Index, lane: Var): Index {
  return addIndex(scaleIndex(quad, 4), varIndex(lane));
}
