/**
 * Elementary functions in single precision, inlined, for one point or W.
 *
 * Maximum errors, relative if not stated otherwise: exp 1 ulp, log 2 ulp, tanh 3 ulp, sigmoid 3 ulp, erf 1.5e-7
 * absolute and 1e-6 relative near 0, sin and cos 2 ulp for every x, pow 1e-6 where |y log x| < 8, growing in proportion
 * beyond.
 */
import { ERFC_SCALED, erfSeries } from "./erf_series.ts";
import { HALF_PI_PARTS, MAX_SUBTRACTED, TWO_OVER_PI_WORDS } from "./half_pi.ts";
import {
  atLeast,
  bits,
  choose,
  compare,
  convert,
  f,
  fromBits,
  i,
  laneNumbers,
  laneOf,
  limit,
  multiplyAdd,
  polynomial,
  shift,
  splat,
  toBits,
} from "./lanes.ts";
import type { F64Name } from "./operations.ts";
import type { Value, Writer } from "./writer.ts";

/** Adding it rounds a small float to an integer, which is then in the low bits of the sum. */
const ROUNDER = 12582912;
const ROUNDER_BITS = 0x4b400000;

/** The nearest integer, as a float and as an integer. */
function rounded(w: Writer, x: Value): { whole: Value; integer: Value } {
  const shifted = f(w, "add", x, w.literal(ROUNDER, "f32"));
  return {
    whole: f(w, "sub", shifted, w.literal(ROUNDER, "f32")),
    integer: i(w, "sub", toBits(w, shifted), w.literal(ROUNDER_BITS, "i32")),
  };
}

/** 2^(n - 127) for an integer in 1 .. 254, 0 for 0; only the low nine bits of n are used. */
function powerOfTwo(w: Writer, n: Value): Value {
  return fromBits(w, shift(w, "shl", n, w.literal(23, "i32")));
}

/** Coefficients of e^r in increasing order: a minimax fit with relative error 3e-9 for |r| <= ln 2 / 2. */
const EXP = [1, 1, 0.499999934, 0.166665204, 0.0416683908, 0.00836874531, 0.00138145382];

/** x = n ln 2 + r, with n and a bias in the low bits of an integer. The higher bits of its lower half are zero. */
function reduced(w: Writer, x: Value, bias: number): { readonly n: Value; readonly r: Value } {
  const rounder = w.literal(ROUNDER + bias, "f32");
  const shifted = multiplyAdd(w, x, w.literal(1.4426950408889634, "f32"), rounder);
  const whole = f(w, "sub", shifted, rounder);
  const high = multiplyAdd(w, whole, w.literal(-0.693359375, "f32"), x);
  return { n: toBits(w, shifted), r: multiplyAdd(w, whole, w.literal(2.12194440e-4, "f32"), high) };
}

/**
 * `e^x` with x = n ln 2 + r: a polynomial for e^r times 2^n, applied in two factors so that infinities and subnormal
 * results need no special case. From -176 down both factors are the 0 that {@link powerOfTwo} returns for 0: a product
 * that is rounded to 0 instead takes some processors a hundred cycles, and masked softmax is full of them. What rounds
 * n adds the bias of both factors' exponents, 254, too.
 */
export function exp(w: Writer, x: Value): Value {
  const { n, r } = reduced(w, limit(w, x, -176, 89), 254), half = shift(w, "shr_s", n, w.literal(1, "i32"));
  return f(w, "mul", f(w, "mul", polynomial(w, r, EXP), powerOfTwo(w, half)), powerOfTwo(w, i(w, "sub", n, half)));
}

/**
 * `e^x` for x <= 0, in two thirds of the instructions: with one factor, which is 0 where e^x is below 2^-126.5, about
 * the smallest normal float. Elsewhere it has the bits of {@link exp}.
 */
export function expOfNonPositive(w: Writer, x: Value): Value {
  const { n, r } = reduced(w, atLeast(w, x, -127 * Math.LN2), 127);
  return f(w, "mul", polynomial(w, r, EXP), powerOfTwo(w, n));
}

