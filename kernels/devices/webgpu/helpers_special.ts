/** WGSL for logarithms, powers and the error function; see helpers.ts. */
import { ERFC_SCALED, erfSeries } from "../../codegen/erf_series.ts";
import { type Helpers, horner, isNaNText } from "./helpers.ts";

/**
 * - log: the built-in promises only an absolute error near 1; there 2 artanh((x - 1) / (x + 1)) is used. At 0 some
 *   implementations give a finite number, and below the normal numbers a wrong one.
 * - erf: Maclaurin series up to |x| = 1, then 1 - exp(-x^2) p(1 / (1 + x / 2)) with a least-squares p; absolute error
 *   below 1.5e-7.
 * - pow: by the logarithm here, which is accurate near 1; IEEE's and NumPy's results at the edges: negative bases have
 *   whole powers only, else NaN; x^0 and 1^y are 1 even for NaN.
 */
export const SPECIAL: Helpers<"special"> = {
  erf_f32: [
    "let a = min(abs(x), T(6.0));",
    "let s = min(a, T(1.0)) * min(a, T(1.0));",
    `let near = x * (${horner(erfSeries(10), "s")});`,
    "let u = 1.0 / (1.0 + 0.5 * a);",
    `let far = sign(x) * (1.0 - exp(-a * a) * (${horner(ERFC_SCALED, "u")}));`,
    `return select(select(far, near, a < T(1.0)), x, ${isNaNText("x")});`,
  ],
  log_f32: [...logarithm("x"), "return logarithm;"],
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
