/**
 * Which extremes of a row need not look for NaN, because a sum over the same row does. A softmax is the case: where an
 * element is NaN its exponential is, so is the sum of all of them, and so is every result, whatever the maximum was.
 */
import { isFloat } from "../../core/dtype.ts";
import { type Expr, operandsOf } from "../../core/expr.ts";
import type { RowKernel } from "../kernel.ts";
import { levelsOf, type Reduce } from "./row_levels.ts";

/** Operators that give NaN where an operand is NaN, on every device. */
const STRICT: ReadonlySet<string> = new Set(["neg", "abs", "exp", "log", "sqrt", "rsqrt", "add", "sub", "mul", "div"]);

/** Whether an expression is NaN wherever a part of it is. */
function isStrictIn(expr: Expr, part: Expr, seen: Set<Expr> = new Set()): boolean {
  if (expr === part) return true;
  if (seen.has(expr)) return false;
  seen.add(expr);
  const passes = expr.kind === "cast"
    ? isFloat(expr.dtype)
    : (expr.kind === "unary" || expr.kind === "binary") && isFloat(expr.dtype) && STRICT.has(expr.op);
  return passes && operandsOf(expr).some((operand) => isFloat(operand.dtype) && isStrictIn(operand, part, seen));
}

/** Says of the reductions of a row kernel whether all that is stored is NaN anyway where an element is. */
export function nanWitnesses(kernel: RowKernel): (extreme: Reduce) => boolean {
  const stores = [...kernel.rowStores, ...kernel.elementStores];
  const sums = levelsOf(kernel).flat().filter(({ combine }) => combine === "sum");
  const witnesses = sums.filter((sum) => stores.every(({ value }) => isStrictIn(value, sum)));
  return ({ body }) => witnesses.some((sum) => isStrictIn(sum.body, body));
}
