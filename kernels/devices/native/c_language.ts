/**
 * The C language for kernels. Operations become expressions of the vector extension that GCC and clang share, with the
 * helpers of c_prelude.ts. All vectors have the type V, a vector of floats; operations on integers and doubles cast
 * them, which is free.
 */
import { invariant } from "../../../core/errors.ts";
import { isOperation, type Language, type LoopHead, type Operand, type Operation } from "../../codegen/language.ts";
import type { OpName } from "../../codegen/operations.ts";

/** The text of an operation, given the texts of its operands and its immediates. */
type Print = (args: readonly string[], immediates: readonly number[]) => string;

const infix = (sign: string): Print => ([x, y]) => `(${x} ${sign} ${y})`;
const call = (name: string): Print => (args, immediates) => `${name}(${[...args, ...immediates].join(", ")})`;
/** An operation on elements of another type: casts the operands to it, and the result back. */
const infixOf = (type: string, sign: string, result: string): Print => ([x, y]) =>
  `(${result})((${type})${x} ${sign} (${type})${y})`;

/** The comparison operators, by the names of the operations. */
const SIGNS = { eq: "==", ne: "!=", lt: "<", gt: ">", le: "<=", ge: ">=" } as const;
const NAMES = Object.keys(SIGNS) as (keyof typeof SIGNS)[];

type Table = Readonly<Partial<Record<OpName, Print>>>;

function comparisons(float: Print[], signed: Print[], unsigned: Print[]): Table {
  return Object.fromEntries(NAMES.flatMap((name, at): [string, Print][] => [
    [`f32.${name}`, float[at]],
    ...(name === "eq" || name === "ne"
      ? [[`i32.${name}`, signed[at]] as [string, Print]]
      : [[`i32.${name}_s`, signed[at]] as [string, Print], [`i32.${name}_u`, unsigned[at]] as [string, Print]]),
  ]));
}

function forSigns(print: (sign: string) => Print): Print[] {
  return NAMES.map((name) => print(SIGNS[name]));
}

const SCALARS: Table = {
  "f32.add": infix("+"),
  "f32.sub": infix("-"),
  "f32.mul": infix("*"),
  "f32.div": infix("/"),
  "f32.abs": call("__builtin_fabsf"),
  "f32.neg": ([x]) => `(-${x})`,
  "f32.floor": call("__builtin_floorf"),
  "f32.trunc": call("__builtin_truncf"),
  "f32.nearest": call("__builtin_rintf"),
  "f32.sqrt": call("__builtin_sqrtf"),
  "f32.min": call("f_min"),
  "f32.max": call("f_max"),
  "f32.copysign": call("__builtin_copysignf"),
  // Integers wrap around, but signed overflow is undefined in C.
  "i32.add": infixOf("u32", "+", "i32"),
  "i32.sub": infixOf("u32", "-", "i32"),
  "i32.mul": infixOf("u32", "*", "i32"),
  "i32.div_s": infix("/"),
  "i32.rem_s": call("i_rem"),
  "i32.div_u": infixOf("u32", "/", "i32"),
  "i32.rem_u": infixOf("u32", "%", "i32"),
  "i32.shl": ([x, by]) => `(i32)((u32)${x} << (${by} & 31))`,
  "i32.shr_s": ([x, by]) => `(${x} >> (${by} & 31))`,
  "i32.shr_u": ([x, by]) => `(i32)((u32)${x} >> (${by} & 31))`,
  "i32.eqz": ([x]) => `(${x} == 0)`,
  ...comparisons(forSigns(infix), forSigns(infix), forSigns((sign) => infixOf("u32", sign, "i32"))),
  "bits.and": infix("&"),
  "bits.or": infix("|"),
  "bits.xor": infix("^"),
  "f32.from_i32": ([x]) => `(float)${x}`,
  "f32.from_u32": ([x]) => `(float)(u32)${x}`,
  "i32.from_f32": call("i_from_f"),
  "u32.from_f32": call("u_from_f"),
  "i32.reinterpret": call("bits_of_f"),
  "f32.reinterpret": call("f_of_bits"),
  "select": ([x, y, condition]) => `(${condition} ? ${x} : ${y})`,
  "address.add": infix("+"),
  "address.sub": infix("-"),
  "f32.load": call("F_AT"),
  "i32.load": call("I_AT"),
  "f32.store": ([address, value], [offset]) => `F_AT(${address}, ${offset}) = ${value}`,
  "i32.store": ([address, value], [offset]) => `I_AT(${address}, ${offset}) = ${value}`,
  "u16.load": ([address], [offset]) => `(i32)H_AT(${address}, ${offset})`,
  "u16.store": ([address, value], [offset]) => `H_AT(${address}, ${offset}) = (u16)${value}`,
};

