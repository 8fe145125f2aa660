/** Types and literals of WGSL. */
import { type DType, type Half, isHalf } from "../../../core/dtype.ts";

/** The type of a value in a shader: floats of 16 bits are f32, rounded. */
export type RegisterType = Exclude<DType, Half>;

/** The type of values of a dtype. */
export function registerType(dtype: DType): RegisterType {
  return isHalf(dtype) ? "f32" : dtype;
}

/** The WGSL type of `width` values. */
export function typeName(dtype: RegisterType, width: 1 | 4): string {
  return width === 1 ? dtype : `vec4<${dtype}>`;
}

/** A literal that parses to exactly `value`; undefined if WGSL has none (NaN and infinities). */
export function literal(value: number, dtype: RegisterType): string | undefined {
  switch (dtype) {
    case "bool":
      return value ? "true" : "false";
    case "u32":
      return `${value >>> 0}u`;
    case "i32":
      // The most negative integer has no literal: the minus sign is an operator.
      return (value | 0) === -2147483648 ? "(-2147483647i - 1i)" : `${value | 0}i`;
    case "f32":
      return Number.isFinite(Math.fround(value)) ? floatLiteral(Math.fround(value), "f") : undefined;
  }
}

/** The largest f32. */
const GREATEST_F32 = (2 - 2 ** -23) * 2 ** 127;

/**
 * The shortest literal that parses to a given finite f32, not beyond the largest f32, which WGSL rejects even if it
 * would round to it; `suffix` is `f` or empty for an abstract literal.
 */
export function floatLiteral(value: number, suffix: string): string {
  if (Object.is(value, -0)) return `-0.0${suffix}`;
  let text = `${value}`;
  for (let digits = 1; digits <= 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value && Math.abs(shorter) <= GREATEST_F32) {
      text = `${shorter}`;
      break;
    }
  }
  return /[.e]/.test(text) ? `${text}${suffix}` : `${text}.0${suffix}`;
}
