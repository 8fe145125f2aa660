/**
 * Evaluates scalar expressions as WGSL text, one point at a time or four.
 *
 * An {@link Env} says what the kernel's variables are (see print_index.ts) and which variable, if any, is the lane of a
 * vec4. Every value knows its width: what does not depend on the lane stays a scalar. Values land in the outermost
 * block that knows their variables, so loop-invariant parts leave loops by themselves; shared expressions and all loads
 * are bound to names.
 */
import { type DType, isFloat } from "../../../core/dtype.ts";
import type { BinaryOp, Expr } from "../../../core/expr.ts";
import { operandsOf } from "../../../core/expr.ts";
import type { Index, Term, Var } from "../../../core/index_expr.ts";
import { addIndex, constantIndex, divIndex, scaleIndex, substituteIndex } from "../../../core/index_expr.ts";
import { invariant } from "../../../core/errors.ts";
import type { Store } from "../../kernel.ts";
import { dependsOn, isAligned } from "../../codegen/lane_index.ts";
import type { LaneForm } from "../../codegen/lane_index.ts";
import { type Env as LaneEnv, LaneScope } from "../../codegen/lane_scope.ts";
import { foldsOf } from "./folds.ts";
import { literal, typeName } from "./print_literal.ts";
import { binaryText, INFINITY_BITS, magnitudeText, unaryText } from "./print_math.ts";
import { TEXEL_ROW_BYTES } from "./print_texels.ts";
import type { Value, Writer } from "./print_writer.ts";

/** Lane numbers as component names. */
export const LANES = "xyzw";

/** What the kernel's variables are at the place where an expression is evaluated. */
export type Env = LaneEnv<Value>;

/** Prints the expressions of one kernel into its writer. */
export class Evaluator extends LaneScope<Value> {
  override readonly reductions = new Map<number, Value>();
  #uses = new Map<number, number>();

  constructor(readonly writer: Writer, stores: readonly Store[], roots: readonly Expr[] = []) {
    super();
    const seen = new Set<number>();
    for (const root of [...stores.map(({ value }) => value), ...roots]) this.#count(root, seen);
    for (const { index } of stores) this.#countIndex(index, seen);
  }

