/** Gather and scatterAdd, each the other's gradient: slices by run-time index. */
import { type DType, isFloat, isHalf, roundTo, type Type } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { apply, type Tensor } from "../core/graph.ts";
import type { Attrs, GatherOp, NdArray, ScatterOp } from "../core/op.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatShape, formatType, normalizeAxis, sameShape, type Shape, sizeOfShape } from "../core/shape.ts";
import { axisOf } from "./axes.ts";
import { equal, greaterEqual, less, logicalAnd } from "./compare.ts";
import { checkDomain, checkSameDType, pullback } from "./define.ts";
import { cast, where } from "./select.ts";
import { iota, zerosLike } from "./sources.ts";
import { expandDims, reshape } from "./views.ts";

interface AxisAttrs extends Attrs {
  readonly axis: number;
  /** How many leading axes operand and indices share. Default: none. */
  readonly batch?: number;
}

/** The axis of the slices. */
export interface GatherOptions {
  /** The axis of the operand to index. Default: the first. */
  readonly axis?: number;
  /** Another name of `axis`. */
  readonly axes?: number | readonly [number];
}

const GATHER_OPTIONS = optionNames<GatherOptions>({ axis: true, axes: true });

function sliceAxisOf(of: string, options: GatherOptions, operand: Tensor): number {
  checkOptions(of, options, GATHER_OPTIONS);
  return normalizeAxis(axisOf(options, of) ?? 0, operand, of === "gather" ? "gather along" : "scatter along");
}

function gatheredShape(operand: Shape, indices: Shape, { axis, batch = 0 }: AxisAttrs): number[] {
  return [...operand.slice(0, axis), ...indices.slice(batch), ...operand.slice(axis + 1)];
}

/**
 * Visits runs of `inner` consecutive elements: where each starts in the gathered tensor, and in the operand (-1 when
 * outside).
 */
function forEachSlice(
  operand: Type,
  indices: NdArray,
  { axis, batch = 0 }: AxisAttrs,
  visit: (gathered: number, at: number) => void,
): void {
  const outer = sizeOfShape(operand.shape.slice(0, axis)),
    extent = operand.shape[axis],
    inner = sizeOfShape(operand.shape.slice(axis + 1));
  const count = sizeOfShape(indices.shape.slice(batch)), shared = sizeOfShape(operand.shape.slice(batch, axis));
  for (let o = 0; o < outer; o++) {
    const own = Math.floor(o / shared) * count;
    for (let i = 0; i < count; i++) {
      const number = indices.data[own + i];
      visit((o * count + i) * inner, number >= 0 && number < extent ? (o * extent + number) * inner : -1);
    }
  }
}

/** Takes slices at run-time indices. */
export const gatherOp: GatherOp<AxisAttrs> = {
  name: "gather",
  kind: "gather",
  infer: ([operand, indices], attrs) => {
    checkDomain("gather by", indices, "integer");
    return [{ shape: gatheredShape(operand.shape, indices.shape, attrs), dtype: operand.dtype }];
  },
  reference: ([operand, indices], attrs, [{ shape, dtype }]) => {
    const inner = sizeOfShape(operand.shape.slice(attrs.axis + 1));
    const out = new Float64Array(sizeOfShape(shape)).fill(isFloat(dtype) ? NaN : 0);
    forEachSlice(operand, indices, attrs, (to, from) => {
      if (from >= 0) out.set(operand.data.subarray(from, from + inner), to);
    });
    return [out];
  },
  lower: ({ axis, batch = 0 }) => ({ axis, batch }),
  vjp: pullback((
    g,
    { inputs: [operand, indices], attrs },
  ) => [scattered(zerosLike(operand), indices, g, attrs), undefined]),
};

