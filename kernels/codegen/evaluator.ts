/**
 * Evaluates scalar expressions for one point or for W points at a time.
 *
 * An {@link Env} maps the kernel's variables to values and says which variable, if any, is the lane of a vector. Every
 * value knows its width: anything independent of the lane stays a scalar. Loads of W contiguous elements are a single
 * instruction, whatever their alignment: all supported targets allow unaligned vector loads.
 */
import { type DType, isHalf, sizeOf } from "../../core/dtype.ts";
import type { Expr } from "../../core/expr.ts";
import type { Index, Term } from "../../core/index_expr.ts";
import { addIndex, constantIndex, substituteIndex } from "../../core/index_expr.ts";
import { invariant } from "../../core/errors.ts";
import type { Kernel, Store } from "../kernel.ts";
import { type Env as LaneEnv, LaneScope } from "./lane_scope.ts";
import { bits, choose, compare, convert, i, joinLanes, laneNumbers, laneOf, splat } from "./lanes.ts";
import { narrowed, roundedTo, widened } from "./half_floats.ts";
import { expOfNonPositive } from "./math.ts";
import { binary, unary } from "./scalar_ops.ts";
import type { Value, Writer } from "./writer.ts";

/** The values of the kernel's variables at the point where an expression is evaluated. */
export type Env = LaneEnv<Value>;

/** Which lanes of a varying index are wanted: one, or a vector of all. */
type Lane = number | "all";

/** A summand of an address: `value * coefficient`. */
interface Part {
  readonly value: Value;
  readonly coefficient: number;
}

/** Prints the expressions of one kernel into its writer. */
export class Evaluator extends LaneScope<Value> {
  /**
   * Values of finished reductions, by expression id. A printer that computes several rows at once keeps a map per row.
   */
  override reductions: Map<number, Value> = new Map();
  /** How to read values that were kept in scratch memory, by expression id. */
  readonly kept = new Map<number, (env: Env) => Value>();
  /** Bytes of scratch memory that the generated code requires. */
  scratchBytes = 0;

  constructor(readonly writer: Writer, readonly kernel: Kernel) {
    super();
  }

  /** Cost in instructions: one for contiguous or uniform elements, otherwise one per lane plus combining them. */
  protected override loadCost(_operand: number, index: Index, env: Env): number {
    const form = this.form(this.index(index, env), env);
    return form && Math.abs(form.step) <= 1 ? 1 : this.writer.lanes + 1;
  }

  protected override storeCost({ index }: Store, env: Env): number {
    // If every lane stored to the same place, a vector store would be wrong.
    return !env.lane || this.form(this.index(index, env), env)?.step === 1 ? 1 : this.writer.lanes + 2;
  }

  /** The value of an expression, available in the innermost open block. */
  value(expr: Expr, env: Env): Value {
    const key = `${env.id}:${expr.id}`;
    for (let depth = this.writer.depth; depth >= 0; depth--) {
      const known = this.writer.memo(depth).get(key);
      if (known) return known;
    }
    const value = this.#valueNow(expr, env);
    this.writer.memo(value.depth).set(key, value);
    return value;
  }