const LOG_TAIL = [
  3.3333331174e-1,
  -2.4999993993e-1,
  2.0000714765e-1,
  -1.6668057665e-1,
  1.4249322787e-1,
  -1.2420140846e-1,
  1.1676998740e-1,
  -1.1514610310e-1,
  7.0376836292e-2,
];

/** The natural logarithm: x = 2^e m with m between sqrt(1/2) and sqrt 2, and a polynomial for log m. */
export function log(w: Writer, x: Value): Value {
  const one = w.literal(1, "f32"), zero = w.literal(0, "f32");
  const isTiny = compare(w, "lt", x, w.literal(1.17549435e-38, "f32"));
  const scaled = choose(w, isTiny, f(w, "mul", x, w.literal(8388608, "f32")), x);
  const pattern = toBits(w, scaled);
  const e = shift(w, "shr_s", i(w, "sub", pattern, w.literal(0x3f3504f3, "i32")), w.literal(23, "i32"));
  const m = f(w, "sub", fromBits(w, i(w, "sub", pattern, shift(w, "shl", e, w.literal(23, "i32")))), one);
  const exponent = f(w, "sub", convert(w, e, "f32"), choose(w, isTiny, w.literal(23, "f32"), zero));
  const square = f(w, "mul", m, m);
  const tail = multiplyAdd(
    w,
    exponent,
    w.literal(-2.12194440e-4, "f32"),
    f(w, "mul", f(w, "mul", m, square), polynomial(w, m, LOG_TAIL)),
  );
  const near = f(w, "add", m, multiplyAdd(w, square, w.literal(-0.5, "f32"), tail));
  const finite = multiplyAdd(w, exponent, w.literal(0.693359375, "f32"), near);
  const positive = choose(w, compare(w, "lt", x, w.literal(Infinity, "f32")), finite, x);
  const defined = choose(w, compare(w, "gt", x, zero), positive, w.literal(NaN, "f32"));
  return choose(w, compare(w, "eq", x, zero), w.literal(-Infinity, "f32"), defined);
}

/** tanh x = x p(x^2) / q(x^2), a minimax fit of relative error 7e-9 on 0 < x <= 9. */
const TANH_NUMERATOR = [1, 0.130840361, 0.00310398494, 1.11545982e-05, -2.0226334e-08, 5.27844129e-11, -8.48986198e-14];
const TANH_DENOMINATOR = [1, 0.464173632, 0.0244952937, 0.000254618644];

/** The threshold from which the rounded quotient is at least 1 and tanh is 1 to the last bit. */
const TANH_LIMIT = 8.895;

/** The hyperbolic tangent: a quotient of polynomials, clamped to -1 .. 1. */
export function tanh(w: Writer, x: Value): Value {
  const bounded = limit(w, x, -TANH_LIMIT, TANH_LIMIT), square = f(w, "mul", bounded, bounded);
  const quotient = f(
    w,
    "div",
    f(w, "mul", bounded, polynomial(w, square, TANH_NUMERATOR)),
    polynomial(w, square, TANH_DENOMINATOR),
  );
  return limit(w, quotient, -1, 1);
}

/** The sign bit of a float. */
function signOf(w: Writer, x: Value): Value {
  return bits(w, "and", toBits(w, x), w.literal(-2147483648, "i32"), "i32");
}

/** Copies the sign of a value to a non-negative one. */
function withSignOf(w: Writer, magnitude: Value, x: Value): Value {
  if (x.width === 1 && magnitude.width === 1) return f(w, "copysign", magnitude, x);
  return fromBits(w, bits(w, "or", toBits(w, magnitude), signOf(w, x), "i32"));
}

/** `1 / (1 + e^-x)`. */
export function sigmoid(w: Writer, x: Value): Value {
  const one = w.literal(1, "f32");
  return f(w, "div", one, f(w, "add", one, exp(w, f(w, "neg", x))));
}

