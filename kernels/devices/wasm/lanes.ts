/** Arithmetic for one point or four alike: picks the scalar or the SIMD instruction, and moves values between both. */
import type { DType } from "../../../core/dtype.ts";
import type { Value, Width, Writer } from "./writer.ts";

/** The value with four lanes, equal if it was a scalar. */
export function splat(w: Writer, value: Value, width: Width = 4): Value {
  if (value.width === width) return value;
  if (value.dtype === "bool") {
    const mask = w.op("i32.sub", [w.literal(0, "i32"), { ...value, dtype: "i32" }], { dtype: "i32", width: 1 });
    return w.op("i32x4.splat", [mask], { dtype: "bool", width: 4 });
  }
  return w.op(value.dtype === "f32" ? "f32x4.splat" : "i32x4.splat", [value], { dtype: value.dtype, width: 4 });
}

/** One lane of a value. */
export function laneOf(w: Writer, value: Value, lane: number): Value {
  if (value.width === 1) return value;
  if (value.dtype === "f32") return w.op("f32x4.extract_lane", [value], { dtype: "f32", width: 1 }, [lane]);
  const raw = w.op("i32x4.extract_lane", [value], { dtype: value.dtype === "bool" ? "i32" : value.dtype, width: 1 }, [
    lane,
  ]);
  return value.dtype === "bool" ? w.op("i32.and", [raw, w.literal(1, "i32")], { dtype: "bool", width: 1 }) : raw;
}

/** Four scalars as one value. */
export function joinLanes(w: Writer, lanes: readonly Value[]): Value {
  if (lanes.every((lane) => lane.local === lanes[0].local && lane.local !== undefined)) return splat(w, lanes[0]);
  const { dtype } = lanes[0];
  const [prefix, type] = dtype === "f32" ? ["f32x4", "f32" as const] : ["i32x4", "i32" as const];
  const parts = lanes.map((lane): Value => (dtype === "bool" ? { ...lane, dtype: "i32" } : lane));
  let joined = w.op(`${prefix}.splat`, [parts[0]], { dtype: type, width: 4 });
  for (let at = 1; at < 4; at++) {
    joined = w.op(`${prefix}.replace_lane`, [joined, parts[at]], { dtype: type, width: 4 }, [at]);
  }
  if (dtype === "bool") joined = w.op("i32x4.neg", [joined], { dtype: "bool", width: 4 });
  return { ...joined, dtype };
}

/** The width that operands of an operation have together, and the operands in it. */
export function align(w: Writer, args: readonly Value[]): { width: Width; args: Value[] } {
  const width = args.some((arg) => arg.width === 4) ? 4 : 1;
  return { width, args: args.map((arg) => splat(w, arg, width)) };
}

/** A float operation by its bare name, such as `add`. */
export function f(w: Writer, name: string, ...operands: Value[]): Value {
  const { width, args } = align(w, operands);
  return w.op(`${width === 4 ? "f32x4" : "f32"}.${name}`, args, { dtype: "f32", width });
}

/** An integer operation by its bare name; the result has the first operand's dtype. */
export function i(w: Writer, name: string, ...operands: Value[]): Value {
  const { width, args } = align(w, operands);
  return w.op(`${width === 4 ? "i32x4" : "i32"}.${name}`, args, { dtype: args[0].dtype, width });
}

/** A bitwise operation. */
export function bits(w: Writer, name: "and" | "or" | "xor", x: Value, y: Value, dtype: DType = x.dtype): Value {
  const { width, args } = align(w, [x, y]);
  return w.op(`${width === 4 ? "v128" : "i32"}.${name}`, args, { dtype, width });
}

/** A shift by a scalar. */
export function shift(w: Writer, name: "shl" | "shr_s" | "shr_u", x: Value, amount: Value): Value {
  return w.op(`${x.width === 4 ? "i32x4" : "i32"}.${name}`, [x, amount], { dtype: x.dtype, width: x.width });
}

