/** Helpers for defining primitives: checks for `infer`, and gradients of primitives with a single output. */
import type { DType, Type } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import type { NoGradient, Vjp, VjpCall } from "../core/op.ts";
import { checkList, checkType, formatType, type Shape } from "../core/shape.ts";

export { checkSameDType, checkSameShape } from "../core/shape.ts";

/** The classes of dtypes that ops accept. */
export type Domain = "float" | "signed" | "number" | "any" | "bool" | "integer";

const DOMAINS: Readonly<Record<Domain, { dtypes: readonly DType[]; text: string }>> = {
  float: { dtypes: ["f32", "f16", "bf16"], text: "only floats are allowed; use cast" },
  signed: { dtypes: ["f32", "f16", "bf16", "i32"], text: "only floats and i32 are allowed; use cast" },
  number: { dtypes: ["f32", "f16", "bf16", "i32", "u32"], text: "bool has no arithmetic; use cast or a logical op" },
  any: { dtypes: ["f32", "f16", "bf16", "i32", "u32", "bool"], text: "" },
  bool: { dtypes: ["bool"], text: "only bool is allowed; compare with notEqual(x, 0) first" },
  integer: { dtypes: ["i32", "u32"], text: "only i32 and u32 are allowed; use cast" },
};

/** Checks the dtype of one operand. @throws {DTypeError} if it is outside the domain. */
export function checkDomain(action: string, type: Type, domain: Domain): void {
  checkType(action, type);
  const { dtypes, text } = DOMAINS[domain];
  if (!dtypes.includes(type.dtype)) throw new DTypeError(`Cannot ${action} ${formatType(type)}: ${text}`, [type.dtype]);
}

/** Checks that `values` has one entry per axis. @throws {ShapeError} if not. */
export function checkPerAxis(action: string, type: Type, what: string, values: readonly unknown[]): void {
  checkType(action, type);
  checkList(`${action} by`, values);
  if (values.length !== type.shape.length) {
    throw new ShapeError(
      `Cannot ${action} ${formatType(type)}: it has ${type.shape.length} axes and ${what} has ${values.length} entries`,
      [type.shape],
    );
  }
}

/** The vjp of a primitive with one output: `fn` receives its cotangent, which always exists when a vjp is called. */
export function pullback<A>(fn: (g: Tensor, call: VjpCall<A>) => readonly (Tensor | undefined)[]): Vjp<A> {
  return (call) => fn(call.cotangents[0]!, call);
}

/** Declares that a gradient is zero, and why. */
export function noGradient(reason: string): NoGradient {
  return { zero: true, reason };
}

/** The shape without `axes`. */
export function dropAxes(shape: Shape, axes: readonly number[]): number[] {
  return shape.filter((_, axis) => !axes.includes(axis));
}

/** The shape with extent 1 at `axes`. */
export function keepAxes(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
}