  #count(expr: Expr, seen: Set<number>): void {
    this.#uses.set(expr.id, (this.#uses.get(expr.id) ?? 0) + 1);
    if (seen.has(expr.id)) return;
    seen.add(expr.id);
    for (const operand of operandsOf(expr)) this.#count(operand, seen);
    if (expr.kind === "load" || expr.kind === "index" || expr.kind === "inRange") this.#countIndex(expr.index, seen);
  }

  #countIndex(index: Index, seen: Set<number>): void {
    for (const { atom } of index.terms) {
      if (atom.kind === "value") this.#count(atom.value, seen);
      else if (atom.kind !== "var") this.#countIndex(atom.of, seen);
    }
  }

  protected override reductionVaries(expr: Expr & { kind: "reduce" }, env: Env): boolean {
    return super.reductionVaries(expr, env) && !this.#binds(expr.variable, env);
  }

  protected override rangeVaries(expr: Expr & { kind: "inRange" }, env: Env): boolean {
    return !this.#uniformRange(expr, env) && super.rangeVaries(expr, env);
  }

  /** Whether the lanes of an environment run along a variable. */
  #binds(variable: Var, env: Env): boolean {
    const value = env.replace.get(variable.id);
    return value !== undefined && dependsOn(value, env.lane!, () => false);
  }

  /** The base of a range check that four aligned lanes pass or fail together. */
  #uniformRange(expr: Expr & { kind: "inRange" }, env: Env): Index | undefined {
    const form = this.form(this.index(expr.index, env), env);
    if (!form || form.step !== 1 || expr.lo % 4 !== 0 || expr.hi % 4 !== 0 || !isAligned(form.base, 4)) {
      return undefined;
    }
    return form.base;
  }

  /** Instructions: an aligned vec4 or a scalar is one, else four. */
  protected override loadCost(operand: number, index: Index, env: Env): number {
    return this.#isWide(operand, this.index(index, env), env) ? 1 : 4;
  }

  protected override storeCost({ operand, index }: Store, env: Env): number {
    return this.loadCost(operand, index, env);
  }

  /** Whether an access is one instruction for all lanes. */
  #isWide(operand: number, index: Index, env: Env): boolean {
    const form = this.form(index, env);
    return form !== undefined &&
      (form.step === 0 || (form.step === 1 && this.#canBeVector(operand) && isAligned(form.base, 4)));
  }

  #canBeVector(operand: number): boolean {
    return this.writer.kernel.operands[operand].size % 4 === 0;
  }

  /** The value of an expression. Its text is valid in the innermost open block. */
  value(expr: Expr, env: Env): Value {
    const key = `${env.id}:${expr.id}`;
    for (let depth = this.writer.depth; depth >= 0; depth--) {
      const known = this.writer.memo(depth).get(key);
      if (known) return known;
    }
    let value = this.#valueNow(expr, env);
    if ((this.#uses.get(expr.id) ?? 0) > 1 || value.text.length > 120) value = this.writer.bound(value);
    this.writer.memo(value.depth).set(key, value);
    return value;
  }

  #valueNow(expr: Expr, env: Env): Value {
    switch (expr.kind) {
      case "const":
        return this.constant(expr.value, expr.dtype);
      case "index":
        return this.indexValue(expr.index, expr.dtype, env);
      case "inRange":
        return this.#inRange(expr, env);
      case "load":
        return this.#load(expr.operand, expr.index, env);
      case "unary": {
        const operand = this.#running(this.value(expr.x, env), this.#isLiteral(expr.x, env));
        const x = foldsOf(expr).hidesLhs ? this.#hidden(operand) : operand;
        return { ...x, text: unaryText(expr.op, x, (name, width) => this.writer.helper(name, width)), atomic: false };
      }
      case "binary":
        return this.#binary(expr, env);
      case "select":
        return this.#select(expr, env);
      case "cast":
        return this.#cast(expr, env);
      case "reduce": {
        const known = this.reductions.get(expr.id);
        invariant(known, "a reduction is read before its pass");
        return known;
      }
      case "accumulator": {
        const accumulator = env.accumulators[expr.state];
        invariant(accumulator, "an accumulator is read where there is none");
        return convert(accumulator, expr.dtype);
      }
    }
  }

  /**
   * Whether the text of an expression is made of literals alone. Arithmetic on literals is not: see {@link #running}.
   */
  #isLiteral(expr: Expr, env: Env): boolean {
    switch (expr.kind) {
      case "const":
        return true;
      case "index":
      case "inRange":
        return readsOnly(this.index(expr.index, env), env.lane);
      case "cast":
        return this.#isLiteral(expr.x, env);
      case "binary":
        return expr.dtype === "bool" && this.#isLiteral(expr.lhs, env) && this.#isLiteral(expr.rhs, env);
      default:
        return false;
    }
  }

  /**
   * Names a value that is made of literals, since WGSL computes with literals while it compiles, and refuses what
   * overflows or has no value.
   */
  #running(value: Value, isLiteral: boolean): Value {
    return isLiteral && !/^[a-z]\w*$/.test(value.text)
      ? { ...value, text: this.writer.bind(value.text, value.depth), atomic: true }
      : value;
  }

  /** A literal; NaN and infinities come from the loop uniform, since WGSL refuses them as constants. */
  constant(value: number, dtype: DType): Value {
    let text = literal(value, dtype);
    if (text === undefined) {
      this.writer.usesLoops = true;
      const bits = Number.isNaN(value) ? "nan" : "infinity";
      const found = `bitcast<f32>(loops.${bits}_bits)`;
      text = this.writer.bind(dtype === "f16" ? `f16(${found})` : found, 0, bits === "nan" ? "nan" : "infinity");
      if (value < 0) text = `(-${text})`;
    }
    return { text, dtype, width: 1, depth: 0, atomic: true };
  }

  #binary(expr: Expr & { kind: "binary" }, env: Env): Value {
    const { op } = expr;
    let lhs = this.value(expr.lhs, env), rhs = this.value(expr.rhs, env);
    if (expr.dtype !== "bool") {
      lhs = this.#running(lhs, this.#isLiteral(expr.lhs, env) && this.#isLiteral(expr.rhs, env));
    }
    if (op === "div" || op === "mod") rhs = this.#running(rhs, expr.rhs.kind === "const" && expr.rhs.value === 0);
    const power = op === "pow" ? this.#constantPower(lhs, expr.rhs) : undefined;
    if (power) return power;
    if (expr.lhs === expr.rhs && isFloat(lhs.dtype) && op in SELF_COMPARISONS) {
      const text = `(${magnitudeText(lhs)} ${SELF_COMPARISONS[op]} ${typeName("u32", lhs.width)}(${INFINITY_BITS}))`;
      return { ...lhs, text, dtype: "bool", atomic: false };
    }
    const { hidesLhs, hidesRhs } = foldsOf(expr);
    if (hidesLhs) lhs = this.#hidden(lhs);
    if (hidesRhs) rhs = this.#hidden(rhs);
    const helper = (...[name, width]: Parameters<Writer["helper"]>) => this.writer.helper(name, width);
    const depth = Math.max(lhs.depth, rhs.depth);
    const dtype = expr.dtype;
    if (lhs.width !== rhs.width && (!MIXED.has(op) || (op === "div" && !isFloat(lhs.dtype)) || lhs.dtype === "bool")) {
      [lhs, rhs] = [splat(lhs), splat(rhs)];
    }
    [lhs, rhs] = [this.#atDepth(lhs, depth), this.#atDepth(rhs, depth)];
    const width = lhs.width === 4 || rhs.width === 4 ? 4 : 1;
    const text = binaryText(op, { ...lhs, width }, { ...rhs, width }, helper);
    return { text, dtype, width, depth, atomic: false };
  }

  /** Powers with common constant exponents, without logarithms. */
  #constantPower(base: Value, exponent: Expr): Value | undefined {
    if (exponent.kind !== "const" || base.dtype === "bool") return undefined;
    const isSmall = exponent.value === 2 || exponent.value === 3;
    const isRoot = exponent.value === 0.5 && base.dtype === "f32";
    if (!isSmall && !isRoot) return undefined;
    const { text } = this.writer.bound(base);
    if (isRoot) {
      const u32 = typeName("u32", base.width), root = `bitcast<${u32}>(sqrt(${text})) & ${u32}(0x7fffffffu)`;
      // Not quite the square root: that of -infinity is NaN, that of -0 is -0.
      const bits = `select(${root}, ${u32}(${INFINITY_BITS}), bitcast<${u32}>(${text}) == ${u32}(0xff800000u))`;
      return { ...base, text: `bitcast<${typeName("f32", base.width)}>(${bits})`, atomic: false };
    }
    return { ...base, text: `(${Array(exponent.value).fill(text).join(" * ")})`, atomic: false };
  }

  /** The same value, of which the driver does not see that it is the same. */
  #hidden(value: Value): Value {
    const { dtype, width } = value, u32 = typeName("u32", width);
    // The number of a workgroup is never negative, which no driver knows.
    const zero = this.writer.bind("bitcast<u32>(min(i32(group.x), 0))", 0, "zero");
    const mask = width === 1 ? zero : `${u32}(${zero})`;
    const float = (text: string) => `bitcast<${typeName("f32", width)}>(bitcast<${u32}>(${text}) ^ ${mask})`;
    const texts: Readonly<Record<DType, () => string>> = {
      f32: () => float(value.text),
      f16: () => `${typeName("f16", width)}(${float(`${typeName("f32", width)}(${value.text})`)})`,
      i32: () => `(${value.text} ^ bitcast<${typeName("i32", width)}>(${mask}))`,
      u32: () => `(${value.text} ^ ${mask})`,
      bool: () => `((${u32}(${value.text}) ^ ${mask}) != ${u32}(0u))`,
    };
    return { ...value, text: texts[dtype](), atomic: false };
  }

  #cast(expr: Expr & { kind: "cast" }, env: Env): Value {
    const operand = this.value(expr.x, env), { dtype } = expr;
    if (isFloat(operand.dtype) && (dtype === "i32" || dtype === "u32")) {
      const x = convert(operand, "f32");
      return { ...x, text: `${this.writer.helper(`${dtype}_of_f32`, x.width)}(${x.text})`, dtype, atomic: false };
    }
    return convert(foldsOf(expr).hidesLhs ? this.#hidden(operand) : operand, dtype);
  }

  #select(expr: Expr & { kind: "select" }, env: Env): Value {
    const { hidesLhs, hidesRhs } = foldsOf(expr);
    let parts = [expr.otherwise, expr.then, expr.cond].map((part) => this.value(part, env));
    parts = parts.map((part, at) => ([hidesRhs, hidesLhs][at] ? this.#hidden(part) : part));
    const depth = Math.max(...parts.map((part) => part.depth));
    const width = parts.some((part) => part.width === 4) ? 4 : 1;
    if (width === 4) parts = parts.map((part) => splat(part));
    const text = `select(${parts.map((part) => this.#atDepth(part, depth).text).join(", ")})`;
    return { text, dtype: expr.dtype, width, depth, atomic: false };
  }

  /** Binds a value that is known further out than where it is used. */
  #atDepth(value: Value, depth: number): Value {
    return value.depth < depth ? this.writer.bound(value) : value;
  }

  /** The value of a kernel's index, converted. */
  indexValue(source: Index, dtype: DType, env: Env): Value {
    const index = this.index(source, env);
    const form = this.form(index, env);
    if (form?.step === 0) return convert(this.scalar(index, env), dtype);
    let value: Value;
    if (form) {
      const base = this.scalar(form.base, env);
      const steps = `vec4<i32>(${[0, 1, 2, 3].map((lane) => lane * form.step).join(", ")})`;
      value = { text: `(${base.text} + ${steps})`, dtype: "i32", width: 4, depth: base.depth, atomic: false };
    } else {
      value = joinLanes([0, 1, 2, 3].map((lane) => this.scalar(index, env, lane)));
    }
    return convert(value, dtype);
  }

  #inRange(expr: Expr & { kind: "inRange" }, env: Env): Value {
    const uniform = this.#uniformRange(expr, env);
    const index = uniform ?? this.index(expr.index, env);
    const value = uniform ? this.scalar(uniform, env) : this.indexValue(expr.index, "i32", env);
    const { text, width, depth } = this.writer.bound(value, "n");
    const bound = (limit: number) =>
      splat({ text: `${limit}i`, dtype: "i32", width: 1, depth: 0, atomic: true }, width).text;
    const checks: string[] = [];
    if (index.min < expr.lo) checks.push(`${text} >= ${bound(expr.lo)}`);
    if (index.max >= expr.hi) checks.push(`${text} < ${bound(expr.hi)}`);
    if (checks.length === 0) return { text: "true", dtype: "bool", width: 1, depth: 0, atomic: true };
    return {
      text: `(${checks.length === 1 ? checks[0] : checks.map((check) => `(${check})`).join(" & ")})`,
      dtype: "bool",
      width,
      depth,
      atomic: false,
    };
  }

  #load(operand: number, source: Index, env: Env): Value {
    const texels = this.writer.texels[operand];
    const index = this.index(texels ? addIndex(source, scaleIndex(texels.start, -1)) : source, env);
    const form = this.form(index, env);
    const vector = this.#vectorLoad(operand, form, env);
    if (vector) return vector;
    if (form?.step === 0) return this.#scalarLoad(operand, this.scalar(this.#inside(operand, form.base), env));
    const lanes = [0, 1, 2, 3].map((lane) =>
      this.#scalarLoad(operand, this.scalar(this.#inside(operand, atLane(index, env, lane)), env, lane))
    );
    return this.writer.bound(joinLanes(lanes), "x");
  }

  /**
   * An index to load from. That of a masked load may point anywhere, which is no harm while the program runs; but WGSL
   * refuses constants that do, so they are led to the first element.
   */
  #inside(operand: number, index: Index): Index {
    const count = this.writer.texels[operand]?.elements ?? this.writer.kernel.operands[operand].size;
    return index.terms.length === 0 && (index.constant < 0 || index.constant >= count) ? constantIndex(0) : index;
  }

  /** One vec4 load, where four lanes are four neighbours in memory, upwards or downwards. */
  #vectorLoad(operand: number, form: LaneForm | undefined, env: Env): Value | undefined {
    if (!form || Math.abs(form.step) !== 1 || !this.#canBeVector(operand)) return undefined;
    const base = form.step === 1 ? form.base : addIndex(form.base, -3);
    if (!isAligned(base, 4)) return undefined;
    const texels = this.writer.texels[operand];
    this.writer.accesses[operand].vectorAccesses++;
    this.writer.accesses[operand].vectorLoads++;
    if (texels ? texels.lanes === 1 : this.writer.layouts[operand] !== "vector") return undefined;
    const offset = this.scalar(divIndex(this.#inside(operand, base), 4), env);
    const text = texels ? this.#texel(operand, offset) : `b${operand}[${offset.text}]`;
    const loaded = this.#stored(text, operand, 4, offset.depth);
    return form.step === 1 ? loaded : { ...loaded, text: `${loaded.text}.wzyx` };
  }

  /** The texel of a number. */
  #texel(operand: number, number: Value): string {
    const { text } = this.writer.bound(number, "n");
    const row = TEXEL_ROW_BYTES / 4 / this.writer.texels[operand]!.lanes;
    return `textureLoad(texels${operand}, vec2<i32>(${text} & ${row - 1}, ${text} >> ${Math.log2(row)}u), 0)`;
  }

  #scalarLoad(operand: number, offset: Value): Value {
    const texels = this.writer.texels[operand];
    if (texels?.lanes === 1) return this.#stored(`${this.#texel(operand, offset)}.x`, operand, 1, offset.depth);
    if (texels) {
      const { text } = this.writer.bound(offset, "n");
      const texel = this.#texel(operand, { ...offset, text: `(${text} >> 2u)`, atomic: false });
      return this.#stored(`${texel}[${text} & 3]`, operand, 1, offset.depth);
    }
    if (this.writer.layouts[operand] === "scalar") {
      return this.#stored(`b${operand}[${offset.text}]`, operand, 1, offset.depth);
    }
    this.writer.accesses[operand].scalarLoads++;
    const { text } = this.writer.bound(offset, "n");
    return this.#stored(`b${operand}[${text} >> 2u][${text} & 3]`, operand, 1, offset.depth);
  }

  /** A loaded value as a name: loads are bound, so that they happen before stores that follow. */
  #stored(text: string, operand: number, width: 1 | 4, depth: number): Value {
    const { dtype } = this.writer.kernel.operands[operand];
    const zero = width === 1 ? "0u" : "vec4<u32>(0u)";
    const name = this.writer.bindLoad(dtype === "bool" ? `(${text} != ${zero})` : text, depth, operand, width);
    return { text: name, dtype, width, depth, atomic: true };
  }

  /** The i32 value of a rewritten index; `lane` picks a lane where the index varies. */
  scalar(source: Index, env: Env, lane?: number): Value {
    const index = lane === undefined ? source : atLane(source, env, lane);
    // Terms come in the order of variable ids, which equal kernels do not share: order them by name before anything is
    // bound.
    const ordered = index.terms.map((term) => ({ term, key: this.#orderKey(term) })).sort((
      a,
      b,
    ) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    const parts = ordered.map(({ term }) => this.#term(term, env, lane)).sort((a, b) => a.depth - b.depth);
    if (parts.length === 0) return { text: `${index.constant}`, dtype: "i32", width: 1, depth: 0, atomic: true };
    let sum = "", depth = 0, count = 0;
    for (const part of parts) {
      if (count > 1 && part.depth > depth) [sum, count] = [this.writer.bind(sum, depth, "n"), 1];
      const magnitude = Math.abs(part.coefficient);
      const text = magnitude === 1 ? part.text : `${part.text} * ${magnitude}`;
      sum = sum === ""
        ? (part.coefficient < 0 ? `-${text}` : text)
        : `${sum} ${part.coefficient < 0 ? "-" : "+"} ${text}`;
      depth = part.depth;
      count += magnitude === 1 && part.coefficient > 0 ? 1 : 2;
    }
    if (index.constant === 0) {
      return { text: count > 1 ? this.writer.bind(sum, depth, "n") : sum, dtype: "i32", width: 1, depth, atomic: true };
    }
    if (count > 1) sum = this.writer.bind(sum, depth, "n");
    const text = `${sum} ${index.constant < 0 ? "-" : "+"} ${Math.abs(index.constant)}`;
    return { text: `(${text})`, dtype: "i32", width: 1, depth, atomic: false };
  }

  #orderKey({ atom, coefficient }: Term): string {
    if (atom.kind === "var") return `${this.writer.variable(atom.variable).name} ${coefficient}`;
    if (atom.kind === "value") return `~value ${`${atom.value.id}`.padStart(6, "0")} ${coefficient}`;
    return `~${atom.kind} ${atom.by} ${
      atom.of.terms.map((term) => this.#orderKey(term)).sort().join("+")
    } ${coefficient}`;
  }

  #term({ atom, coefficient }: Term, env: Env, lane?: number): { text: string; depth: number; coefficient: number } {
    switch (atom.kind) {
      case "var": {
        const { name, depth } = this.writer.variable(atom.variable);
        return { text: name, depth, coefficient };
      }
      case "value": {
        let value = this.writer.bound(convert(this.value(atom.value, env), "i32"), "n");
        if (value.width === 4) {
          invariant(lane !== undefined, "a varying run-time index is read as a scalar");
          value = { ...value, text: `${value.text}.${LANES[lane]}` };
        }
        return { text: value.text, depth: value.depth, coefficient };
      }
      case "div":
      case "mod": {
        const of = this.writer.bound(this.scalar(atom.of, env, lane), "n");
        const text = this.writer.bind(quotientText(atom.kind, of.text, atom.by, atom.of.min), of.depth, "n");
        return { text, depth: of.depth, coefficient };
      }
    }
  }

  /**
   * Writes a store whose value was evaluated before; `live` gives the condition under which a lane exists, if it may
   * not; `+=` adds.
   */
  store(store: Store, value: Value, env: Env, live?: (lane: number) => string | undefined, operator = "="): void {
    const { operand } = store;
    const index = this.index(store.index, env);
    const form = this.form(index, env);
    const access = this.writer.accesses[operand];
    const isWide = form?.step === 1 && !live && this.#canBeVector(operand) && isAligned(form.base, 4);
    if (isWide) access.vectorAccesses++;
    if (isWide && this.writer.layouts[operand] === "vector") {
      const offset = this.scalar(divIndex(form.base, 4), env);
      return this.writer.line(`b${operand}[${offset.text}] ${operator} ${storable(splat(value)).text};`);
    }
    if (!isWide) access.scalarStores++;
    if (!env.lane) return this.#storeScalar(operand, this.scalar(index, env), value, operator);
    const whole = this.writer.bound(value);
    for (let lane = 0; lane < 4; lane++) {
      const guard = live?.(lane);
      const offset = this.scalar(index, env, lane);
      const part = whole.width === 4 ? { ...whole, text: `${whole.text}.${LANES[lane]}`, width: 1 as const } : whole;
      if (guard) this.writer.open(`if (${guard})`);
      this.#storeScalar(operand, offset, part, operator);
      if (guard) this.writer.close();
    }
  }

  #storeScalar(operand: number, offset: Value, value: Value, operator: string): void {
    let place = `b${operand}[${offset.text}]`;
    if (this.writer.layouts[operand] === "vector") {
      const { text } = this.writer.bound(offset, "n");
      place = `b${operand}[${text} >> 2u][${text} & 3]`;
    }
    this.writer.line(`${place} ${operator} ${storable(value).text};`);
  }
}

