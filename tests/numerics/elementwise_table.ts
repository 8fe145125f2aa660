/**
 * What each elementwise op gives at the edges of f32, said a second time: by IEEE 754, and by NumPy and JAX where that
 * is silent. Functions are given the rounding of the device: to f32 after each operation, or none on the reference,
 * which keeps doubles.
 */
import type { Tensor } from "../../core/graph.ts";
import * as ops from "../../ops/mod.ts";
import { erfOf } from "../../ops/erf.ts";

/** Rounds the result of one operation. */
export type Round = (x: number) => number;

/** How far a device may be from the exact result: so many units in the last place, or an absolute error. */
export interface Allowance {
  readonly ulp: number;
  readonly absolute?: number;
}

/** An op of one tensor and what it gives. */
export interface UnaryRow extends Allowance {
  readonly name: string;
  readonly fn: (x: Tensor) => Tensor;
  readonly exact: (x: number, round: Round) => number;
}

/** An op of two tensors and what it gives. */
export interface BinaryRow extends Allowance {
  readonly name: string;
  readonly fn: (x: Tensor, y: Tensor) => Tensor;
  readonly exact: (x: number, y: number, round: Round) => number;
}

const sigmoid = (x: number) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
const geluTanh = (x: number, round: Round) =>
  round(0.5 * x) * (1 + Math.tanh(round(round(x * (1 + 0.044715 * round(x * x))) * Math.sqrt(2 / Math.PI))));

/** By way of the even number below: what is left is at most 1 from it exactly at a half. */
function roundToEven(x: number): number {
  const even = 2 * Math.floor(x / 2), rest = x - even;
  const nearest = rest <= 0.5 ? even : rest < 1.5 ? even + 1 : even + 2;
  return Number.isFinite(x) ? (nearest === 0 && (x < 0 || Object.is(x, -0)) ? -0 : nearest) : x;
}

const unary = (
  name: string,
  fn: UnaryRow["fn"],
  exact: UnaryRow["exact"],
  ulp: number,
  absolute?: number,
): UnaryRow => ({ name, fn, exact, ulp, absolute });

/** Every op of one float, and what is made of one by composites. */
export const UNARY: readonly UnaryRow[] = [
  unary("neg", ops.neg, (x) => -x, 0),
  unary("abs", ops.abs, Math.abs, 0),
  unary("sign", ops.sign, Math.sign, 0),
  unary("floor", ops.floor, Math.floor, 0),
  unary("ceil", ops.ceil, Math.ceil, 0),
  unary("round", ops.round, roundToEven, 0),
  unary("log1p", ops.log1p, Math.log1p, 5),
  unary("expm1", ops.expm1, Math.expm1, 130),
  unary("clip(x, -1, 2)", (x) => ops.clip(x, -1, 2), (x) => Math.min(Math.max(x, -1), 2), 0),
  unary("isNaN", ops.isNaN, (x) => Number(Number.isNaN(x)), 0),
  unary("isFinite", ops.isFinite, (x) => Number(Number.isFinite(x)), 0),
  unary("exp", ops.exp, Math.exp, 130),
  unary("log", ops.log, Math.log, 4, 1e-7),
  unary("sqrt", ops.sqrt, Math.sqrt, 3),
  unary("rsqrt", ops.rsqrt, (x) => 1 / Math.sqrt(x), 3),
  unary("sin", ops.sin, Math.sin, 3),
  unary("cos", ops.cos, Math.cos, 3),
  unary("tanh", ops.tanh, Math.tanh, 8),
  unary("sigmoid", ops.sigmoid, sigmoid, 130, 6e-39),
  unary("erf", ops.erf, erfOf, 16, 2e-7),
  unary("square", ops.square, (x) => x * x, 1),
  unary("reciprocal", ops.reciprocal, (x) => 1 / x, 3),
  unary("relu", ops.relu, (x) => x <= 0 ? 0 : x, 0),
  unary("silu", ops.silu, (x) => x * sigmoid(x), 140, 5e-37),
  unary("softplus", ops.softplus, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), 4, 3e-7),
  unary("gelu", ops.gelu, geluTanh, 8, 1e-6),
  unary(
    "gelu exact",
    (x) => ops.gelu(x, { approximate: "none" }),
    (x) => 0.5 * x * (1 + erfOf(x * Math.SQRT1_2)),
    8,
    1e-6,
  ),
  unary("pow(x, 3)", (x) => ops.pow(x, 3), (x, round) => round(round(x * x) * x), 2),
  unary("pow(x, -2)", (x) => ops.pow(x, -2), (x, round) => 1 / round(x * x), 3),
  unary("pow(x, 0)", (x) => ops.pow(x, 0), () => 1, 0),
  unary("pow(2, x)", (x) => ops.pow(2, x), (x) => 2 ** x, 400),
  unary("stopGradient", ops.stopGradient, (x) => x, 0),
];

const binary = (
  name: string,
  fn: BinaryRow["fn"],
  exact: BinaryRow["exact"],
  ulp: number,
  absolute?: number,
): BinaryRow => ({
  name,
  fn,
  exact,
  ulp,
  absolute,
});

/** IEEE 754-2008, 9.2.1; JavaScript's power is NaN for a base of 1 or -1 in places. */
function power(x: number, y: number): number {
  if (x === 1 || y === 0) return 1;
  if (x === -1 && (y === Infinity || y === -Infinity)) return 1;
  return Math.pow(x, y);
}

