/** Nested lists of numbers, as people write small tensors down: `[[1, 2], [3, 4]]`. */
import type { DType, HostData, Type } from "./dtype.ts";
import { describe } from "./describe.ts";
import { DTypeError, ShapeError } from "./errors.ts";
import { type Shape, sizeOfShape } from "./shape.ts";

/** A number or truth value, or lists of such, all of one length at each depth. */
export type Nested = number | boolean | NestedList;

/** A list of numbers, of truth values, or of such lists. */
export type NestedList = readonly Nested[];

/** A nested list laid out in a row. */
export interface FlatList {
  readonly shape: Shape;
  /** Row-major. */
  readonly values: readonly (number | boolean)[];
}

/** Whether a list has lists in it. */
export function isNested(list: readonly unknown[]): boolean {
  return Array.isArray(list[0]);
}

/**
 * Lays out a nested list.
 * @param list What was given.
 * @param action What is done with it, for error messages: `run with`.
 * @param name Its name in error messages.
 * @throws {ShapeError} in one line that names the place, if lists of one depth have different lengths; {DTypeError} if
 * something in them is neither a number nor a truth value.
 */
export function flattenNested(list: readonly unknown[], action: string, name: () => string): FlatList {
  const shape: number[] = [], values: (number | boolean)[] = [], path: number[] = [];
  const place = (): string => name() + path.map((at) => `[${at}]`).join("");
  for (let first: unknown = list; Array.isArray(first); first = first[0]) shape.push(first.length);
  const visit = (value: unknown): void => {
    const depth = path.length;
    if (depth === shape.length) {
      if (typeof value !== "number" && typeof value !== "boolean") {
        if (Array.isArray(value)) throw ragged(place(), "a list", "numbers");
        throw new DTypeError(`Cannot ${action} ${describe(value)} as ${place()}: lists hold numbers or truth values`);
      }
      values.push(value);
      return;
    }
    if (!Array.isArray(value)) throw ragged(place(), describe(value), `lists of ${shape[depth]}`);
    if (value.length !== shape[depth]) throw ragged(place(), `a list of ${value.length}`, `lists of ${shape[depth]}`);
    for (let i = 0; i < value.length; i++) {
      path.push(i);
      visit(value[i]);
      path.pop();
    }
  };
  const ragged = (place: string, found: string, before: string): ShapeError =>
    new ShapeError(
      `Cannot ${action} a ragged list: ${place} is ${found}, and what stands before it there are ${before}`,
    );
  visit(list);
  return { shape, values };
}

/** The dtype of a list that says none: bool of truth values, f32 of numbers. */
export function dtypeOfList(values: readonly (number | boolean)[]): DType {
  return values.length > 0 && values.every((value) => typeof value === "boolean") ? "bool" : "f32";
}

/** Row-major elements as a nested list; a scalar as its one value. Truth values for bool. */
export function nest(data: HostData, { shape, dtype }: Type): Nested {
  const value = (at: number): number | boolean => (dtype === "bool" ? data[at] !== 0 : data[at]);
  const build = (axis: number, start: number, size: number): Nested => {
    if (axis === shape.length) return value(start);
    const part = shape[axis] === 0 ? 0 : size / shape[axis];
    return Array.from({ length: shape[axis] }, (_, i) => build(axis + 1, start + i * part, part));
  };
  return build(0, 0, sizeOfShape(shape));
}
