/**
 * The vector space of cotangents: a constant and a sum are all that reverse mode needs of arithmetic. They are the two
 * primitives defined in core; `ops` gives them their public functions.
 */
import type { DType, Type } from "./dtype.ts";
import { isFloat, roundTo } from "./dtype.ts";
import { DTypeError } from "./errors.ts";
import { apply, type Tensor } from "./graph.ts";
import type { Attrs, MapOp, SourceOp } from "./op.ts";
import { checkSameDType, checkSameShape, checkType, formatType, sizeOfShape } from "./shape.ts";
import { checkKind } from "./describe.ts";

interface FullAttrs extends Attrs {
  readonly value: number;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** A tensor of one repeated value. */
export const fullOp: SourceOp<FullAttrs> = {
  name: "full",
  kind: "source",
  infer: (_inputs, { shape, dtype }) => [{ shape, dtype }],
  reference: (_inputs, { value, shape }) => [new Float64Array(sizeOfShape(shape)).fill(value)],
  lower: (e, _index, { value, dtype }) => e.const(value, dtype),
  vjp: { zero: true, reason: "a constant has no inputs" },
};

/**
 * A tensor of the type's shape and dtype filled with `value` (rounded to an integer dtype's range).
 * @throws {DTypeError} if the value is not a number, or the type none.
 */
export function fill(type: Type, value: number, action = "fill"): Tensor {
  checkType(action, type);
  checkKind(typeof value === "number", `${action} ${formatType(type)} with`, value, "a number");
  return apply(fullOp, [], { value: roundTo(type.dtype, value), shape: [...type.shape], dtype: type.dtype });
}

/** The repeated value of a tensor made by {@link fill}; undefined for any other. */
export function splatValue(x: Tensor): number | undefined {
  return x.node.op === fullOp ? (x.node.attrs as FullAttrs).value : undefined;
}

/** The sum of two tensors of one type. Gradient: passes to both. */
export const addOp: MapOp<Attrs> = {
  name: "add",
  kind: "map",
  infer: ([lhs, rhs]) => {
    checkSameDType("add", lhs, rhs);
    if (lhs.dtype === "bool") {
      throw new DTypeError(
        `Cannot add ${formatType(lhs)} and ${formatType(rhs)}: bool has no sum; use cast or logicalOr`,
        ["bool"],
      );
    }
    checkSameShape("add", lhs, rhs);
    return [lhs];
  },
  reference: ([lhs, rhs], _attrs, [{ dtype }]) => {
    const x = lhs.data, y = rhs.data, out = new Float64Array(x.length);
    for (let i = 0; i < out.length; i++) out[i] = x[i] + y[i];
    return [isFloat(dtype) ? out : out.map((value) => roundTo(dtype, value))];
  },
  lower: (e, [lhs, rhs]) => e.binary("add", lhs, rhs),
  vjp: ({ cotangents: [g], needs }) => needs.map((needed) => (needed ? g : undefined)),
  rewrite: ([lhs, rhs]) => (splatValue(lhs) === 0 ? rhs : splatValue(rhs) === 0 ? lhs : undefined),
};

/** `lhs + rhs`, where undefined is zero. */
export function accumulate(lhs: Tensor | undefined, rhs: Tensor | undefined): Tensor | undefined {
  return lhs && rhs ? apply(addOp, [lhs, rhs]) : lhs ?? rhs;
}