/**
 * How a comparison of a float with itself comes to the magnitude's bits and those of infinity: without one `x != x` may
 * count as false.
 */
const SELF_COMPARISONS: Partial<Record<BinaryOp, string>> = { eq: "<=", le: "<=", ge: "<=", ne: ">" };

/** Operators that WGSL defines between a vector and a scalar. */
const MIXED = new Set<BinaryOp>(["add", "sub", "mul", "div"]);

/** Floor division or remainder of an i32 by a positive constant; shifts and masks floor by themselves. */
function quotientText(kind: "div" | "mod", of: string, by: number, min: number): string {
  if ((by & (by - 1)) === 0) return kind === "div" ? `(${of} >> ${Math.log2(by)}u)` : `(${of} & ${by - 1})`;
  const sign = kind === "div" ? "/" : "%";
  if (min >= 0) return `(${of} ${sign} ${by})`;
  const shift = Math.ceil(-min / by);
  return kind === "div" ? `((${of} + ${shift * by}) / ${by} - ${shift})` : `((${of} + ${shift * by}) % ${by})`;
}

/** Whether an index depends on nothing but a variable. */
function readsOnly({ terms }: Index, variable: Var | undefined): boolean {
  return terms.every(({ atom }) =>
    atom.kind === "var" ? atom.variable === variable : atom.kind !== "value" && readsOnly(atom.of, variable)
  );
}

