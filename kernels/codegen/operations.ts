/**
 * The operations that kernels are written in, whatever language they are printed in.
 *
 * An operation on elements has one name for one lane and for all W lanes of a vector; its operands tell which. Truth
 * values of one lane are 0 or 1, those of vectors are masks of all or no bits.
 */
import type { DType } from "../../core/dtype.ts";

const F32 = [
  ...["add", "sub", "mul", "div", "abs", "neg", "floor", "trunc", "nearest", "sqrt"] as const,
  // NaN if an operand is.
  ...["min", "max"] as const,
  // Vectors only: the first operand where either is NaN.
  ...["pmin", "pmax"] as const,
  // One lane only: the first operand with the sign of the second.
  "copysign",
  // Vectors only: x y + z; rounded once where the target is fused.
  "madd",
] as const;
const F32_COMPARISONS = ["eq", "ne", "lt", "gt", "le", "ge"] as const;

const I32 = [
  ...["add", "sub", "mul"] as const,
  // One lane only. The divisor is not 0, and the quotient does not overflow.
  ...["div_s", "div_u", "rem_s", "rem_u"] as const,
  // The amount is one lane, 0 to 31.
  ...["shl", "shr_s", "shr_u"] as const,
  // Vectors only.
  ...["neg", "min_s", "min_u", "max_s", "max_u"] as const,
] as const;
const I32_COMPARISONS = [
  ...["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"] as const,
  // One lane only: whether it is 0.
  "eqz",
] as const;

/** Of the bits of any elements. */
const BITS = ["and", "or", "xor"] as const;

/** Operations on doubles, W / 2 of them in a vector; only as parts of others. */
const F64 = [
  // The immediate in every lane.
  "const",
  ...["add", "sub", "mul", "nearest"] as const,
  // The lower half of W floats as doubles.
  "promote_low",
] as const;

/** The bare names of operations on floats of 32 bits, on integers of 32 bits, and on bits. */
export type F32Name = (typeof F32)[number];
/** See {@link F32Name}. */
export type I32Name = (typeof I32)[number];
/** See {@link F32Name}. */
export type BitsName = (typeof BITS)[number];
/** See {@link F32Name}. */
export type F64Name = (typeof F64)[number];
/** Comparisons; integers also by sign. */
export type F32Comparison = (typeof F32_COMPARISONS)[number];
/** See {@link F32Comparison}. */
export type I32Comparison = (typeof I32_COMPARISONS)[number];

/** Operations whose result has a type of its own. */
const OTHERS = {
  // (then, otherwise, condition): by one condition of one lane, or lane by lane.
  "select": ["first", "args"],
  "blend": ["first", "all"],
  // Conversions of numbers; to integers they truncate and saturate, NaN gives 0.
  "f32.from_i32": ["f32", "args"],
  "f32.from_u32": ["f32", "args"],
  "i32.from_f32": ["i32", "args"],
  "u32.from_f32": ["u32", "args"],
  // The same bits as another type, of one lane; vectors are bits anyway.
  "i32.reinterpret": ["i32", "one"],
  "f32.reinterpret": ["f32", "one"],
  // Between one lane and all: the immediate is the number of the lane.
  "f32.splat": ["first", "all"],
  "i32.splat": ["first", "all"],
  "f32.extract": ["first", "one"],
  "i32.extract": ["first", "one"],
  "f32.replace": ["first", "all"],
  "i32.replace": ["first", "all"],
  // W lanes out of the 2 W lanes of two vectors: the immediates are their numbers.
  "shuffle": ["first", "all"],
  // Whether a mask has a lane that is set.
  "any": ["bool", "one"],
  // W / 2 doubles as floats, in the lower half of the lanes.
  "f32.demote": ["f32", "all"],
  // Memory, at any multiple of four bytes: the operand is an address, the first immediate is added to it.
  "f32.load": ["f32", "one"],
  "i32.load": ["i32", "one"],
  "lanes.load": ["f32", "all"],
  "lanes.load_splat": ["f32", "all"],
  // (address, value): effects. The second immediate of `store_lane` is the number of the lane.
  "f32.store": ["none", "one"],
  "i32.store": ["none", "one"],
  "lanes.store": ["none", "all"],
  "lanes.store_lane": ["none", "all"],
} as const satisfies Readonly<Record<string, Rule>>;

/** The name of an operation. */
export type OpName =
  | `f32.${F32Name | F32Comparison}`
  | `i32.${I32Name | I32Comparison}`
  | `bits.${BitsName}`
  | `f64.${F64Name}`
  | keyof typeof OTHERS;

/** The result's element type, `first` that of the first operand; and its lanes, `args` those of the widest operand. */
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

/** The type of a value: its elements, and how many of them. */
export interface ResultType {
  readonly dtype: DType;
  /** 1, or the target's lanes. */
  readonly width: number;
}

/** What an operation gives. Effects give nothing, which counts as an integer here. */
export function resultOf(op: OpName, args: readonly ResultType[], lanes: number): ResultType {
  const [dtype, lanesOfResult] = RULES.get(op)!;
  let width = lanesOfResult === "all" ? lanes : 1;
  if (lanesOfResult === "args") { for (let at = 0; at < args.length; at++) width = Math.max(width, args[at].width); }
  return { dtype: dtype === "first" ? args[0].dtype : dtype === "none" ? "i32" : dtype, width };
}
