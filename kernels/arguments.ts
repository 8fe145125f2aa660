/** A program's arguments: host arrays and device arrays in place of the tensors of the traced function. */
import { describe } from "../core/describe.ts";
import { type DType, hostArray, type HostData, isInteger, type Type } from "../core/dtype.ts";
import { CompileError, DeviceError, DTypeError, ShapeError } from "../core/errors.ts";
import { flattenNested, isNested, type Nested } from "../core/nested.ts";
import { formatShape, formatType, sameShape, type Shape, sizeOfShape, splitFlatIndex } from "../core/shape.ts";
import { leafCount, type TreeSpec } from "../core/tree.ts";
import type { Device, DeviceArray } from "./device.ts";
import type { HostTensor } from "./host_data.ts";

/**
 * What may stand for a tensor in a program's arguments: a typed array of the dtype (or of doubles), its elements as a
 * list of numbers or truth values or as nested lists (`[[1, 2], [3, 4]]`), one number for a scalar, a result of another
 * run, or an array in the device's memory. For bool any number but 0 is true.
 */
export type ArrayLeaf = HostData | Nested | HostTensor | DeviceArray;

/** A leaf of an argument: in device memory, or yet to be uploaded. */
export type ResolvedLeaf = { readonly kind: "device"; readonly array: DeviceArray } | {
  readonly kind: "host";
  readonly data: HostData;
};

/**
 * Matches arguments with a program's input tree and checks every leaf.
 * @param args The arguments, as the user gave them.
 * @param tree The structure of the arguments of the traced function.
 * @param types The types of the leaves.
 * @throws {ShapeError} if the structure, a shape or a length does not fit; {DTypeError} if elements are of another
 * type. Texts name the argument's path.
 */
export function resolveArguments(
  args: readonly unknown[],
  tree: TreeSpec,
  types: readonly Type[],
  device: Device,
): ResolvedLeaf[] {
  const expected = tree.kind === "list" ? tree.items.length : 1;
  if (args.length !== expected) {
    throw new ShapeError(
      `Cannot run with ${args.length} argument${args.length === 1 ? "" : "s"}: the program expects ${expected}`,
    );
  }
  const leaves: ResolvedLeaf[] = [], path: Path = [];
  if (tree.kind === "list") visitList(tree, args);
  return leaves;

  function visitList({ items }: TreeSpec & { kind: "list" }, values: readonly unknown[]): void {
    for (let i = 0; i < items.length; i++) {
      path.push(i);
      visit(items[i], values[i]);
      path.pop();
    }
  }

  function visit(node: TreeSpec, value: unknown): void {
    switch (node.kind) {
      case "leaf":
        leaves.push(resolveLeaf(value, types[leaves.length], path, device));
        return;
      case "list":
        if (!Array.isArray(value) || value.length !== node.items.length) {
          const got = Array.isArray(value) ? `${value.length}` : describe(value);
          throw new ShapeError(
            `Cannot run with ${got} as ${textOf(path)}: the program expects a list of ${node.items.length}`,
          );
        }
        visitList(node, value);
        return;
      case "record":
        checkKeys(node.keys, value, path);
        for (let i = 0; i < node.keys.length; i++) {
          path.push(node.keys[i]);
          visit(node.items[i], value[node.keys[i]]);
          path.pop();
        }
    }
  }
}

/**
 * The position of a leaf: the argument's index, then keys and indices. Formatted only for errors, since repeated
 * launches should allocate little.
 */
type Path = (string | number)[];

function textOf([argument, ...rest]: Path): string {
  return `argument ${argument}${rest.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("")}`;
}

function checkKeys(keys: readonly string[], value: unknown, path: Path): asserts value is Record<string, unknown> {
  if (value === null || typeof value !== "object" || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw new ShapeError(
      `Cannot run with ${describe(value)} as ${textOf(path)}: the program expects a record with ${keys.join(", ")}`,
    );
  }
  for (const key of keys) {
    if (!(key in value)) {
      throw new ShapeError(
        `Cannot run with ${textOf(path)}: it lacks ${key}; the program expects a record with ${keys.join(", ")}`,
      );
    }
  }
  for (const key in value) {
    if (keys.includes(key) || !Object.hasOwn(value, key)) continue;
    throw new ShapeError(
      `Cannot run with ${textOf(path)}: it has ${key}, which the program does not know; it expects ${keys.join(", ")}`,
    );
  }
}

function isDeviceArray(value: object): value is DeviceArray {
  return "device" in value && "dispose" in value;
}

