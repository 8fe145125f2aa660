/** Scalar arithmetic in WGSL: operators, and the helper functions that make them safe. */
import { isFloat } from "../../../core/dtype.ts";
import type { BinaryOp, Expr, UnaryOp } from "../../../core/expr.ts";
import { invariant } from "../../../core/errors.ts";
import type { HelperName } from "./helpers.ts";
import { type RegisterType, typeName } from "./print_literal.ts";

/** Text and type of an operand of arithmetic; both operands have one dtype and width. */
export interface Argument {
  readonly text: string;
  readonly dtype: RegisterType;
  readonly width: 1 | 4;
}
/** The magnitude bits of f32 values; only those of NaN exceed {@link INFINITY_BITS}. */
export function magnitudeText(x: Argument): string {
  const u32 = typeName("u32", x.width);
  return `(bitcast<${u32}>(${x.text}) & ${u32}(0x7fffffffu))`;
}

/** The bits of infinity as a WGSL literal. */
export const INFINITY_BITS = "0x7f800000u";

/** The name of a helper function, which is declared on first use. */
export type UseHelper = (helper: HelperName, width: 1 | 4) => string;

/** Whether a power with a given exponent is printed as a product. */
export function isProduct(exponent: Expr): boolean {
  return exponent.kind === "const" && (exponent.value === 2 || exponent.value === 3);
}

/** Unary operators. */
export function unaryText(op: UnaryOp, x: Argument, helper: UseHelper): string {
  const type = typeName(x.dtype, x.width);
  switch (op) {
    case "neg":
      return x.dtype === "u32" ? `(${type}(0u) - ${x.text})` : `(-${x.text})`;
    case "abs":
      return x.dtype === "u32" ? x.text : `abs(${x.text})`;
    case "sign":
      if (x.dtype === "u32") return `min(${x.text}, ${type}(1u))`;
      return `${x.dtype === "i32" ? "sign" : helper("sign_f32", x.width)}(${x.text})`;
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
      return `${helper(`${op}_f32`, x.width)}(${x.text})`;
    case "floor":
    case "round":
      return isFloat(x.dtype) ? `${op}(${x.text})` : x.text;
    default:
      return `${op}(${x.text})`;
  }
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

/** Binary operators. Integer division truncates, as in WGSL; dividing by zero returns the dividend. */
export function binaryText(op: BinaryOp, lhs: Argument, rhs: Argument, helper: UseHelper): string {
  invariant(lhs.width === rhs.width && lhs.dtype === rhs.dtype, `operands of ${op} differ in type`);
  if (lhs.dtype === "bool") return boolText(op, lhs, rhs);
  const { width, dtype } = lhs;
  const infix = `(${lhs.text} ${INFIX[op]} ${rhs.text})`;
  switch (op) {
    case "max":
    case "min":
      return isFloat(dtype) ? helped(op, lhs, rhs, helper) : `${op}(${lhs.text}, ${rhs.text})`;
    case "pow":
      return helped(op, lhs, rhs, helper);
    case "mod":
      return dtype === "u32" ? `(${lhs.text} % ${rhs.text})` : helped(op, lhs, rhs, helper);
    case "shiftLeft":
    case "shiftRight": {
      const amount = `(${rhs.text} & ${typeName("u32", width)}(31u))`;
      return `(${lhs.text} ${op === "shiftLeft" ? "<<" : ">>"} ${amount})`;
    }
    case "div":
      // Most divisors are constants, of which only 0 and -1 need special care.
      if ((dtype === "i32" || dtype === "u32") && !/^[1-9]\d*[iu]$|^vec4<[iu]32>\([1-9]\d*[iu]\)$/.test(rhs.text)) {
        return `${helper(`div_${dtype}`, width)}(${lhs.text}, ${rhs.text})`;
      }
      return infix;
    case "ne":
      // Some WGSL compilers treat `!=` as "both are numbers and differ".
      return isFloat(dtype) ? `(!(${lhs.text} == ${rhs.text}))` : infix;
    default:
      return infix;
  }
}

/** A call of an op's helper function. */
function helped(op: "max" | "min" | "pow" | "mod", lhs: Argument, rhs: Argument, helper: UseHelper): string {
  const { width, dtype } = lhs, name = helper(`${op}_${isFloat(dtype) ? "f32" : dtype}` as HelperName, width);
  return `${name}(${lhs.text}, ${rhs.text})`;
}

/**
 * Operators on truth values: addition and maximum are or, multiplication and minimum are and; comparisons order 0
 * before 1.
 */
function boolText(op: BinaryOp, lhs: Argument, rhs: Argument): string {
  const words: Partial<Record<BinaryOp, string>> = {
    and: "&",
    mul: "&",
    min: "&",
    or: "|",
    add: "|",
    max: "|",
    xor: "!=",
    ne: "!=",
    eq: "==",
  };
  const word = words[op];
  if (word) return `(${lhs.text} ${word} ${rhs.text})`;
  const type = typeName("u32", lhs.width);
  invariant(op === "lt" || op === "le" || op === "gt" || op === "ge", `${op} of bool`);
  return `(${type}(${lhs.text}) ${INFIX[op]} ${type}(${rhs.text}))`;
}
