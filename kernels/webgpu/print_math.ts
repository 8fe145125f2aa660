/** Scalar arithmetic in WGSL: types, literals, operators and the helper functions that make them safe. */
import type { DType } from "../../core/dtype.ts";
import { isFloat } from "../../core/dtype.ts";
import type { BinaryOp, UnaryOp } from "../../core/expr.ts";
import { invariant } from "../../core/errors.ts";

/** The WGSL type of `width` values. */
export function typeName(dtype: DType, width: 1 | 4): string {
  return width === 1 ? dtype : `vec4<${dtype}>`;
}

/** A literal that reads back as exactly `value`; undefined where WGSL has none (NaN and infinities). */
export function literal(value: number, dtype: DType): string | undefined {
  switch (dtype) {
    case "bool":
      return value ? "true" : "false";
    case "u32":
      return `${value >>> 0}u`;
    case "i32":
      // The most negative number has no literal: the minus sign is an operator.
      return (value | 0) === -2147483648 ? "(-2147483647i - 1i)" : `${value | 0}i`;
    case "f16":
      return Number.isFinite(value) && Math.abs(value) <= 65504 ? floatLiteral(value, "h") : undefined;
    case "f32":
      return Number.isFinite(Math.fround(value)) ? floatLiteral(Math.fround(value), "f") : undefined;
  }
}

function floatLiteral(value: number, suffix: string): string {
  if (Object.is(value, -0)) return `-0.0${suffix}`;
  let text = `${value}`;
  for (let digits = 1; digits <= 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) {
      text = `${shorter}`;
      break;
    }
  }
  return /[.e]/.test(text) ? `${text}${suffix}` : `${text}.0${suffix}`;
}

/** Functions that WGSL lacks, or whose built-in form is inaccurate or unsafe somewhere. */
export type HelperName =
  | "cos_f32"
  | "erf_f32"
  | "log_f32"
  | "mod_f32"
  | "mod_i32"
  | "pow_f32"
  | "pow_i32"
  | "pow_u32"
  | "sigmoid_f32"
  | "sin_f32"
  | "tanh_f32";

/**
 * Source of a helper. `T` is the value type, `B` the bool type of the same width; every helper is componentwise, so one text serves both widths.
 *
 * - tanh: the built-in gives NaN for large x on some implementations and loses all relative accuracy near 0.
 * - log: the built-in promises only an absolute error near 1; there 2 artanh((x - 1) / (x + 1)) is used. At 0 some implementations give a finite number.
 * - sin, cos: the built-ins promise an absolute error of 2^-11 on [-pi, pi], which SwiftShader makes use of. Here it is 1.5e-7 for |x| < 8192: the rest of a
 *   division by pi / 2, which is subtracted in three parts, and one of two polynomials (Cephes).
 * - erf: Maclaurin series up to |x| = 1, then 1 - exp(-x^2) p(1 / (1 + x / 2)) with a least-squares p; absolute error below 1.5e-7.
 * - pow: JAX's results for negative bases (integers only, else NaN) and for 0^0 = 1.
 */
export function helperSource(helper: HelperName, name: string, width: 1 | 4): string {
  const dtype = helper.slice(helper.indexOf("_") + 1) as DType;
  const lines = BODIES[helper];
  const binary = helper.startsWith("mod") || helper.startsWith("pow");
  const head = binary ? `fn ${name}(x: T, y: T) -> T {` : `fn ${name}(x: T) -> T {`;
  const text = [head, ...lines.map((line) => `  ${line}`), "}"].join("\n");
  return text.replace(/\bT\b/g, typeName(dtype, width)).replace(/\bB\b/g, typeName("bool", width)).replace(/\bU\b/g, typeName("u32", width));
}

const INTEGER_POWER = [
  "var result = select(T(1), T(0), y < T(0));",
  "var base = x;",
  "var rest = y;",
  "for (var bit = 0u; bit < 32u; bit++) {",
  "  result = select(result, result * base, (rest & T(1)) == T(1));",
  "  base = base * base;",
  "  rest = rest >> U(1u);",
  "}",
  "return result;",
];

/** Least-squares fit of erfc(a) exp(a^2) by powers of u = 1 / (1 + a / 2) on 1 <= a <= 6; error below 5e-9 in erfc. */
const ERFC_SCALED = [0.0012421909486874938, 0.26505759358406067, 0.37723788619041443, -0.029078807681798935, 0.6049584150314331, -0.21951240301132202];