function resolveLeaf(value: unknown, type: Type, path: Path, device: Device): ResolvedLeaf {
  if (typeof value === "number" || typeof value === "boolean") {
    if (sizeOfShape(type.shape) !== 1) {
      throw new ShapeError(
        `Cannot run with a ${typeof value} as ${textOf(path)}: the program expects ${formatType(type)}`,
        [
          type.shape,
        ],
      );
    }
    return { kind: "host", data: fromNumbers([value], type.dtype, path) };
  }
  if (Array.isArray(value) && isNested(value)) {
    const { shape, values } = flattenNested(value, "run with", () => textOf(path));
    checkShapeOf("a list", shape, type, path);
    return { kind: "host", data: fromNumbers(values, type.dtype, path, shape) };
  }
  if (Array.isArray(value)) {
    checkSize(value.length, type, path);
    return { kind: "host", data: fromNumbers(value, type.dtype, path) };
  }
  if (
    value instanceof Float32Array || value instanceof Float64Array || value instanceof Int32Array ||
    value instanceof Uint32Array
  ) {
    checkSize(value.length, type, path);
    checkElements(value, type, path);
    return { kind: "host", data: value };
  }
  if (value !== null && typeof value === "object") {
    if (isDeviceArray(value)) {
      checkType(value, type, path);
      if (value.device !== device) {
        throw new DeviceError(
          `Cannot run with ${formatType(value)} as ${
            textOf(path)
          }: it lies on another device; read it and pass its data`,
          "validation",
        );
      }
      return { kind: "device", array: value };
    }
    if ("data" in value && "shape" in value && "dtype" in value) {
      const tensor = value as HostTensor;
      checkType(tensor, type, path);
      return resolveLeaf(tensor.data, type, path, device);
    }
  }
  throw new DTypeError(
    `Cannot run with ${describe(value)} as ${textOf(path)}: the program expects ${
      formatType(type)
    } as a typed array, a list of numbers, nested lists or a device array`,
  );
}

function checkSize(length: number, type: Type, path: Path): void {
  const size = sizeOfShape(type.shape);
  if (length !== size) {
    throw new ShapeError(
      `Cannot run with ${length} numbers as ${textOf(path)}: the program expects ${
        formatType(type)
      }, which has ${size} elements`,
      [
        type.shape,
      ],
    );
  }
}

function checkShapeOf(what: string, shape: Shape, type: Type, path: Path): void {
  if (sameShape(shape, type.shape)) return;
  throw new ShapeError(
    `Cannot run with ${what} as ${textOf(path)}: the program expects ${formatType(type)}, and shapes ${
      formatShape(shape)
    } and ${formatShape(type.shape)} differ`,
    [shape, type.shape],
  );
}

function checkType(given: Type, type: Type, path: Path): void {
  checkShapeOf(formatType(given), given.shape, type, path);
  if (given.dtype !== type.dtype) {
    throw new DTypeError(
      `Cannot run with ${formatType(given)} as ${textOf(path)}: the program expects ${
        formatType(type)
      }; nothing is converted implicitly`,
      [
        given.dtype,
        type.dtype,
      ],
    );
  }
}

/**
 * Doubles can hold any dtype (integers are checked; any number is a truth value); other arrays must be of the dtype's
 * class.
 */
function checkElements(data: HostData, { dtype }: Type, path: Path): void {
  if (data instanceof Float64Array) {
    if (isInteger(dtype)) checkIntegers(data, dtype, path);
    return;
  }
  const expected = hostArray(dtype, 0).constructor;
  if (!(data instanceof expected)) {
    throw new DTypeError(
      `Cannot run with a ${data.constructor.name} as ${
        textOf(path)
      }: the program expects ${dtype}, which is passed as a ${expected.name}`,
      [
        dtype,
      ],
    );
  }
}

/** `shape` is that of nested lists, in which an element is named by its position. */
function checkIntegers(data: ArrayLike<number>, dtype: DType, path: Path, shape: Shape = [data.length]): void {
  const [lowest, highest] = dtype === "i32" ? [-2147483648, 2147483647] : [0, 4294967295];
  for (let i = 0; i < data.length; i++) {
    if (!Number.isInteger(data[i]) || data[i] < lowest || data[i] > highest) {
      throw new DTypeError(
        `Cannot run with ${data[i]} as ${
          textOf([...path, ...splitFlatIndex(i, shape)])
        }: the program expects ${dtype}, integers from ${lowest} to ${highest}`,
        [dtype],
      );
    }
  }
}

function fromNumbers(values: readonly unknown[], dtype: DType, path: Path, shape?: Shape): HostData {
  const wrong = values.findIndex((value) => typeof value !== "number" && typeof value !== "boolean");
  if (wrong >= 0) {
    throw new DTypeError(
      `Cannot run with ${describe(values[wrong])} as ${textOf(path)}[${wrong}]: the program expects ${dtype} numbers`,
      [dtype],
    );
  }
  const numbers = Float64Array.from(values as readonly number[]);
  if (isInteger(dtype)) checkIntegers(numbers, dtype, path, shape);
  return numbers;
}

/** The positions of the leaves of some arguments. */
export function donatedLeaves(tree: TreeSpec, donate: readonly number[]): number[] {
  const args = tree.kind === "leaf" ? [] : tree.items;
  for (const position of donate) {
    if (args[position]) continue;
    throw new CompileError(`Cannot donate argument ${position}: the function has ${args.length}, counted from 0`);
  }
  const starts = args.map((_, at) => args.slice(0, at).reduce((sum, arg) => sum + leafCount(arg), 0));
  return args.flatMap((
    arg,
    at,
  ) => (donate.includes(at) ? Array.from({ length: leafCount(arg) }, (_, i) => starts[at] + i) : []));
}