  #valueNow(expr: Expr, env: Env): Value {
    const w = this.writer;
    const read = this.kept.get(expr.id);
    if (read) return read(env);
    switch (expr.kind) {
      case "const":
        return w.literal(expr.value, isHalf(expr.dtype) ? "f32" : expr.dtype);
      case "index":
        return convert(w, this.indexValue(expr.index, env), expr.dtype);
      case "inRange":
        return this.#inRange(expr, env);
      case "load":
        return this.#load(expr.operand, expr.index, env);
      case "unary":
        return expr.op === "exp" && isNonPositive(expr.x)
          ? expOfNonPositive(w, this.value(expr.x, env))
          : unary(w, expr.op, this.value(expr.x, env));
      case "binary":
        return binary(w, expr.op, this.value(expr.lhs, env), this.value(expr.rhs, env));
      case "select":
        return choose(w, this.value(expr.cond, env), this.value(expr.then, env), this.value(expr.otherwise, env));
      case "cast":
        return this.#cast(this.value(expr.x, env), expr.dtype);
      case "reduce": {
        const known = this.reductions.get(expr.id);
        invariant(known, "a reduction is read before its pass");
        return known;
      }
      case "accumulator": {
        const accumulator = env.accumulators[expr.state];
        invariant(accumulator, "an accumulator is read where there is none");
        return convert(w, accumulator, expr.dtype);
      }
    }
  }

  /** A conversion. Floats of 16 bits are f32 in registers: widening does nothing, and narrowing rounds. */
  #cast(x: Value, dtype: DType): Value {
    const w = this.writer;
    return isHalf(dtype) ? roundedTo(w, dtype, convert(w, x, "f32")) : convert(w, x, dtype);
  }

  /** The i32 value of a kernel's index. */
  indexValue(source: Index, env: Env): Value {
    const w = this.writer;
    const index = this.index(source, env), form = this.form(index, env);
    if (form?.step === 0) return this.scalar(form.base, env);
    if (w.target.gathers) return this.scalar(index, env, "all");
    if (!form) return joinLanes(w, laneNumbers(w).map((lane) => this.scalar(index, env, lane)));
    const steps = joinLanes(w, laneNumbers(w).map((lane) => w.literal(lane * form.step, "i32")));
    return i(w, "add", this.scalar(form.base, env), steps);
  }

  #inRange(expr: Expr & { kind: "inRange" }, env: Env): Value {
    const w = this.writer;
    const index = this.index(expr.index, env);
    let result: Value = w.literal(1, "bool");
    const value = this.indexValue(expr.index, env);
    if (index.min < expr.lo) result = compare(w, "ge", value, w.literal(expr.lo, "i32"));
    if (index.max < expr.hi) return result;
    const below = compare(w, "lt", value, w.literal(expr.hi, "i32"));
    return index.min < expr.lo ? bits(w, "and", result, below) : below;
  }

  /** The i32 value of a rewritten index; `lane` picks lanes where the index varies. */
  scalar(source: Index, env: Env, lane?: Lane): Value {
    const index = atLane(source, env, lane);
    return this.#sum(this.#parts(index, env, lane), index.constant);
  }

  #parts(index: Index, env: Env, lane: Lane | undefined): Part[] {
    return index.terms.map((term) => ({ value: this.#term(term, env, lane), coefficient: term.coefficient }));
  }

  /**
   * Adds parts in order of the depth at which they become available, so that loop-invariant sums are hoisted: first
   * scalars, then vectors.
   */
  #sum(parts: readonly Part[], constant: number): Value {
    const w = this.writer;
    const ordered = parts.toSorted((a, b) => a.value.width - b.value.width || a.value.depth - b.value.depth);
    const add = (x: Value, y: Value) => x.dtype === "address" ? w.op("address.add", [x, y]) : i(w, "add", x, y);
    let sum: Value | undefined;
    for (const { value, coefficient } of ordered) {
      const part = this.#scaled(value, coefficient);
      sum = sum ? add(sum, part) : part;
    }
    if (!sum) return w.literal(constant, "i32");
    return constant === 0 ? sum : add(sum, w.literal(constant, "i32"));
  }

  #scaled(value: Value, factor: number): Value {
    const w = this.writer;
    if (factor === 1) return value;
    if (value.local === undefined) return w.literal(value.literal * factor, "i32");
    const isPower = factor > 0 && (factor & (factor - 1)) === 0;
    if (isPower) return w.op("i32.shl", [value, w.literal(Math.log2(factor), "i32")]);
    return i(w, "mul", value, w.literal(factor, "i32"));
  }

  #term({ atom }: Term, env: Env, lane: Lane | undefined): Value {
    const w = this.writer;
    switch (atom.kind) {
      case "var":
        return lane === "all" && atom.variable === env.lane ? w.op("i32.ramp", [], [1]) : w.variable(atom.variable);
      case "value": {
        const value = convert(w, this.value(atom.value, env), "i32");
        if (value.width === 1 || lane === "all") return value;
        invariant(lane !== undefined, "a varying run-time index is read as a scalar");
        return laneOf(w, value, lane);
      }
      case "div":
      case "mod":
        return this.#quotient(atom.kind, this.scalar(atom.of, env, lane), atom.by, atom.of.min);
    }
  }

  /** Floor division or remainder by a positive constant. */
  #quotient(kind: "div" | "mod", of: Value, by: number, min: number): Value {
    const w = this.writer;
    if ((by & (by - 1)) === 0) {
      if (kind === "div") return w.op("i32.shr_s", [of, w.literal(Math.log2(by), "i32")]);
      return bits(w, "and", of, w.literal(by - 1, "i32"));
    }
    const turns = min < 0 ? Math.ceil(-min / by) : 0;
    const positive = turns > 0 ? i(w, "add", of, w.literal(turns * by, "i32")) : of;
    const quotient = w.op(kind === "div" ? "i32.div_u" : "i32.rem_u", [positive, w.literal(by, "i32")]);
    return kind === "div" && turns > 0 ? i(w, "sub", quotient, w.literal(turns, "i32")) : quotient;
  }

  /** The byte address of an element, and the immediate offset of the memory instruction. */
  address(operand: number, index: Index, env: Env, lane?: number): { address: Value; offset: number } {
    const base: Part = { value: this.writer.parameter(`b${operand}`), coefficient: 1 };
    const exact = atLane(index, env, lane), bytes = sizeOf(this.kernel.operands[operand].dtype);
    const parts = inBytes(this.#parts(exact, env, lane), bytes);
    // Addresses are unsigned, so only offsets that keep the sum at or above the operand's start can be immediates.
    const isSafe = exact.constant >= 0 && exact.min >= exact.constant;
    return {
      address: this.#sum([base, ...parts], isSafe ? 0 : bytes * exact.constant),
      offset: isSafe ? bytes * exact.constant : 0,
    };
  }

  /**
   * The address from which to load `count` elements. A masked load may be out of bounds: an address at which no element
   * lies in the operand is clamped to the start. (Memory is padded before the first and after the last operand, so that
   * such a load may read beyond the valid elements.)
   */
  #loadAddress(
    operand: number,
    index: Index,
    env: Env,
    { count, lane }: { count: number; lane?: number },
  ): { address: Value; offset: number } {
    const { size, dtype } = this.kernel.operands[operand];
    if (index.min >= 0 && index.max < size) return this.address(operand, index, env, lane);
    const w = this.writer;
    const at = this.scalar(index, env, lane);
    const shifted = w.op("i32.add", [at, w.literal(count, "i32")]);
    const isNear = w.op("i32.lt_u", [shifted, w.literal(size + count, "i32")]);
    const led = w.op("select", [at, w.literal(0, "i32"), isNear]);
    const value = this.#sum([{ value: this.writer.parameter(`b${operand}`), coefficient: 1 }, {
      value: led,
      coefficient: sizeOf(dtype),
    }], 0);
    return { address: value, offset: 0 };
  }

  #load(operand: number, source: Index, env: Env): Value {
    const w = this.writer;
    const index = this.index(source, env), form = this.form(index, env);
    const { dtype } = this.kernel.operands[operand];
    if (form?.step === 0) return this.#loadScalar(operand, form.base, env);
    if (!form || Math.abs(form.step) !== 1) {
      if (w.target.gathers && !isHalf(dtype)) return this.#gather(operand, index, env);
      return joinLanes(w, laneNumbers(w).map((lane) => this.#loadScalar(operand, index, env, lane)));
    }
    const base = form.step === 1 ? form.base : addIndex(form.base, 1 - w.lanes);
    const { address, offset } = this.#loadAddress(operand, base, env, { count: w.lanes });
    const raw = dtype === "bool" ? "i32" : dtype;
    let loaded: Value = isHalf(dtype)
      ? widened(w, dtype, w.op("lanes.load_u16", [address], [offset]))
      : { ...w.op("lanes.load", [address], [offset]), dtype: raw };
    if (form.step === -1) {
      loaded = w.op("shuffle", [loaded, loaded], laneNumbers(w).toReversed());
    }
    return isHalf(dtype) ? loaded : convert(w, loaded, dtype);
  }

  /** Elements at an index that varies across lanes. Where none lies in the operand, its first is loaded. */
  #gather(operand: number, index: Index, env: Env): Value {
    const w = this.writer, { dtype, size } = this.kernel.operands[operand];
    let { address, indices } = this.#spread(operand, index, env);
    if (index.min < 0 || index.max >= size) {
      const all = this.scalar(index, env, "all");
      indices = bits(w, "and", all, compare(w, "lt", { ...all, dtype: "u32" }, w.literal(size, "u32")));
      address = w.parameter(`b${operand}`);
    }
    const raw = dtype === "bool" ? "i32" : dtype;
    return convert(w, { ...w.op("lanes.gather", [address, indices], [0]), dtype: raw }, dtype);
  }

  /** The parts of an index that lanes share, as an address, and those in which they differ, in elements from there. */
  #spread(operand: number, index: Index, env: Env): { address: Value; indices: Value } {
    const base: Part = { value: this.writer.parameter(`b${operand}`), coefficient: 1 };
    const parts = this.#parts(index, env, "all"), shared = parts.filter(({ value }) => value.width === 1);
    return {
      address: this.#sum([base, ...inBytes(shared, 4)], 4 * index.constant),
      indices: this.#sum(parts.filter(({ value }) => value.width > 1), 0),
    };
  }

  #loadScalar(operand: number, index: Index, env: Env, lane?: number): Value {
    const { dtype } = this.kernel.operands[operand];
    const { address, offset } = this.#loadAddress(operand, index, env, { count: 1, lane });
    if (isHalf(dtype)) return widened(this.writer, dtype, this.writer.op("u16.load", [address], [offset]));
    const raw = dtype === "bool" ? "i32" : dtype;
    const loaded = this.writer.op(dtype === "f32" ? "f32.load" : "i32.load", [address], [offset]);
    return convert(this.writer, { ...loaded, dtype: raw }, dtype);
  }

  /** Stores a value that was computed before. With `adds`, accumulates into memory instead. */
  store({ operand, index: source }: Store, value: Value, env: Env, adds = false): void {
    const w = this.writer, { dtype } = this.kernel.operands[operand], type = dtype === "f32" ? "f32" : "i32";
    if (isHalf(dtype)) return this.#storeHalf({ operand, index: source }, narrowed(w, dtype, value), env);
    const stored = dtype === "bool" ? convert(w, value, "u32") : value;
    const index = this.index(source, env), form = this.form(index, env);
    if (!env.lane || (form?.step === 0 && stored.width === 1)) {
      const { address, offset } = this.address(operand, index, env);
      const sum = adds ? w.fresh(`${type}.add`, [w.fresh(`${type}.load`, [address], [offset]), stored]) : stored;
      return w.effect(`${type}.store`, [address, sum], [offset]);
    }
    const whole = splat(w, stored);
    if (form?.step === 1) {
      const { address, offset } = this.address(operand, form.base, env);
      const sum = adds ? w.fresh(`${type}.add`, [w.fresh("lanes.load", [address], [offset]), whole]) : whole;
      return w.effect("lanes.store", [address, sum], [offset]);
    }
    if (w.target.gathers && !adds && form?.step !== 0) {
      const { address, indices } = this.#spread(operand, index, env);
      return w.effect("lanes.scatter", [address, indices, whole], [0]);
    }
    for (let lane = 0; lane < w.lanes; lane++) {
      const { address, offset } = this.address(operand, index, env, lane);
      if (!adds) {
        w.effect("lanes.store_lane", [address, whole], [offset, lane]);
        continue;
      }
      const before = w.fresh(`${type}.load`, [address], [offset]);
      w.effect(`${type}.store`, [address, w.fresh(`${type}.add`, [before, laneOf(w, whole, lane)])], [offset]);
    }
  }

  /** Stores the bits of floats of 16 bits. */
  #storeHalf({ operand, index: source }: Pick<Store, "operand" | "index">, value: Value, env: Env): void {
    const w = this.writer, index = this.index(source, env), form = this.form(index, env);
    const store = (name: "u16.store" | "lanes.store_u16", part: Value, at: Index, lane?: number): void => {
      const { address, offset } = this.address(operand, at, env, lane);
      w.effect(name, [address, part], [offset]);
    };
    if (!env.lane || (form?.step === 0 && value.width === 1)) return store("u16.store", value, index);
    const whole = splat(w, value);
    if (form?.step === 1) return store("lanes.store_u16", whole, form.base);
    for (const lane of laneNumbers(w)) store("u16.store", laneOf(w, whole, lane), index, lane);
  }
}

/** An index of one lane; unchanged for all lanes, or where there are none. */
function atLane(index: Index, { lane: variable }: Env, lane: Lane | undefined): Index {
  if (typeof lane !== "number" || !variable) return index;
  return substituteIndex(index, new Map([[variable.id, constantIndex(lane)]]));
}

/** From elements to bytes. */
function inBytes(parts: readonly Part[], bytes: number): Part[] {
  return parts.map(({ value, coefficient }) => ({ value, coefficient: bytes * coefficient }));
}

/** Whether a value cannot be positive, as that of softmax: the difference to a maximum of which it is one. */
function isNonPositive(expr: Expr): boolean {
  return expr.kind === "binary" && expr.op === "sub" && isAtMost(expr.lhs, expr.rhs);
}

function isAtMost(expr: Expr, bound: Expr): boolean {
  if (bound === expr) return true;
  if (bound.kind === "reduce") return bound.combine === "max" && isAtMost(expr, bound.body);
  return bound.kind === "binary" && bound.op === "max" && (isAtMost(expr, bound.lhs) || isAtMost(expr, bound.rhs));
}
