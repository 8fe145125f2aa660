/**
 * `log(1 + x)` and `e^x - 1` as scalar expressions that keep their relative accuracy near 0, where the plain formulas
 * cancel. Neither relies on a rounding such as `(1 + x) - 1`, which compilers of shaders may simplify away.
 */
import type { Expr, ExprBuilder } from "../core/expr.ts";

/** Below this size `1 + x` loses more than an ulp or two of the logarithm. */
const LOG1P_NEAR = 0.3;
/** Terms of the series: `s^2 <= 0.0312` to the power 10 is 1e-15, so the sum is right to doubles as well. */
const LOG1P_TERMS = 10;

/** `log(1 + x)`: near 0 `2 atanh(s)` with `s = x / (2 + x)`, by the series `2 s (1 + s^2 / 3 + s^4 / 5 + ...)`. */
export function log1pExpr(e: ExprBuilder, x: Expr): Expr {
  const number = (value: number) => e.const(value, x.dtype);
  const s = e.binary("div", x, e.binary("add", number(2), x)), square = e.binary("mul", s, s);
  let sum = number(2 / (2 * LOG1P_TERMS + 1));
  for (let term = LOG1P_TERMS - 1; term > 0; term--) {
    sum = e.binary("add", number(2 / (2 * term + 1)), e.binary("mul", square, sum));
  }
  // 2 s apart from the rest of the sum, which then adds at most 1% of it, with 1% of its rounding errors.
  const near = e.binary("add", e.binary("add", s, s), e.binary("mul", s, e.binary("mul", square, sum)));
  const isNear = e.binary("lt", e.unary("abs", x), number(LOG1P_NEAR));
  return e.select(isNear, near, e.unary("log", e.binary("add", number(1), x)));
}

/** `e^x - 1`: near 0 `2 t / (1 - t)` with `t = tanh(x / 2)`, whose relative accuracy every device keeps. */
export function expm1Expr(e: ExprBuilder, x: Expr): Expr {
  const number = (value: number) => e.const(value, x.dtype);
  const t = e.unary("tanh", e.binary("mul", x, number(0.5)));
  const near = e.binary("div", e.binary("add", t, t), e.binary("sub", number(1), t));
  const isNear = e.binary("lt", e.unary("abs", x), number(1));
  return e.select(isNear, near, e.binary("sub", e.unary("exp", x), number(1)));
}
