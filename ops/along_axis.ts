/** Gathering along an axis with indices per row, and permutations of rows. */
import { ShapeError } from "../core/errors.ts";
import { apply, type Tensor } from "../core/graph.ts";
import type { Attrs, GatherOp } from "../core/op.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { broadcastShapes, formatType, normalizeAxis } from "../core/shape.ts";
import { axisOf } from "./axes.ts";
import { broadcastTo } from "./broadcast.ts";
import { checkDomain, checkSameShape, pullback } from "./define.ts";
import { gatherOp } from "./gather.ts";
import { swapAxes } from "./views.ts";

interface LastAxisAttrs extends Attrs {
  readonly axis: number;
  readonly batch: number;
}

const lastAxis = (rank: number): LastAxisAttrs => ({ axis: rank - 1, batch: rank - 1 });

/**
 * Permutes each row (the last axis). The third input is the inverse permutation, for the gradient: a gather too, where
 * the gradient of a gather would be a scatter, which adds element after element. It is rewritten to a gather once
 * differentiation is over, so an inverse that no gradient needs is never computed.
 */
export const permuteOp: GatherOp<LastAxisAttrs> = {
  name: "permute",
  kind: "gather",
  infer: ([x, order, inverse]) => {
    checkDomain("permute by", order, "integer");
    checkSameShape("permute", x, order);
    checkSameShape("permute", x, inverse);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: ([x, order]) => {
    const extent = x.shape[x.shape.length - 1];
    return [x.data.map((_, i) => x.data[i - i % extent + order.data[i]])];
  },
  lower: (attrs) => attrs,
  vjp: pullback((g, { inputs: [, order, inverse] }) => [permute(g, inverse, order), undefined, undefined]),
  rewrite: ([x, order], attrs) => apply(gatherOp, [x, order], attrs),
};

/** Permutes each row. Gradient: permuted by the inverse. */
export function permute(x: Tensor, order: Tensor, inverse: Tensor): Tensor {
  return apply(permuteOp, [x, order, inverse], lastAxis(x.rank));
}

/** Along which axis {@link takeAlongAxis} goes. */
export interface TakeAlongAxisOptions {
  /** The axis that is indexed. Default: the last. */
  readonly axis?: number;
  /** Alias of `axis`. */
  readonly axes?: number | readonly [number];
}

const TAKE_ALONG_AXIS_OPTIONS = optionNames<TakeAlongAxisOptions>({ axis: true, axes: true });

/**
 * `y[.., i, ..] = x[.., indices[.., i, ..], ..]` along an axis, as `np.take_along_axis`: looks up elements by the
 * indices that {@link argsort}, {@link topK}, or {@link argmax} with `keepDims` return. Shapes: `x` and `indices` have the
 * same rank and broadcast on the other axes; the result has the extent of the indices along the axis. An index outside
 * `0 .. extent - 1` gives NaN (0 for integers, false for bool). Gradient: summed at the positions that were read.
 * @throws {ShapeError} if the axis is out of range, the ranks differ, or the other axes do not broadcast.
 * @throws {DTypeError} if the indices are not integers.
 */
export function takeAlongAxis(x: Tensor, indices: Tensor, options: TakeAlongAxisOptions = {}): Tensor {
  checkOptions("takeAlongAxis", options, TAKE_ALONG_AXIS_OPTIONS);
  checkDomain("take along", x, "any");
  checkDomain("take by", indices, "integer");
  if (x.rank !== indices.rank) {
    throw new ShapeError(
      `Cannot take from ${formatType(x)} by ${
        formatType(indices)
      }: their ranks must be equal, they are ${x.rank} and ${indices.rank}`,
      [x.shape, indices.shape],
    );
  }
  const axis = normalizeAxis(axisOf(options, "takeAlongAxis") ?? -1, x, "take along");
  const rows = swapAxes(x, axis, -1), numbers = swapAxes(indices, axis, -1);
  const shared = broadcastShapes(rows.shape.slice(0, -1), numbers.shape.slice(0, -1), "take along an axis");
  const operands = [rows, numbers].map((operand) => broadcastTo(operand, [...shared, operand.shape[operand.rank - 1]]));
  return swapAxes(apply(gatherOp, operands, lastAxis(x.rank)), axis, -1);
}
