/** Arithmetic on scalars and vectors alike: broadcasts and extracts lanes, and selects operations by type. */
import type { DType } from "../../core/dtype.ts";
import type { BitsName, ElementType, F32Name, I32Name, OpName } from "./operations.ts";
import type { Value, Writer } from "./writer.ts";

/** The lane indices of a vector. */
export function laneNumbers({ lanes }: Writer): number[] {
  return Array.from({ length: lanes }, (_, lane) => lane);
}

/** Broadcasts a scalar to all lanes; vectors are returned unchanged. */
export function splat(w: Writer, value: Value, width: number = w.lanes): Value {
  if (value.width === width) return value;
  if (value.dtype === "bool") {
    const mask = w.op("i32.sub", [w.literal(0, "i32"), { ...value, dtype: "i32" }]);
    return { ...w.op("i32.splat", [mask]), dtype: "bool" };
  }
  return w.op(value.dtype === "f32" ? "f32.splat" : "i32.splat", [value]);
}

/** One lane of a value. */
export function laneOf(w: Writer, value: Value, lane: number): Value {
  if (value.width === 1) return value;
  if (value.dtype === "f32") return w.op("f32.extract", [value], [lane]);
  const raw = w.op("i32.extract", [value], [lane]);
  return value.dtype === "bool" ? w.op("bits.and", [raw, w.literal(1, "i32")]) : raw;
}

/** Combines one scalar per lane into a vector. */
export function joinLanes(w: Writer, lanes: readonly Value[]): Value {
  if (lanes.every((lane) => lane.local === lanes[0].local && lane.local !== undefined)) return splat(w, lanes[0]);
  const { dtype } = lanes[0], type = dtype === "f32" ? "f32" : "i32";
  const parts = lanes.map((lane): Value => (dtype === "bool" ? { ...lane, dtype: "i32" } : lane));
  let joined = w.op(`${type}.splat`, [parts[0]]);
  for (let at = 1; at < w.lanes; at++) joined = w.op(`${type}.replace`, [joined, parts[at]], [at]);
  return { ...(dtype === "bool" ? w.op("i32.neg", [joined]) : joined), dtype };
}

/**
 * Joins the lanes of vectors into scalars, as a balanced tree: each lane with its neighbour, each pair with the next
 * pair, and so on. `join` combines two vectors, or two lanes, of each kind.
 */
export function foldLanes(
  w: Writer,
  vectors: readonly Value[],
  join: (x: readonly Value[], y: readonly Value[]) => readonly Value[],
): Value[] {
  if (w.lanes === 4) {
    // Extracting four lanes is as fast as shuffling them twice.
    const lanes = laneNumbers(w).map((lane) => vectors.map((vector) => laneOf(w, vector, lane)));
    return [...join(join(lanes[0], lanes[1]), join(lanes[2], lanes[3]))];
  }
  let joined = vectors;
  for (let run = 1; run < w.lanes; run *= 2) {
    const partners = laneNumbers(w).map((lane) => lane ^ run);
    joined = join(joined, joined.map((vector) => w.op("shuffle", [vector, vector], partners)));
  }
  return joined.map((vector) => laneOf(w, vector, 0));
}

/** Transposes a W x W block of vectors, in log2(W) rounds of pairwise interleaving. */
export function transposed(w: Writer, rows: readonly Value[], run = 1): Value[] {
  if (rows.length === 1) return [...rows];
  const pairs = rows.flatMap((row, at) => (at % 2 === 0 ? [[row, rows[at + 1]]] : []));
  /** Interleaves runs of lanes from the same half of two vectors. */
  const interleave = (half: 0 | 1) =>
    pairs.map((pair) => {
      const lanes = laneNumbers(w).map((lane) => {
        const number = Math.floor(lane / run);
        return (number % 2) * w.lanes + half * w.lanes / 2 + Math.floor(number / 2) * run + lane % run;
      });
      return w.op("shuffle", pair, lanes);
    });
  const [lower, upper] = [interleave(0), interleave(1)];
  return [...transposed(w, lower, 2 * run), ...transposed(w, upper, 2 * run)];
}

/** The common width of an operation's operands, and the operands broadcast to it. */
export function align(w: Writer, args: readonly Value[]): { width: number; args: Value[] } {
  const width = args.reduce((max, arg) => Math.max(max, arg.width), 1);
  return { width, args: args.map((arg) => splat(w, arg, width)) };
}

