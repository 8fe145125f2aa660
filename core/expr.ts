/**
 * The scalar language: what one element of a kernel's output is, as an expression DAG over loop variables and loads.
 *
 * Ops lower to it (`OpDef.lower`), the scheduler fuses by substituting one op's expression into another's, and printers
 * turn it into WGSL or WASM. It has no op names, only arithmetic. Expressions are interned by their
 * {@link ExprBuilder}, so equal expressions are one object and printers may bind each shared one to a local variable.
 */
import type { DType } from "./dtype.ts";
import { isFloat, isHalf } from "./dtype.ts";
import { roundToHalf } from "./half.ts";
import type { Index, Var } from "./index_expr.ts";
import { invariant } from "./errors.ts";

/**
 * One-operand arithmetic. `not` takes bool or integers (bitwise); `round` rounds half to even. `sigmoid` and `tanh`
 * must not overflow to NaN in any printer.
 */
export type UnaryOp =
  | "neg"
  | "abs"
  | "sign"
  | "exp"
  | "log"
  | "sqrt"
  | "rsqrt"
  | "sin"
  | "cos"
  | "tanh"
  | "sigmoid"
  | "erf"
  | "floor"
  | "round"
  | "not";

/**
 * Two-operand arithmetic; both operands have one dtype. Comparisons give bool. `and or xor` take bool or integers;
 * shifts take u32. `pow` is NumPy's: a negative base with a whole exponent has a value, `x^0` is 1, and 0 to a negative
 * power is infinite. `mod` has the sign of the divisor; integers by 0 give 0.
 */
export type BinaryOp =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "max"
  | "min"
  | "pow"
  | "mod"
  | "eq"
  | "ne"
  | "lt"
  | "le"
  | "gt"
  | "ge"
  | "and"
  | "or"
  | "xor"
  | "shiftLeft"
  | "shiftRight";

/** How a reduction combines elements. `argmax` gives the first index of the maximum, as i32. */
export type Combine = "sum" | "max" | "min" | "argmax";

interface ExprBase {
  /** Unique and increasing within one builder: operands have smaller ids than what uses them. */
  readonly id: number;
  readonly dtype: DType;
}

/** A scalar expression. Floats of 16 bits are only loaded, moved, converted and stored: arithmetic is in f32. */
export type Expr =
  & ExprBase
  & (
    /** A literal; may be NaN or infinite. */
    | { readonly kind: "const"; readonly value: number }
    /** The value of an index, converted to `dtype`. */
    | { readonly kind: "index"; readonly index: Index }
    /** Whether `lo <= index < hi`; dtype bool. */
    | { readonly kind: "inRange"; readonly index: Index; readonly lo: number; readonly hi: number }
    /** The element at a row-major element offset of the kernel's operand `operand`. */
    | { readonly kind: "load"; readonly operand: number; readonly index: Index }
    | { readonly kind: "unary"; readonly op: UnaryOp; readonly x: Expr }
    | { readonly kind: "binary"; readonly op: BinaryOp; readonly lhs: Expr; readonly rhs: Expr }
    /** `cond ? then : otherwise`; both sides may be evaluated. */
    | { readonly kind: "select"; readonly cond: Expr; readonly then: Expr; readonly otherwise: Expr }
    /** A conversion between dtypes; float to integer truncates, anything to bool is `x != 0`. */
    | { readonly kind: "cast"; readonly x: Expr }
    /** A reduction of `body` over `variable`; the empty reduction gives the identity. Accumulates in `dtype`. */
    | { readonly kind: "reduce"; readonly combine: Combine; readonly variable: Var; readonly body: Expr }
    /**
     * In a contract kernel's epilogue: the finished sum of products. In a recurrence kernel: the state numbered
     * `state`, after the current step.
     */
    | { readonly kind: "accumulator"; readonly state: number }
  );

/** Operations that take many instructions, where others take one or a few. */
export const TRANSCENDENTAL: ReadonlySet<UnaryOp | BinaryOp> = new Set([
  "exp",
  "log",
  "sin",
  "cos",
  "tanh",
  "sigmoid",
  "erf",
  "pow",
]);

const COMPARISONS = new Set<BinaryOp>(["eq", "ne", "lt", "le", "gt", "ge"]);

type Distribute<T> = T extends unknown ? Omit<T, "id"> : never;

/** Makes interned scalar expressions. One builder serves one kernel. */
export class ExprBuilder {
  #interned = new Map<string, Expr>();

  #intern(key: string, fields: Distribute<Expr>): Expr {
    let expr = this.#interned.get(key);
    if (!expr) {
      expr = { id: this.#interned.size, ...fields } as Expr;
      this.#interned.set(key, expr);
    }
    return expr;
  }

