/**
 * Axis options: `axes` for functions that accept several, `axis` for those that accept one; either name works in both.
 */
import { OptionError } from "../core/errors.ts";

/** One axis, by either name. */
export type OneAxis = { readonly axis: number; readonly axes?: undefined } | {
  readonly axes: number | readonly [number];
  readonly axis?: undefined;
};

/** The two names of the same option. */
interface Named {
  readonly axes?: number | readonly number[];
  readonly axis?: number | readonly number[];
}

/**
 * The axes that options name by either name; undefined if they name none. @throws {OptionError} if both names are used.
 */
export function axesOf({ axes, axis }: Named, of: string): number | readonly number[] | undefined {
  if (axes !== undefined && axis !== undefined) {
    throw new OptionError(`Cannot use both axes and axis of ${of}: they are one option; omit one`, "axis");
  }
  return axes ?? axis;
}

/** The one axis that options name. @throws {OptionError} if they name several. */
export function axisOf(options: Named, of: string): number | undefined {
  const axes = axesOf(options, of);
  if (axes === undefined || typeof axes === "number") return axes;
  if (axes.length !== 1) {
    throw new OptionError(`Cannot use axes [${axes.join(", ")}] of ${of}: it goes along one axis`, "axes");
  }
  return axes[0];
}

/** {@link axisOf} where there is no default. @throws {OptionError} if no axis is named. */
export function requiredAxis(options: Named, of: string): number {
  const axis = axisOf(options, of);
  if (axis === undefined) {
    throw new OptionError(`Cannot call ${of} without an axis: write { axis: 0 } or another one`, "axis");
  }
  return axis;
}
