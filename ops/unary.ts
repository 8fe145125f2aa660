/** Elementwise functions of one tensor. Shapes: the result is like `x`. */
import { roundTo } from "../core/dtype.ts";
import type { Expr, ExprBuilder, UnaryOp } from "../core/expr.ts";
import { apply, type Tensor } from "../core/graph.ts";
import type { Attrs, MapOp, NoGradient, VjpCall } from "../core/op.ts";
import { add, div, maximum, minimum, mul, sub } from "./binary.ts";
import { less, notEqual } from "./compare.ts";
import { checkDomain, type Domain, noGradient, pullback } from "./define.ts";
import { erfOf } from "./erf.ts";
import { expm1Expr, log1pExpr } from "./near_zero.ts";
import type { TensorLike } from "./operands.ts";

type Derivative = (g: Tensor, x: Tensor, y: Tensor) => Tensor;

interface Extras {
  readonly rewrite?: (x: Tensor) => Tensor | undefined;
}

/** A function with a counterpart of the same name in the scalar language. */
function define(
  name: UnaryOp & string,
  domain: Domain,
  scalar: (x: number) => number,
  derivative: Derivative | NoGradient,
  extras?: Extras,
): MapOp<Attrs> {
  return defineBy((e, x) => e.unary(name, x), name, domain, scalar, derivative, extras);
}

/** A function that `lower` expresses with other functions of the scalar language. */
function defineBy(
  lower: (e: ExprBuilder, x: Expr) => Expr,
  name: string,
  domain: Domain,
  scalar: (x: number) => number,
  derivative: Derivative | NoGradient,
  { rewrite }: Extras = {},
): MapOp<Attrs> {
  return {
    name,
    kind: "map",
    infer: ([x]) => {
      checkDomain(name, x, domain);
      return [{ shape: x.shape, dtype: x.dtype }];
    },
    reference: ([x], _attrs, [{ dtype }]) => [x.data.map((value) => roundTo(dtype, scalar(value)))],
    lower: (e, [x]) => lower(e, x),
    vjp: typeof derivative === "function"
      ? pullback((g: Tensor, { inputs: [x], outputs: [y] }: VjpCall<Attrs>) => [derivative(g, x, y)])
      : derivative,
    ...(rewrite && { rewrite: ([x]: readonly Tensor[]) => rewrite(x) }),
  };
}

const sigmoidOf = (x: number) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));

export const negOp: MapOp<Attrs> = define(
  "neg",
  "signed",
  (x) => -x,
  (g) => neg(g),
  { rewrite: (x) => (x.node.op === negOp ? x.node.inputs[0] : undefined) },
);
export const absOp: MapOp<Attrs> = define(
  "abs",
  "signed",
  Math.abs,
  (g, x) => mul(g, sign(x)),
  { rewrite: (x) => (x.node.op === absOp ? x : undefined) },
);
export const signOp: MapOp<Attrs> = define("sign", "signed", Math.sign, noGradient("sign is piecewise constant"));
export const expOp: MapOp<Attrs> = define("exp", "float", Math.exp, (g, _x, y) => mul(g, y));
export const logOp: MapOp<Attrs> = define("log", "float", Math.log, (g, x) => div(g, x));
export const sqrtOp: MapOp<Attrs> = define("sqrt", "float", Math.sqrt, (g, _x, y) => div(mul(g, 0.5), y));
export const rsqrtOp: MapOp<Attrs> = define(
  "rsqrt",
  "float",
  (x) => 1 / Math.sqrt(x),
  (g, _x, y) => mul(mul(g, -0.5), mul(y, mul(y, y))),
);
export const sinOp: MapOp<Attrs> = define("sin", "float", Math.sin, (g, x) => mul(g, cos(x)));
export const cosOp: MapOp<Attrs> = define("cos", "float", Math.cos, (g, x) => neg(mul(g, sin(x))));
export const tanhOp: MapOp<Attrs> = define("tanh", "float", Math.tanh, (g, _x, y) => mul(g, sub(1, mul(y, y))));
export const sigmoidOp: MapOp<Attrs> = define("sigmoid", "float", sigmoidOf, (g, _x, y) => mul(g, mul(y, sub(1, y))));
export const erfOp: MapOp<Attrs> = define(
  "erf",
  "float",
  erfOf,
  (g, x) => mul(g, mul(2 / Math.sqrt(Math.PI), exp(neg(mul(x, x))))),
);
export const floorOp: MapOp<Attrs> = define("floor", "float", Math.floor, noGradient("floor is piecewise constant"));
export const roundOp: MapOp<Attrs> = define("round", "float", roundToEven, noGradient("round is piecewise constant"));
export const log1pOp: MapOp<Attrs> = defineBy(log1pExpr, "log1p", "float", Math.log1p, (g, x) => div(g, add(x, 1)));
export const expm1Op: MapOp<Attrs> = defineBy(expm1Expr, "expm1", "float", Math.expm1, (g, x) => mul(g, exp(x)));

/** The nearest integer; halfway cases go to the even one. */
function roundToEven(x: number): number {
  const below = Math.floor(x), rest = x - below;
  if (rest < 0.5 || (rest === 0.5 && below % 2 === 0)) return below === 0 && x < 0 ? -0 : below;
  // -0.3 gives -0, as in IEEE 754; infinity and NaN arrive here with a remainder of NaN.
  return Number.isFinite(x) ? (below === -1 ? -0 : below + 1) : x;
}