/** Operations with a vector operand or result. */
const VECTORS: Table = {
  "f32.add": infix("+"),
  "f32.sub": infix("-"),
  "f32.mul": infix("*"),
  "f32.div": infix("/"),
  "f32.abs": ([x]) => `(V)((VU)${x} & 0x7fffffffu)`,
  "f32.neg": ([x]) => `(V)((VU)${x} ^ 0x80000000u)`,
  "f32.floor": call("v_floor"),
  "f32.trunc": call("v_trunc"),
  "f32.nearest": call("v_nearest"),
  "f32.sqrt": call("v_sqrt"),
  "f32.min": call("v_min"),
  "f32.max": call("v_max"),
  // v_lesser(x, y) is `x < y ? x : y`, so the pseudo-minimum `y < x ? y : x` has its operands swapped.
  "f32.pmin": ([x, y]) => `v_lesser(${y}, ${x})`,
  "f32.pmax": ([x, y]) => `v_greater(${y}, ${x})`,
  "f32.madd": call("v_madd"),
  "i32.add": infixOf("VU", "+", "V"),
  "i32.sub": infixOf("VU", "-", "V"),
  "i32.mul": infixOf("VU", "*", "V"),
  "i32.div_u": ([x, by]) => `(V)((VU)${x} / (u32)${by})`,
  "i32.rem_u": ([x, by]) => `(V)((VU)${x} % (u32)${by})`,
  "i32.neg": ([x]) => `(V)(-(VU)${x})`,
  "i32.shl": ([x, by]) => `(V)((VU)${x} << (${by} & 31))`,
  "i32.shr_s": ([x, by]) => `(V)((VI)${x} >> (${by} & 31))`,
  "i32.shr_u": ([x, by]) => `(V)((VU)${x} >> (${by} & 31))`,
  ...extremesOfIntegers(),
  ...comparisons(
    forSigns((sign) => infixOf("V", sign, "V")),
    forSigns((sign) => infixOf("VI", sign, "V")),
    forSigns((sign) => infixOf("VU", sign, "V")),
  ),
  "bits.and": infixOf("VU", "&", "V"),
  "bits.or": infixOf("VU", "|", "V"),
  "bits.xor": infixOf("VU", "^", "V"),
  "f32.from_i32": ([x]) => `__builtin_convertvector((VI)${x}, V)`,
  "f32.from_u32": ([x]) => `__builtin_convertvector((VU)${x}, V)`,
  "i32.from_f32": call("v_i_from_f"),
  "u32.from_f32": call("v_u_from_f"),
  "select": ([x, y, condition]) => `(${condition} ? ${x} : ${y})`,
  "blend": call("v_blend"),
  "f32.splat": call("v_splat"),
  "i32.splat": call("v_splat_i"),
  "f32.extract": ([x], [lane]) => `${x}[${lane}]`,
  "i32.extract": ([x], [lane]) => `((VI)${x})[${lane}]`,
  "f32.replace": ([x, y], [lane]) => `v_with(${x}, ${lane}, ${y})`,
  "i32.replace": ([x, y], [lane]) => `v_with_i(${x}, ${lane}, ${y})`,
  "shuffle": call("SHUFFLE"),
  "i32.ramp": (_, [step]) => `(V)(LANE_NUMBERS * ${step})`,
  "any": call("v_any"),
  "lanes.load": call("v_load"),
  "lanes.load_u16": call("v_load_u16"),
  "lanes.store_u16": ([address, value], [offset]) => `v_store_u16(${address}, ${value}, ${offset})`,
  "lanes.load_splat": ([address], [offset]) => `v_splat(F_AT(${address}, ${offset}))`,
  "lanes.gather": call("v_gather"),
  "lanes.scatter": call("v_scatter"),
  "lanes.store": ([address, value], [offset]) => `V_AT(${address}, ${offset}) = ${value}`,
  "lanes.store_lane": ([address, value], [offset, lane]) => `F_AT(${address}, ${offset}) = ${value}[${lane}]`,
  "f64.const": (_, [value]) => `v_splat_d(${doubleText(value)})`,
  "f64.add": infixOf("VD", "+", "V"),
  "f64.sub": infixOf("VD", "-", "V"),
  "f64.mul": infixOf("VD", "*", "V"),
  "f64.nearest": call("v_nearest_d"),
  "f64.promote_low": call("v_promote"),
  "f32.demote": call("v_demote"),
};

