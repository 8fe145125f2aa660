/**
 * The tiled contract kernel. A task is a block of the result; for each block of k it packs both operands, evaluating their fused expressions once, into
 * the thread's scratch memory as panels [k][4 rows] and [k][8 columns], and multiplies panels with eight accumulators. The finished block is in scratch
 * memory too, and the epilogue is a map over it.
 *
 * Tiles of 4 x 8 are near the best on the machines measured; larger ones spill. Blocks are such that everything stays in the second-level cache.
 */
import type { Expr } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { addIndex, constantIndex, makeVar, scaleIndex, substituteIndex, varIndex } from "../../core/index_expr.ts";
import type { ContractKernel } from "../kernel.ts";
import { assign, laneForm, pointsOf, unflatten } from "../lane_index.ts";
import { convert, splat } from "./lanes.ts";
import type { Env, Evaluator } from "./print_expr.ts";
import { shareOf } from "./walk.ts";
import type { Instruction } from "./wasm_encoder.ts";
import type { Value, Writer } from "./writer.ts";

const ROWS = 4, COLUMNS = 8;
const I32 = { dtype: "i32", width: 1 } as const;
const F32X4 = { dtype: "f32", width: 4 } as const;

/** Sizes of blocks: multiples of the tile. */
interface Blocks {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/** The part of an axis that a block covers, and where its panels lie. */
interface Side {
  readonly expr: Expr;
  readonly axis: Var;
  readonly panel: 4 | 8;
  readonly start: Value;
  readonly end: Value;
  /** Address of the first panel. */
  readonly base: Value;
  /** Where the operand lies as it is, if it need not be packed. */
  readonly direct?: Direct;
}

/** An operand that is read where it lies: an address with byte strides along its axis and along k. */
interface Direct {
  readonly address: Value;
  readonly axisBytes: number;
  readonly depthBytes: number;
}

/** Rows further apart than this fall on few sets of the cache: such operands are packed. */
const MAX_STRIDE_BYTES = 1024;

/** Prints a contract kernel of floats with at least a tile of outputs. */
export function printTiles(kernel: ContractKernel, evaluator: Evaluator): void {
  new TilePrinter(kernel, evaluator).print();
}

/** Large blocks repeat less packing, small ones occupy more threads. */
function chooseBlocks({ batch, m, n, k }: ContractKernel): Blocks {
  const depth = roundUp(Math.ceil(k.extent / Math.ceil(k.extent / 256)), 4);
  let rows = Math.min(128, roundUp(m.extent, ROWS)), columns = Math.min(128, roundUp(n.extent, COLUMNS));
  const work = 2 * pointsOf(batch) * m.extent * n.extent * k.extent;
  const wanted = Math.min(16, work / 500000);
  const tasks = () => pointsOf(batch) * Math.ceil(m.extent / rows) * Math.ceil(n.extent / columns);
  while (tasks() < wanted && rows * columns > 1024) {
    if (rows >= columns) rows = roundUp(rows / 2, ROWS);
    else columns = roundUp(columns / 2, COLUMNS);
  }
  return { rows, columns, depth };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

class TilePrinter {
  readonly #w: Writer;
  readonly #blocks: Blocks;
  /** Values of the batch variables in the present task. */
  #batch = new Map<number, Index>();

  constructor(readonly kernel: ContractKernel, readonly evaluator: Evaluator) {
    this.#w = evaluator.writer;
    this.#blocks = chooseBlocks(kernel);
  }

  print(): void {
    const w = this.#w, { batch, m, n, k, lhs, rhs } = this.kernel, { rows, columns, depth } = this.#blocks;
    const sizeA = 4 * rows * depth, sizeB = 4 * columns * depth;
    this.evaluator.scratchBytes = roundUp(sizeA + sizeB + 4 * rows * columns, 256) + 64;
    const packedA = w.parameter("scratch"), packedB = this.#plus(packedA, sizeA), result = this.#plus(packedB, sizeB);
    const rowBlock = makeVar("mb", Math.ceil(m.extent / rows)), columnBlock = makeVar("nb", Math.ceil(n.extent / columns));
    // Row blocks come fastest, so that tasks in a row share the packed columns.
    const space = [...batch, columnBlock, rowBlock];
    const tasks = pointsOf(space), { start, end } = shareOf(w, tasks);
    const kBlocks = Math.ceil(k.extent / depth);
    const plain = this.evaluator.env(new Map());
    const first = this.#op("i32.add", start, w.literal(0, "i32"));
    w.loop({ start, end, extent: Math.max(1, tasks) }, (task) => {
      const place = unflatten(tasks === 1 ? constantIndex(0) : task, space);
      this.#batch = new Map();
      assign(this.#batch, batch, place.slice(0, -2));
      const startOf = (at: Index, size: number) => this.evaluator.scalar(scaleIndex(at, size), plain);
      const n0 = startOf(place[space.length - 2], columns), m0 = startOf(place[space.length - 1], rows);
      const a: Side = { expr: lhs, axis: m, panel: ROWS, start: m0, end: this.#endOf(m0, rows, m.extent), base: packedA, direct: this.#direct(lhs, m) };
      const b: Side = { expr: rhs, axis: n, panel: COLUMNS, start: n0, end: this.#endOf(n0, columns, n.extent), base: packedB, direct: this.#direct(rhs, n) };
      if (kBlocks === 1) {
        const k0 = w.literal(0, "i32"), kEnd = w.literal(k.extent, "i32");
        const isFirst = this.#op("i32.eq", this.evaluator.scalar(task, plain), first), isNew = this.#op("i32.eqz", m0);
        if (!b.direct) w.when(this.#op("i32.or", isFirst, isNew), () => this.#pack(b, k0, kEnd));
        if (!a.direct) this.#pack(a, k0, kEnd);
        this.#multiply(a, b, { result, k0, depth: w.literal(k.extent, "i32"), isFirst: w.literal(1, "i32") });
      } else {
        w.loop({ start: w.literal(0, "i32"), end: w.literal(kBlocks, "i32"), extent: kBlocks }, (block) => {
          const number = this.evaluator.scalar(block, plain);
          const k0 = this.evaluator.scalar(scaleIndex(block, depth), plain), kEnd = this.#endOf(k0, depth, k.extent);
          if (!b.direct) this.#pack(b, k0, kEnd);
          if (!a.direct) this.#pack(a, k0, kEnd);
          this.#multiply(a, b, { result, k0, depth: this.#op("i32.sub", kEnd, k0), isFirst: this.#op("i32.eqz", number) });
        });
      }
      this.#store(a, b, result);
    });
  }

  #op(name: string, ...args: Value[]): Value {
    return this.#w.op(name, args, I32);
  }

  #plus(value: Value, amount: number): Value {
    return this.#op("i32.add", value, this.#w.literal(amount, "i32"));
  }

  #times(value: Value, factor: number): Value {
    return this.#op("i32.mul", value, this.#w.literal(factor, "i32"));
  }

  #endOf(start: Value, size: number, extent: number): Value {
    if (extent % size === 0) return this.#plus(start, size);
    const end = this.#plus(start, size), all = this.#w.literal(extent, "i32");
    return this.#op("select", end, all, this.#op("i32.lt_s", end, all));
  }

  #max(x: Value, least: number): Value {
    const other = this.#w.literal(least, "i32");
    return this.#op("select", x, other, this.#op("i32.gt_s", x, other));
  }

  #quarter(value: Value): Value {
    return this.#op("i32.shr_u", value, this.#w.literal(2, "i32"));
  }

