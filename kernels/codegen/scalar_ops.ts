/** The operators of the expression language, on scalars and vectors. */
import type { BinaryOp, UnaryOp } from "../../core/expr.ts";
import { invariant } from "../../core/errors.ts";
import { align, bits, choose, compare, f, i, joinLanes, laneNumbers, laneOf, shift } from "./lanes.ts";
import { erf, exp, integerPower, log, pow, sigmoid, sine, tanh } from "./math.ts";
import type { Value, Writer } from "./writer.ts";

/** Unary operators. */
export function unary(w: Writer, op: UnaryOp, x: Value): Value {
  const zero = w.literal(0, x.dtype);
  const isFloat = x.dtype === "f32";
  switch (op) {
    case "neg":
      return isFloat ? f(w, "neg", x) : i(w, "sub", zero, x);
    case "abs":
      if (x.dtype === "u32") return x;
      return isFloat ? f(w, "abs", x) : choose(w, compare(w, "lt", x, zero), i(w, "sub", zero, x), x);
    case "sign": {
      const one = w.literal(1, x.dtype);
      if (x.dtype === "u32") return choose(w, compare(w, "ne", x, zero), one, zero);
      // A value neither below nor above 0 is 0 or NaN, and is returned unchanged.
      const below = choose(w, compare(w, "lt", x, zero), w.literal(-1, x.dtype), x);
      return choose(w, compare(w, "gt", x, zero), one, below);
    }
    case "not":
      if (x.dtype === "bool" && x.width === 1) return w.op("i32.eqz", [x]);
      return bits(w, "xor", x, x.dtype === "bool" ? allOnes(w) : w.literal(-1, x.dtype), x.dtype);
    case "floor":
      return isFloat ? f(w, "floor", x) : x;
    case "round":
      return isFloat ? f(w, "nearest", x) : x;
    case "sqrt":
      return f(w, "sqrt", x);
    case "rsqrt":
      return f(w, "div", w.literal(1, "f32"), f(w, "sqrt", x));
    case "exp":
      return exp(w, x);
    case "log":
      return log(w, x);
    case "tanh":
      return tanh(w, x);
    case "sigmoid":
      return sigmoid(w, x);
    case "erf":
      return erf(w, x);
    case "sin":
      return sine(w, x, 0);
    case "cos":
      return sine(w, x, 1);
  }
}

function allOnes(w: Writer): Value {
  return { ...w.op("i32.splat", [w.literal(-1, "i32")]), dtype: "bool" };
}

type Comparison = "eq" | "ne" | "lt" | "le" | "gt" | "ge";

function isComparison(op: BinaryOp): op is Comparison {
  return op === "eq" || op === "ne" || op === "lt" || op === "le" || op === "gt" || op === "ge";
}

/** Binary operators. Integer division truncates; dividing by zero returns the dividend. */
export function binary(w: Writer, op: BinaryOp, lhs: Value, rhs: Value): Value {
  invariant(lhs.dtype === rhs.dtype, `operands of ${op} differ in type`);
  const { dtype } = lhs;
  if (dtype === "bool") return boolean(w, op, lhs, rhs);
  if (isComparison(op)) return compare(w, op, lhs, rhs);
  switch (op) {
    case "and":
    case "or":
    case "xor":
      return bits(w, op, lhs, rhs);
    case "shiftLeft":
    case "shiftRight": {
      const name = op === "shiftLeft" ? "shl" : "shr_u";
      return rhs.width === 1 ? shift(w, name, lhs, rhs) : perLane(w, lhs, rhs, (x, y) => shift(w, name, x, y));
    }
    case "pow":
      return dtype === "f32" ? constantPower(w, lhs, rhs) ?? pow(w, lhs, rhs) : integerPower(w, lhs, rhs);
    case "mod":
      return dtype === "f32" ? floatRest(w, lhs, rhs) : perLane(w, lhs, rhs, (x, y) => integerRest(w, x, y));
    case "div":
      return dtype === "f32" ? f(w, "div", lhs, rhs) : perLane(w, lhs, rhs, (x, y) => integerQuotient(w, x, y));
    case "max":
    case "min":
      return dtype === "f32" ? f(w, op, lhs, rhs) : integerExtreme(w, op, lhs, rhs);
    default:
      return dtype === "f32" ? f(w, op, lhs, rhs) : i(w, op, lhs, rhs);
  }
}

/**
 * Operators on truth values: addition and maximum are or, multiplication and minimum are and; comparisons order 0
 * before 1.
 */
