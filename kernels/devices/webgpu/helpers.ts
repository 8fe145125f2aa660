/** WGSL functions that printed kernels call where operators and built-ins are not sufficient. */
import { HALF_PI_PARTS, MAX_SUBTRACTED, TWO_OVER_PI_WORDS } from "../../codegen/half_pi.ts";
import { floatLiteral, type RegisterType, typeName } from "./print_literal.ts";

/**
 * Functions that WGSL lacks, or whose built-in version is inaccurate or unsafe somewhere. The suffix of a name is the
 * type of the operands.
 */
export type HelperName =
  | "bf16_of_f32"
  | "bits_of_bf16_f32"
  | "bits_of_f16_f32"
  | "cos_f32"
  | "div_i32"
  | "div_u32"
  | "erf_f32"
  | "f16_of_f32"
  | "f32_of_bf16_u32"
  | "f32_of_f16_u32"
  | "i32_of_f32"
  | "log_f32"
  | "max_f32"
  | "min_f32"
  | "mod_f32"
  | "mod_i32"
  | "pow_f32"
  | "pow_i32"
  | "pow_u32"
  | "sigmoid_f32"
  | "sign_f32"
  | "sin_f32"
  | "tanh_f32"
  | "u32_of_f32";

/**
 * Source of a helper. `T` is the value type, `B`, `I` and `U` are the bool, i32 and u32 types of the same width; every
 * helper is componentwise, so one text serves both widths.
 *
 * An implementation of WGSL may assume that there are no NaN, and min, max, clamp and the other built-ins lose them in
 * fact. What a conforming one must do is arithmetic on integers, so a helper that would lose a NaN finds it by its
 * bits.
 *
 * - tanh: the built-in gives NaN for large x on some implementations and loses all relative accuracy near 0.
 * - log: the built-in promises only an absolute error near 1; there 2 artanh((x - 1) / (x + 1)) is used. At 0 some
 *   implementations give a finite number, and below the normal numbers a wrong one.
 * - sin, cos: the built-ins promise an absolute error of 2^-11 on [-pi, pi], which SwiftShader makes use of; see
 *   {@link sine}.
 * - erf: Maclaurin series up to |x| = 1, then 1 - exp(-x^2) p(1 / (1 + x / 2)) with a least-squares p; absolute error
 *   below 1.5e-7.
 * - pow: by the logarithm here, which is accurate near 1; IEEE's and NumPy's results at the edges: negative bases have
 *   whole powers only, else NaN; x^0 and 1^y are 1 even for NaN.
 * - division of integers: by 0 it gives the dividend, as WGSL has it and not every implementation.
 * - floats of 16 bits: `bf16_of_f32` and `f16_of_f32` round to the nearest that the dtype holds, of two to the even one;
 *   NaN and infinities stay. The others convert between numbers of the dtype and their bits. Only integers see the
 *   bits: an implementation may flush small numbers to zero.
 * - conversions to integers: the built-ins give anything for NaN, and some implementations for what does not fit.
 */
export function helperSource(helper: HelperName, name: string, width: 1 | 4): string {
  const dtype = helper.slice(helper.lastIndexOf("_") + 1) as RegisterType;
  const lines = BODIES[helper];
  const result = RESULTS[helper] ?? "T";
  const head = BINARY.has(helper.split("_")[0])
    ? `fn ${name}(x: T, y: T) -> ${result} {`
    : `fn ${name}(x: T) -> ${result} {`;
  const text = [head, ...lines.map((line) => `  ${line}`), "}"].join("\n");
  const types = { T: dtype, B: "bool", F: "f32", I: "i32", U: "u32" } as const;
  return text.replace(/\b[TBFIU]\b/g, (letter) => typeName(types[letter as keyof typeof types], width));
}

/** The result types that are not `T`. */
const RESULTS: Readonly<Partial<Record<HelperName, string>>> = {
  bits_of_bf16_f32: "U",
  bits_of_f16_f32: "U",
  f32_of_bf16_u32: "F",
  f32_of_f16_u32: "F",
  i32_of_f32: "I",
  u32_of_f32: "U",
};

const BINARY: ReadonlySet<string> = new Set(["div", "max", "min", "mod", "pow"]);

