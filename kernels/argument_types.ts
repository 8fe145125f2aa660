/** Infers the types of a call's arguments: what `jit` compiles for, and the key of its cache. */
import { CompileError, DTypeError } from "../core/errors.ts";
import type { DType } from "../core/dtype.ts";
import { isTensor } from "../core/graph.ts";
import { dtypeOfList, flattenNested } from "../core/nested.ts";
import { formatType, type Shape } from "../core/shape.ts";
import { type Spec, spec } from "../core/trace.ts";
import { isContainer, type Tree } from "../core/tree.ts";

/** The type of one argument. */
export interface ArgumentType {
  /** A tree of specs with the structure of the argument. Empty for a static argument. */
  readonly specs: Tree<Spec>;
  /** A text that is equal for equal types, and for equal values of a static argument. */
  readonly key: string;
}

/**
 * The type of an argument.
 * @param value As the user gave it.
 * @param position Its number, for error messages.
 * @throws {DTypeError | ShapeError | CompileError} in one line that names the place of what has no type.
 */
export function typeOfArgument(value: unknown, position: number): ArgumentType {
  const path: (string | number)[] = [];
  const name = (): string =>
    `argument ${position}${path.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("")}`;
  const visit = (value: unknown): ArgumentType => {
    const type = leafType(value, name);
    if (type) return { specs: type, key: formatType(type) };
    const isList = Array.isArray(value), record = value as Readonly<Record<string, unknown>>;
    const keys = isList ? [...value.keys()] : Object.keys(record).sort();
    const items = keys.map((key) => {
      path.push(key);
      const item = visit(record[key]);
      path.pop();
      return item;
    });
    const specs = items.map((item) => item.specs);
    return isList ? { specs, key: `[${items.map(({ key }) => key).join(",")}]` } : {
      specs: Object.fromEntries(keys.map((key, i) => [key, specs[i]])),
      key: `{${items.map(({ key }, i) => `${JSON.stringify(keys[i])}:${key}`).join(",")}}`,
    };
  };
  return visit(value);
}

/** The type of a leaf; undefined for a record or a list of trees. */
function leafType(value: unknown, name: () => string): Spec | undefined {
  if (typeof value === "number") return spec([]);
  if (typeof value === "boolean") return spec([], "bool");
  if (value instanceof Float32Array || value instanceof Float64Array) return spec([value.length]);
  if (value instanceof Int32Array) return spec([value.length], "i32");
  if (value instanceof Uint32Array) return spec([value.length], "u32");
  if (isTensor(value)) {
    throw new CompileError(`Cannot run with the symbolic tensor ${value} as ${name()}: in a trace, call fn itself`);
  }
  if (Array.isArray(value) && isListOfNumbers(value)) {
    const { shape, values } = flattenNested(value, "run with", name);
    return spec(shape, dtypeOfList(values));
  }
  if (value !== null && typeof value === "object" && "shape" in value && "dtype" in value) {
    if ("data" in value || "device" in value) return spec(value.shape as Shape, value.dtype as DType);
  }
  if (isContainer(value)) return undefined;
  const what = value === null || value === undefined
    ? String(value)
    : `a ${typeof value === "object" ? value.constructor?.name ?? "record" : typeof value}`;
  throw new DTypeError(
    `Cannot run with ${what} as ${name()}: tensors come as numbers, lists, Float32Array, Int32Array, Uint32Array, results or device arrays; other values must be named in staticArguments`,
  );
}

/** Whether the innermost first element of nested lists is a number or a truth value: such lists are one tensor. */
function isListOfNumbers(list: readonly unknown[]): boolean {
  let first: unknown = list;
  while (Array.isArray(first)) first = first[0];
  return typeof first === "number" || typeof first === "boolean";
}

/**
 * The type of a static argument: no tensors, and a key that is equal for equal values.
 * @param numberOf A number for each function, so that it is equal to itself only.
 * @throws {CompileError} for a value that has no equality: an instance of a class, a typed array.
 */
export function typeOfStatic(
  value: unknown,
  position: number,
  numberOf: (fn: object) => number,
): ArgumentType {
  const keyOf = (value: unknown): string => {
    if (typeof value === "function") return `function ${numberOf(value)}`;
    if (Array.isArray(value)) return `[${value.map(keyOf).join(",")}]`;
    if (isContainer(value)) {
      const record = value as Readonly<Record<string, unknown>>;
      return `{${Object.keys(record).sort().map((key) => `${JSON.stringify(key)}:${keyOf(record[key])}`).join(",")}}`;
    }
    if (typeof value === "string") return JSON.stringify(value);
    if (typeof value === "object" && value !== null) {
      throw new CompileError(
        `Cannot use a ${
          value.constructor?.name ?? "object"
        } as static argument ${position}: static arguments are compared by value, so they are numbers, texts, truth values, functions, and records and lists of these`,
      );
    }
    return Object.is(value, -0) ? "-0" : `${typeof value} ${String(value)}`;
  };
  return { specs: [], key: `static ${keyOf(value)}` };
}