/** erf(x) / x in powers of x^2: its Maclaurin series. */
const ERF_SERIES = erfSeries(11);

/** The error function: its series up to 1, and 1 - e^-x^2 p(1 / (1 + x / 2)) beyond. */
export function erf(w: Writer, x: Value): Value {
  const one = w.literal(1, "f32");
  const magnitude = limit(w, f(w, "abs", x), 0, 6), inner = limit(w, magnitude, 0, 1);
  const near = f(w, "mul", x, polynomial(w, f(w, "mul", inner, inner), ERF_SERIES));
  const u = f(w, "div", one, multiplyAdd(w, magnitude, w.literal(0.5, "f32"), one));
  const decay = exp(w, f(w, "neg", f(w, "mul", magnitude, magnitude)));
  const far = withSignOf(w, f(w, "sub", one, f(w, "mul", decay, polynomial(w, u, ERFC_SCALED))), x);
  return choose(w, compare(w, "lt", magnitude, one), near, far);
}

/** Adding it rounds a double below 2^51 to an integer, which is then in the low bits of the sum. */
const ROUNDER_64 = 6755399441055744;

/** 2 / pi in seven parts of 29 bits, whose products with the 24-bit significand of a float are exact in doubles. */
const TWO_OVER_PI_PARTS = Array.from({ length: 7 }, (_, part) => {
  const bits = TWO_OVER_PI_WORDS.map((word) => word.toString(2).padStart(32, "0")).join("").slice(
    29 * part,
    29 * (part + 1),
  );
  return parseInt(bits, 2) * 2 ** (-29 * (part + 1));
});

/**
 * Reduces a float of any magnitude to a remainder in quarter turns and their count modulo 4, in two doubles (Payne and
 * Hanek). The product of x and each part of 2 / pi is exact, and so is its remainder modulo 4, in -2 .. 2. The
 * remainders are added with their rounding errors, since almost all of the sum may cancel.
 */
function largeRest(w: Writer, x: Value): { rest: Value; turns: Value } {
  const d = (name: F64Name, ...args: Value[]) => w.op(`f64.${name}`, args);
  const constant = (value: number) => w.fresh("f64.const", [], [value]);
  const nearest = (value: Value) => d("nearest", value);
  const wide = d("promote_low", x);
  let sum = constant(0), error = constant(0);
  for (const part of TWO_OVER_PI_PARTS) {
    const product = d("mul", wide, constant(part));
    const term = d("sub", product, d("mul", nearest(d("mul", product, constant(0.25))), constant(4)));
    const next = d("add", sum, term), before = d("sub", next, term);
    error = d("add", error, d("add", d("sub", sum, before), d("sub", term, d("sub", next, before))));
    sum = next;
  }
  const whole = nearest(sum), rest = d("add", d("sub", sum, whole), error);
  return { rest: d("mul", rest, constant(Math.PI / 2)), turns: toBits(w, d("add", whole, constant(ROUNDER_64))) };
}

/** Converts the doubles in two vectors to one vector of floats. */
function narrow(w: Writer, low: Value, high: Value): Value {
  const half = w.lanes / 2;
  return w.op(
    "shuffle",
    [low, high].map((value) => w.op("f32.demote", [value])),
    laneNumbers(w).map((lane) => (lane < half ? lane : lane + half)),
  );
}

/**
 * Quarter turns in an argument, modulo 4, and the remainder. Arguments up to 6,000 take four exact subtractions; larger
 * ones are rare and take the slow path.
 */
