/** Arithmetic on two tensors. Shapes: operands broadcast by NumPy's rule; a number takes the other operand's dtype. */
import { type DType, isFloat, roundTo } from "../core/dtype.ts";
import type { BinaryOp } from "../core/expr.ts";
import { apply, isTensor, type Tensor } from "../core/graph.ts";
import { addOp, splatValue } from "../core/linear.ts";
import type { Attrs, MapOp, Vjp, VjpCall } from "../core/op.ts";
import { type CompareAttrs, compareExactly, equal, equalOp, greaterOp, lessOp, logicalAnd } from "./compare.ts";
import { checkDomain, checkSameDType, checkSameShape, type Domain, pullback } from "./define.ts";
import { pair, type TensorLike } from "./operands.ts";
import { where } from "./select.ts";
import { floor, log, neg, reciprocal, rsqrt, sqrt } from "./unary.ts";
import { onesLike } from "./sources.ts";

type Partial = (g: Tensor, x: Tensor, y: Tensor, out: Tensor) => Tensor;

/** A vjp from the two partial derivatives, each built only if it is needed. */
function partials(left: Partial, right: Partial): Vjp<Attrs> {
  return pullback((g: Tensor, { inputs: [x, y], outputs: [out], needs }: VjpCall<Attrs>) => [
    needs[0] ? left(g, x, y, out) : undefined,
    needs[1] ? right(g, x, y, out) : undefined,
  ]);
}

interface Definition {
  readonly domain: Domain;
  readonly scalar: (x: number, y: number, dtype: DType) => number;
  /** As `scalar` for all elements of floats, for an op in which the interpreter spends much of its time. */
  readonly floats?: (x: Float64Array, y: Float64Array) => Float64Array;
  readonly vjp: Vjp<Attrs>;
  readonly lower: BinaryOp;
  readonly rewrite?: (x: Tensor, y: Tensor) => Tensor | undefined;
}

function define(name: string, { domain, scalar, floats, vjp, lower, rewrite }: Definition): MapOp<Attrs> {
  return {
    name,
    kind: "map",
    infer: ([x, y]) => {
      checkSameDType(name, x, y);
      checkDomain(name, x, domain);
      checkSameShape(name, x, y);
      return [{ shape: x.shape, dtype: x.dtype }];
    },
    reference: ([x, y], _attrs, [{ dtype }]) => {
      if (floats && isFloat(dtype)) return [floats(x.data, y.data)];
      const lhs = x.data, rhs = y.data, out = new Float64Array(lhs.length);
      for (let i = 0; i < out.length; i++) out[i] = scalar(lhs[i], rhs[i], dtype);
      return [isFloat(dtype) ? out : out.map((value) => roundTo(dtype, value))];
    },
    lower: (e, [x, y]) => e.binary(lower, x, y),
    vjp,
    ...(rewrite && { rewrite: ([x, y]: readonly Tensor[]) => rewrite(x, y) }),
  };
}

export const subOp: MapOp<Attrs> = define("sub", {
  domain: "number",
  scalar: (x, y) => x - y,
  lower: "sub",
  vjp: partials((g) => g, (g) => neg(g)),
  rewrite: (x, y) => (splatValue(y) === 0 ? x : undefined),
});

export const mulOp: MapOp<Attrs> = define("mul", {
  domain: "number",
  // A product of two 32-bit integers does not fit a double's mantissa; imul keeps its low 32 bits exactly.
  scalar: (x, y, dtype) => (isFloat(dtype) ? x * y : Math.imul(x, y)),
  floats: (x, y) => {
    const out = new Float64Array(x.length);
    for (let i = 0; i < out.length; i++) out[i] = x[i] * y[i];
    return out;
  },
  lower: "mul",
  vjp: partials((g, _x, y) => mul(g, y), (g, x) => mul(g, x)),
  // Not x * 0 = 0: it would hide NaN and infinity.
  rewrite: (x, y) => (splatValue(y) === 1 ? x : splatValue(x) === 1 ? y : undefined),
});

export const divOp: MapOp<Attrs> = define("div", {
  domain: "number",
  scalar: (x, y, dtype) => (isFloat(dtype) ? x / y : y === 0 ? x : Math.trunc(x / y)),
  lower: "div",
  vjp: partials((g, _x, y) => div(g, y), (g, _x, y, out) => neg(div(mul(g, out), y))),
  rewrite: (x, y) => (splatValue(y) === 1 ? x : undefined),
});

/**
 * The vjp of maximum and minimum, where `wins` tells whether the left operand is selected: the selected operand gets
 * the gradient, and each gets half where they tie. Comparisons that both sides need are exact: two kernels that
 * disagree would pass on the gradient twice or not at all.
 */
function partialsOfBetter(wins: MapOp<CompareAttrs>): Vjp<Attrs> {
  return pullback((g, { inputs: [x, y], needs }) => {
    const compare = (op: MapOp<CompareAttrs>, lhs: Tensor, rhs: Tensor): Tensor =>
      needs[0] && needs[1] ? compareExactly(op, lhs, rhs) : apply(op, [lhs, rhs]);
    const share = (lhs: Tensor, rhs: Tensor): Tensor =>
      where(compare(wins, lhs, rhs), g, where(compare(equalOp, x, y), mul(g, 0.5), 0));
    return [needs[0] ? share(x, y) : undefined, needs[1] ? share(y, x) : undefined];
  });
}

export const maximumOp: MapOp<Attrs> = define("maximum", {
  domain: "number",
  scalar: (x, y) => Math.max(x, y),
  lower: "max",
  vjp: partialsOfBetter(greaterOp),
  rewrite: (x, y) => (x === y ? x : undefined),
});