  #env(side: Side, at: Index, k: Index, lane?: Var): Env {
    return this.evaluator.env(new Map([...this.#batch, [side.axis.id, at], [this.kernel.k.id, k]]), lane);
  }

  /** Writes the panels of one side for k0 .. kEnd - 1. Lanes run along the axis, or along k in blocks of 4 x 4 that are transposed. */
  #pack(side: Side, k0: Value, kEnd: Value): void {
    const w = this.#w, { k } = this.kernel, { axis } = side;
    const lane = makeVar("lane", 4);
    const probeQuad = varIndex(makeVar("q", Math.max(2, axis.extent >> 2))), probeK = varIndex(makeVar("q", Math.max(2, k.extent)));
    const probeStep = varIndex(makeVar("q", Math.max(2, k.extent >> 2)));
    const costOf = (env: Env) => this.evaluator.cost([side.expr], [], env);
    const alongAxis = costOf(this.#env(side, this.#fourth(probeQuad, lane), probeK, lane));
    const alongK = costOf(this.#env(side, scaleIndex(probeQuad, 4), this.#fourth(probeStep, lane), lane));
    const transposes = alongK < alongAxis;
    const whole = 4 * (axis.extent >> 2), wholeK = transposes ? 4 * (k.extent >> 2) : 0;
    w.loop({ start: this.#quarter(side.start), end: this.#quarter(side.end), extent: axis.extent >> 2 }, (quad) => {
      const panel = this.#panelOf(side, quad);
      if (transposes) {
        w.loop({ start: this.#quarter(k0), end: this.#quarter(kEnd), extent: k.extent >> 2 }, (step) => {
          this.#packTransposed(side, quad, step, panel, k0);
        });
      }
      if (wholeK === k.extent) return;
      w.loop({ start: transposes ? this.#max(k0, wholeK) : k0, end: kEnd, extent: k.extent }, (step) => {
        const value = this.#factor(side, this.#env(side, this.#fourth(quad, lane), step, lane));
        w.effect("v128.store", [this.#cell(side, panel, this.#index(step), k0), splat(w, value)], [0]);
      });
    });
    if (whole === axis.extent) return;
    w.loop({ start: this.#max(side.start, whole), end: side.end, extent: axis.extent }, (at) => {
      const local = this.#op("i32.sub", this.#index(at), side.start), mask = w.literal(side.panel - 1, "i32");
      const inside = this.#times(this.#op("i32.and", local, mask), 4);
      const number = this.#op("i32.shr_u", local, w.literal(Math.log2(side.panel), "i32"));
      const panel = this.#op("i32.add", this.#op("i32.add", side.base, this.#times(number, this.#panelBytes(side))), inside);
      w.loop({ start: k0, end: kEnd, extent: k.extent }, (step) => {
        const value = this.#factor(side, this.#env(side, at, step));
        w.effect("f32.store", [this.#cell(side, panel, this.#index(step), k0), value], [0]);
      });
    });
  }

  #fourth(quad: Index, lane: Var): Index {
    return addIndex(scaleIndex(quad, 4), varIndex(lane));
  }

  #index(index: Index): Value {
    return this.evaluator.scalar(index, this.evaluator.env(new Map()));
  }

  #factor(side: Side, env: Env): Value {
    return convert(this.#w, this.evaluator.value(side.expr, env), "f32");
  }

  #panelBytes(side: Side): number {
    return 4 * side.panel * this.#blocks.depth;
  }

  /** Address of four neighbours along the axis at the block's first k. */
  #panelOf(side: Side, quad: Index): Value {
    const w = this.#w, local = this.#op("i32.sub", this.#index(quad), this.#quarter(side.start));
    if (side.panel === 4) return this.#op("i32.add", side.base, this.#times(local, this.#panelBytes(side)));
    const one = w.literal(1, "i32");
    const panel = this.#times(this.#op("i32.shr_u", local, one), this.#panelBytes(side)), half = this.#times(this.#op("i32.and", local, one), 16);
    return this.#op("i32.add", this.#op("i32.add", side.base, panel), half);
  }

  #cell(side: Side, panel: Value, step: Value, k0: Value): Value {
    return this.#op("i32.add", panel, this.#times(this.#op("i32.sub", step, k0), 4 * side.panel));
  }

  #packTransposed(side: Side, quad: Index, step: Index, panel: Value, k0: Value): void {
    const w = this.#w, lane = makeVar("lane", 4);
    const [a, b, c, d] = [0, 1, 2, 3].map((row) => {
      const at = addIndex(scaleIndex(quad, 4), row);
      return splat(w, this.#factor(side, this.#env(side, at, this.#fourth(step, lane), lane)));
    });
    const shuffle = (x: Value, y: Value, words: readonly number[]) =>
      w.op("i8x16.shuffle", [x, y], F32X4, words.flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * word + byte)));
    const low = [0, 4, 1, 5], high = [2, 6, 3, 7], firsts = [0, 1, 4, 5], lasts = [2, 3, 6, 7];
    const [p, q, r, s] = [shuffle(a, b, low), shuffle(c, d, low), shuffle(a, b, high), shuffle(c, d, high)];
    const columns = [shuffle(p, q, firsts), shuffle(p, q, lasts), shuffle(r, s, firsts), shuffle(r, s, lasts)];
    const cell = this.#cell(side, panel, this.#index(scaleIndex(step, 4)), k0);
    columns.forEach((column, i) => w.effect("v128.store", [cell, column], [4 * side.panel * i]));
  }

