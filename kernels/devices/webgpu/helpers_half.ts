/** WGSL for floats of 16 bits; see helpers.ts. */
import { type Helpers, isNaNText } from "./helpers.ts";

/**
 * `bf16_of_f32` and `f16_of_f32` round to the nearest that the dtype holds, of two to the even one; NaN and infinities
 * stay. The others convert between numbers of the dtype and their bits. Only integers see the bits: an implementation
 * may flush small numbers to zero.
 */
export const HALF: Helpers<"half"> = {
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
};