/** `-x`. Gradient: negated. @throws {DTypeError} for u32 and bool. */
export function neg(x: Tensor): Tensor {
  return apply(negOp, [x]);
}

/** `|x|`. Gradient: times the sign, so 0 at 0. @throws {DTypeError} for u32 and bool. */
export function abs(x: Tensor): Tensor {
  return apply(absOp, [x]);
}

/** -1, 0 or 1. Gradient: zero. @throws {DTypeError} for u32 and bool. */
export function sign(x: Tensor): Tensor {
  return apply(signOp, [x]);
}

/** `e^x`. Gradient: times `e^x`. @throws {DTypeError} if `x` is not a float. */
export function exp(x: Tensor): Tensor {
  return apply(expOp, [x]);
}

/** The natural logarithm; -infinity at 0, NaN below. Gradient: over `x`. @throws {DTypeError} if `x` is not a float. */
export function log(x: Tensor): Tensor {
  return apply(logOp, [x]);
}

/**
 * The square root; NaN below 0. Gradient: `1 / (2 sqrt x)`, infinite at 0. @throws {DTypeError} if `x` is not a float.
 */
export function sqrt(x: Tensor): Tensor {
  return apply(sqrtOp, [x]);
}

/** `1 / sqrt(x)`. Gradient: `-x^(-3/2) / 2`. @throws {DTypeError} if `x` is not a float. */
export function rsqrt(x: Tensor): Tensor {
  return apply(rsqrtOp, [x]);
}

/** The sine of radians. Gradient: the cosine. @throws {DTypeError} if `x` is not a float. */
export function sin(x: Tensor): Tensor {
  return apply(sinOp, [x]);
}

/** The cosine of radians. Gradient: minus the sine. @throws {DTypeError} if `x` is not a float. */
export function cos(x: Tensor): Tensor {
  return apply(cosOp, [x]);
}

/** The hyperbolic tangent. Gradient: `1 - tanh^2`. @throws {DTypeError} if `x` is not a float. */
export function tanh(x: Tensor): Tensor {
  return apply(tanhOp, [x]);
}

/** `1 / (1 + e^-x)`, without overflow. Gradient: `s (1 - s)`. @throws {DTypeError} if `x` is not a float. */
export function sigmoid(x: Tensor): Tensor {
  return apply(sigmoidOp, [x]);
}

/** The error function. Gradient: `2/sqrt(pi) e^(-x^2)`. @throws {DTypeError} if `x` is not a float. */
export function erf(x: Tensor): Tensor {
  return apply(erfOp, [x]);
}

/** The largest integer that is not above `x`. Gradient: zero. @throws {DTypeError} if `x` is not a float. */
export function floor(x: Tensor): Tensor {
  return apply(floorOp, [x]);
}

/** The smallest integer that is not below `x`. Gradient: zero. @throws {DTypeError} if `x` is not a float. */
export function ceil(x: Tensor): Tensor {
  checkDomain("ceil", x, "float");
  return neg(floor(neg(x)));
}

/**
 * The nearest integer; halfway cases go to the even one: 0.5 gives 0, 1.5 gives 2. Gradient: zero.
 * @throws {DTypeError} if `x` is not a float.
 */
export function round(x: Tensor): Tensor {
  return apply(roundOp, [x]);
}

/**
 * `log(1 + x)`, accurate near 0; -infinity at -1, NaN below. Gradient: over `1 + x`.
 * @throws {DTypeError} if `x` is not a float.
 */
export function log1p(x: Tensor): Tensor {
  return apply(log1pOp, [x]);
}

/** `e^x - 1`, accurate near 0. Gradient: times `e^x`. @throws {DTypeError} if `x` is not a float. */
export function expm1(x: Tensor): Tensor {
  return apply(expm1Op, [x]);
}

/** Whether an element is NaN. Gradient: zero. @throws {DTypeError} if `x` is not a float. */
export function isNaN(x: Tensor): Tensor {
  checkDomain("look for NaN in", x, "float");
  return notEqual(x, x);
}

/** Whether an element is neither infinite nor NaN. Gradient: zero. @throws {DTypeError} if `x` is not a float. */
export function isFinite(x: Tensor): Tensor {
  checkDomain("look for infinities in", x, "float");
  return less(abs(x), Infinity);
}

/**
 * Limits `x` to an interval: `minimum(maximum(x, low), high)`, so `high` if the bounds are crossed, and NaN if an
 * operand is NaN. Use -Infinity or Infinity for no bound. Gradient: passes to `x` strictly between the bounds, to the
 * bound beyond it, half to each at it.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function clip(x: Tensor, low: TensorLike, high: TensorLike): Tensor {
  return minimum(maximum(x, low), high);
}

/** `x * x`. Gradient: `2 x`. @throws {DTypeError} for bool. */
export function square(x: Tensor): Tensor {
  return mul(x, x);
}

/** `1 / x`. Gradient: `-1 / x^2`. @throws {DTypeError} if `x` is not a float. */
export function reciprocal(x: Tensor): Tensor {
  checkDomain("take the reciprocal of", x, "float");
  return div(1, x);
}