/** A comparison by its full name, such as `lt_u` or, for floats, `lt`. */
export function compare(w: Writer, name: string, x: Value, y: Value): Value {
  const { width, args } = align(w, [x, y]);
  const prefix = args[0].dtype === "f32" ? "f32" : "i32";
  return w.op(`${prefix}${width === 4 ? "x4" : ""}.${name}`, args, { dtype: "bool", width });
}

/** `cond ? then : otherwise`. */
export function choose(w: Writer, cond: Value, then: Value, otherwise: Value): Value {
  const { width, args } = align(w, [then, otherwise]);
  if (cond.width === 1) return w.op("select", [...args, cond], { dtype: then.dtype, width });
  return w.op("v128.bitselect", [splat(w, then), splat(w, otherwise), cond], { dtype: then.dtype, width: 4 });
}

/** The bits of a float as an integer. */
export function toBits(w: Writer, x: Value): Value {
  return x.width === 4 ? { ...x, dtype: "i32" } : w.op("i32.reinterpret_f32", [x], { dtype: "i32", width: 1 });
}

/** An integer's bits as a float. */
export function fromBits(w: Writer, x: Value): Value {
  return x.width === 4 ? { ...x, dtype: "f32" } : w.op("f32.reinterpret_i32", [x], { dtype: "f32", width: 1 });
}

/** `x y + z`, rounded once where the machine can and it is cheap. */
export function multiplyAdd(w: Writer, x: Value, y: Value, z: Value): Value {
  const { width, args } = align(w, [x, y, z]);
  if (width === 4 && w.target.relaxed) return w.op("f32x4.relaxed_madd", args, { dtype: "f32", width });
  return f(w, "add", f(w, "mul", args[0], args[1]), args[2]);
}

/** The polynomial with coefficients from the constant up. */
export function polynomial(w: Writer, x: Value, coefficients: readonly number[]): Value {
  const literals = coefficients.map((value) => w.literal(value, "f32"));
  return literals.reduceRight((sum, coefficient) => multiplyAdd(w, sum, x, coefficient));
}

/** A float limited to `low .. high`; NaN stays. */
export function limit(w: Writer, x: Value, low: number, high: number): Value {
  const [least, most] = [w.literal(low, "f32"), w.literal(high, "f32")];
  // The pseudo-minimum is one instruction where the minimum of WebAssembly takes six; it gives its first operand where
  // that is NaN.
  if (x.width === 4) return f(w, "pmax", f(w, "pmin", x, most), least);
  return f(w, "max", f(w, "min", x, most), least);
}

/** A conversion; to bool it is a comparison with zero, to an integer it truncates. */
export function convert(w: Writer, value: Value, dtype: DType): Value {
  const { dtype: from, width } = value;
  if (from === dtype) return value;
  if (dtype === "bool") return compare(w, "ne", value, w.literal(0, from));
  let x = value;
  if (from === "bool") {
    if (dtype === "f32" && width === 4) return { ...bits(w, "and", x, toSplatBits(w)), dtype };
    x = width === 4 ? bits(w, "and", x, splat(w, w.literal(1, "i32")), "i32") : { ...x, dtype: "i32" };
  }
  if (dtype === "f32") {
    const sign = x.dtype === "u32" ? "u" : "s";
    return w.op(width === 4 ? `f32x4.convert_i32x4_${sign}` : `f32.convert_i32_${sign}`, [x], { dtype, width });
  }
  if (from !== "f32") return { ...x, dtype };
  const sign = dtype === "u32" ? "u" : "s";
  return w.op(width === 4 ? `i32x4.trunc_sat_f32x4_${sign}` : `i32.trunc_sat_f32_${sign}`, [x], { dtype, width });
}

/** 1 as a float in four lanes, to be masked. */
function toSplatBits(w: Writer): Value {
  return splat(w, w.literal(1, "f32"));
}
