/** Slices whose start is known at run time only: reading and replacing a box of elements. */
import { ShapeError } from "../core/errors.ts";
import { isTensor, type Tensor } from "../core/graph.ts";
import { formatShape, formatType, type Shape } from "../core/shape.ts";
import { add, minimum, sub } from "./binary.ts";
import { greaterEqual, less, logicalAnd } from "./compare.ts";
import { checkDomain, checkPerAxis, checkSameDType } from "./define.ts";
import { gather } from "./gather.ts";
import type { TensorLike } from "./operands.ts";
import { cast, where } from "./select.ts";
import { sliceAxis } from "./slice.ts";
import { arange } from "./sources.ts";
import { clip } from "./unary.ts";
import { reshape } from "./views.ts";

/** The start of a slice: an integer or integer scalar per axis, or one integer tensor of shape `[rank]`. */
export type Starts = Tensor | readonly TensorLike[];

/** The start of each axis. @throws {ShapeError} if there is not one per axis. */
function perAxis(action: string, x: Tensor, starts: Starts): readonly TensorLike[] {
  if (!isTensor(starts)) {
    checkPerAxis(action, x, "the list of starts", starts);
    return starts;
  }
  checkDomain(`${action} from`, starts, "integer");
  if (starts.rank !== 1 || starts.shape[0] !== x.rank) {
    throw new ShapeError(
      `Cannot ${action} ${formatType(x)} from ${formatType(starts)}: starts must have one entry per axis, shape ${
        formatShape([x.rank])
      }`,
      [x.shape, starts.shape],
    );
  }
  return x.shape.map((_, axis) => reshape(sliceAxis(starts, 0, axis, 1), []));
}

/** The start of one axis, clamped so that the slice lies within the axis. */
function clamped(action: string, x: Tensor, axis: number, start: TensorLike, last: number): TensorLike {
  if (!isTensor(start)) {
    if (Number.isInteger(start)) return Math.min(Math.max(start, 0), last);
    throw new ShapeError(
      `Cannot ${action} ${formatType(x)} along axis ${axis} from ${start}: a start must be an integer`,
      [x.shape],
    );
  }
  checkDomain(`${action} from`, start, "integer");
  if (start.rank !== 0) {
    throw new ShapeError(
      `Cannot ${action} ${formatType(x)} along axis ${axis} from ${formatType(start)}: a start must be a scalar`,
      [x.shape, start.shape],
    );
  }
  return start.dtype === "u32" ? cast(minimum(start, last), "i32") : clip(start, 0, last);
}

function checkSizes(action: string, x: Tensor, sizes: Shape): void {
  checkPerAxis(action, x, "the list of sizes", sizes);
  const wrong = sizes.findIndex((size, axis) => !Number.isInteger(size) || size < 0 || size > x.shape[axis]);
  if (wrong >= 0) {
    throw new ShapeError(
      `Cannot ${action} ${formatType(x)} by size ${sizes[wrong]} along axis ${wrong}: it must be from 0 to ${
        x.shape[wrong]
      }`,
      [x.shape, sizes],
    );
  }
}

/**
 * A slice of shape `sizes` from `starts`, which may be computed at run time, as `lax.dynamic_slice`. Starts are clamped
 * so that the slice lies within `x`; a negative start is 0, it does not count from the end. Gradient: zeros with the
 * cotangent at the slice.
 * @throws {ShapeError} if there is not one start and one size per axis, or a size exceeds the extent.
 * @throws {DTypeError} if the starts are not integers.
 */
export function dynamicSlice(x: Tensor, starts: Starts, sizes: readonly number[]): Tensor {
  checkSizes("slice", x, sizes);
  return perAxis("slice", x, starts).reduce<Tensor>((box, given, axis) => {
    const start = clamped("slice", x, axis, given, x.shape[axis] - sizes[axis]);
    if (!isTensor(start)) return sliceAxis(box, axis, start, sizes[axis]);
    return sizes[axis] === x.shape[axis] ? box : gather(box, add(arange(sizes[axis]), start), { axis });
  }, x);
}

/**
 * `x` with the slice at `starts` replaced by `update`, as `lax.dynamic_update_slice`. Starts are clamped so that the
 * slice lies within `x`. Gradient: to `x` outside of the slice, to `update` inside.
 * @throws {ShapeError} if there is not one start per axis, the ranks differ or the update exceeds an extent.
 * @throws {DTypeError} if the starts are not integers, or `x` and `update` differ in dtype.
 */
export function dynamicUpdateSlice(x: Tensor, update: Tensor, starts: Starts): Tensor {
  checkSameDType("update a slice of", x, update);
  checkSizes("update a slice of", x, update.shape);
  let box = update, isInside: Tensor | undefined;
  perAxis("update a slice of", x, starts).forEach((given, axis) => {
    const extent = x.shape[axis], size = update.shape[axis];
    const start = clamped("update a slice of", x, axis, given, extent - size);
    if (size === extent) return;
    // For each position of x its index in the update, and whether there is one.
    const at = sub(arange(extent), start), inside = logicalAnd(greaterEqual(at, 0), less(at, size));
    box = gather(box, where(inside, at, -1), { axis });
    const along = reshape(inside, x.shape.map((_, i) => (i === axis ? extent : 1)));
    isInside = isInside ? logicalAnd(isInside, along) : along;
  });
  return isInside ? where(isInside, box, x) : box;
}