/** WGSL for whether a float of type `T` is NaN. */
function isNaNText(x: string): string {
  return `((bitcast<U>(${x}) & U(0x7fffffffu)) > U(0x7f800000u))`;
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
const ERFC_SCALED = [
  0.0012421909486874938,
  0.26505759358406067,
  0.37723788619041443,
  -0.029078807681798935,
  0.6049584150314331,
  -0.21951240301132202,
];

/** Least-squares fit of tanh(x) / x by powers of s = x^2 on 0 <= s <= 1 / 4; error below 3e-8. */
const TANH_RATIO = [1, -0.3333307206630707, 0.13324828445911407, -0.05298924073576927, 0.017141319811344147];

const BODIES: Record<HelperName, readonly string[]> = {
  bf16_of_f32: [
    "let bits = bitcast<U>(x);",
    "let up = bits + U(0x7fffu) + ((bits >> U(16u)) & U(1u));",
    `let rounded = select(up, bits | U(0x400000u), ${isNaNText("x")});`,
    "return bitcast<T>(rounded & U(0xffff0000u));",
  ],
  bits_of_bf16_f32: ["return bitcast<U>(x) >> U(16u);"],
  // A number below the least normal f16 is a multiple of 2^-24.
  bits_of_f16_f32: [
    "let bits = bitcast<U>(x);",
    "let magnitude = bits & U(0x7fffffffu);",
    "let normal = (magnitude >> U(13u)) - U(0x1c000u);",
    "let small = U(abs(x) * T(16777216.0));",
    "let finite = select(normal, small, magnitude < U(0x38800000u));",
    "let special = ((magnitude >> U(13u)) & U(0x3ffu)) | U(0x7c00u);",
    "return select(finite, special, magnitude >= U(0x7f800000u)) | ((bits >> U(16u)) & U(0x8000u));",
  ],
  cos_f32: sine(1),
  div_i32: ["return x / select(y, T(1), (y == T(0)) | ((y == T(-1)) & (x == T(-2147483647 - 1))));"],
  div_u32: ["return x / select(y, T(1), y == T(0));"],
  erf_f32: [
    "let a = min(abs(x), T(6.0));",
    "let s = min(a, T(1.0)) * min(a, T(1.0));",
    `let near = x * (${maclaurin(10)});`,
    "let u = 1.0 / (1.0 + 0.5 * a);",
    `let far = sign(x) * (1.0 - exp(-a * a) * (${horner(ERFC_SCALED, "u")}));`,
    `return select(select(far, near, a < T(1.0)), x, ${isNaNText("x")});`,
  ],
  f16_of_f32: [
    "let bits = bitcast<U>(x);",
    "let magnitude = bits & U(0x7fffffffu);",
    "let up = (magnitude + U(0xfffu) + ((magnitude >> U(13u)) & U(1u))) & U(0xffffe000u);",
    "let bounded = select(up, U(0x7f800000u), up >= U(0x47800000u));",
    "let small = bitcast<U>(round(abs(x) * T(16777216.0)) * T(5.9604644775390625e-8));",
    "let finite = select(bounded, small, magnitude < U(0x38800000u));",
    "let result = select(finite, (magnitude & U(0xffffe000u)) | U(0x400000u), magnitude > U(0x7f800000u));",
    "return bitcast<T>(result | (bits & U(0x80000000u)));",
  ],
  f32_of_bf16_u32: ["return bitcast<F>(x << U(16u));"],
  f32_of_f16_u32: [
    "let magnitude = x & U(0x7fffu);",
    "let raised = magnitude << U(13u);",
    "let small = bitcast<U>(F(magnitude) * F(5.9604644775390625e-8));",
    "let finite = select(raised + U(0x38000000u), small, magnitude < U(0x400u));",
    "let value = select(finite, raised | U(0x7f800000u), magnitude >= U(0x7c00u));",
    "return bitcast<F>(value | ((x & U(0x8000u)) << U(16u)));",
  ],
  i32_of_f32: [
    "let whole = select(I(clamp(x, T(-2147483648.0), T(2147483520.0))), I(2147483647), x >= T(2147483648.0));",
    `return select(whole, I(0), ${isNaNText("x")});`,
  ],
  log_f32: [...logarithm("x"), "return logarithm;"],
  max_f32: [`return select(select(max(x, y), y, ${isNaNText("y")}), x, ${isNaNText("x")});`],
  min_f32: [`return select(select(min(x, y), y, ${isNaNText("y")}), x, ${isNaNText("x")});`],
  // The quotient may be off by one near a whole number: the rest is brought back into 0 .. |y|.
  mod_f32: [
    "let a = abs(x);",
    "let b = abs(y);",
    "let r = a - b * trunc(a / b);",
    "let wrapped = select(select(r, r - b, r >= b), r + b, r < T(0.0));",
    "let inside = select(wrapped, T(0.0), (wrapped < T(0.0)) | (wrapped >= b));",
    "let rest = sign(x) * select(inside, a, a < b);",
    "return select(rest, rest + y, ((rest < T(0.0)) != (y < T(0.0))) & (rest != T(0.0)));",
  ],
  // Not by the remainder operator: with Mesa's llvmpipe (LLVM 15) -1 % -7 is 6.
  mod_i32: [
    "let d = select(y, T(1), (y == T(0)) | (y == T(-1)));",
    "let r = x - x / d * d;",
    "return select(r, r + d, (r != T(0)) & ((r < T(0)) != (d < T(0))));",
  ],
  pow_f32: [
    "let size = bitcast<U>(x) & U(0x7fffffffu);",
    "let a = select(abs(x), T(0.0), size < U(0x800000u));",
    "let limit = bitcast<U>(y) & U(0x7fffffffu);",
    "let extreme = (a == T(0.0)) | (size >= U(0x7f800000u)) | (limit >= U(0x7f800000u));",
    "let end = bitcast<T>(select(U(0u), U(0x7f800000u), (a > T(1.0)) == (y > T(0.0))));",
    ...logarithm("a"),
    "let power = select(select(exp(y * logarithm), end, extreme), T(1.0), a == T(1.0));",
    "let whole = floor(y) == y;",
    "let odd = whole & (floor(y * 0.5) * 2.0 != y);",
    "let signed = bitcast<U>(power) | select(U(0u), bitcast<U>(x) & U(0x80000000u), odd);",
    "let none = ((x < T(0.0)) & (floor(y) != y) & (size < U(0x7f800000u))) | (size > U(0x7f800000u)) | (limit > U(0x7f800000u));",
    "return select(bitcast<T>(select(signed, U(0x7fc00000u), none)), T(1.0), (x == T(1.0)) | (y == T(0.0)));",
  ],
  pow_i32: INTEGER_POWER,
  pow_u32: INTEGER_POWER,
  sigmoid_f32: [
    "let e = exp(-abs(x));",
    `return select(select(e, T(1.0), x >= T(0.0)) / (1.0 + e), x, ${isNaNText("x")});`,
  ],
  sign_f32: [`return select(sign(x), x, ${isNaNText("x")});`],
  sin_f32: sine(0),
  tanh_f32: [
    "let s = min(x * x, T(0.25));",
    `let near = x * (${horner(TANH_RATIO, "s")});`,
    "let far = tanh(clamp(x, T(-15.0), T(15.0)));",
    `return select(select(far, near, abs(x) < T(0.5)), x, ${isNaNText("x")});`,
  ],
  u32_of_f32: [
    "let whole = select(U(clamp(x, T(0.0), T(4294967040.0))), U(4294967295u), x >= T(4294967296.0));",
    `return select(whole, U(0u), ${isNaNText("x")});`,
  ],
};

/** Lines that bind the logarithm of a variable to a name. */
function logarithm(x: string): string[] {
  return [
    `let s = (${x} - 1.0) / (${x} + 1.0);`,
    "let q = s * s;",
    "let near = 2.0 * s * (1.0 + q * (0.33333333 + q * (0.2 + q * (0.14285715 + q * 0.11111111))));",
    `let tiny = ${x} < T(1.1754944e-38);`,
    `let far = log(select(${x}, ${x} * 8388608.0, tiny)) - select(T(0.0), T(15.942385), tiny);`,
    `let logarithm = select(select(far, -1.0 / abs(${x}), ${x} == T(0.0)), near, abs(${x} - 1.0) < T(0.25));`,
  ];
}

/**
 * Body of the sine of x plus a number of quarter turns: argument reduction by pi / 2, and one of two polynomials
 * (Cephes).
 *
 * Up to 6,000 the quotient has 12 bits, and pi / 2 is subtracted in four parts, the first three without rounding.
 * Beyond that the bits of 2 / pi that matter for the exponent of x are multiplied by its 24 bits, modulo 4 (Payne and
 * Hanek): 64 bits of the product are enough for every f32.
 */
function sine(quarters: 0 | 1): string[] {
  const words = [0, ...TWO_OVER_PI_WORDS], large = `abs(x) > T(${floatLiteral(MAX_SUBTRACTED, "")})`;
  const word = (offset: number) => {
    const pick = (at: number) => `U(0x${words[at].toString(16)}u)`;
    return [1, 2, 3, 4].reduce((text, at) => `select(${text}, ${pick(at + offset)}, at == U(${at}u))`, pick(offset));
  };
  return [
    "let turns = round(x * 0.63661975);",
    `var r = ${
      HALF_PI_PARTS.reduce((text, part) => `(${text} - turns * ${floatLiteral(Math.fround(part), "")})`, "x")
    };`,
    `var quarter = turns${quarters ? " + 1.0" : ""};`,
    `if (any(${large})) {`,
    "  let pattern = bitcast<U>(x);",
    "  let m = (pattern & U(0x7fffffu)) | U(0x800000u);",
    // |x| is m 2^p. Bits of 2 / pi before bit p - 2 contribute multiples of 4 to the product with m. A word of zeros
    // comes first.
    "  let start = ((pattern >> U(23u)) & U(0xffu)) - U(120u);",
    "  let at = start >> U(5u);",
    "  let bits = start & U(31u);",
    ...[0, 1, 2, 3].map((offset) => `  let w${offset} = ${word(offset)};`),
    ...[0, 1, 2].map((offset) =>
      `  let v${offset} = (w${offset} << bits) | ((w${offset + 1} >> U(1u)) >> (U(31u) - bits));`
    ),
    // The upper halves of m v1 and m v2, computed in halves of 16 bits; m has 24.
    ...[1, 2].flatMap((n) => [
      `  let low${n} = (m & U(0xffffu)) * (v${n} & U(0xffffu));`,
      `  let cross${n} = (m >> U(16u)) * (v${n} & U(0xffffu)) + (low${n} >> U(16u));`,
      `  let mid${n} = (m & U(0xffffu)) * (v${n} >> U(16u)) + (cross${n} & U(0xffffu));`,
      `  let high${n} = (m >> U(16u)) * (v${n} >> U(16u)) + (cross${n} >> U(16u)) + (mid${n} >> U(16u));`,
    ]),
    "  let low = m * v1 + high2;",
    "  let high = m * v0 + high1 + select(U(0u), U(1u), low < high2);",
    // Two integer bits; rounding to the nearest quarter turn leaves a signed remainder.
    "  let whole = (high + U(0x20000000u)) >> U(30u);",
    "  let rest = high - (whole << U(30u));",
    "  let minus = rest >= U(0x80000000u);",
    "  let size_low = select(low, ~low + U(1u), minus);",
    "  let size_high = select(rest, ~rest + select(U(0u), U(1u), low == U(0u)), minus);",
    `  let size = (T(size_high) * ${floatLiteral(2 ** -30, "")} + T(size_low) * ${
      floatLiteral(Math.fround(2 ** -62), "")
    }) * 1.5707964;`,
    "  let flip = (pattern >> U(31u)) != U(0u);",
    `  r = select(r, select(size, -size, minus != flip), ${large});`,
    `  quarter = select(quarter, T(select(whole, U(4u) - whole, flip))${quarters ? " + 1.0" : ""}, ${large});`,
    "}",
    "let s = r * r;",
    "let sine = r + r * s * (-0.16666655 + s * (0.0083321608 + s * -0.00019515296));",
    "let cosine = 1.0 + s * (-0.5 + s * (0.041666646 + s * (-0.0013887316 + s * 2.4433157e-5)));",
    "let half = floor(quarter * 0.5);",
    "let value = select(sine, cosine, half * 2.0 != quarter);",
    "let turned = select(value, -value, floor(half * 0.5) * 2.0 != half);",
    "let pattern = bitcast<U>(x) | U(0x7fc00000u);",
    "return select(turned, bitcast<T>(pattern), (bitcast<U>(x) & U(0x7fffffffu)) >= U(0x7f800000u));",
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
  return coefficients.map((value) => floatLiteral(Math.fround(value), "")).reduceRight((sum, value) =>
    `${value} + ${variable} * (${sum})`
  );
}
