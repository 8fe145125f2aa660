/** Repeating and rolling along axes: composites of broadcast, reshape and concat. */
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { checkList, checkType, formatType, normalizeAxes, normalizeAxis, sizeOfShape } from "../core/shape.ts";
import { axesOf, axisOf } from "./axes.ts";
import { broadcastTo } from "./broadcast.ts";
import { concat } from "./concat.ts";
import { sliceAxis } from "./slice.ts";
import { expandDims, reshape } from "./views.ts";

function checkCount(action: string, x: Tensor, count: number): void {
  checkType(action, x);
  if (!Number.isInteger(count) || count < 0) {
    throw new ShapeError(
      `Cannot ${action} ${formatType(x)} ${count} times: the count must be a non-negative integer`,
      [x.shape],
    );
  }
}

/** Options of {@link repeat}. */
export interface RepeatOptions {
  /** The axis. Default: the flattened tensor. */
  readonly axis?: number;
  /** Alias of `axis`. */
  readonly axes?: number | readonly [number];
}

const REPEAT_OPTIONS = optionNames<RepeatOptions>({ axis: true, axes: true });

/**
 * Repeats each element `count` times, as `np.repeat`: `[1, 2]` twice is `[1, 1, 2, 2]`. Gradient: summed over the copies.
 * @throws {ShapeError} if the axis is out of range or the count is not a non-negative integer.
 */
export function repeat(x: Tensor, count: number, options: RepeatOptions = {}): Tensor {
  checkOptions("repeat", options, REPEAT_OPTIONS);
  checkCount("repeat", x, count);
  const given = axisOf(options, "repeat"), from = given === undefined ? reshape(x, [sizeOfShape(x.shape)]) : x;
  const axis = normalizeAxis(given ?? 0, from, "repeat along"), extent = from.shape[axis];
  const copies = expandDims(from, axis + 1);
  return reshape(broadcastTo(copies, copies.shape.with(axis + 1, count)), from.shape.with(axis, extent * count));
}

/**
 * Repeats the whole tensor along each axis, as `np.tile`: `[1, 2]` twice is `[1, 2, 1, 2]`. Fewer counts than axes apply
 * to the last axes; more counts add leading axes. Gradient: summed over the copies.
 * @throws {ShapeError} if a count is not a non-negative integer.
 */
export function tile(x: Tensor, counts: number | readonly number[]): Tensor {
  const list = typeof counts === "number" ? [counts] : counts;
  checkType("tile", x);
  checkList("tile by", list);
  const own = x.shape.length, rank = Math.max(own, list.length);
  list.forEach((count) => checkCount("tile", x, count));
  const shape = [...new Array<number>(rank - own).fill(1), ...x.shape];
  const times = [...new Array<number>(rank - list.length).fill(1), ...list];
  const apart = reshape(x, shape.flatMap((extent) => [1, extent]));
  const copies = broadcastTo(apart, shape.flatMap((extent, axis) => [times[axis], extent]));
  return reshape(copies, shape.map((extent, axis) => times[axis] * extent));
}

/** Options of {@link roll}. */
export interface RollOptions {
  /** The axes. Default: the flattened tensor. */
  readonly axes?: number | readonly number[];
  /** Alias of `axes`. */
  readonly axis?: number | readonly number[];
}

const ROLL_OPTIONS = optionNames<RollOptions>({ axes: true, axis: true });

/**
 * Shifts elements by `shift` positions towards the end, or towards the start if negative; those that leave one end enter
 * at the other, as `np.roll`. Several axes take one shift or a list of them. Gradient: rolled back.
 * @throws {ShapeError} if an axis is out of range, a shift is not an integer, or there is not one per axis.
 */
export function roll(x: Tensor, shift: number | readonly number[], options: RollOptions = {}): Tensor {
  checkOptions("roll", options, ROLL_OPTIONS);
  checkType("roll", x);
  const given = axesOf(options, "roll");
  if (given === undefined) return reshape(roll(reshape(x, [sizeOfShape(x.shape)]), shift, { axes: 0 }), x.shape);
  const axes = typeof given === "number" ? [given] : given;
  normalizeAxes(axes, x, "roll along");
  const shifts = typeof shift === "number" ? axes.map(() => shift) : shift;
  checkList("roll by", shifts);
  if (shifts.length !== axes.length || !shifts.every(Number.isInteger)) {
    throw new ShapeError(
      `Cannot roll ${formatType(x)} by [${shifts.join(", ")}] along axes [${
        axes.join(", ")
      }]: there must be one integer per axis`,
      [x.shape],
    );
  }
  return axes.reduce((turned, axis, i) => rollAxis(turned, normalizeAxis(axis, x), shifts[i]), x);
}

function rollAxis(x: Tensor, axis: number, shift: number): Tensor {
  const extent = x.shape[axis], moved = extent === 0 ? 0 : ((shift % extent) + extent) % extent;
  if (moved === 0) return x;
  return concat([sliceAxis(x, axis, extent - moved, moved), sliceAxis(x, axis, 0, extent - moved)], axis);
}
