/** WGSL functions that printed kernels call where operators and built-ins are not sufficient. */
import { floatLiteral, type RegisterType, typeName } from "./print_literal.ts";

/**
 * Functions that WGSL lacks, or whose built-in version is inaccurate or unsafe somewhere, by family. The suffix of a
 * name is the type of the operands. Basic ones are here, the others in files that are loaded when a kernel calls one (parts.ts).
 */
interface FamilyNames {
  readonly basic:
    | "div_i32"
    | "div_u32"
    | "i32_of_f32"
    | "max_f32"
    | "min_f32"
    | "mod_f32"
    | "mod_i32"
    | "pow_i32"
    | "pow_u32"
    | "sigmoid_f32"
    | "sign_f32"
    | "tanh_f32"
    | "u32_of_f32";
  readonly circular: "cos_f32" | "sin_f32";
  readonly special: "erf_f32" | "log_f32" | "pow_f32";
  readonly half:
    | "bf16_of_f32"
    | "bits_of_bf16_f32"
    | "bits_of_f16_f32"
    | "f16_of_f32"
    | "f32_of_bf16_u32"
    | "f32_of_f16_u32";
}

/** A family of helpers. */
export type HelperFamily = keyof FamilyNames;

/** The name of a helper. */
export type HelperName = FamilyNames[HelperFamily];

/** The lines of helpers' bodies. */
export type Helpers<Family extends HelperFamily = HelperFamily> = Readonly<
  Record<FamilyNames[Family], readonly string[]>
>;

/**
 * Source of a helper. `T` is the value type, `B`, `I` and `U` are the bool, i32 and u32 types of the same width; every
 * helper is componentwise, so one text serves both widths.
 *
 * An implementation of WGSL may assume that there are no NaN, and min, max, clamp and the other built-ins lose them in
 * fact. What a conforming one must do is arithmetic on integers, so a helper that would lose a NaN finds it by its
 * bits.
 *
 * - tanh: the built-in gives NaN for large x on some implementations and loses all relative accuracy near 0.
 * - division of integers: by 0 it gives the dividend, as WGSL has it and not every implementation.
 * - conversions to integers: the built-ins give anything for NaN, and some implementations for what does not fit.
 * @param helpers The bodies that were imported.
 */
export function helperSource(
  helper: HelperName,
  { name, width, helpers }: { readonly name: string; readonly width: 1 | 4; readonly helpers: Partial<Helpers> },
): string {
  const dtype = helper.slice(helper.lastIndexOf("_") + 1) as RegisterType;
  const lines = helpers[helper]!;
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
export function isNaNText(x: string): string {
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

/** Least-squares fit of tanh(x) / x by powers of s = x^2 on 0 <= s <= 1 / 4; error below 3e-8. */
const TANH_RATIO = [1, -0.3333307206630707, 0.13324828445911407, -0.05298924073576927, 0.017141319811344147];

/** The helpers that most programs have some of. */
export const BASIC: Helpers<"basic"> = {
  div_i32: ["return x / select(y, T(1), (y == T(0)) | ((y == T(-1)) & (x == T(-2147483647 - 1))));"],
  div_u32: ["return x / select(y, T(1), y == T(0));"],
  i32_of_f32: [
    "let whole = select(I(clamp(x, T(-2147483648.0), T(2147483520.0))), I(2147483647), x >= T(2147483648.0));",
    `return select(whole, I(0), ${isNaNText("x")});`,
  ],
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
  pow_i32: INTEGER_POWER,
  pow_u32: INTEGER_POWER,
  sigmoid_f32: [
    "let e = exp(-abs(x));",
    `return select(select(e, T(1.0), x >= T(0.0)) / (1.0 + e), x, ${isNaNText("x")});`,
  ],
  sign_f32: [`return select(sign(x), x, ${isNaNText("x")});`],
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

/** WGSL for a polynomial, by Horner's rule. */
export function horner(coefficients: readonly number[], variable: string): string {
  return coefficients.map((value) => floatLiteral(Math.fround(value), "")).reduceRight((sum, value) =>
    `${value} + ${variable} * (${sum})`
  );
}
