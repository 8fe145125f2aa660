/**
 * The sorted order of rows, by algorithms that compare all elements in parallel, as GPUs and vector units need it.
 *
 * Short rows are sorted by counting. The rank of an element is the number of elements before it: n comparisons and one
 * reduction, for all elements at once. The element of rank r is found the same way. 2 n^2 steps per row, two kernels.
 *
 * Long rows are sorted by Batcher's bitonic network ("Sorting networks and their applications", AFIPS 1968): a row of
 * 2^m elements takes m (m + 1) / 2 stages, each of which compares every element with a partner, so
 * n m (m + 1) / 2 steps. Stages differ in two numbers only, so all of them are one kernel in a loop, for any length.
 *
 * Ties are broken by position in both, which makes the order total and the sort stable.
 */
import { isFloat } from "../core/dtype.ts";
import type { Tensor } from "../core/graph.ts";
import { scan } from "../core/scan.ts";
import { sum } from "./broadcast.ts";
import { add, mod, mul, sub } from "./binary.ts";
import { equal, greaterEqual, less, lessEqual, logicalAnd, logicalNot, logicalOr, notEqual } from "./compare.ts";
import { gather } from "./gather.ts";
import { reversed } from "./reduce.ts";
import { cast, stopGradient, where } from "./select.ts";
import { constant, iota } from "./sources.ts";
import { pad, sliceAxis } from "./slice.ts";
import { expandDims } from "./views.ts";

/**
 * The longest rows that are sorted by counting. Measured with 64 rows: 128 elements take 0.6 ms by counting and 0.9 ms
 * in the network on two cores (2.5 and 4.4 ms through a software driver), 1,024 take 40 and 31 ms (124 and 49 ms).
 */
export const COUNTED_EXTENT = 512;

/** How elements are compared. */
export interface Ordering {
  readonly descending: boolean;
  /** Whether NaN comes first. Default: last. */
  readonly nanFirst?: boolean;
}

/** The order of the last axis: `order[r]` is the index of the element of rank r, `inverse[i]` the rank of element i. */
export interface Order {
  readonly order: Tensor;
  readonly inverse: Tensor;
}

/** The stable order of each row (the last axis) of `x`. Gradient: none. */
export function orderOf(x: Tensor, { descending, nanFirst = false }: Ordering): Order {
  const keys = stopGradient(descending ? reversed(x) : x), extent = x.shape[x.rank - 1];
  if (extent <= COUNTED_EXTENT) {
    const inverse = ranksOf(keys, nanFirst);
    return { order: placesOf(inverse), inverse };
  }
  const order = orderByNetwork(keys, nanFirst);
  return { order, inverse: orderByNetwork(order, false) };
}

/**
 * Whether `a` comes before `b`, a different element; `earlier` says whether its position does. NaN goes to one end; all
 * comparisons with it are false.
 */
function comesBefore(a: Tensor, b: Tensor, earlier: Tensor, nanFirst: boolean): Tensor {
  const unlessLater = lessEqual(a, b), evenLater = less(a, b);
  if (!isFloat(a.dtype)) return where(earlier, unlessLater, evenLater);
  const [extreme, other] = nanFirst ? [a, b] : [b, a];
  const isNaN = notEqual(extreme, extreme), isOnly = logicalAnd(isNaN, equal(other, other));
  return where(earlier, logicalOr(unlessLater, isNaN), logicalOr(evenLater, isOnly));
}

/** The rank of each element: how many of its row come before it. */
function ranksOf(keys: Tensor, nanFirst: boolean): Tensor {
  const a = expandDims(keys, -2), b = expandDims(keys, -1), extent = keys.shape[keys.rank - 1]; // [.., b, a]
  const earlier = less(iota([extent, extent], 1), iota([extent, extent], 0));
  return sum(cast(comesBefore(a, b, earlier, nanFirst), "i32"), { axes: -1 });
}

/** The index of the element of each rank. */
function placesOf(ranks: Tensor): Tensor {
  const extent = ranks.shape[ranks.rank - 1];
  const isIt = equal(expandDims(ranks, -2), iota([extent, extent], 0)); // [.., rank, place]
  return sum(where(isIt, iota([extent, extent], 1), 0), { axes: -1 });
}

/** The key that rows are padded with: it sorts last, and after its equals by position. */
function lastKey({ dtype }: Tensor, nanFirst: boolean): number {
  if (isFloat(dtype)) return nanFirst ? Infinity : NaN;
  return dtype === "i32" ? 2147483647 : 4294967295;
}

/** The stages of the network for 2^m elements: runs of `size` are merged by comparing elements `distance` apart. */
function stagesOf(extent: number): { readonly sizes: number[]; readonly distances: number[] } {
  const sizes: number[] = [], distances: number[] = [];
  for (let size = 2; size <= extent; size *= 2) {
    for (let distance = size / 2; distance >= 1; distance /= 2) {
      sizes.push(size);
      distances.push(distance);
    }
  }
  return { sizes, distances };
}

function orderByNetwork(keys: Tensor, nanFirst: boolean): Tensor {
  const extent = keys.shape[keys.rank - 1], places = 2 ** Math.ceil(Math.log2(extent)), last = keys.rank - 1;
  const padding = keys.shape.map((_, axis) => [0, axis === last ? places - extent : 0]);
  const filled = pad(keys, padding, lastKey(keys, nanFirst));
  const { sizes, distances } = stagesOf(places), stages = [sizes.length];
  const place = iota([places], 0);
  const inUpperHalf = (half: Tensor): Tensor => greaterEqual(mod(place, mul(half, 2)), half);
  const stage = ([keys, order]: readonly Tensor[], [size, distance]: readonly Tensor[]): [Tensor[], undefined] => {
    const isUpper = inUpperHalf(distance), isDescending = inUpperHalf(size);
    const partner = where(isUpper, sub(place, distance), add(place, distance));
    const otherKeys = gather(keys, partner, { axis: last }), otherOrder = gather(order, partner, { axis: last });
    const isBefore = comesBefore(keys, otherKeys, less(order, otherOrder), nanFirst);
    // In an ascending run the lower position takes the element that comes first.
    const stays = notEqual(isBefore, equal(isUpper, logicalNot(isDescending)));
    return [[where(stays, keys, otherKeys), where(stays, order, otherOrder)], undefined];
  };
  const start = iota(filled.shape, last);
  const [[, order]] = scan(stage, [filled, start], [
    constant(sizes, stages, "i32"),
    constant(distances, stages, "i32"),
  ]);
  return sliceAxis(order, last, 0, extent);
}