/** An index for one lane of an environment. */
function atLane(index: Index, env: Env, lane: number): Index {
  return substituteIndex(index, new Map([[env.lane!.id, constantIndex(lane)]]));
}

/** A value with four lanes, equal if it was a scalar. */
export function splat(value: Value, width: 1 | 4 = 4): Value {
  if (value.width === width) return value;
  return { ...value, text: `${typeName(value.dtype, 4)}(${value.text})`, width: 4, atomic: false };
}

/** A conversion; to bool it is a comparison with zero, which holds of NaN too. */
export function convert(value: Value, dtype: DType): Value {
  if (value.dtype === dtype) return value;
  const type = typeName(value.dtype, value.width);
  const isTrue = isFloat(value.dtype) ? `(!(${value.text} == ${type}(0)))` : `(${value.text} != ${type}(0))`;
  const text = dtype === "bool" ? isTrue : `${typeName(dtype, value.width)}(${value.text})`;
  return { ...value, text, dtype, atomic: false };
}

/** A value as it is kept in memory: bool as u32. */
function storable(value: Value): Value {
  return value.dtype === "bool" ? convert(value, "u32") : value;
}

/** Four scalars as one vec4. */
export function joinLanes(lanes: readonly Value[]): Value {
  const { dtype } = lanes[0];
  return {
    text: `${typeName(dtype, 4)}(${lanes.map(({ text }) => text).join(", ")})`,
    dtype,
    width: 4,
    depth: Math.max(...lanes.map(({ depth }) => depth)),
    atomic: false,
  };
}