  /** An operand as it lies, where it is a plain load with whole panels, and reading it so is about as fast as reading it packed. */
  #direct(expr: Expr, axis: Var): Direct | undefined {
    const { kernel: { m, n, k, operands }, evaluator } = this;
    if (expr.kind !== "load" || operands[expr.operand].dtype !== "f32") return undefined;
    const isRows = axis === m, panel = isRows ? ROWS : COLUMNS;
    if (axis.extent % panel !== 0) return undefined;
    const at = makeVar("at", axis.extent), step = makeVar("step", k.extent);
    const index = substituteIndex(expr.index, new Map([...this.#batch, [axis.id, varIndex(at)], [k.id, varIndex(step)]]));
    if (index.min < 0 || index.max >= operands[expr.operand].size) return undefined;
    const along = laneForm(index, at, () => true), deep = along && laneForm(along.base, step, () => true);
    if (!along || !deep || along.step < 0) return undefined;
    const [axisBytes, depthBytes] = [4 * along.step, 4 * deep.step];
    const isNear = Math.abs(depthBytes) <= MAX_STRIDE_BYTES && Math.abs(depthBytes) * k.extent <= 1 << 18;
    if (!isRows && (along.step !== 1 || !(isNear || m.extent <= 2 * ROWS))) return undefined;
    // Packing rows pays where they are read often.
    if (isRows && !(n.extent < 256 && (Math.abs(depthBytes) <= 4 || (along.step === 1 && isNear)))) return undefined;
    const { address, offset } = evaluator.address(expr.operand, deep.base, evaluator.env(new Map()));
    return { address: this.#plus(address, offset), axisBytes, depthBytes };
  }

  /** Multiplies all panels; the block of the result is set where `isFirst`, else added to. */
  #multiply(a: Side, b: Side, { result, k0, depth, isFirst }: Record<"result" | "k0" | "depth" | "isFirst", Value>): void {
    const w = this.#w, { rows, columns } = this.#blocks;
    const panels = (side: Side) => {
      const count = this.#op("i32.sub", side.end, side.start);
      return this.#op("i32.shr_u", this.#plus(count, side.panel - 1), w.literal(Math.log2(side.panel), "i32"));
    };
    const panelAt = (side: Side, number: Value) => {
      if (!side.direct) return this.#op("i32.add", side.base, this.#times(number, this.#panelBytes(side)));
      const { address, axisBytes, depthBytes } = side.direct;
      const first = this.#op("i32.add", this.#op("i32.add", address, this.#times(k0, depthBytes)), this.#times(side.start, axisBytes));
      return this.#op("i32.add", first, this.#times(number, side.panel * axisBytes));
    };
    const zero = w.literal(0, "i32");
    w.loop({ start: zero, end: panels(b), extent: columns / COLUMNS }, (j) => {
      const column = this.#index(j), panelB = panelAt(b, column);
      w.loop({ start: zero, end: panels(a), extent: rows / ROWS }, (i) => {
        const row = this.#index(i), panelA = panelAt(a, row);
        const corner = this.#op("i32.add", this.#op("i32.add", result, this.#times(row, 4 * ROWS * columns)), this.#times(column, 4 * COLUMNS));
        this.#tile(a, b, { panelA, panelB, corner, depth, isFirst });
      });
    });
  }

  /** The innermost loop, as instructions: eight accumulators of four columns each. */
  #tile(a: Side, b: Side, { panelA, panelB, corner, depth, isFirst }: Record<"panelA" | "panelB" | "corner" | "depth" | "isFirst", Value>): void {
    const w = this.#w, { columns } = this.#blocks;
    const accumulators = Array.from({ length: 2 * ROWS }, () => w.newLocal("v128"));
    const [atA, atB, left] = [w.newLocal("i32"), w.newLocal("i32"), w.newLocal("i32")];
    const factors = [w.newLocal("v128"), w.newLocal("v128"), w.newLocal("v128")];
    const place = (at: number) => 4 * columns * (at >> 1) + 16 * (at & 1);
    const code: Instruction[] = [w.push(isFirst), ["if"]];
    for (const accumulator of accumulators) code.push(["f32.const", 0], ["f32x4.splat"], ["local.set", accumulator]);
    code.push(["else"]);
    accumulators.forEach((accumulator, at) => code.push(w.push(corner), ["v128.load", place(at)], ["local.set", accumulator]));
    code.push(["end"], w.push(panelA), ["local.set", atA], w.push(panelB), ["local.set", atB], w.push(depth), ["local.set", left], ["loop"]);
    code.push(["local.get", atB], ["v128.load", 0], ["local.set", factors[0]], ["local.get", atB], ["v128.load", 16], ["local.set", factors[1]]);
    for (let row = 0; row < ROWS; row++) {
      code.push(["local.get", atA], ["v128.load32_splat", row * (a.direct?.axisBytes ?? 4)], ["local.set", factors[2]]);
      for (const half of [0, 1]) {
        const accumulator = accumulators[2 * row + half];
        if (w.target.relaxed) {
          code.push(["local.get", factors[2]], ["local.get", factors[half]], ["local.get", accumulator], ["f32x4.relaxed_madd"]);
        } else {
          code.push(["local.get", factors[2]], ["local.get", factors[half]], ["f32x4.mul"], ["local.get", accumulator], ["f32x4.add"]);
        }
        code.push(["local.set", accumulator]);
      }
    }
    code.push(["local.get", atB], ["i32.const", b.direct?.depthBytes ?? 4 * COLUMNS], ["i32.add"], ["local.set", atB]);
    code.push(["local.get", atA], ["i32.const", a.direct?.depthBytes ?? 4 * ROWS], ["i32.add"], ["local.set", atA]);
    code.push(["local.get", left], ["i32.const", 1], ["i32.sub"], ["local.tee", left], ["br_if", 0], ["end"]);
    accumulators.forEach((accumulator, at) => code.push(w.push(corner), ["local.get", accumulator], ["v128.store", place(at)]));
    w.emit(code);
  }

  /** The epilogue: a map over the finished block, with lanes along n or, for results that are contiguous along m, along m. */
  #store(a: Side, b: Side, result: Value): void {
    const { stores } = this.kernel, lane = makeVar("lane", 4);
    const probe = (x: Var, y: Var, isQuad: boolean) => varIndex(makeVar("q", Math.max(2, isQuad ? x.extent >> 2 : y.extent)));
    const sums: Value = { local: 0, literal: 0, ...F32X4, depth: 0 };
    const costOf = (quads: Side, lines: Side) => {
      const at = new Map(this.#batch).set(quads.axis.id, this.#fourth(probe(quads.axis, quads.axis, true), lane));
      return this.evaluator.cost([], stores, this.evaluator.env(at.set(lines.axis.id, probe(lines.axis, lines.axis, false)), lane, sums));
    };
    if (costOf(a, b) < costOf(b, a)) this.#storeAlong(a, b, result, 4 * this.#blocks.columns, 4);
    else this.#storeAlong(b, a, result, 4, 4 * this.#blocks.columns);
  }

  /** Stores with lanes along one axis. Strides are those of the block in scratch memory, in bytes. */
  #storeAlong(quads: Side, lines: Side, result: Value, quadStride: number, lineStride: number): void {
    const w = this.#w, { axis } = quads, lane = makeVar("lane", 4);
    const whole = 4 * (axis.extent >> 2);
    w.loop({ start: lines.start, end: lines.end, extent: lines.axis.extent }, (line) => {
      const base = this.#op("i32.add", result, this.#times(this.#op("i32.sub", this.#index(line), lines.start), lineStride));
      const addressOf = (at: Index) => this.#op("i32.add", base, this.#times(this.#op("i32.sub", this.#index(at), quads.start), quadStride));
      const storeAt = (at: Index, sum: Value, withLane: boolean) => {
        const replace = new Map(this.#batch).set(axis.id, withLane ? addIndex(at, varIndex(lane)) : at).set(lines.axis.id, line);
        const env = this.evaluator.env(replace, withLane ? lane : undefined, sum);
        const values = this.kernel.stores.map(({ value }) => this.evaluator.value(value, env));
        this.kernel.stores.forEach((store, i) => this.evaluator.store(store, values[i], env));
      };
      w.loop({ start: this.#quarter(quads.start), end: this.#quarter(quads.end), extent: axis.extent >> 2 }, (quad) => {
        const at = scaleIndex(quad, 4), address = addressOf(at);
        let sum = w.fresh(quadStride === 4 ? "v128.load" : "v128.load32_zero", [address], F32X4, [0]);
        if (quadStride !== 4) { for (let i = 1; i < 4; i++) sum = w.fresh("v128.load32_lane", [address, sum], F32X4, [i * quadStride, i]); }
        storeAt(at, sum, true);
      });
      if (whole === axis.extent) return;
      w.loop({ start: this.#max(quads.start, whole), end: quads.end, extent: axis.extent }, (at) => {
        storeAt(at, w.fresh("f32.load", [addressOf(at)], { dtype: "f32", width: 1 }, [0]), false);
      });
    });
  }
}
