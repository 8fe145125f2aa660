/**
 * The scalar language as JavaScript text, on doubles: bool is 0 or 1, integers are exact and wrap at 32 bits, floats
 * are not rounded.
 *
 * What is said here is what {@link UnaryOp} and {@link BinaryOp} promise and what the ops' references compute, not what
 * a printer happens to emit: the evaluators of expressions, schedules and plans use it, so that they can hold printers
 * and devices to it.
 */
import { type DType, isFloat } from "../../core/dtype.ts";
import type { BinaryOp, UnaryOp } from "../../core/expr.ts";
import { erfOf } from "../../ops/erf.ts";

/** What the texts call by name. */
export const HELPERS = {
  erf: erfOf,
  rsqrt: (x: number) => 1 / Math.sqrt(x),
  sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
  /** Towards zero; over 0 the dividend. */
  divide: (x: number, y: number) => y === 0 ? x : Math.trunc(x / y),
  /** The sign of the divisor. */
  modulo: (x: number, y: number) => {
    const rest = x % y;
    return rest === 0 ? (y < 0 ? -0 : 0) : (rest < 0) === (y < 0) ? rest : rest + y;
  },
  roundEven: (x: number) => {
    const down = Math.floor(x), up = Math.ceil(x);
    if (down === up) return x;
    return x - down === up - x ? 2 * Math.round(x / 2) : x - down < up - x ? down : up;
  },
  /** IEEE's, where JavaScript's is NaN: 1 to any power, and (-1)^infinity, are 1. */
  power: (x: number, y: number) => (x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : Math.pow(x, y)),
  /** Towards zero; what does not fit gives the end of the integers, NaN gives 0. */
  toI32: (x: number) => (x >= 2147483647 ? 2147483647 : x <= -2147483648 ? -2147483648 : x | 0),
  toU32: (x: number) => (x >= 4294967295 ? 4294967295 : x <= 0 ? 0 : x >>> 0),
  max: Math.max,
  min: Math.min,
  imul: Math.imul,
  floorDivide: (x: number, by: number) => Math.floor(x / by),
  floorModulo: (x: number, by: number) => x - by * Math.floor(x / by),
};

/** The names of {@link HELPERS}, as a pattern that takes them out of an object. */
export const HELPER_PATTERN = `{ ${Object.keys(HELPERS).join(", ")} }`;

const UNARY: Readonly<Record<UnaryOp, (x: string, dtype: DType) => string>> = {
  neg: (x) => `(-${x})`,
  abs: (x) => `Math.abs(${x})`,
  sign: (x) => `Math.sign(${x})`,
  exp: (x) => `Math.exp(${x})`,
  log: (x) => `Math.log(${x})`,
  sqrt: (x) => `Math.sqrt(${x})`,
  rsqrt: (x) => `rsqrt(${x})`,
  sin: (x) => `Math.sin(${x})`,
  cos: (x) => `Math.cos(${x})`,
  tanh: (x) => `Math.tanh(${x})`,
  sigmoid: (x) => `sigmoid(${x})`,
  erf: (x) => `erf(${x})`,
  floor: (x) => `Math.floor(${x})`,
  round: (x) => `roundEven(${x})`,
  not: (x, dtype) => (dtype === "bool" ? `(1 - ${x})` : `(~${x})`),
};

const BINARY: Readonly<Record<BinaryOp, (x: string, y: string, dtype: DType) => string>> = {
  add: (x, y) => `(${x} + ${y})`,
  sub: (x, y) => `(${x} - ${y})`,
  mul: (x, y, dtype) => (isFloat(dtype) ? `(${x} * ${y})` : `imul(${x}, ${y})`),
  div: (x, y, dtype) => (isFloat(dtype) ? `(${x} / ${y})` : `divide(${x}, ${y})`),
  max: (x, y) => `max(${x}, ${y})`,
  min: (x, y) => `min(${x}, ${y})`,
  pow: (x, y) => `power(${x}, ${y})`,
  mod: (x, y) => `modulo(${x}, ${y})`,
  eq: (x, y) => `(${x} === ${y} ? 1 : 0)`,
  ne: (x, y) => `(${x} !== ${y} ? 1 : 0)`,
  lt: (x, y) => `(${x} < ${y} ? 1 : 0)`,
  le: (x, y) => `(${x} <= ${y} ? 1 : 0)`,
  gt: (x, y) => `(${x} > ${y} ? 1 : 0)`,
  ge: (x, y) => `(${x} >= ${y} ? 1 : 0)`,
  and: (x, y) => `(${x} & ${y})`,
  or: (x, y) => `(${x} | ${y})`,
  xor: (x, y) => `(${x} ^ ${y})`,
  shiftLeft: (x, y) => `(${x} << ${y})`,
  shiftRight: (x, y) => `(${x} >>> ${y})`,
};

/** A value brought back into the range of an integer dtype. */
export function wrapCode(x: string, dtype: DType): string {
  return dtype === "i32" ? `(${x} | 0)` : dtype === "u32" ? `(${x} >>> 0)` : x;
}

/** One-operand arithmetic on a text. */
export function unaryCode(op: UnaryOp, x: string, dtype: DType): string {
  return wrapCode(UNARY[op](x, dtype), dtype);
}

/** Two-operand arithmetic on texts; `operands` is the dtype of both, `dtype` that of the result. */
export function binaryCode(
  op: BinaryOp,
  x: string,
  y: string,
  { operands, dtype }: { readonly operands: DType; readonly dtype: DType },
): string {
  return wrapCode(BINARY[op](x, y, operands), dtype);
}

/**
 * A conversion: anything to bool is `x != 0`, so NaN is true; floats to integers truncate and stay within them,
 * integers keep their bits.
 */
export function castCode(x: string, from: DType, to: DType): string {
  if (to === "bool") return `(${x} !== 0 ? 1 : 0)`;
  if (isFloat(from) && !isFloat(to)) return `${to === "i32" ? "toI32" : "toU32"}(${x})`;
  return wrapCode(x, to);
}

/** A literal. */
export function constantCode(value: number): string {
  return Object.is(value, -0) ? "(-0)" : value < 0 ? `(${value})` : `${value}`;
}

const functions = new Map<string, (x: number, y: number) => number>();

/** A text of one or two operands, `x` and `y`, as a function. */
export function scalarFunction(text: string): (x: number, y: number) => number {
  const known = functions.get(text);
  if (known) return known;
  const made = new Function("helpers", `"use strict";\nconst ${HELPER_PATTERN} = helpers;\nreturn (x, y) => ${text};`)(
    HELPERS,
  );
  functions.set(text, made);
  return made;
}