export const minimumOp: MapOp<Attrs> = define("minimum", {
  domain: "number",
  scalar: (x, y) => Math.min(x, y),
  lower: "min",
  vjp: partialsOfBetter(lessOp),
  rewrite: (x, y) => (x === y ? x : undefined),
});

/**
 * `y x^(y-1)`, and 0 for `0^0`, where the formula is 0 times infinity. The base is replaced by 1 there, so that no NaN
 * arises.
 */
function powByBase(g: Tensor, x: Tensor, y: Tensor): Tensor {
  const constant = logicalAnd(equal(x, 0), equal(y, 0));
  return mul(g, where(constant, 0, mul(y, pow(where(constant, 1, x), sub(y, 1)))));
}

/** `x^y log x`, and 0 at base 0: the limit for every positive exponent. */
function powByExponent(g: Tensor, x: Tensor, _y: Tensor, out: Tensor): Tensor {
  const atZero = equal(x, 0);
  return mul(g, where(atZero, 0, mul(out, log(where(atZero, 1, x)))));
}

/** The power of IEEE 754. JavaScript's differs: 1 to the power NaN or infinity, and (-1)^infinity, are NaN there. */
function power(x: number, y: number): number {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  return Math.pow(x, y);
}

export const powOp: MapOp<Attrs> = define("pow", {
  domain: "float",
  scalar: power,
  lower: "pow",
  vjp: partials(powByBase, powByExponent),
  rewrite: (x, y) => (splatValue(y) === 1 ? x : undefined),
});

/** The remainder with the divisor's sign, as in Python and NumPy; JavaScript's has the dividend's. */
function modulo(x: number, y: number, dtype: DType): number {
  if (!isFloat(dtype)) return y === 0 ? 0 : ((x % y) + y) % y + 0;
  const rest = x % y;
  if (rest === 0) return y < 0 ? -0 : 0;
  return (rest < 0) === (y < 0) ? rest : rest + y;
}

export const modOp: MapOp<Attrs> = define("mod", {
  domain: "number",
  scalar: modulo,
  lower: "mod",
  vjp: partials((g) => g, (g, x, y) => neg(mul(g, floor(div(x, y))))),
});

/**
 * `lhs + rhs`. Gradient: passes to both.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function add(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(addOp, pair("add", lhs, rhs));
}

/**
 * `lhs - rhs`. Gradient: passes to the left, negated to the right.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function sub(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(subOp, pair("sub", lhs, rhs));
}

/**
 * `lhs * rhs`. Gradient: times the other operand.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function mul(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(mulOp, pair("mul", lhs, rhs));
}

/**
 * `lhs / rhs`. Integers truncate towards zero; an integer over 0 gives `lhs`, as in WGSL.
 * Gradient: `1 / rhs` and `-lhs / rhs^2`.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function div(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(divOp, pair("div", lhs, rhs));
}

/**
 * The remainder of `lhs / rhs` with the sign of `rhs`, as `np.mod`: `lhs - rhs floor(lhs / rhs)`. By 0 it is NaN, for
 * integers 0. Floats are off by at most 2^-22 of the larger operand, so remainders are meaningful for quotients up to
 * about 4,000,000; next to a multiple of `rhs` it may be on the other side. Gradient: passes to `lhs`; `-floor(lhs /
 * rhs)` to `rhs`.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function mod(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(modOp, pair("mod", lhs, rhs));
}

/**
 * The larger of two; NaN if one is. Gradient: to the larger; half to each where they tie.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function maximum(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(maximumOp, pair("maximum", lhs, rhs));
}

/**
 * The smaller of two; NaN if one is. Gradient: to the smaller; half to each where they tie.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are bool.
 */
export function minimum(lhs: TensorLike, rhs: TensorLike): Tensor {
  return apply(minimumOp, pair("minimum", lhs, rhs));
}

/** Exponents up to this size are expanded into products, at most ten. */
const MAX_UNROLLED_EXPONENT = 32;

/**
 * `base ^ exponent`, with the edge cases of IEEE 754 and NumPy: a negative base with a non-integer exponent gives NaN;
 * anything to the power 0 is 1, and so is 1 to any power, even NaN. Small integer exponents are expanded into products;
 * 0.5 and -0.5 become `sqrt` and `rsqrt`, with their edge cases. Gradient: `exponent base^(exponent-1)`, 0 at `0^0`;
 * with respect to the exponent `log(base)` times the result, 0 at base 0, NaN below.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are not floats (integers accept non-negative integer numbers as
 * exponents).
 */
export function pow(base: TensorLike, exponent: TensorLike): Tensor {
  if (isTensor(base) && typeof exponent === "number") {
    const size = Math.abs(exponent);
    if (Number.isInteger(exponent) && size <= MAX_UNROLLED_EXPONENT && (exponent >= 0 || isFloat(base.dtype))) {
      checkDomain("pow", base, "number");
      const power = size === 0 ? onesLike(base) : powerOf(base, size);
      return exponent < 0 ? reciprocal(power) : power;
    }
    if (exponent === 0.5) return sqrt(base);
    if (exponent === -0.5) return rsqrt(base);
  }
  return apply(powOp, pair("pow", base, exponent));
}

function powerOf(x: Tensor, exponent: number): Tensor {
  if (exponent === 1) return x;
  const root = powerOf(x, exponent >> 1);
  const even = mul(root, root);
  return exponent % 2 === 0 ? even : mul(even, x);
}