/** Least-squares fit of tanh(x) / x by powers of s = x^2 on 0 <= s <= 1 / 4; error below 3e-8. */
const TANH_RATIO = [1, -0.3333307206630707, 0.13324828445911407, -0.05298924073576927, 0.017141319811344147];

const BODIES: Record<HelperName, readonly string[]> = {
  cos_f32: sine(1),
  erf_f32: [
    "let a = min(abs(x), T(6.0));",
    "let s = min(a, T(1.0)) * min(a, T(1.0));",
    `let near = x * (${maclaurin(10)});`,
    "let u = 1.0 / (1.0 + 0.5 * a);",
    `let far = sign(x) * (1.0 - exp(-a * a) * (${horner(ERFC_SCALED, "u")}));`,
    "return select(far, near, a < T(1.0));",
  ],
  log_f32: [
    "let s = (x - 1.0) / (x + 1.0);",
    "let q = s * s;",
    "let near = 2.0 * s * (1.0 + q * (0.33333333 + q * (0.2 + q * (0.14285715 + q * 0.11111111))));",
    "return select(select(log(x), -1.0 / abs(x), x == T(0.0)), near, abs(x - 1.0) < T(0.25));",
  ],
  mod_f32: ["let r = x % y;", "return select(r, r + y, (r != T(0.0)) & ((r < T(0.0)) != (y < T(0.0))));"],
  // Not by the remainder operator: with Mesa's llvmpipe (LLVM 15) -1 % -7 is 6.
  mod_i32: [
    "let d = select(y, T(1), (y == T(0)) | (y == T(-1)));",
    "let r = x - x / d * d;",
    "return select(r, r + d, (r != T(0)) & ((r < T(0)) != (d < T(0))));",
  ],
  pow_f32: [
    "let power = select(pow(abs(x), y), 1.0 / abs(x), (x == T(0.0)) & (y < T(0.0)));",
    "let whole = floor(y) == y;",
    "let odd = whole & (floor(y * 0.5) * 2.0 != y);",
    "let negative = select(power, -power, odd);",
    "let undefined_power = sqrt(x);",
    "let nonzero = select(power, select(undefined_power, negative, whole), x < T(0.0));",
    "return select(nonzero, T(1.0), y == T(0.0));",
  ],
  pow_i32: INTEGER_POWER,
  pow_u32: INTEGER_POWER,
  sigmoid_f32: ["return 1.0 / (1.0 + exp(-max(x, T(-88.0))));"],
  sin_f32: sine(0),
  tanh_f32: [
    "let s = min(x * x, T(0.25));",
    `let near = x * (${horner(TANH_RATIO, "s")});`,
    "let far = tanh(clamp(x, T(-15.0), T(15.0)));",
    "return select(far, near, abs(x) < T(0.5));",
  ],
};

/** Body of the sine of x plus a number of quarter turns. */
function sine(quarters: 0 | 1): string[] {
  return [
    "let turns = round(x * 0.63661975);",
    "let r = ((x - turns * 1.5703125) - turns * 0.00048375130) - turns * 7.5497894e-8;",
    "let s = r * r;",
    "let sine = r + r * s * (-0.16666655 + s * (0.0083321608 + s * -0.00019515296));",
    "let cosine = 1.0 + s * (-0.5 + s * (0.041666646 + s * (-0.0013887316 + s * 2.4433157e-5)));",
    `let quarter = turns${quarters ? " + 1.0" : ""};`,
    "let half = floor(quarter * 0.5);",
    "let value = select(sine, cosine, half * 2.0 != quarter);",
    "return select(value, -value, floor(half * 0.5) * 2.0 != half);",
  ];
}

/** Text of sum over n of 2 / sqrt(pi) (-1)^n s^n / (n! (2 n + 1)), by Horner's rule: erf(x) / x with s = x^2. */
function maclaurin(terms: number): string {
  let factorial = 1;
  const coefficients = Array.from({ length: terms }, (_, n) => {
    factorial *= Math.max(n, 1);
    return (2 / Math.sqrt(Math.PI)) * (n % 2 ? -1 : 1) / (factorial * (2 * n + 1));
  });
  return horner(coefficients, "s");
}