/** Arithmetic on two floats. */
export const BINARY: readonly BinaryRow[] = [
  binary("add", ops.add, (x, y) => x + y, 1),
  binary("sub", ops.sub, (x, y) => x - y, 1),
  binary("mul", ops.mul, (x, y) => x * y, 1),
  binary("div", ops.div, (x, y) => x / y, 3),
  binary("maximum", ops.maximum, (x, y) => Math.max(x, y), 0),
  binary("minimum", ops.minimum, (x, y) => Math.min(x, y), 0),
  binary("pow", ops.pow, power, 1200),
];

const compared = (name: string, fn: BinaryRow["fn"], holds: (x: number, y: number) => boolean) =>
  binary(name, fn, (x, y) => Number(holds(x, y)), 0);

/** Comparisons: bool, 1 where they hold. */
export const COMPARISONS: readonly BinaryRow[] = [
  compared("equal", ops.equal, (x, y) => x === y),
  compared("notEqual", ops.notEqual, (x, y) => x !== y),
  compared("less", ops.less, (x, y) => x < y),
  compared("lessEqual", ops.lessEqual, (x, y) => x <= y),
  compared("greater", ops.greater, (x, y) => x > y),
  compared("greaterEqual", ops.greaterEqual, (x, y) => x >= y),
];

const {
  abs,
  add,
  cast,
  div,
  equal,
  exp,
  greater,
  greaterEqual,
  less,
  lessEqual,
  log,
  logicalAnd,
  logicalNot,
  logicalOr,
  mul,
  neg,
  notEqual,
  sub,
  where,
} = ops;

/** Expressions that compilers like to simplify as if there were no NaN, infinity or rounding. */
export const PATTERNS: readonly BinaryRow[] = [
  binary("x * 0", (x) => mul(x, 0), (x) => x * 0, 0),
  binary("-0 * x", (x) => mul(-0, x), (x) => -0 * x, 0),
  binary("x - x", (x) => sub(x, x), (x) => x - x, 0),
  binary("x + -x", (x) => add(x, neg(x)), (x) => x + -x, 0),
  binary("-x + x", (x) => add(neg(x), x), (x) => -x + x, 0),
  binary("x / x", (x) => div(x, x), (x) => x / x, 1),
  binary("(x + y) - x", (x, y) => sub(add(x, y), x), (x, y, r) => r(x + y) - x, 1),
  binary("(x - y) + y", (x, y) => add(sub(x, y), y), (x, y, r) => r(x - y) + y, 1),
  binary("x - (x + y)", (x, y) => sub(x, add(x, y)), (x, y, r) => x - r(x + y), 1),
  binary("y + (x - y)", (x, y) => add(y, sub(x, y)), (x, y, r) => y + r(x - y), 1),
  binary("(x + 1) - 1", (x) => sub(add(x, 1), 1), (x, _y, r) => r(x + 1) - 1, 1),
  binary("x * (y > 1)", (x, y) => mul(x, cast(greater(y, 1), "f32")), (x, y) => x * Number(y > 1), 0),
  binary("(y > 1 ? y : 0) * x", (x, y) => mul(where(greater(y, 1), y, 0), x), (x, y) => (y > 1 ? y : 0) * x, 1),
  binary("x < y ? x : y", (x, y) => where(less(x, y), x, y), (x, y) => x < y ? x : y, 0),
  binary("x < y ? y : x", (x, y) => where(less(x, y), y, x), (x, y) => x < y ? y : x, 0),
  binary("x > y ? x : y", (x, y) => where(greater(x, y), x, y), (x, y) => x > y ? x : y, 0),
  binary("x >= y ? y : x", (x, y) => where(greaterEqual(x, y), y, x), (x, y) => x >= y ? y : x, 0),
  binary("x > 0 ? x : 0", (x) => where(greater(x, 0), x, 0), (x) => x > 0 ? x : 0, 0),
  binary("x > 0 ? x : -x", (x) => where(greater(x, 0), x, neg(x)), (x) => x > 0 ? x : -x, 0),
  binary("x == y ? x : y", (x, y) => where(equal(x, y), x, y), (x, y) => x === y ? x : y, 0),
  compared("x != x", (x) => notEqual(x, x), (x) => x !== x),
  compared("x == x", (x) => equal(x, x), (x) => x === x),
  compared("x >= x", (x) => greaterEqual(x, x), (x) => x >= x),
  compared("x < x", (x) => less(x, x), (x) => x < x),
  compared("!(x < y)", (x, y) => logicalNot(less(x, y)), (x, y) => !(x < y)),
  compared("!(x >= y)", (x, y) => logicalNot(greaterEqual(x, y)), (x, y) => !(x >= y)),
  compared("x < y && x < 1", (x, y) => logicalAnd(less(x, y), less(x, 1)), (x, y) => x < y && x < 1),
  compared("x < y || x > y", (x, y) => logicalOr(less(x, y), greater(x, y)), (x, y) => x < y || x > y),
  compared("x <= y && x >= y", (x, y) => logicalAnd(lessEqual(x, y), greaterEqual(x, y)), (x, y) => x <= y && x >= y),
  binary("exp(log x)", (x) => exp(log(x)), (x, _y, r) => Math.exp(r(Math.log(x))), 400),
  binary("log(exp x)", (x) => log(exp(x)), (x, _y, r) => Math.log(r(Math.exp(x))), 140, 1e-5),
  binary(
    "f32(i32(x))",
    (x) => cast(cast(x, "i32"), "f32"),
    (x) => Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), -2147483648), 2147483647) + 0,
    1,
  ),
  binary("max(x, -x)", (x) => ops.maximum(x, neg(x)), (x) => Math.abs(x), 0),
  binary("|x| * -0", (x) => mul(abs(x), -0), (x) => Math.abs(x) * -0, 0),
  binary("max(min(x, 1), -1)", (x) => ops.maximum(ops.minimum(x, 1), -1), (x) => Math.max(Math.min(x, 1), -1), 0),
];
