/** Tensors without inputs: counters and constants. */
import { checkDType, type DType, isFloat, roundTo, type Type } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { apply, type Tensor } from "../core/graph.ts";
import { fill } from "../core/linear.ts";
import type { Attrs, SourceOp } from "../core/op.ts";
import { dtypeOfList, flattenNested, isNested, type NestedList } from "../core/nested.ts";
import { checkList, checkShape, formatShape, normalizeAxis, sameShape, sizeOfShape, stridesOf } from "../core/shape.ts";
import { noGradient } from "./define.ts";

interface IotaAttrs extends Attrs {
  readonly shape: readonly number[];
  readonly axis: number;
  readonly dtype: DType;
}

/** The index of each element along an axis. */
export const iotaOp: SourceOp<IotaAttrs> = {
  name: "iota",
  kind: "source",
  infer: (_inputs, { shape, dtype }) => {
    if (dtype === "bool") {
      throw new DTypeError(`Cannot make an iota of bool${formatShape(shape)}: bool cannot count`, [dtype]);
    }
    return [{ shape, dtype }];
  },
  reference: (_inputs, { shape, axis }) => {
    const stride = stridesOf(shape)[axis], extent = shape[axis];
    return [new Float64Array(sizeOfShape(shape)).map((_, i) => Math.floor(i / stride) % extent)];
  },
  lower: (e, index, { axis, dtype }) => e.index(index[axis], dtype),
  vjp: noGradient("a source has no inputs"),
};

interface ConstantAttrs extends Attrs {
  readonly data: Float64Array;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** A table of values known while tracing. */
export const constantOp: SourceOp<ConstantAttrs> = {
  name: "constant",
  kind: "source",
  infer: (_inputs, { shape, dtype }) => [{ shape, dtype }],
  reference: (_inputs, { data }) => [data],
  vjp: noGradient("a source has no inputs"),
};

/**
 * The index of each element along `axis`: `iota([2, 3], 1)` is `[[0, 1, 2], [0, 1, 2]]`.
 * @throws {ShapeError} if the shape or the axis is not valid.
 * @throws {DTypeError} for bool.
 */
export function iota(shape: readonly number[], axis: number, dtype: DType = "i32"): Tensor {
  checkShape(shape, "make an iota");
  return apply(iotaOp, [], { shape: [...shape], axis: normalizeAxis(axis, { shape }, "count along"), dtype });
}

/**
 * `[0, 1, ..., n - 1]`.
 * @throws {ShapeError} if `n` is not a non-negative integer.
 */
export function arange(n: number, dtype: DType = "i32"): Tensor {
  return iota([n], 0, dtype);
}

/**
 * A tensor of one repeated value.
 * @throws {ShapeError} if the shape is not valid.
 * @throws {DTypeError} if an integer dtype cannot hold the value.
 */
export function full(shape: readonly number[], value: number, dtype: DType = "f32"): Tensor {
  checkShape(shape);
  checkDType(dtype, `fill a tensor of shape ${formatShape(shape)}`);
  if (typeof value === "number" && !isFloat(dtype) && roundTo(dtype, value) !== value) {
    throw new DTypeError(`Cannot fill ${dtype}${formatShape(shape)} with ${value}: ${dtype} cannot hold it`, [dtype]);
  }
  return fill({ shape, dtype }, value);
}

/** Zeros. @throws {ShapeError} if the shape is not valid. */
export function zeros(shape: readonly number[], dtype: DType = "f32"): Tensor {
  return full(shape, 0, dtype);
}

/** Ones. @throws {ShapeError} if the shape is not valid. */
export function ones(shape: readonly number[], dtype: DType = "f32"): Tensor {
  return full(shape, 1, dtype);
}

/** Zeros of a tensor's shape and dtype. No gradient reaches `x`. */
export function zerosLike(x: Type): Tensor {
  return fill(x, 0);
}

/** Ones of a tensor's shape and dtype. No gradient reaches `x`. */
export function onesLike(x: Type): Tensor {
  return fill(x, 1);
}

/**
 * A table of values known while tracing. The values are part of the program: large tables belong in an argument.
 * @param data Row-major elements, or nested lists of them: `[[1, 2], [3, 4]]`. For bool, 0 or 1, or truth values.
 * @param shape The shape. Default: that of nested lists, or one axis.
 * @param dtype The dtype. Default: f32, or bool if all elements are booleans.
 * @throws {ShapeError} if the number of elements is not the shape's size, or lists of one depth have different lengths.
 * @throws {DTypeError} if an integer dtype cannot hold a value.
 */
export function constant(
  data: ArrayLike<number> | NestedList,
  shape?: readonly number[],
  dtype?: DType,
): Tensor {
  const dtypeOr = (otherwise: DType): DType => (dtype === undefined ? otherwise : dtype); // Null is none.
  if (!Array.isArray(data)) {
    const table = data as ArrayLike<number>;
    if (typeof table !== "object" || table?.length === undefined) checkList("make a constant of", table);
    return constantOf(table, shape ?? [table.length], dtypeOr("f32"));
  }
  const flat = flattenNested(data, "make a constant of", () => "data");
  if (shape && isNested(data) && !sameShape(shape, flat.shape)) {
    throw new ShapeError(
      `Cannot make a constant of shape ${formatShape(shape)} of nested lists: their shape is ${
        formatShape(flat.shape)
      }; leave the shape out, or reshape`,
      [shape, flat.shape],
    );
  }
  return constantOf(flat.values.map(Number), shape ?? flat.shape, dtypeOr(dtypeOfList(flat.values)));
}

function constantOf(data: ArrayLike<number>, shape: readonly number[], dtype: DType): Tensor {
  checkShape(shape);
  checkDType(dtype, `make a constant of shape ${formatShape(shape)}`);
  if (data.length !== sizeOfShape(shape)) {
    throw new ShapeError(
      `Cannot make a constant ${dtype}${formatShape(shape)}: it holds ${
        sizeOfShape(shape)
      } elements, ${data.length} were given`,
      [shape],
    );
  }
  const values = Float64Array.from(data);
  const wrong = isFloat(dtype) ? undefined : values.find((value) => roundTo(dtype, value) !== value);
  if (wrong !== undefined) {
    throw new DTypeError(`Cannot make a constant ${dtype}${formatShape(shape)}: ${dtype} cannot hold ${wrong}`, [
      dtype,
    ]);
  }
  return apply(constantOp, [], { data: values, shape: [...shape], dtype });
}
