/**
 * Prints row kernels. Reductions of the same dependency level share a pass over the row; element stores are the last
 * pass.
 *
 * Lanes run along the row if rows are contiguous in memory, otherwise across neighbouring rows. Each row is computed by
 * a single thread, so results do not depend on the number of threads.
 */
import type { Combine, Expr } from "../../core/expr.ts";
import { identityOf } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { addIndex, makeVar, scaleIndex, varIndex } from "../../core/index_expr.ts";
import type { RowKernel } from "../kernel.ts";
import { SHORT_SUM, SUM_BLOCK } from "../long_sums.ts";
import { levelsOf, type Reduce } from "./row_levels.ts";
import { BlockSum } from "./block_sum.ts";
import { timeOf } from "./expr_time.ts";
import { nanWitnesses } from "./nan_witness.ts";
import { KeptRows } from "./kept_rows.ts";
import { bits, choose, compare, f, foldLanes, fromBits, splat, toBits } from "./lanes.ts";
import { repeat, repeatInBlocks } from "./loops.ts";
import type { Env, Evaluator } from "./evaluator.ts";
import { binary } from "./scalar_ops.ts";
import { chooseWalk, type Division, overWalk, scalarWalk } from "./walk.ts";
import type { Walk } from "./walk.ts";
import type { Local, Value, Writer } from "./writer.ts";

/**
 * The accumulator of a reduction. Argmax also tracks the index of the best value. Vector extremes of floats track
 * separately which lanes have seen a NaN, so that they can use pseudo-extremes: one instruction each, instead of
 * several for NaN propagation. Where every result is NaN anyway, they need not (nan_witness.ts).
 */
interface Accumulator {
  readonly expr: Reduce;
  readonly combine: Combine;
  readonly best: Local;
  readonly place?: Local;
  readonly isNaN?: Local;
}

/** The traversal of rows, and the lane along the row if there is one. */
interface RowShape {
  readonly walk: Walk;
  readonly rowLane?: Var;
}

/** Number of vectors that a pass with lanes along the row processes together, with independent accumulators. */
const GROUPS = 4;

/**
 * Maximum estimated nanoseconds per element for which a pass processes several vectors together; longer bodies hide the
 * latency on their own.
 */
const MAX_GROUPED_TIME = 1.5;

/** The same for stores: those of kept values alone. More loads than that, four at a time, do not fit in registers. */
const MAX_GROUPED_STORE_TIME = 0.8;

/** Prints a row kernel. */
export function printRow(kernel: RowKernel, evaluator: Evaluator): Division {
  const { rowStores, elementStores } = kernel;
  const { walk, rowLane } = chooseShape(kernel, evaluator);
  const levels = levelsOf(kernel), kept = new KeptRows(kernel, evaluator, levels, !rowLane && walk.lane !== undefined);
  const isWitnessed = nanWitnesses(kernel);
  const side = rowLane || kept.isUsed ? 1 : neighboursOf(walk, evaluator);
  const whole = side === 1 ? walk : { ...walk, groups: walk.groups / side };
  return overWalk(evaluator.writer, whole, (first, { lane }, group) => {
    evaluator.kept.clear();
    const isMain = lane !== undefined && lane === walk.lane;
    const replaces = isMain && side > 1
      ? Array.from({ length: side }, (_, at) => walk.replace(addIndex(scaleIndex(group, side), at)))
      : [first];
    const row = new RowPrinter(kernel, evaluator, { replaces, rowLane, spaceLane: lane, kept, isWitnessed });
    levels.forEach((level, pass) => row.reduce(level, pass));
    const envs = replaces.map((replace) => evaluator.env(replace, lane));
    const values = envs.map((env, at) => {
      row.enter(at);
      return rowStores.map(({ value }) => evaluator.value(value, env));
    });
    if (elementStores.length > 0) row.storeElements();
    envs.forEach((env, at) => {
      row.enter(at);
      rowStores.forEach((store, i) => evaluator.store(store, values[at][i], env));
    });
  });
}

/**
 * Number of groups of neighbouring rows to compute together, so that each step along the row reads a full cache line.
 */
function neighboursOf({ lane, groups }: Walk, { writer }: Evaluator): number {
  const { threads = 1 } = writer.target;
  return lane && groups % GROUPS === 0 && groups / GROUPS >= 2 * threads ? GROUPS : 1;
}

