/**
 * Prints row kernels. Reductions of one dependency level share a pass over the row; element stores are a last pass.
 *
 * Lanes run along the row where rows are contiguous in memory, else across neighbouring rows. A row always belongs to one thread, so results do not
 * depend on the number of threads.
 */
import type { DType } from "../../core/dtype.ts";
import type { Combine, Expr } from "../../core/expr.ts";
import { identityOf } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { addIndex, constantIndex, makeVar, scaleIndex, varIndex } from "../../core/index_expr.ts";
import type { RowKernel } from "../kernel.ts";
import { levelsOf } from "../row_levels.ts";
import { bits, choose, compare, laneOf, splat } from "./lanes.ts";
import type { Env, Evaluator } from "./print_expr.ts";
import { binary } from "./scalar_ops.ts";
import { chooseWalk, overWalk, scalarWalk } from "./walk.ts";
import type { Walk } from "./walk.ts";
import type { Width, Writer } from "./writer.ts";
import { wasmType } from "./writer.ts";

type Reduce = Expr & { kind: "reduce" };

/** A reduction in progress. Argmax keeps the index of its best value beside it. */
interface Accumulator {
  readonly expr: Reduce;
  readonly combine: Combine;
  readonly dtype: DType;
  readonly width: Width;
  readonly local: number;
  readonly place?: number;
}

/** The walk over rows, and the lane along the row if there is one. */
interface RowShape {
  readonly walk: Walk;
  readonly rowLane?: Var;
}

/** Prints a row kernel. */
export function printRow(kernel: RowKernel, evaluator: Evaluator): void {
  const { rowStores, elementStores } = kernel;
  const { walk, rowLane } = chooseShape(kernel, evaluator);
  overWalk(evaluator.writer, walk, (replace, { lane }) => {
    const row = new RowPrinter(kernel, evaluator, replace, rowLane, lane);
    for (const level of levelsOf(kernel)) row.reduce(level);
    const env = evaluator.env(replace, lane);
    const values = rowStores.map(({ value }) => evaluator.value(value, env));
    if (elementStores.length > 0) row.storeElements();
    rowStores.forEach((store, at) => evaluator.store(store, values[at], env));
  });
}

function chooseShape({ space, row, rowStores, elementStores }: RowKernel, evaluator: Evaluator): RowShape {
  const all = [...rowStores, ...elementStores], exprs = all.map(({ value }) => value);
  const plain = scalarWalk(space);
  const rowLane = makeVar("lane", 4);
  const group = varIndex(makeVar("group", Math.max(2, plain.groups)));
  const item = varIndex(makeVar("item", Math.max(2, row.extent >> 2)));
  const alongRow = plain.replace(group).set(row.id, addIndex(scaleIndex(item, 4), varIndex(rowLane)));
  const rowCost = evaluator.cost(exprs, elementStores, evaluator.env(alongRow, rowLane));
  const across = chooseWalk(evaluator, space, exprs, all);
  const acrossGroup = varIndex(makeVar("group", Math.max(2, across.groups)));
  const isWorth = row.extent >= 8;
  if (across.lane) {
    const acrossCost = evaluator.cost(exprs, elementStores, evaluator.env(across.replace(acrossGroup), across.lane));
    if (acrossCost < rowCost || !isWorth) return { walk: across };
  }
  return isWorth ? { walk: plain, rowLane } : { walk: plain };
}

/** Prints the passes over one row, or over four neighbouring ones. */
class RowPrinter {
  readonly #w: Writer;

  constructor(
    readonly kernel: RowKernel,
    readonly evaluator: Evaluator,
    readonly replace: ReadonlyMap<number, Index>,
    readonly rowLane: Var | undefined,
    readonly spaceLane: Var | undefined,
  ) {
    this.#w = evaluator.writer;
  }