function horner(coefficients: readonly number[], variable: string): string {
  return coefficients.map((value) => floatLiteral(Math.fround(value), "")).reduceRight((sum, value) => `${value} + ${variable} * (${sum})`);
}

/** Text and type of an operand of arithmetic; both operands have one dtype and width. */
export interface Argument {
  readonly text: string;
  readonly dtype: DType;
  readonly width: 1 | 4;
}

/** Names a helper function, declaring it. */
export type UseHelper = (helper: HelperName, width: 1 | 4) => string;

/** One-operand arithmetic. */
export function unaryText(op: UnaryOp, x: Argument, helper: UseHelper): string {
  const type = typeName(x.dtype, x.width);
  switch (op) {
    case "neg":
      return x.dtype === "u32" ? `(${type}(0u) - ${x.text})` : `(-${x.text})`;
    case "abs":
      return x.dtype === "u32" ? x.text : `abs(${x.text})`;
    case "sign":
      return x.dtype === "u32" ? `min(${x.text}, ${type}(1u))` : `sign(${x.text})`;
    case "not":
      return x.dtype === "bool" ? `(!${x.text})` : `(~${x.text})`;
    case "rsqrt":
      return `inverseSqrt(${x.text})`;
    case "tanh":
    case "sigmoid":
    case "erf":
    case "log":
    case "sin":
    case "cos":
      return viaF32(x, (text) => `${helper(`${op}_f32`, x.width)}(${text})`);
    case "floor":
      return isFloat(x.dtype) ? `floor(${x.text})` : x.text;
    default:
      return `${op}(${x.text})`;
  }
}

function viaF32(x: Argument, call: (text: string) => string): string {
  return x.dtype === "f32" ? call(x.text) : `${typeName(x.dtype, x.width)}(${call(`${typeName("f32", x.width)}(${x.text})`)})`;
}

const INFIX: Partial<Record<BinaryOp, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  eq: "==",
  ne: "!=",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
  and: "&",
  or: "|",
  xor: "^",
};

/** Two-operand arithmetic. Integer division truncates, as WGSL's; a zero divisor gives the dividend. */
export function binaryText(op: BinaryOp, lhs: Argument, rhs: Argument, helper: UseHelper): string {
  invariant(lhs.width === rhs.width && lhs.dtype === rhs.dtype, `operands of ${op} differ in type`);
  if (lhs.dtype === "bool") return boolText(op, lhs, rhs);
  const { width, dtype } = lhs;
  switch (op) {
    case "max":
    case "min":
      return `${op}(${lhs.text}, ${rhs.text})`;
    case "pow":
    case "mod": {
      if (dtype === "u32" && op === "mod") return `(${lhs.text} % ${rhs.text})`;
      const name = helper(`${op}_${isFloat(dtype) ? "f32" : dtype}` as HelperName, width);
      if (dtype !== "f16") return `${name}(${lhs.text}, ${rhs.text})`;
      const f32 = typeName("f32", width);
      return `${typeName("f16", width)}(${name}(${f32}(${lhs.text}), ${f32}(${rhs.text})))`;
    }
    case "shiftLeft":
    case "shiftRight": {
      const amount = `(${rhs.text} & ${typeName("u32", width)}(31u))`;
      return `(${lhs.text} ${op === "shiftLeft" ? "<<" : ">>"} ${amount})`;
    }
    default:
      return `(${lhs.text} ${INFIX[op]} ${rhs.text})`;
  }
}

/** Arithmetic on truth values: addition and maximum are or, multiplication and minimum are and; orders compare 0 and 1. */
function boolText(op: BinaryOp, lhs: Argument, rhs: Argument): string {
  const words: Partial<Record<BinaryOp, string>> = { and: "&", mul: "&", min: "&", or: "|", add: "|", max: "|", xor: "!=", ne: "!=", eq: "==" };
  const word = words[op];
  if (word) return `(${lhs.text} ${word} ${rhs.text})`;
  const type = typeName("u32", lhs.width);
  invariant(op === "lt" || op === "le" || op === "gt" || op === "ge", `${op} of bool`);
  return `(${type}(${lhs.text}) ${INFIX[op]} ${type}(${rhs.text}))`;
}