function chooseShape({ space, row, rowStores, elementStores }: RowKernel, evaluator: Evaluator): RowShape {
  const all = [...rowStores, ...elementStores], exprs = all.map(({ value }) => value), { lanes } = evaluator.writer;
  const plain = scalarWalk(space);
  const rowLane = makeVar("lane", lanes);
  const group = varIndex(makeVar("group", Math.max(2, plain.groups)));
  const item = varIndex(makeVar("item", Math.max(2, Math.floor(row.extent / lanes))));
  const alongRow = plain.replace(group).set(row.id, addIndex(scaleIndex(item, lanes), varIndex(rowLane)));
  const rowCost = evaluator.cost(exprs, elementStores, evaluator.env(alongRow, rowLane));
  const across = chooseWalk(evaluator, space, exprs, all);
  const acrossGroup = varIndex(makeVar("group", Math.max(2, across.groups)));
  const isWorth = row.extent >= 2 * lanes;
  if (across.lane) {
    const acrossCost = evaluator.cost(exprs, elementStores, evaluator.env(across.replace(acrossGroup), across.lane));
    if (acrossCost < rowCost || !isWorth) return { walk: across };
  }
  return isWorth ? { walk: plain, rowLane } : { walk: plain };
}

/** Where the rows are, and what is kept of them. */
interface RowPlace {
  /** Values of the space's variables, for each group of rows that is computed together. */
  readonly replaces: readonly ReadonlyMap<number, Index>[];
  /** The lane along the row, or across rows, if there is one. */
  readonly rowLane: Var | undefined;
  readonly spaceLane: Var | undefined;
  readonly kept: KeptRows;
  /** Whether a NaN that an extreme ignores reaches all results in another way. */
  readonly isWitnessed: (extreme: Reduce) => boolean;
}

/** The bodies of a traversal of a row. */
interface RowWalk {
  /** Runs for vectors of a row with lanes along it, `together` of them per iteration. */
  readonly vector: (env: Env, group: number) => void;
  /** Runs after the vectors. */
  readonly between: () => void;
  /** Runs for every remaining element. */
  readonly scalar: (env: Env, at: number) => void;
  readonly together?: number;
  /** Runs after each block of iterations, if there are several. */
  readonly flush?: (first: Value) => void;
}

/** Block sums for the reductions of a pass with many iterations; empty if one block is enough. */
function longSums(w: Writer, accumulators: readonly Accumulator[], turns: number): BlockSum[] {
  const isLong = ({ combine, best }: Accumulator) => combine === "sum" && best.dtype === "f32" && turns > SHORT_SUM;
  return accumulators.filter(isLong).map(({ best }) => new BlockSum(w, best, turns));
}

/** Prints the passes over one row, or over groups of W neighbouring rows. */
class RowPrinter {
  readonly #w: Writer;
  readonly #reductions: readonly Map<number, Value>[];

  constructor(readonly kernel: RowKernel, readonly evaluator: Evaluator, readonly place: RowPlace) {
    this.#w = evaluator.writer;
    this.#reductions = place.replaces.map(() => new Map());
  }

  /** Selects the group of rows to evaluate next. */
  enter(at: number): void {
    this.evaluator.reductions = this.#reductions[at];
  }