function quarterTurns(w: Writer, x: Value): { rest: Value; turns: Value } {
  const { whole, integer } = rounded(w, f(w, "mul", x, w.literal(2 / Math.PI, "f32")));
  const rest = HALF_PI_PARTS.reduce((r, part) => multiplyAdd(w, whole, w.literal(-part, "f32"), r), x);
  const isLarge = compare(w, "gt", f(w, "abs", x), w.literal(MAX_SUBTRACTED, "f32"));
  const [exactRest, exactTurns] = w.unless(isLarge, [rest, integer], [x], ([x]) => {
    const all = splat(w, x), lanes = laneNumbers(w), half = w.lanes / 2;
    const upper = w.op("shuffle", [all, all], lanes.map((lane) => half + lane % half));
    const parts = [all, upper].map((floats) => largeRest(w, floats));
    const large = narrow(w, parts[0].rest, parts[1].rest),
      turns = w.op("shuffle", [parts[0].turns, parts[1].turns], lanes.map((lane) => 2 * lane));
    if (x.width === 1) return [laneOf(w, large, 0), laneOf(w, turns, 0)];
    return [choose(w, isLarge, large, rest), choose(w, isLarge, turns, integer)];
  });
  return { rest: exactRest, turns: exactTurns };
}

/** Sine (`quarter` 0) or cosine (1): argument reduction by pi / 2, then one of two polynomials. */
export function sine(w: Writer, x: Value, quarter: 0 | 1): Value {
  const { rest: r, turns } = quarterTurns(w, x);
  const square = f(w, "mul", r, r), one = w.literal(1, "i32");
  // Not r plus a correction, which would turn -0 into 0.
  const sin = f(w, "mul", r, polynomial(w, square, [1, -1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4]));
  const tail = polynomial(w, square, [-0.5, 4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5]);
  const cos = multiplyAdd(w, square, tail, w.literal(1, "f32"));
  const quadrant = i(w, "add", turns, w.literal(quarter, "i32"));
  const isCosine = compare(w, "ne", bits(w, "and", quadrant, one), w.literal(0, "i32"));
  const sign = shift(w, "shl", bits(w, "and", quadrant, w.literal(2, "i32")), w.literal(30, "i32"));
  return fromBits(w, bits(w, "xor", toBits(w, choose(w, isCosine, cos, sin)), sign, "i32"));
}

/**
 * The power function of floats with the semantics of IEEE 754 and NumPy: a negative base is defined for integer
 * exponents only, and odd ones keep its sign, also at zero and infinity; x^0 and 1^y are 1 even for NaN, and
 * (-1)^infinity is 1.
 */
export function pow(w: Writer, x: Value, y: Value): Value {
  const zero = w.literal(0, "f32"), one = w.literal(1, "f32"), infinity = w.literal(Infinity, "f32");
  const size = f(w, "abs", x);
  const power = choose(w, compare(w, "eq", size, one), one, exp(w, f(w, "mul", y, log(w, size))));
  const isWhole = compare(w, "eq", f(w, "floor", y), y);
  const halves = f(w, "mul", y, w.literal(0.5, "f32"));
  const isOdd = bits(w, "and", isWhole, compare(w, "ne", f(w, "floor", halves), halves));
  const signed = fromBits(
    w,
    bits(w, "or", toBits(w, power), choose(w, isOdd, signOf(w, x), w.literal(0, "i32")), "i32"),
  );
  const isFinite = bits(w, "and", compare(w, "lt", x, zero), compare(w, "lt", size, infinity));
  const broken = bits(w, "and", isFinite, compare(w, "ne", f(w, "floor", y), y));
  const defined = choose(w, bits(w, "or", broken, compare(w, "ne", y, y)), w.literal(NaN, "f32"), signed);
  return choose(w, bits(w, "or", compare(w, "eq", y, zero), compare(w, "eq", x, one)), one, defined);
}

/** An integer power by repeated squaring, with wraparound; a negative exponent gives 0. */
export function integerPower(w: Writer, x: Value, y: Value): Value {
  const one = w.literal(1, x.dtype), zero = w.literal(0, x.dtype);
  let result: Value = x.dtype === "i32" ? choose(w, compare(w, "lt", y, zero), zero, one) : one, base = x;
  for (let bit = 0; bit < 32; bit++) {
    const isSet = compare(w, "ne", bits(w, "and", y, w.literal(1 << bit, x.dtype)), zero);
    result = choose(w, isSet, i(w, "mul", result, base), result);
    base = i(w, "mul", base, base);
  }
  return result;
}