/** A float operation by its unprefixed name, such as `add`. */
export function f(w: Writer, name: F32Name, ...operands: Value[]): Value {
  return w.op(`f32.${name}`, align(w, operands).args);
}

/** An integer operation by its unprefixed name. The result has the first operand's dtype. */
export function i(w: Writer, name: I32Name, ...operands: Value[]): Value {
  return w.op(`i32.${name}`, align(w, operands).args);
}

/** A bitwise operation. */
export function bits(w: Writer, name: BitsName, x: Value, y: Value, dtype: ElementType = x.dtype): Value {
  return { ...w.op(`bits.${name}`, align(w, [x, y]).args), dtype };
}

/** A shift by a scalar. */
export function shift(w: Writer, name: "shl" | "shr_s" | "shr_u", x: Value, amount: Value): Value {
  return w.op(`i32.${name}`, [x, amount]);
}

/** A comparison. Truth values compare as unsigned integers, so that an all-ones mask is the greatest. */
export function compare(w: Writer, name: "eq" | "ne" | "lt" | "le" | "gt" | "ge", x: Value, y: Value): Value {
  const { args } = align(w, [x, y]), [{ dtype }] = args;
  if (dtype === "f32") return w.op(`f32.${name}`, args);
  const op: OpName = name === "eq" || name === "ne" ? `i32.${name}` : `i32.${name}_${dtype === "i32" ? "s" : "u"}`;
  return w.op(op, args);
}

/** `cond ? then : otherwise`. */
export function choose(w: Writer, cond: Value, then: Value, otherwise: Value): Value {
  if (cond.width === 1) return w.op("select", [...align(w, [then, otherwise]).args, cond]);
  return w.op("blend", [splat(w, then), splat(w, otherwise), cond]);
}

/** Bitcasts a float to an integer. */
export function toBits(w: Writer, x: Value): Value {
  return x.width > 1 ? { ...x, dtype: "i32" } : w.op("i32.reinterpret", [x]);
}

/** Bitcasts an integer to a float. */
export function fromBits(w: Writer, x: Value): Value {
  return x.width > 1 ? { ...x, dtype: "f32" } : w.op("f32.reinterpret", [x]);
}

/** `x y + z`, with a single rounding where the target has a fast fused multiply-add. */
export function multiplyAdd(w: Writer, x: Value, y: Value, z: Value): Value {
  const { width, args } = align(w, [x, y, z]);
  if (width > 1 && w.target.fused) return w.op("f32.madd", args);
  return f(w, "add", f(w, "mul", args[0], args[1]), args[2]);
}

/** Evaluates a polynomial given its coefficients in increasing order of degree. */
export function polynomial(w: Writer, x: Value, coefficients: readonly number[]): Value {
  const literals = coefficients.map((value) => w.literal(value, "f32"));
  return literals.reduceRight((sum, coefficient) => multiplyAdd(w, sum, x, coefficient));
}

/** Clamps a float to `low .. high`; NaN is preserved. */
export function limit(w: Writer, x: Value, low: number, high: number): Value {
  const most = w.literal(high, "f32");
  return atLeast(w, x.width > 1 ? f(w, "pmin", x, most) : f(w, "min", x, most), low);
}

/** The greater of a float and a number; NaN remains. */
export function atLeast(w: Writer, x: Value, low: number): Value {
  const least = w.literal(low, "f32");
  // The pseudo-maximum is one instruction, a NaN-propagating maximum six. If either operand is NaN, it returns its
  // first operand.
  return x.width > 1 ? f(w, "pmax", x, least) : f(w, "max", x, least);
}

/** Converts between types. To bool this is a comparison with zero; to integers it truncates. */
export function convert(w: Writer, value: Value, dtype: DType): Value {
  const { dtype: from, width } = value;
  if (from === dtype) return value;
  if (dtype === "bool") return compare(w, "ne", value, w.literal(0, from));
  let x = value;
  if (from === "bool") {
    // 1.0 in every lane, to be masked.
    if (dtype === "f32" && width > 1) return { ...bits(w, "and", x, splat(w, w.literal(1, "f32"))), dtype };
    x = width > 1 ? bits(w, "and", x, splat(w, w.literal(1, "i32")), "i32") : { ...x, dtype: "i32" };
  }
  if (dtype === "f32") return w.op(x.dtype === "u32" ? "f32.from_u32" : "f32.from_i32", [x]);
  if (from !== "f32") return { ...x, dtype };
  return w.op(dtype === "u32" ? "u32.from_f32" : "i32.from_f32", [x]);
}