function boolean(w: Writer, op: BinaryOp, lhs: Value, rhs: Value): Value {
  switch (op) {
    case "and":
    case "mul":
    case "min":
      return bits(w, "and", lhs, rhs);
    case "or":
    case "add":
    case "max":
      return bits(w, "or", lhs, rhs);
    case "xor":
    case "ne":
      return bits(w, "xor", lhs, rhs);
    case "eq":
      return compare(w, "eq", lhs, rhs);
    default:
      invariant(isComparison(op), `there is no ${op} of truth values`);
      return compare(w, op, lhs, rhs);
  }
}

function perLane(w: Writer, lhs: Value, rhs: Value, fn: (x: Value, y: Value) => Value): Value {
  const { width, args: [x, y] } = align(w, [lhs, rhs]);
  if (width === 1) return fn(x, y);
  return joinLanes(w, laneNumbers(w).map((lane) => fn(laneOf(w, lhs, lane), laneOf(w, rhs, lane))));
}

function integerExtreme(w: Writer, op: "max" | "min", lhs: Value, rhs: Value): Value {
  const sign = lhs.dtype === "i32" ? "s" : "u";
  const { width, args: [x, y] } = align(w, [lhs, rhs]);
  if (width > 1) return i(w, `${op}_${sign}`, x, y);
  return choose(w, compare(w, op === "max" ? "gt" : "lt", x, y), x, y);
}

/** Division traps on a zero divisor and on overflow: such divisors are replaced and the result is corrected. */
function integerQuotient(w: Writer, x: Value, y: Value): Value {
  const zero = w.literal(0, y.dtype), one = w.literal(1, y.dtype);
  if (y.dtype === "u32") return i(w, "div_u", x, choose(w, compare(w, "ne", y, zero), y, one));
  const isPlain = bits(w, "and", compare(w, "ne", y, zero), compare(w, "ne", y, w.literal(-1, "i32")));
  const quotient = i(w, "div_s", x, choose(w, isPlain, y, one));
  return choose(w, compare(w, "eq", y, w.literal(-1, "i32")), i(w, "sub", zero, x), quotient);
}

function integerRest(w: Writer, x: Value, y: Value): Value {
  const zero = w.literal(0, y.dtype), one = w.literal(1, y.dtype);
  const divisor = choose(w, compare(w, "ne", y, zero), y, one);
  if (y.dtype === "u32") return i(w, "rem_u", x, divisor);
  const rest = i(w, "rem_s", x, divisor);
  const isOff = bits(w, "and", compare(w, "ne", rest, zero), compare(w, "lt", bits(w, "xor", rest, divisor), zero));
  return choose(w, isOff, i(w, "add", rest, divisor), rest);
}

/** Floored modulo: the remainder of the magnitudes, corrected if the quotient was off by one, with the sign of `y`. */
function floatRest(w: Writer, x: Value, y: Value): Value {
  const zero = w.literal(0, "f32"), a = f(w, "abs", x), b = f(w, "abs", y);
  const rest = f(w, "sub", a, f(w, "mul", b, f(w, "trunc", f(w, "div", a, b))));
  const lowered = choose(w, compare(w, "ge", rest, b), f(w, "sub", rest, b), rest);
  const wrapped = choose(w, compare(w, "lt", rest, zero), f(w, "add", rest, b), lowered);
  const isOutside = bits(w, "or", compare(w, "lt", wrapped, zero), compare(w, "ge", wrapped, b));
  const inside = choose(w, isOutside, zero, wrapped), size = choose(w, compare(w, "lt", a, b), a, inside);
  const isBelow = compare(w, "lt", x, zero), isNegative = compare(w, "lt", y, zero);
  const signed = choose(w, isBelow, f(w, "neg", size), size);
  const turned = choose(w, bits(w, "xor", isBelow, isNegative), f(w, "add", signed, y), signed);
  return choose(w, compare(w, "eq", size, zero), choose(w, isNegative, w.literal(-0, "f32"), zero), turned);
}

/** Powers with common constant exponents, without logarithms. */
function constantPower(w: Writer, x: Value, y: Value): Value | undefined {
  if (y.local !== undefined) return undefined;
  if (y.literal === 0.5) {
    // Differs from the square root at -infinity, where sqrt gives NaN, and at -0, where it gives -0.
    const root = f(w, "add", f(w, "sqrt", x), w.literal(0, "f32"));
    return choose(w, compare(w, "eq", x, w.literal(-Infinity, "f32")), w.literal(Infinity, "f32"), root);
  }
  if (y.literal === -0.5) return f(w, "div", w.literal(1, "f32"), constantPower(w, x, w.literal(0.5, "f32"))!);
  if (y.literal === -1) return f(w, "div", w.literal(1, "f32"), x);
  if (!Number.isInteger(y.literal) || y.literal < 1 || y.literal > 4) return undefined;
  let result = x;
  for (let turn = 1; turn < y.literal; turn++) result = f(w, "mul", result, x);
  return result;
}