  /** Runs `vector` for the groups of four of a row with lanes along it, and `scalar` for every other element. */
  #walk(vector: (env: Env) => void, between: () => void, scalar: (env: Env) => void): void {
    const { row } = this.kernel, w = this.#w;
    const env = (at: Index, lane: Var | undefined) => this.evaluator.env(new Map(this.replace).set(row.id, at), lane);
    const { rowLane } = this;
    const groups = rowLane ? row.extent >> 2 : 0;
    if (rowLane) {
      w.repeat(groups, (item) => vector(env(addIndex(scaleIndex(item, 4), varIndex(rowLane)), rowLane)), constantIndex(0));
      between();
    }
    const rest = row.extent - 4 * groups;
    w.repeat(rest, (item) => scalar(env(addIndex(item, 4 * groups), this.spaceLane)), constantIndex(0));
  }

  /** Computes the reductions of one level in one pass. */
  reduce(level: readonly Reduce[]): void {
    const width = this.spaceLane ? 4 : 1;
    const narrow = level.map((expr) => this.#declare(expr, width));
    const wide = this.rowLane ? level.map((expr) => this.#declare(expr, 4)) : [];
    this.#walk(
      (env) => wide.forEach((accumulator) => this.#accumulate(accumulator, env)),
      () => wide.forEach((accumulator, at) => this.#joinLanes(accumulator, narrow[at])),
      (env) => narrow.forEach((accumulator) => this.#accumulate(accumulator, env)),
    );
    for (const { expr, combine, local, place, dtype } of narrow) {
      const result = combine === "argmax" ? this.#w.read(place!, { dtype: "i32", width }) : this.#w.read(local, { dtype, width });
      this.evaluator.reductions.set(expr.id, result);
    }
  }

  #declare(expr: Reduce, width: Width): Accumulator {
    const { combine, body: { dtype } } = expr, w = this.#w;
    // Or and and are the sums, maxima and minima of truth values.
    const identity = dtype === "bool" ? Number(combine === "min") : identityOf(combine, dtype);
    const local = w.newLocal(wasmType({ dtype, width }));
    w.assign(local, splat(w, w.literal(identity, dtype), width));
    if (combine !== "argmax") return { expr, combine, dtype, width, local };
    const place = w.newLocal(wasmType({ dtype: "i32", width }));
    w.assign(place, splat(w, w.literal(0, "i32"), width));
    return { expr, combine, dtype, width, local, place };
  }

  #accumulate(accumulator: Accumulator, env: Env): void {
    const { expr, combine, dtype, width, local, place } = accumulator, w = this.#w;
    const before = w.read(local, { dtype, width });
    const { body } = expr;
    if (combine === "sum" && width === 4 && w.target.relaxed && body.kind === "binary" && body.op === "mul" && dtype === "f32") {
      const factors = [body.lhs, body.rhs].map((factor) => splat(w, this.evaluator.value(factor, env)));
      return w.assign(local, w.op("f32x4.relaxed_madd", [...factors, before], { dtype, width }));
    }
    const value = splat(w, this.evaluator.value(body, env), width);
    if (combine !== "argmax") return w.assign(local, binary(w, joinOf(combine), before, value));
    const position = splat(w, this.evaluator.indexValue(varIndex(this.kernel.row), env), width);
    const better = compare(w, greater(dtype), value, before);
    w.assign(local, choose(w, better, value, before));
    w.assign(place!, choose(w, better, position, w.read(place!, { dtype: "i32", width })));
  }

  /** Joins the four lanes of a finished accumulator into a scalar one; of equal maxima the first index wins. */
  #joinLanes({ combine, dtype, local, place }: Accumulator, into: Accumulator): void {
    const w = this.#w;
    const all = w.read(local, { dtype, width: 4 }), places = place === undefined ? undefined : w.read(place, { dtype: "i32", width: 4 });
    const lanes = [0, 1, 2, 3].map((lane) => ({ value: laneOf(w, all, lane), place: places && laneOf(w, places, lane) }));
    const join = (x: typeof lanes[0], y: typeof lanes[0]): typeof lanes[0] => {
      if (combine !== "argmax") return { value: binary(w, joinOf(combine), x.value, y.value), place: undefined };
      const isFirst = bits(w, "and", compare(w, "eq", y.value, x.value), compare(w, "lt_s", y.place!, x.place!));
      const better = bits(w, "or", compare(w, greater(dtype), y.value, x.value), isFirst);
      return { value: choose(w, better, y.value, x.value), place: choose(w, better, y.place!, x.place!) };
    };
    const joined = join(join(lanes[0], lanes[1]), join(lanes[2], lanes[3]));
    w.assign(into.local, joined.value);
    if (into.place !== undefined) w.assign(into.place, joined.place!);
  }

  /** Writes the element stores. All values of a step are computed before any is stored: an operand may be updated in place. */
  storeElements(): void {
    const { elementStores } = this.kernel;
    const store = (env: Env) => {
      const values = elementStores.map(({ value }) => this.evaluator.value(value, env));
      elementStores.forEach((element, at) => this.evaluator.store(element, values[at], env));
    };
    this.#walk(store, () => {}, store);
  }
}

function joinOf(combine: Combine): "add" | "min" | "max" {
  return combine === "sum" ? "add" : combine === "min" ? "min" : "max";
}

function greater(dtype: DType): string {
  return dtype === "f32" ? "gt" : dtype === "i32" ? "gt_s" : "gt_u";
}
