/** Shapes and the arithmetic on them. All row-major. */
import { checkKind, describe } from "./describe.ts";
import type { Type } from "./dtype.ts";
import { DTypeError, ShapeError } from "./errors.ts";

/** The extents of a tensor, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** The number of elements; 1 for a scalar, 0 if any extent is 0. */
export function sizeOfShape(shape: Shape): number {
  return shape.reduce((size, extent) => size * extent, 1);
}

/** Row-major strides in elements: `[2, 3, 4] -> [12, 4, 1]`. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/** The index along each axis of a row-major element. */
export function splitFlatIndex(at: number, shape: Shape): number[] {
  return stridesOf(shape).map((stride, axis) => Math.floor(at / stride) % shape[axis]);
}

/** Whether two shapes are equal. */
export function sameShape(lhs: Shape, rhs: Shape): boolean {
  if (lhs.length !== rhs.length) return false;
  for (let axis = 0; axis < lhs.length; axis++) if (lhs[axis] !== rhs[axis]) return false;
  return true;
}

/** `[8, 64]` as text. */
export function formatShape(shape: Shape): string {
  return Array.isArray(shape) ? `[${shape.join(", ")}]` : describe(shape);
}

/** `f32[8, 64]` as text. */
export function formatType(type: Type): string {
  return isType(type) ? `${type.dtype}${formatShape(type.shape)}` : describe(type);
}

/** Checks that an argument is a tensor, or at least has its type. @throws {DTypeError} if not. */
export function checkType(action: string, value: unknown): asserts value is Type {
  checkKind(isType(value), action, value, "a tensor");
}

/** Checks that two operands have one dtype. @throws {DTypeError} if not. */
export function checkSameDType(action: string, lhs: Type, rhs: Type): void {
  checkType(action, lhs);
  checkType(action, rhs);
  if (lhs.dtype !== rhs.dtype) {
    throw new DTypeError(`Cannot ${action} ${formatType(lhs)} and ${formatType(rhs)}: dtypes must be equal; use cast`, [
      lhs.dtype,
      rhs.dtype,
    ]);
  }
}

/** Checks that two operands of a primitive have one shape. @throws {ShapeError} if not. */
export function checkSameShape(action: string, lhs: Type, rhs: Type): void {
  if (!sameShape(lhs.shape, rhs.shape)) {
    throw new ShapeError(
      `Cannot ${action} ${formatType(lhs)} and ${formatType(rhs)}: primitives do not broadcast, shapes must be equal`,
      [lhs.shape, rhs.shape],
    );
  }
}

/** Checks that an argument is a list. @throws {ShapeError} if not. */
export function checkList(action: string, value: unknown): void {
  checkKind(Array.isArray(value), action, value, "a list", ShapeError);
}

function isType(value: unknown): value is Type {
  return Array.isArray((value as Type | undefined)?.shape);
}

/** Types as text, the first few and how many follow: `f32[8], f32[8] and 30 more`. */
export function listTypes(types: readonly Type[]): string {
  const MOST = 4, more = types.length - MOST;
  return types.slice(0, MOST).map(formatType).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** What has axes: a tensor, or a shape that becomes one. */
type Shaped = Pick<Type, "shape">;

/**
 * Resolves a possibly negative axis of a tensor.
 * @throws {ShapeError} if the axis lies outside `-rank .. rank - 1`; {DTypeError} if it is not a tensor.
 */
export function normalizeAxis(axis: number, of: Shaped, action = "index"): number {
  checkType(action, of);
  const rank = of.shape.length;
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new ShapeError(
      `Cannot ${action} axis ${describe(axis)}: the tensor has rank ${rank}, so axes go from ${-rank} to ${rank - 1}`,
    );
  }
  return axis < 0 ? axis + rank : axis;
}

/**
 * Resolves a list of axes (all axes when undefined), sorted and without repeats.
 * @throws {ShapeError} if an axis is out of range or named twice; {DTypeError} if it is not a tensor.
 */
export function normalizeAxes(
  axes: number | readonly number[] | undefined,
  of: Shaped,
  action = "index",
): number[] {
  checkType(action, of);
  if (axes === undefined) return [...of.shape.keys()];
  const list = (Array.isArray(axes) ? axes : [axes]).map((axis) => normalizeAxis(axis, of, action));
  list.sort((a, b) => a - b);
  for (let i = 1; i < list.length; i++) {
    if (list[i] === list[i - 1]) {
      throw new ShapeError(`Cannot ${action} axes [${[axes].flat().join(", ")}]: axis ${list[i]} is named twice`);
    }
  }
  return list;
}

/**
 * The shape that two shapes broadcast to, by NumPy's rule.
 * @throws {ShapeError} if two aligned extents differ and neither is 1.
 */
export function broadcastShapes(lhs: Shape, rhs: Shape, action = "broadcast"): Shape {
  const rank = Math.max(lhs.length, rhs.length);
  const out = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const a = i <= lhs.length ? lhs[lhs.length - i] : 1;
    const b = i <= rhs.length ? rhs[rhs.length - i] : 1;
    if (a !== b && a !== 1 && b !== 1) {
      throw new ShapeError(
        `Cannot ${action} shapes ${formatShape(lhs)} and ${formatShape(rhs)}: axis ${
          rank - i
        } has extents ${a} and ${b}, which must be equal or 1`,
        [lhs, rhs],
      );
    }
    out[rank - i] = a === 1 ? b : a;
  }
  return out;
}

/**
 * Checks that a shape holds non-negative integers only.
 * @throws {ShapeError} if it does not.
 */
export function checkShape(shape: Shape, action = "make a tensor"): void {
  checkList(`${action} of shape`, shape);
  for (const extent of shape) {
    if (!Number.isInteger(extent) || extent < 0) {
      throw new ShapeError(
        `Cannot ${action} of shape ${formatShape(shape)}: extents must be non-negative integers, found ${
          describe(extent)
        }`,
        [shape],
      );
    }
  }
}
