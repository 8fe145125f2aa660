/** WGSL for sine and cosine; see helpers.ts. */
import { HALF_PI_PARTS, MAX_SUBTRACTED, TWO_OVER_PI_WORDS } from "../../codegen/half_pi.ts";
import type { Helpers } from "./helpers.ts";
import { floatLiteral } from "./print_literal.ts";

/**
 * The built-ins promise an absolute error of 2^-11 on [-pi, pi], which SwiftShader makes use of; see {@link sine}.
 */
export const CIRCULAR: Helpers<"circular"> = {
  cos_f32: sine(1),
  sin_f32: sine(0),
};

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