/** Adds slices at run-time indices. */
export const scatterAddOp: ScatterOp<AxisAttrs> = {
  name: "scatterAdd",
  kind: "scatter",
  infer: ([operand, indices, updates], attrs) => {
    checkDomain("scatter by", indices, "integer");
    checkDomain("scatter into", operand, "number");
    checkSameDType("scatter into", operand, updates);
    if (isHalf(operand.dtype)) {
      throw new DTypeError(`Cannot scatter into ${formatType(operand)} in place: each sum would be rounded; use f32`, [
        operand.dtype,
      ]);
    }
    const expected = gatheredShape(operand.shape, indices.shape, attrs);
    if (!sameShape(updates.shape, expected)) {
      throw new ShapeError(
        `Cannot scatter ${formatType(updates)} into ${formatType(operand)} by ${
          formatType(indices)
        } along axis ${attrs.axis}: updates must have shape ${formatShape(expected)}`,
        [updates.shape, expected],
      );
    }
    return [{ shape: operand.shape, dtype: operand.dtype }];
  },
  reference: ([operand, indices, updates], attrs, [{ dtype }]) => {
    const out = operand.data.slice(), inner = sizeOfShape(operand.shape.slice(attrs.axis + 1));
    forEachSlice(operand, indices, attrs, (from, to) => {
      if (to >= 0) {
        for (let i = 0; i < inner; i++) out[to + i] = roundTo(dtype, out[to + i] + updates.data[from + i]);
      }
    });
    return [out];
  },
  lower: ({ axis, batch = 0 }) => ({ axis, batch }),
  vjp: pullback((g, { inputs: [operand, indices, updates], attrs, needs }) => [
    needs[0] ? g : undefined,
    undefined,
    needs[2] ? gatherOrZero(g, indices, operand.shape[attrs.axis], updates, attrs) : undefined,
  ]),
};

/** Floats of 16 bits are added in f32 and rounded once. */
function scattered(operand: Tensor, indices: Tensor, updates: Tensor, attrs: AxisAttrs): Tensor {
  checkSameDType("scatter into", operand, updates);
  return isHalf(operand.dtype)
    ? cast(apply(scatterAddOp, [cast(operand, "f32"), indices, cast(updates, "f32")], attrs), operand.dtype)
    : apply(scatterAddOp, [operand, indices, updates], attrs);
}

/**
 * The gradient of the updates: an out-of-range index was dropped, so its gradient is zero, where a plain gather would
 * return NaN.
 */
function gatherOrZero(g: Tensor, indices: Tensor, extent: number, updates: Tensor, attrs: AxisAttrs): Tensor {
  const { axis, batch = 0 } = attrs;
  const inside = indices.dtype === "u32"
    ? less(indices, extent)
    : logicalAnd(greaterEqual(indices, 0), less(indices, extent));
  const ones = (count: number) => new Array<number>(count).fill(1), own = indices.shape.slice(batch);
  const shape = [...indices.shape.slice(0, batch), ...ones(axis - batch), ...own];
  return where(
    reshape(inside, [...shape, ...ones(updates.rank - shape.length)]),
    apply(gatherOp, [g, indices], attrs),
    0,
  );
}

/**
 * The slices of `operand` along `axis` at `indices` (i32 or u32, any shape), like `jnp.take`. Shapes: `operand[:axis] +
 * indices + operand[axis+1:]`. An index outside `0 .. extent - 1` gives NaN (0 for integers, false for bool). Gradient:
 * {@link scatterAdd}ed into zeros.
 * @throws {ShapeError} if the axis is out of range.
 * @throws {DTypeError} if the indices are not integers.
 */
export function gather(operand: Tensor, indices: Tensor, options: GatherOptions = {}): Tensor {
  return apply(gatherOp, [operand, indices], { axis: sliceAxisOf("gather", options, operand) });
}

/**
 * `operand` with `updates` added to the slices at `indices` along `axis`; out-of-range indices are dropped, repeated
 * ones are added in ascending order of position. Shapes: updates `operand[:axis] + indices + operand[axis+1:]`, the
 * result like `operand`. Gradient: passes to the operand; {@link gather}ed for the updates, zero for dropped ones.
 * @throws {ShapeError} if the axis is out of range or the updates have another shape.
 * @throws {DTypeError} if the indices are not integers, dtypes differ, or they are bool.
 */
export function scatterAdd(operand: Tensor, indices: Tensor, updates: Tensor, options: GatherOptions = {}): Tensor {
  return scattered(operand, indices, updates, { axis: sliceAxisOf("scatterAdd", options, operand) });
}

/** Options of {@link oneHot}. */
export interface OneHotOptions {
  /** Element type of the result. Default: f32. */
  readonly dtype?: DType;
}

const ONE_HOT_OPTIONS = optionNames<OneHotOptions>({ dtype: true });

/**
 * 1 at each index and 0 elsewhere along a new last axis; all 0 for an index outside `0 .. classes - 1`. Shapes:
 * `indices` to `indices + [classes]`. Gradient: none.
 * @throws {DTypeError} if the indices are not integers.
 */
export function oneHot(indices: Tensor, classes: number, options: OneHotOptions = {}): Tensor {
  checkOptions("oneHot", options, ONE_HOT_OPTIONS);
  checkDomain("make one-hot", indices, "integer");
  return cast(equal(expandDims(indices, -1), iota([classes], 0, indices.dtype)), options.dtype ?? "f32");
}