function extremesOfIntegers(): Table {
  return Object.fromEntries(
    (["min", "max"] as const).flatMap((name) =>
      ([["s", "VI"], ["u", "VU"]] as const).map(([sign, type]): [string, Print] => [
        `i32.${name}_${sign}`,
        ([x, y]) => `v_blend(${x}, ${y}, (V)((${type})${x} ${name === "min" ? "<" : ">"} (${type})${y}))`,
      ])
    ),
  );
}

/** A double literal. */
function doubleText(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** A float literal. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return '__builtin_nanf("")';
  if (!Number.isFinite(value)) return value > 0 ? "__builtin_inff()" : "(-__builtin_inff())";
  const text = `${Object.is(value, -0) ? "-0.0" : doubleText(Math.fround(value))}f`;
  return text.startsWith("-") ? `(${text})` : text;
}

function integerText(value: number): string {
  // C has no negative literals, and the magnitude of the smallest integer does not fit in its type.
  return value === -2147483648 ? "(-2147483647 - 1)" : value < 0 ? `(${value})` : String(value);
}

/** Prints operations as expressions, and assignments, stores, loops and branches as statements. */
export class CLanguage implements Language<string> {
  #text(operand: Operand): string {
    if (isOperation(operand)) return this.#operate(operand);
    const { local, literal, dtype } = operand;
    if (local !== undefined) return nameOf(local);
    return dtype === "f32" ? floatText(literal) : integerText(literal);
  }

  #operate({ op, args, immediates, width }: Operation): string {
    // Some operations take a vector and give one lane, such as extracting it.
    const isVector = width > 1 || args.some((arg) => arg.width > 1);
    const print = (isVector ? VECTORS : SCALARS)[op];
    invariant(print, `C has no operation ${op} of ${isVector ? "vectors" : "one lane"}`);
    return print(args.map((arg) => this.#text(arg)), immediates);
  }

  /** `local = value`. */
  assign(out: string[], local: number, value: Operand): void {
    out.push(`${nameOf(local)} = ${this.#text(value)};`);
  }

  /** A store. */
  effect(out: string[], operation: Operation): void {
    out.push(`${this.#operate(operation)};`);
  }

  /** A loop with a counter. */
  loop(out: string[], { counter, start, end, step }: LoopHead, body: readonly string[]): void {
    const at = nameOf(counter);
    block(out, `for (${at} = ${this.#text(start)}; ${at} < ${this.#text(end)}; ${at} += ${step})`, body);
  }

  /** A loop that counts down to 0. */
  countdown(out: string[], left: number, turns: Operand, body: readonly string[]): void {
    const at = nameOf(left);
    block(out, `for (${at} = ${this.#text(turns)}; ${at} != 0; ${at}--)`, body);
  }

  /** A body that runs where a condition holds. */
  when(out: string[], condition: Operand, body: readonly string[]): void {
    block(out, `if (${this.#text(condition)})`, body);
  }
}

function block(out: string[], head: string, body: readonly string[]): void {
  out.push(`${head} {`);
  for (const line of body) out.push(`  ${line}`);
  out.push("}");
}

/** The name of a local. */
export function nameOf(local: number): string {
  return `v${local}`;
}