  /** Iterates over the row, in blocks if there is something to flush after each. */
  #walk({ vector, between, scalar, together = 1, flush }: RowWalk): void {
    const { row } = this.kernel, { rowLane, spaceLane, replaces } = this.place, w = this.#w;
    const env = (at: Index, lane: Var | undefined, replace = replaces[0]) =>
      this.evaluator.env(new Map(replace).set(row.id, at), lane);
    const groups = rowLane ? this.#vectors : 0;
    this.enter(0);
    const pass = (turns: number, body: (item: Index) => void): void => {
      if (flush && turns > SHORT_SUM) repeatInBlocks(w, { turns, block: SUM_BLOCK }, { body, flush });
      else repeat(w, turns, body);
    };
    if (rowLane) {
      pass(groups / together, (item) => {
        const first = addIndex(scaleIndex(item, w.lanes * together), varIndex(rowLane));
        for (let group = 0; group < together; group++) vector(env(addIndex(first, w.lanes * group), rowLane), group);
      });
      between();
    }
    const whole = w.lanes * groups;
    pass(row.extent - whole, (item) => {
      replaces.forEach((replace, at) => {
        this.enter(at);
        scalar(env(addIndex(item, whole), spaceLane, replace), at);
      });
    });
  }

  /** Computes the reductions of one level in a single pass. */
  reduce(level: readonly Reduce[], pass: number): void {
    const { rowLane, spaceLane, kept, replaces } = this.place;
    const width = spaceLane ? this.#w.lanes : 1;
    const narrow = replaces.map(() => level.map((expr) => this.#declare(expr, width)));
    const isGrouped = level.every(({ combine }) => combine !== "argmax");
    const together = isGrouped ? this.#together(level.map(({ body }) => body), MAX_GROUPED_TIME) : 1;
    const wide = rowLane
      ? Array.from({ length: together }, () => level.map((expr) => this.#declare(expr, this.#w.lanes)))
      : [];
    const turns = rowLane ? this.#vectors / together : this.kernel.row.extent;
    const sums = longSums(this.#w, (rowLane ? wide : narrow).flat(), turns),
      finish = () => sums.forEach((sum) => sum.finish());
    this.#walk({
      vector: (env, group) => {
        wide[group].forEach((accumulator) => this.#accumulate(accumulator, env));
        kept.write(pass, env);
      },
      between: () => {
        finish();
        level.forEach((_, at) => this.#joinLanes(this.#joinGroups(wide.map((group) => group[at])), narrow[0][at]));
      },
      scalar: (env, at) => {
        narrow[at].forEach((accumulator) => this.#accumulate(accumulator, env));
        kept.write(pass, env);
      },
      together,
      flush: sums.length === 0 ? undefined : (first) => sums.forEach((sum) => sum.flush(first)),
    });
    if (!rowLane) finish();
    kept.finish(pass);
    narrow.forEach((accumulators, at) => {
      for (const accumulator of accumulators) {
        const result = accumulator.place === undefined ? this.#result(accumulator) : this.#w.read(accumulator.place);
        this.#reductions[at].set(accumulator.expr.id, result);
      }
    });
  }

  /** Number of full vectors in a row with lanes along it. */
  get #vectors(): number {
    return Math.floor(this.kernel.row.extent / this.#w.lanes);
  }

  /** Number of vectors that a pass processes together. */
  #together(exprs: readonly Expr[], mostTime: number): number {
    const groups = this.#vectors;
    const isComputed = (part: Expr): boolean => part.kind !== "reduce" && !this.evaluator.kept.has(part.id);
    const time = exprs.reduce((sum, expr) => sum + timeOf(expr, isComputed), 0);
    if (!this.place.rowLane || time > mostTime) return 1;
    return groups % GROUPS === 0 ? GROUPS : groups % 2 === 0 ? 2 : 1;
  }

  /** Combines the accumulators of the groups of an iteration into the first. */
  #joinGroups(groups: readonly Accumulator[]): Accumulator {
    const w = this.#w, [first] = groups;
    let values = groups.map((group) => this.#result(group));
    while (values.length > 1) {
      const half = values.length / 2;
      values = values.slice(0, half).map((value, at) => binary(w, joinOf(first.combine), value, values[half + at]));
    }
    if (groups.length > 1) w.assign(first.best, values[0]);
    return first;
  }

  /** The final value of an accumulator. */
  #result({ best, isNaN }: Accumulator): Value {
    const w = this.#w, value = w.read(best);
    // A mask with all bits set is a NaN.
    return isNaN === undefined
      ? value
      : fromBits(w, bits(w, "or", toBits(w, value), { ...w.read(isNaN), dtype: "i32" }));
  }

  #declare(expr: Reduce, width: number): Accumulator {
    const { combine, body: { dtype } } = expr, w = this.#w;
    // For truth values, sums and maxima are or; products and minima are and.
    const identity = dtype === "bool" ? Number(combine === "min") : identityOf(combine, dtype);
    const best = w.newLocal({ dtype, width });
    w.assign(best, splat(w, w.literal(identity, dtype), width));
    if (isExtreme(combine) && dtype === "f32" && width > 1) {
      if (this.place.isWitnessed(expr)) return { expr, combine, best };
      const isNaN = w.newLocal({ dtype: "bool", width });
      w.assign(isNaN, splat(w, w.literal(0, "bool"), width));
      return { expr, combine, best, isNaN };
    }
    if (combine !== "argmax") return { expr, combine, best };
    const place = w.newLocal({ dtype: "i32", width });
    w.assign(place, splat(w, w.literal(0, "i32"), width));
    return { expr, combine, best, place };
  }

  #accumulate(accumulator: Accumulator, env: Env): void {
    const { expr: { body }, combine, best, place, isNaN } = accumulator, w = this.#w, { dtype, width } = best;
    const before = w.read(best);
    if (
      combine === "sum" && width > 1 && w.target.fused && body.kind === "binary" && body.op === "mul" &&
      dtype === "f32" && !this.place.kept.has(body)
    ) {
      const factors = [body.lhs, body.rhs].map((factor) => splat(w, this.evaluator.value(factor, env)));
      return w.assign(best, w.op("f32.madd", [...factors, before]));
    }
    const value = splat(w, this.evaluator.value(body, env), width);
    if (isNaN !== undefined) w.assign(isNaN, bits(w, "or", w.read(isNaN), compare(w, "ne", value, value)));
    if (isExtreme(combine) && dtype === "f32" && width > 1) {
      return w.assign(best, f(w, combine === "min" ? "pmin" : "pmax", before, value));
    }
    if (combine !== "argmax") return w.assign(best, binary(w, joinOf(combine), before, value));
    const position = splat(w, this.evaluator.indexValue(varIndex(this.kernel.row), env), width);
    const better = beats(w, value, before);
    w.assign(best, choose(w, better, value, before));
    w.assign(place!, choose(w, better, position, w.read(place!)));
  }

  /** Combines the lanes of an accumulator into a scalar one. Among equal maxima, the first index wins. */
  #joinLanes(accumulator: Accumulator, into: Accumulator): void {
    const { combine, place } = accumulator, w = this.#w;
    const all = [this.#result(accumulator), ...(place === undefined ? [] : [w.read(place)])];
    const join = ([x, placeX]: readonly Value[], [y, placeY]: readonly Value[]): Value[] => {
      if (combine !== "argmax") return [binary(w, joinOf(combine), x, y)];
      const isFirst = bits(w, "and", ties(w, y, x), compare(w, "lt", placeY, placeX));
      const better = bits(w, "or", beats(w, y, x), isFirst);
      return [choose(w, better, y, x), choose(w, better, placeY, placeX)];
    };
    const [best, bestPlace] = foldLanes(w, all, join);
    w.assign(into.best, best);
    if (into.place !== undefined) w.assign(into.place, bestPlace);
  }

  /**
   * Writes the element stores. All values of a step are computed before any is stored, since operands may be updated in
   * place.
   */
  storeElements(): void {
    const { elementStores } = this.kernel;
    const store = (env: Env) => {
      const values = elementStores.map(({ value }) => this.evaluator.value(value, env));
      elementStores.forEach((element, at) => this.evaluator.store(element, values[at], env));
    };
    const together = this.#together(elementStores.map(({ value }) => value), MAX_GROUPED_STORE_TIME);
    this.#walk({ vector: store, between: () => {}, scalar: store, together });
  }
}

function isExtreme(combine: Combine): boolean {
  return combine === "max" || combine === "min";
}

function joinOf(combine: Combine): "add" | "min" | "max" {
  return combine === "sum" ? "add" : combine === "min" ? "min" : "max";
}

/** Whether a value precedes another in an argmax by value alone: it is greater, or it alone is NaN. */
function beats(w: Writer, value: Value, best: Value): Value {
  if (value.dtype !== "f32") return compare(w, "gt", value, best);
  const isNumber = compare(w, "eq", best, best), isNaN = compare(w, "ne", value, value);
  return bits(w, "and", bits(w, "or", compare(w, "gt", value, best), isNaN), isNumber);
}

/** Whether two values are equal, or both NaN. */
function ties(w: Writer, x: Value, y: Value): Value {
  const equal = compare(w, "eq", x, y);
  return x.dtype === "f32"
    ? bits(w, "or", equal, bits(w, "and", compare(w, "ne", x, x), compare(w, "ne", y, y)))
    : equal;
}
