/**
 * The operations that kernels consist of, whatever language they are printed in.
 *
 * An elementwise operation has the same name for one lane and for all W lanes of a vector; its operands determine the
 * width. Scalar truth values are 0 or 1, vector ones are masks with all bits set or clear.
 */
import type { DType } from "../../core/dtype.ts";

const F32 = [
  ...["add", "sub", "mul", "div", "abs", "neg", "floor", "trunc", "nearest", "sqrt"] as const,
  // Propagates NaN.
  ...["min", "max"] as const,
  // Vectors only: the first operand if either is NaN.
  ...["pmin", "pmax"] as const,
  // Scalars only: the magnitude of the first operand with the sign of the second.
  "copysign",
  // Vectors only: x y + z, with a single rounding if the target is fused.
  "madd",
] as const;
const F32_COMPARISONS = ["eq", "ne", "lt", "gt", "le", "ge"] as const;

const I32 = [
  ...["add", "sub", "mul"] as const,
  // Scalars only. The divisor must not be 0, and the quotient must not overflow.
  ...["div_s", "rem_s"] as const,
  // The divisor is a scalar, not 0. Vectors only if the target gathers.
  ...["div_u", "rem_u"] as const,
  // The shift amount is a scalar, 0 to 31.
  ...["shl", "shr_s", "shr_u"] as const,
  // Vectors only.
  ...["neg", "min_s", "min_u", "max_s", "max_u"] as const,
] as const;
const I32_COMPARISONS = [
  ...["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"] as const,
  // Scalars only: whether the operand is 0.
  "eqz",
] as const;

/** Bitwise operations, on elements of any type. */
const BITS = ["and", "or", "xor"] as const;

/** Operations on doubles, W / 2 of them in a vector. Only used inline, as parts of other operations. */
const F64 = [
  // Broadcasts the immediate.
  "const",
  ...["add", "sub", "mul", "nearest"] as const,
  // Converts the lower half of W floats to doubles.
  "promote_low",
] as const;

/** Unprefixed names of the operations on 32-bit floats, on 32-bit integers, and on bits. */
export type F32Name = (typeof F32)[number];
/** See {@link F32Name}. */
export type I32Name = (typeof I32)[number];
/** See {@link F32Name}. */
export type BitsName = (typeof BITS)[number];
/** See {@link F32Name}. */
export type F64Name = (typeof F64)[number];
/** Comparisons; those of integers also by signedness. */
export type F32Comparison = (typeof F32_COMPARISONS)[number];
/** See {@link F32Comparison}. */
export type I32Comparison = (typeof I32_COMPARISONS)[number];

/** Operations with individual result types. */
const OTHERS = {
  // (then, otherwise, condition): the condition is one scalar for all lanes, or a mask.
  "select": ["first", "args"],
  "blend": ["first", "all"],
  // Numeric conversions. Those to integers truncate and saturate; NaN becomes 0.
  "f32.from_i32": ["f32", "args"],
  "f32.from_u32": ["f32", "args"],
  "i32.from_f32": ["i32", "args"],
  "u32.from_f32": ["u32", "args"],
  // Bitcasts of scalars; vectors are untyped.
  "i32.reinterpret": ["i32", "one"],
  "f32.reinterpret": ["f32", "one"],
  // Broadcasts a scalar, or extracts or replaces the lane that the immediate names.
  "f32.splat": ["first", "all"],
  "i32.splat": ["first", "all"],
  "f32.extract": ["first", "one"],
  "i32.extract": ["first", "one"],
  "f32.replace": ["first", "all"],
  "i32.replace": ["first", "all"],
  // Picks W of the 2 W lanes of two vectors; the immediates are their indices.
  "shuffle": ["first", "all"],
  // Lane numbers times the immediate. Only if the target gathers.
  "i32.ramp": ["i32", "all"],
  // Whether any lane of a mask is set.
  "any": ["bool", "one"],
  // Converts W / 2 doubles to floats, in the lower half of the lanes.
  "f32.demote": ["f32", "all"],
  // An address plus or minus a signed number of bytes. Addresses are as wide as the machine's pointers.
  "address.add": ["first", "one"],
  "address.sub": ["first", "one"],
  // Memory accesses, aligned to their elements: the operand is an address, to which the first immediate is added.
  "f32.load": ["f32", "one"],
  "i32.load": ["i32", "one"],
  "lanes.load": ["f32", "all"],
  "lanes.load_splat": ["f32", "all"],
  // Elements of two bytes, as integers from 0 to 65,535.
  "u16.load": ["i32", "one"],
  "lanes.load_u16": ["i32", "all"],
  // (address, indices): elements at W indices, counted in elements from the address. Only if the target gathers.
  "lanes.gather": ["f32", "all"],
  // (address, value): side effects. The second immediate of `store_lane` is the lane index.
  "f32.store": ["none", "one"],
  "i32.store": ["none", "one"],
  "lanes.store": ["none", "all"],
  "lanes.store_lane": ["none", "all"],
  // Elements of two bytes, from integers from 0 to 65,535.
  "u16.store": ["none", "one"],
  "lanes.store_u16": ["none", "all"],
  // (address, indices, value): of equal indices, the highest lane is stored. Only if the target gathers.
  "lanes.scatter": ["none", "all"],
} as const satisfies Readonly<Record<string, Rule>>;

/** The name of an operation. */
export type OpName =
  | `f32.${F32Name | F32Comparison}`
  | `i32.${I32Name | I32Comparison}`
  | `bits.${BitsName}`
  | `f64.${F64Name}`
  | keyof typeof OTHERS;

/** The element type of the result, given that of the first operand, and its width, given the widest operand's. */
type Rule = readonly [dtype: DType | "first" | "none", width: "one" | "all" | "args"];

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...F32.map((name): [string, Rule] => [`f32.${name}`, ["f32", "args"]]),
  ...F32_COMPARISONS.map((name): [string, Rule] => [`f32.${name}`, ["bool", "args"]]),
  ...I32.map((name): [string, Rule] => [`i32.${name}`, ["first", "args"]]),
  ...I32_COMPARISONS.map((name): [string, Rule] => [`i32.${name}`, ["bool", "args"]]),
  ...BITS.map((name): [string, Rule] => [`bits.${name}`, ["first", "args"]]),
  ...F64.map((name): [string, Rule] => [`f64.${name}`, ["f32", "all"]]),
  ...Object.entries(OTHERS),
]);

/** All operations, for languages that map them and for tests. */
export const OP_NAMES: readonly OpName[] = [...RULES.keys()] as OpName[];

/** The element type of a value; or an address, which only address arithmetic and memory accesses take. */
export type ElementType = DType | "address";

/** The type of a value: its element type and width. */
export interface ResultType {
  readonly dtype: ElementType;
  /** 1 or the target's lane count. */
  readonly width: number;
}

/** The result type of an operation. Effects have no result, for which the type is an integer. */
export function resultOf(op: OpName, args: readonly ResultType[], lanes: number): ResultType {
  const [dtype, lanesOfResult] = RULES.get(op)!;
  let width = lanesOfResult === "all" ? lanes : 1;
  if (lanesOfResult === "args") { for (let at = 0; at < args.length; at++) width = Math.max(width, args[at].width); }
  return { dtype: dtype === "first" ? args[0].dtype : dtype === "none" ? "i32" : dtype, width };
}
