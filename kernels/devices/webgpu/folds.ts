/**
 * Protects float arithmetic from drivers that optimise as if there were no NaN, infinity or rounding: they turn `x * 0`
 * and `x - x` into 0, `(x + y) - x` into y, a select of the greater value into `max`, which loses NaN, and a conversion
 * to an integer and back into a truncation. WGSL permits all of this and offers no way to forbid it. Since drivers only
 * rewrite patterns that they recognise, an operand that occurs twice is hidden once: by an exclusive or with a zero
 * that the driver cannot prove to be zero. This costs one instruction on a register, and only where a pattern occurs.
 */
import { isFloat } from "../../../core/dtype.ts";
import type { Expr } from "../../../core/expr.ts";

/** Which operands of an expression to hide; for a select, its sides `then` and `otherwise`. */
export interface Folds {
  readonly hidesLhs: boolean;
  readonly hidesRhs: boolean;
}

const NONE: Folds = { hidesLhs: false, hidesRhs: false };

/** Which operands to hide for the expression to have its IEEE value. */
export function foldsOf(expr: Expr): Folds {
  switch (expr.kind) {
    case "unary":
      if (expr.op === "not") return { hidesLhs: isFloatComparison(expr.x), hidesRhs: false };
      return { hidesLhs: expr.x.kind === "unary" && INVERSES[expr.op] === expr.x.op, hidesRhs: false };
    case "cast":
      return {
        hidesLhs: expr.x.kind === "cast" && isFloat(expr.dtype) && !isFloat(expr.x.dtype) && isFloat(expr.x.x.dtype),
        hidesRhs: false,
      };
    case "select":
      return foldsOfSelect(expr);
    case "binary":
      return expr.lhs.dtype === "bool"
        ? { hidesLhs: isFloatComparison(expr.lhs), hidesRhs: isFloatComparison(expr.rhs) }
        : isFloat(expr.lhs.dtype)
        ? foldsOfBinary(expr)
        : NONE;
    default:
      return NONE;
  }
}

const INVERSES: Readonly<Record<string, string>> = { exp: "log", log: "exp" };
const COMPARISONS: ReadonlySet<string> = new Set(["eq", "ne", "lt", "le", "gt", "ge"]);

function isFloatComparison(expr: Expr): boolean {
  return expr.kind === "binary" && COMPARISONS.has(expr.op) && isFloat(expr.lhs.dtype);
}

/** `x < y ? x : y` and similar selects become minima and maxima. */
function foldsOfSelect({ cond, then, otherwise }: Expr & { kind: "select" }): Folds {
  if (cond.kind !== "binary" || !isFloatComparison(cond)) return NONE;
  const isCompared = (side: Expr) =>
    side.kind !== "const" && [cond.lhs, cond.rhs].some((operand) => unsigned(operand) === unsigned(side));
  // One side is enough; with both hidden, the driver would factor the zero out of the select.
  return isCompared(then) ? { hidesLhs: true, hidesRhs: false } : { hidesLhs: false, hidesRhs: isCompared(otherwise) };
}

function foldsOfBinary({ op, lhs, rhs }: Expr & { kind: "binary" }): Folds {
  if (op === "mul") return { hidesLhs: mayBeZeroForCertain(lhs), hidesRhs: mayBeZeroForCertain(rhs) };
  if (op === "div") return { hidesLhs: false, hidesRhs: lhs === rhs };
  if (op !== "add" && op !== "sub" && !COMPARISONS.has(op)) return NONE;
  const [x, y] = [unsigned(lhs), unsigned(rhs)];
  return { hidesLhs: isTermOf(y, x), hidesRhs: (x === y && !(op === "add" && lhs === rhs)) || isTermOf(x, y) };
}

/** Whether an operand is 0, or 0 under a condition, so that a product may ignore the other operand. */
function mayBeZeroForCertain(expr: Expr): boolean {
  const isZero = (side: Expr) => side.kind === "const" && side.value === 0;
  if (expr.kind === "select") return isZero(expr.then) || isZero(expr.otherwise);
  return isZero(expr) || (expr.kind === "cast" && expr.x.dtype === "bool");
}

function isTermOf(term: Expr, sum: Expr): boolean {
  return sum.kind === "binary" && (sum.op === "add" || sum.op === "sub") &&
    (unsigned(sum.lhs) === term || unsigned(sum.rhs) === term);
}

/** The expression without a leading minus sign. */
function unsigned(expr: Expr): Expr {
  return expr.kind === "unary" && expr.op === "neg" ? unsigned(expr.x) : expr;
}
