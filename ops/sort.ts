/** Sorting along an axis. */
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatType, normalizeAxis } from "../core/shape.ts";
import { permute, takeAlongAxis } from "./along_axis.ts";
import { axisOf } from "./axes.ts";
import { checkDomain } from "./define.ts";
import { orderOf } from "./order.ts";
import { sliceAxis } from "./slice.ts";
import { swapAxes } from "./views.ts";

/** Options of {@link sort} and {@link argsort}. */
export interface SortOptions {
  /** The axis. Default: the last. */
  readonly axis?: number;
  /** Alias of `axis`. */
  readonly axes?: number | readonly [number];
  /** Whether the largest element comes first. Default: false. */
  readonly descending?: boolean;
}

const SORT_OPTIONS = optionNames<SortOptions>({ axis: true, axes: true, descending: true });

function sorted(of: "sort" | "argsort", x: Tensor, options: SortOptions) {
  checkOptions(of, options, SORT_OPTIONS);
  checkDomain(of, x, "number");
  const axis = normalizeAxis(axisOf(options, of) ?? -1, x, `${of} along`), rows = swapAxes(x, axis, -1);
  return { axis, rows, ...orderOf(rows, { descending: options.descending ?? false }) };
}

/**
 * Sorts along an axis, ascending by default; NaN is last in either direction. The sort is stable; 0 and -0 are equal.
 * Cost: 2 n^2 comparisons for rows of up to 512 elements, n log^2 n in a loop of log^2 n steps for longer ones.
 * Gradient: returns to the original positions.
 * @throws {ShapeError} if the axis is out of range.
 * @throws {DTypeError} for bool.
 */
export function sort(x: Tensor, options: SortOptions = {}): Tensor {
  const { axis, rows, order, inverse } = sorted("sort", x, options);
  return swapAxes(permute(rows, order, inverse), axis, -1);
}

/**
 * The indices (i32) that sort an axis: `takeAlongAxis(x, argsort(x))` equals `sort(x)`. Order and cost are those of
 * {@link sort}. Gradient: none.
 * @throws {ShapeError} if the axis is out of range.
 * @throws {DTypeError} for bool.
 */
export function argsort(x: Tensor, options: SortOptions = {}): Tensor {
  const { axis, order } = sorted("argsort", x, options);
  return swapAxes(order, axis, -1);
}

/** Along which axis {@link topK} goes. */
export interface TopKOptions {
  /** The axis. Default: the last. */
  readonly axis?: number;
  /** Alias of `axis`. */
  readonly axes?: number | readonly [number];
}

const TOP_K_OPTIONS = optionNames<TopKOptions>({ axis: true, axes: true });

/**
 * The `k` largest elements along an axis in descending order, and their indices (i32); of equal elements the first comes
 * first. NaN counts as the largest, as in {@link max} and {@link argmax}. Shapes: the axis has extent `k`. Gradient: of
 * the values, to the positions they were taken from.
 * @throws {ShapeError} if the axis is out of range or has fewer than `k` elements, or `k` is not an integer.
 * @throws {DTypeError} for bool.
 */
export function topK(x: Tensor, k: number, options: TopKOptions = {}): [values: Tensor, indices: Tensor] {
  checkOptions("topK", options, TOP_K_OPTIONS);
  checkDomain("take the top of", x, "number");
  const axis = normalizeAxis(axisOf(options, "topK") ?? -1, x, "take the top along"), extent = x.shape[axis];
  if (!Number.isInteger(k) || k < 0 || k > extent) {
    throw new ShapeError(
      `Cannot take the top ${k} of ${formatType(x)} along axis ${axis}: k must be an integer from 0 to ${extent}`,
      [x.shape],
    );
  }
  const { order } = orderOf(swapAxes(x, axis, -1), { descending: true, nanFirst: true });
  const indices = swapAxes(sliceAxis(order, -1, 0, k), axis, -1);
  return [takeAlongAxis(x, indices, { axis }), indices];
}
