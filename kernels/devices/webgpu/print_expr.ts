/**
 * Evaluates scalar expressions as WGSL text, for one point or for four points at a time.
 *
 * An {@link Env} maps the kernel's variables to values (see print_index.ts) and says which variable, if any, is the
 * lane of a vec4. Every value knows its width: anything independent of the lane stays a scalar. Values are placed in
 * the outermost block in which their variables are available, so loop-invariant code is hoisted; shared expressions and
 * all loads are bound to names.
 */
import { isFloat, isHalf } from "../../../core/dtype.ts";
import type { BinaryOp, Expr } from "../../../core/expr.ts";
import { operandsOf } from "../../../core/expr.ts";
import type { Index, Var } from "../../../core/index_expr.ts";
import { invariant } from "../../../core/errors.ts";
import type { Store } from "../../kernel.ts";
import { dependsOn, isAligned } from "../../codegen/lane_index.ts";
import { foldsOf } from "./folds.ts";
import { AccessPrinter } from "./print_access.ts";
import type { Env } from "./print_index.ts";
import { literal, type RegisterType, registerType, typeName } from "./print_literal.ts";
import { binaryText, INFINITY_BITS, isProduct, magnitudeText, unaryText } from "./print_math.ts";
import { convert, splat } from "./print_value.ts";
import type { Value, Writer } from "./print_writer.ts";

/** Prints the expressions of one kernel into its writer. */
export class Evaluator extends AccessPrinter {
  override readonly reductions = new Map<number, Value>();
  #uses = new Map<number, number>();

  constructor(writer: Writer, stores: readonly Store[], roots: readonly Expr[] = []) {
    super(writer);
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

  /** The base of a range check that passes or fails for four aligned lanes at once. */
  #uniformRange(expr: Expr & { kind: "inRange" }, env: Env): Index | undefined {
    const form = this.form(this.index(expr.index, env), env);
    if (!form || form.step !== 1 || expr.lo % 4 !== 0 || expr.hi % 4 !== 0 || !isAligned(form.base, 4)) {
      return undefined;
    }
    return form.base;
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
        return this.constant(expr.value, registerType(expr.dtype));
      case "index":
        return this.indexValue(expr.index, registerType(expr.dtype), env);
      case "inRange":
        return this.#inRange(expr, env);
      case "load":
        return this.load(expr.operand, expr.index, env);
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
        return convert(accumulator, registerType(expr.dtype));
      }
    }
  }

  /** Whether an expression prints as literals only. Arithmetic on literals does not: see {@link #running}. */
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
   * Binds a constant value to a name, since WGSL evaluates literals at compile time and rejects overflow and undefined
   * results.
   */
  #running(value: Value, isLiteral: boolean): Value {
    return isLiteral && !/^[a-z]\w*$/.test(value.text)
      ? { ...value, text: this.writer.bind(value.text, value.depth), atomic: true }
      : value;
  }

  /** A literal. NaN and infinities are read from the loop uniform, since WGSL rejects them as constants. */
  constant(value: number, dtype: RegisterType): Value {
    let text = literal(value, dtype);
    if (text === undefined) {
      this.writer.usesLoops = true;
      const bits = Number.isNaN(value) ? "nan" : "infinity";
      const found = `bitcast<f32>(loops.${bits}_bits)`;
      text = this.writer.bind(found, 0, bits === "nan" ? "nan" : "infinity");
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
    const dtype = registerType(expr.dtype);
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
    const isRoot = exponent.value === 0.5 && base.dtype === "f32";
    if (!isProduct(exponent) && !isRoot) return undefined;
    const { text } = this.writer.bound(base);
    if (isRoot) {
      const u32 = typeName("u32", base.width), root = `bitcast<${u32}>(sqrt(${text})) & ${u32}(0x7fffffffu)`;
      // Differs from the square root at -infinity, where sqrt gives NaN, and at -0, where it gives -0.
      const bits = `select(${root}, ${u32}(${INFINITY_BITS}), bitcast<${u32}>(${text}) == ${u32}(0xff800000u))`;
      return { ...base, text: `bitcast<${typeName("f32", base.width)}>(${bits})`, atomic: false };
    }
    return { ...base, text: `(${Array(exponent.value).fill(text).join(" * ")})`, atomic: false };
  }

  /** The same value, in a form that the driver cannot recognise as such. */
  #hidden(value: Value): Value {
    const { dtype, width } = value, u32 = typeName("u32", width);
    // A workgroup index is never negative, which drivers do not know.
    const zero = this.writer.bind("bitcast<u32>(min(i32(group.x), 0))", 0, "zero");
    const mask = width === 1 ? zero : `${u32}(${zero})`;
    const float = (text: string) => `bitcast<${typeName("f32", width)}>(bitcast<${u32}>(${text}) ^ ${mask})`;
    const texts: Readonly<Record<RegisterType, () => string>> = {
      f32: () => float(value.text),
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
    const shown = foldsOf(expr).hidesLhs ? this.#hidden(operand) : operand;
    if (!isHalf(dtype)) return convert(shown, dtype);
    const value = convert(shown, "f32");
    return { ...value, text: `${this.writer.helper(`${dtype}_of_f32`, value.width)}(${value.text})`, atomic: false };
  }

  #select(expr: Expr & { kind: "select" }, env: Env): Value {
    const { hidesLhs, hidesRhs } = foldsOf(expr);
    let parts = [expr.otherwise, expr.then, expr.cond].map((part) => this.value(part, env));
    parts = parts.map((part, at) => ([hidesRhs, hidesLhs][at] ? this.#hidden(part) : part));
    const depth = Math.max(...parts.map((part) => part.depth));
    const width = parts.some((part) => part.width === 4) ? 4 : 1;
    if (width === 4) parts = parts.map((part) => splat(part));
    const text = `select(${parts.map((part) => this.#atDepth(part, depth).text).join(", ")})`;
    return { text, dtype: registerType(expr.dtype), width, depth, atomic: false };
  }

  /** Binds a value that is available in a block further out than its use. */
  #atDepth(value: Value, depth: number): Value {
    return value.depth < depth ? this.writer.bound(value) : value;
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
}

/**
 * The comparison of a float with itself, expressed on its magnitude bits and those of infinity: some drivers evaluate
 * `x != x` to false.
 */
const SELF_COMPARISONS: Partial<Record<BinaryOp, string>> = { eq: "<=", le: "<=", ge: "<=", ne: ">" };

/** Operators that WGSL defines between a vector and a scalar. */
const MIXED = new Set<BinaryOp>(["add", "sub", "mul", "div"]);

/** Whether an index depends on nothing but a variable. */
function readsOnly({ terms }: Index, variable: Var | undefined): boolean {
  return terms.every(({ atom }) =>
    atom.kind === "var" ? atom.variable === variable : atom.kind !== "value" && readsOnly(atom.of, variable)
  );
}
