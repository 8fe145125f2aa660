/**
 * Floats of 16 bits as bits in memory and as f32 in registers, for one lane or all. Rounding is to the nearest, of two
 * to the even one; NaN stays NaN, and infinities stay. Only integer operations see the bits, so that no device's way
 * with small numbers matters, and what rounding gives is what the memory holds.
 */
import type { Half } from "../../core/dtype.ts";
import { bits, choose, compare, convert, f, fromBits, i, shift, toBits } from "./lanes.ts";
import type { Value, Writer } from "./writer.ts";

/** f32 bits: infinity, the quiet bit of NaN, the first number beyond f16, the least normal f16. */
const INFINITY = 0x7f800000, QUIET = 0x400000, BEYOND_F16 = 0x47800000, LEAST_F16 = 0x38800000;

/** The f32 of a float whose bits are in the low half of each integer. */
export function widened(w: Writer, dtype: Half, half: Value): Value {
  const number = (value: number) => w.literal(value, "i32");
  if (dtype === "bf16") return fromBits(w, shift(w, "shl", half, number(16)));
  const magnitude = bits(w, "and", half, number(0x7fff)), raised = shift(w, "shl", magnitude, number(13));
  const normal = i(w, "add", raised, number(112 << 23));
  const small = toBits(w, f(w, "mul", convert(w, magnitude, "f32"), w.literal(2 ** -24, "f32")));
  const finite = choose(w, compare(w, "lt", magnitude, number(0x400)), small, normal);
  const value = choose(w, compare(w, "ge", magnitude, number(0x7c00)), bits(w, "or", raised, number(INFINITY)), finite);
  const sign = shift(w, "shl", bits(w, "and", half, number(0x8000)), number(16));
  return fromBits(w, bits(w, "or", value, sign));
}

/** The nearest f32 that the dtype holds. */
export function roundedTo(w: Writer, dtype: Half, x: Value): Value {
  const number = (value: number) => w.literal(value, "i32");
  const all = toBits(w, x), cut = dtype === "bf16" ? 16 : 13, kept = -(1 << cut);
  const magnitude = bits(w, "and", all, number(0x7fffffff));
  const odd = bits(w, "and", shift(w, "shr_u", magnitude, number(cut)), number(1));
  const up = i(w, "add", i(w, "add", magnitude, number((1 << (cut - 1)) - 1)), odd);
  let rounded = bits(w, "and", up, number(kept));
  if (dtype === "f16") {
    rounded = choose(w, compare(w, "ge", rounded, number(BEYOND_F16)), number(INFINITY), rounded);
    // Below the least normal number, the steps are as far apart as those of f32 from 0.5 to 1.
    const half = w.literal(0.5, "f32"), small = f(w, "sub", f(w, "add", fromBits(w, magnitude), half), half);
    rounded = choose(w, compare(w, "lt", magnitude, number(LEAST_F16)), toBits(w, small), rounded);
  }
  const nan = bits(w, "or", bits(w, "and", magnitude, number(kept)), number(QUIET));
  const value = choose(w, compare(w, "gt", magnitude, number(INFINITY)), nan, rounded);
  return fromBits(w, bits(w, "or", value, bits(w, "and", all, number(-0x80000000))));
}

/** The bits, in the low half of each integer, of an f32 that the dtype holds. */
export function narrowed(w: Writer, dtype: Half, x: Value): Value {
  const number = (value: number) => w.literal(value, "i32"), all = toBits(w, x);
  if (dtype === "bf16") return shift(w, "shr_u", all, number(16));
  const magnitude = bits(w, "and", all, number(0x7fffffff)), lowered = shift(w, "shr_u", magnitude, number(13));
  const normal = i(w, "sub", lowered, number(112 << 10));
  const small = convert(w, f(w, "mul", f(w, "abs", x), w.literal(2 ** 24, "f32")), "i32");
  const finite = choose(w, compare(w, "lt", magnitude, number(LEAST_F16)), small, normal);
  const special = bits(w, "or", bits(w, "and", lowered, number(0x3ff)), number(0x7c00));
  const value = choose(w, compare(w, "ge", magnitude, number(INFINITY)), special, finite);
  return bits(w, "or", value, bits(w, "and", shift(w, "shr_u", all, number(16)), number(0x8000)));
}
