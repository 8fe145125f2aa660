/** Strided reads and writes of row-major arrays, for the reference implementations of views and reductions. */
import { type Shape, sizeOfShape, stridesOf } from "../core/shape.ts";

/** Calls `visit` with the strided offset of each innermost row of `shape`, in row-major order. */
function forEachRow(shape: Shape, strides: readonly number[], offset: number, visit: (offset: number) => void): void {
  if (sizeOfShape(shape) === 0) return;
  const outer = shape.length - 1;
  const index = new Array<number>(Math.max(0, outer)).fill(0);
  for (let at = offset;;) {
    visit(at);
    let axis = outer - 1;
    for (; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/** The elements at `offset + sum(index[axis] * strides[axis])` for every index of `shape`, row-major. */
export function readStrided(data: Float64Array, shape: Shape, strides: readonly number[], offset = 0): Float64Array {
  const out = new Float64Array(sizeOfShape(shape));
  const inner = shape.length > 0 ? shape[shape.length - 1] : 1;
  const step = shape.length > 0 ? strides[strides.length - 1] : 0;
  let to = 0;
  forEachRow(shape, strides, offset, (from) => {
    for (let i = 0; i < inner; i++) out[to++] = data[from + i * step];
  });
  return out;
}

/** Writes the row-major `data` of `shape` to strided positions of `out`; the inverse of {@link readStrided}. */
export function writeStrided(
  out: Float64Array,
  data: Float64Array,
  shape: Shape,
  strides: readonly number[],
  offset = 0,
): void {
  const inner = shape.length > 0 ? shape[shape.length - 1] : 1;
  const step = shape.length > 0 ? strides[strides.length - 1] : 0;
  let from = 0;
  forEachRow(shape, strides, offset, (to) => {
    for (let i = 0; i < inner; i++) out[to + i * step] = data[from++];
  });
}

/**
 * The elements with `axes` moved to the end: row `r` of the result holds what a reduction over `axes` combines into
 * element `r`.
 */
export function rowsOf(
  data: Float64Array,
  shape: Shape,
  axes: readonly number[],
): { rows: Float64Array; rowCount: number; rowSize: number } {
  const strides = stridesOf(shape);
  const order = [...shape.keys()].filter((axis) => !axes.includes(axis)).concat(axes);
  const rows = readStrided(data, order.map((axis) => shape[axis]), order.map((axis) => strides[axis]));
  const rowSize = sizeOfShape(axes.map((axis) => shape[axis]));
  return { rows, rowCount: sizeOfShape(shape.filter((_, axis) => !axes.includes(axis))), rowSize };
}
