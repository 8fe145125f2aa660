/** Gather and scatterAdd, each the other's gradient: slices by run-time number. */
import { type DType, isFloat, roundTo, type Type } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
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
}

/** Which axis holds the slices. */
export interface GatherOptions {
  /** The axis of the operand that indices number; the first unless said. */
  readonly axis?: number;
  /** Another name of `axis`. */
  readonly axes?: number | readonly [number];
}

const GATHER_OPTIONS = optionNames<GatherOptions>({ axis: true, axes: true });

function sliceAxisOf(of: string, options: GatherOptions, rank: number): number {
  checkOptions(of, options, GATHER_OPTIONS);
  return normalizeAxis(axisOf(options, of) ?? 0, rank, of === "gather" ? "gather along" : "scatter along");
}

function gatheredShape(operand: Shape, indices: Shape, axis: number): number[] {
  return [...operand.slice(0, axis), ...indices, ...operand.slice(axis + 1)];
}

/**
 * Visits runs of `inner` consecutive elements: where each starts in the gathered tensor, and in the operand (-1 when
 * outside).
 */
function forEachSlice(
  operand: Type,
  indices: NdArray,
  axis: number,
  visit: (gathered: number, at: number) => void,
): void {
  const outer = sizeOfShape(operand.shape.slice(0, axis)),
    extent = operand.shape[axis],
    inner = sizeOfShape(operand.shape.slice(axis + 1));
  const count = indices.data.length;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < count; i++) {
      const number = indices.data[i];
      visit((o * count + i) * inner, number >= 0 && number < extent ? (o * extent + number) * inner : -1);
    }
  }
}

/** Takes slices by run-time number. */
export const gatherOp: GatherOp<AxisAttrs> = {
  name: "gather",
  kind: "gather",
  infer: ([operand, indices], { axis }) => {
    checkDomain("gather by", indices, "integer");
    return [{ shape: gatheredShape(operand.shape, indices.shape, axis), dtype: operand.dtype }];
  },
  reference: ([operand, indices], { axis }, [{ shape, dtype }]) => {
    const inner = sizeOfShape(operand.shape.slice(axis + 1));
    const out = new Float64Array(sizeOfShape(shape)).fill(isFloat(dtype) ? NaN : 0);
    forEachSlice(operand, indices, axis, (to, from) => {
      if (from >= 0) out.set(operand.data.subarray(from, from + inner), to);
    });
    return [out];
  },
  lower: ({ axis }) => ({ axis }),
  vjp: pullback((
    g,
    { inputs: [operand, indices], attrs: { axis } },
  ) => [scatterAdd(zerosLike(operand), indices, g, { axis }), undefined]),
};

/** Adds slices at run-time numbers. */
export const scatterAddOp: ScatterOp<AxisAttrs> = {
  name: "scatterAdd",
  kind: "scatter",
  infer: ([operand, indices, updates], { axis }) => {
    checkDomain("scatter by", indices, "integer");
    checkDomain("scatter into", operand, "number");
    checkSameDType("scatter into", operand, updates);
    const expected = gatheredShape(operand.shape, indices.shape, axis);
    if (!sameShape(updates.shape, expected)) {
      throw new ShapeError(
        `Cannot scatter ${formatType(updates)} into ${formatType(operand)} by ${
          formatType(indices)
        } along axis ${axis}: updates must have shape ${formatShape(expected)}`,
        [updates.shape, expected],
      );
    }
    return [{ shape: operand.shape, dtype: operand.dtype }];
  },
  reference: ([operand, indices, updates], { axis }, [{ dtype }]) => {
    const out = operand.data.slice(), inner = sizeOfShape(operand.shape.slice(axis + 1));
    forEachSlice(operand, indices, axis, (from, to) => {
      if (to >= 0) {
        for (let i = 0; i < inner; i++) out[to + i] = roundTo(dtype, out[to + i] + updates.data[from + i]);
      }
    });
    return [out];
  },
  lower: ({ axis }) => ({ axis }),
  vjp: pullback((g, { inputs: [operand, indices, updates], attrs: { axis }, needs }) => [
    needs[0] ? g : undefined,
    undefined,
    needs[2] ? gatherOrZero(g, indices, operand.shape[axis], updates, axis) : undefined,
  ]),
};

/**
 * What updates get back: a number outside the operand was dropped, so its gradient is zero, where a plain gather would
 * give NaN.
 */
function gatherOrZero(g: Tensor, indices: Tensor, extent: number, updates: Tensor, axis: number): Tensor {
  const inside = indices.dtype === "u32"
    ? less(indices, extent)
    : logicalAnd(greaterEqual(indices, 0), less(indices, extent));
  const trailing = updates.rank - axis - indices.rank;
  return where(
    reshape(inside, [...indices.shape, ...new Array<number>(trailing).fill(1)]),
    gather(g, indices, { axis }),
    0,
  );
}

/**
 * The slices of `operand` along `axis` that `indices` (i32 or u32, any shape) number, as `jnp.take`. Shapes:
 * `operand[:axis] + indices + operand[axis+1:]`. A number outside `0 .. extent - 1` gives NaN (0 for integers, false
 * for bool). Gradient: {@link scatterAdd}ed into zeros.
 * @throws {ShapeError} if the axis is out of range.
 * @throws {DTypeError} if the indices are not integers.
 */
export function gather(operand: Tensor, indices: Tensor, options: GatherOptions = {}): Tensor {
  return apply(gatherOp, [operand, indices], { axis: sliceAxisOf("gather", options, operand.rank) });
}

/**
 * `operand` with `updates` added to the slices along `axis` that `indices` number; numbers outside are dropped,
 * repeated ones add up in ascending order of position. Shapes: updates `operand[:axis] + indices + operand[axis+1:]`,
 * the result like `operand`. Gradient: passes to the operand; {@link gather}ed for the updates, zero for dropped ones.
 * @throws {ShapeError} if the axis is out of range or the updates have another shape.
 * @throws {DTypeError} if the indices are not integers, dtypes differ, or they are bool.
 */
export function scatterAdd(operand: Tensor, indices: Tensor, updates: Tensor, options: GatherOptions = {}): Tensor {
  return apply(scatterAddOp, [operand, indices, updates], { axis: sliceAxisOf("scatterAdd", options, operand.rank) });
}

/** What {@link oneHot} takes beside the numbers. */
export interface OneHotOptions {
  /** Element type of the result; f32 unless said. */
  readonly dtype?: DType;
}

const ONE_HOT_OPTIONS = optionNames<OneHotOptions>({ dtype: true });

/**
 * 1 at each number and 0 elsewhere along a new last axis; all 0 for a number outside `0 .. classes - 1`.
 * Shapes: `indices` to `indices + [classes]`. Gradient: none.
 * @throws {DTypeError} if the indices are not integers.
 */
export function oneHot(indices: Tensor, classes: number, options: OneHotOptions = {}): Tensor {
  checkOptions("oneHot", options, ONE_HOT_OPTIONS);
  checkDomain("make one-hot", indices, "integer");
  return cast(equal(expandDims(indices, -1), iota([classes], 0, indices.dtype)), options.dtype ?? "f32");
}