  /** A literal. */
  const(value: number, dtype: DType = "f32"): Expr {
    if (isHalf(dtype)) value = roundToHalf(dtype, value);
    return this.#intern(`c${dtype}${Object.is(value, -0) ? "-0" : value}`, { kind: "const", value, dtype });
  }

  /** The value of an index, as `dtype`. */
  index(index: Index, dtype: DType = "i32"): Expr {
    if (index.terms.length === 0) return this.const(index.constant, dtype);
    if (isHalf(dtype)) return this.cast(this.index(index, "f32"), dtype);
    return this.#intern(`i${dtype}${index.key}`, { kind: "index", index, dtype });
  }

  /** Whether `lo <= index < hi`; decided here when the index's range decides it. */
  inRange(index: Index, lo: number, hi: number): Expr {
    if (index.min >= lo && index.max < hi) return this.const(1, "bool");
    if (index.max < lo || index.min >= hi) return this.const(0, "bool");
    return this.#intern(`r${index.key},${lo},${hi}`, { kind: "inRange", index, lo, hi, dtype: "bool" });
  }

  /** Loads the element at an element offset of an operand. */
  load(operand: number, index: Index, dtype: DType): Expr {
    return this.#intern(`l${operand},${index.key}`, { kind: "load", operand, index, dtype });
  }

  /** One-operand arithmetic. */
  unary(op: UnaryOp, x: Expr): Expr {
    if (isHalf(x.dtype)) return this.cast(this.unary(op, this.widened(x)), x.dtype);
    return this.#intern(`u${op},${x.id}`, { kind: "unary", op, x, dtype: x.dtype });
  }

  /** Two-operand arithmetic on equal dtypes. */
  binary(op: BinaryOp, lhs: Expr, rhs: Expr): Expr {
    invariant(lhs.dtype === rhs.dtype, `scalar ${op} of ${lhs.dtype} and ${rhs.dtype}`);
    const dtype = COMPARISONS.has(op) ? "bool" : lhs.dtype;
    if (isHalf(lhs.dtype)) return this.cast(this.binary(op, this.widened(lhs), this.widened(rhs)), dtype);
    return this.#intern(`b${op},${lhs.id},${rhs.id}`, { kind: "binary", op, lhs, rhs, dtype });
  }

  /** `cond ? then : otherwise`. */
  select(cond: Expr, then: Expr, otherwise: Expr): Expr {
    invariant(
      cond.dtype === "bool" && then.dtype === otherwise.dtype,
      `scalar select of ${cond.dtype}, ${then.dtype}, ${otherwise.dtype}`,
    );
    if (cond.kind === "const") return cond.value ? then : otherwise;
    if (then === otherwise) return then;
    return this.#intern(`s${cond.id},${then.id},${otherwise.id}`, {
      kind: "select",
      cond,
      then,
      otherwise,
      dtype: then.dtype,
    });
  }

  /** Converts to a dtype. */
  cast(x: Expr, dtype: DType): Expr {
    if (x.dtype === dtype) return x;
    // Widening is exact, so rounding what was widened gives it back.
    if (x.kind === "cast" && x.dtype === "f32" && x.x.dtype === dtype && isHalf(dtype)) return x.x;
    return this.#intern(`x${dtype},${x.id}`, { kind: "cast", x, dtype });
  }

  /** A float of 16 bits as f32, in which it is computed; anything else unchanged. */
  widened(x: Expr): Expr {
    return isHalf(x.dtype) ? this.cast(x, "f32") : x;
  }

  /** Reduces `body` over `variable`; for a float of 16 bits, in f32, which is also the result. */
  reduce(combine: Combine, variable: Var, body: Expr): Expr {
    body = this.widened(body);
    const dtype = combine === "argmax" ? "i32" : body.dtype;
    return this.#intern(`R${combine},${variable.id},${body.id}`, { kind: "reduce", combine, variable, body, dtype });
  }

  /** The finished sum of products, in a contract kernel's epilogue; a state of a recurrence kernel. */
  accumulator(dtype: DType = "f32", state = 0): Expr {
    if (isHalf(dtype)) return this.cast(this.accumulator("f32", state), dtype);
    return this.#intern(`a${dtype}${state}`, { kind: "accumulator", dtype, state });
  }
}

/** The operands of an expression (not those inside its indices). */
export function operandsOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case "unary":
    case "cast":
      return [expr.x];
    case "binary":
      return [expr.lhs, expr.rhs];
    case "select":
      return [expr.cond, expr.then, expr.otherwise];
    case "reduce":
      return [expr.body];
    default:
      return [];
  }
}

/** The identity element of a reduction. */
export function identityOf(combine: Combine, dtype: DType): number {
  if (combine === "sum") return 0;
  const lowest = isFloat(dtype) ? -Infinity : dtype === "i32" ? -2147483648 : 0;
  const highest = isFloat(dtype) ? Infinity : dtype === "i32" ? 2147483647 : 4294967295;
  return combine === "min" ? highest : lowest;
}
