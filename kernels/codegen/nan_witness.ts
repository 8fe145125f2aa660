/**
 * Finds the extremes of a row that need not propagate NaN, because a sum over the same row does. Softmax is the typical
 * case: if an element is NaN, then so is its exponential, the sum of all of them and every result, whatever the
 * maximum.
 */
import { isFloat } from "../../core/dtype.ts";
import { type Expr, operandsOf } from "../../core/expr.ts";
import type { RowKernel } from "../kernel.ts";
import { levelsOf, type Reduce } from "./row_levels.ts";

/** Operators that return NaN if an operand is NaN, on every device. */
const STRICT: ReadonlySet<string> = new Set(["neg", "abs", "exp", "log", "sqrt", "rsqrt", "add", "sub", "mul", "div"]);

/** Whether an expression is NaN whenever the given part of it is. */
function isStrictIn(expr: Expr, part: Expr, seen: Set<Expr> = new Set()): boolean {
  if (expr === part) return true;
  if (seen.has(expr)) return false;
  seen.add(expr);
  const passes = expr.kind === "cast"
    ? isFloat(expr.dtype)
    : (expr.kind === "unary" || expr.kind === "binary") && isFloat(expr.dtype) && STRICT.has(expr.op);
  return passes && operandsOf(expr).some((operand) => isFloat(operand.dtype) && isStrictIn(operand, part, seen));
}

/** For each reduction of a row kernel, whether everything stored is NaN anyway if an element is. */
export function nanWitnesses(kernel: RowKernel): (extreme: Reduce) => boolean {
  const stores = [...kernel.rowStores, ...kernel.elementStores];
  const sums = levelsOf(kernel).flat().filter(({ combine }) => combine === "sum");
  const witnesses = sums.filter((sum) => stores.every(({ value }) => isStrictIn(value, sum)));
  return ({ body }) => witnesses.some((sum) => isStrictIn(sum.body, body));
}
