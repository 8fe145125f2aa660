/** Runs functions of trees of tensors on values: by the f64 interpreter or on a device. */
import { assert } from "@std/assert";
import type { DType } from "../../core/dtype.ts";
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, type SpecsOf, trace } from "../../core/trace.ts";
import { flatten, mapLeaves, type MapTree, unflatten } from "../../core/tree.ts";
import { compile, type Device, type ProgramArguments, requestDevice } from "../../kernels/mod.ts";

/** A value with its type. */
export interface Value {
  readonly shape: readonly number[];
  readonly dtype?: DType;
  readonly data: ArrayLike<number>;
}

/** Whether something is a value: the leaf test of trees of values. */
export function isValue(value: unknown): value is Value {
  return typeof value === "object" && value !== null && "data" in value && "shape" in value;
}

/** Runs a function: arguments and result are trees of values in place of tensors. */
export type Runner = <Args extends readonly unknown[], R>(
  fn: (...args: Args) => R,
  args: ValuesOf<Args>,
) => Promise<MapTree<R, Tensor, Value>>;

/** Arguments with values in place of tensors. */
export type ValuesOf<Args extends readonly unknown[]> = { [K in keyof Args]: MapTree<Args[K], Tensor, Value> };

function specsOf<Args extends readonly unknown[]>(args: ValuesOf<Args>): SpecsOf<Args> {
  return mapLeaves(args, isValue, (value) => spec(value.shape, value.dtype ?? "f32")) as unknown as SpecsOf<Args>;
}

/** The f64 interpreter, after simplification: the oracle. */
export const reference: Runner = (fn, args) => Promise.resolve(prepareReference(fn, args)(args));

/** As {@link reference}, but traced once for arguments of the same types. */
export function prepareReference<Args extends readonly unknown[], R>(
  fn: (...args: Args) => R,
  example: ValuesOf<Args>,
): (args: ValuesOf<Args>) => MapTree<R, Tensor, Value> {
  const { graph, outputTree } = trace(fn, specsOf<Args>(example));
  const simplified = simplify(graph);
  return (args) => {
    const inputs = flatten(args, isValue).leaves.map(({ shape, dtype, data }): NdArray => ({
      shape,
      dtype: dtype ?? "f32",
      data: Float64Array.from(data),
    }));
    return unflatten(outputTree, interpret(simplified, inputs)) as MapTree<R, Tensor, Value>;
  };
}

/** A device: compiles the function and runs it once. */
export function onDevice(device: Device): Runner {
  return async <Args extends readonly unknown[], R>(fn: (...args: Args) => R, args: ValuesOf<Args>) => {
    const { run, dispose } = await prepareOnDevice(device, fn, args);
    try {
      return await run(args);
    } finally {
      dispose();
    }
  };
}

/** As {@link onDevice}, but compiled once for arguments of the same types. */
export async function prepareOnDevice<Args extends readonly unknown[], R>(
  device: Device,
  fn: (...args: Args) => R,
  example: ValuesOf<Args>,
): Promise<{ run: (args: ValuesOf<Args>) => Promise<MapTree<R, Tensor, Value>>; dispose: () => void }> {
  const program = await compile(device, fn, specsOf<Args>(example));
  const run = async (args: ValuesOf<Args>): Promise<MapTree<R, Tensor, Value>> => {
    const host = mapLeaves(
      args,
      isValue,
      ({ dtype, data }) => dtype === "i32" ? Int32Array.from(data) : Float32Array.from(data),
    );
    return await program.run(...host as unknown as ProgramArguments<Args>) as MapTree<R, Tensor, Value>;
  };
  return { run, dispose: () => program.dispose() };
}

/** What a test on a device is given. */
export interface DeviceTest {
  readonly run: Runner;
  readonly device: Device;
  readonly t: Deno.TestContext;
}

/** Registers a test on each device that computes in f32. */
export function testOnDevices(name: string, body: (test: DeviceTest) => Promise<void>): void {
  for (const kind of ["webgpu", "cpu"] as const) {
    Deno.test(`${kind}: ${name}`, async (t) => {
      const device = await requestDevice({ kind });
      try {
        await body({ run: onDevice(device), device, t });
      } finally {
        device.dispose();
      }
    });
  }
}

/** All leaves of a tree of values by path. */
export function leavesOf(tree: unknown): Record<string, ArrayLike<number>> {
  const { leaves, paths } = flatten(tree, isValue);
  return Object.fromEntries(leaves.map(({ data }, i) => [paths[i], data]));
}

/** Compares trees of values leaf by leaf; the tolerance is relative to the largest magnitude of a leaf. */
export function assertClose(actual: unknown, expected: unknown, tolerance: number): void {
  const actualLeaves = leavesOf(actual);
  for (const [name, values] of Object.entries(leavesOf(expected))) {
    const error = relativeError(actualLeaves[name], values);
    assert(
      error <= tolerance,
      `${name || "the result"} differs by ${error} of its largest magnitude, allowed ${tolerance}`,
    );
  }
}

/** A deterministic array that looks normal; its values are f32, so that every device gets the same. */
export function noise(shape: readonly number[], seed: number, scale = 1): Value {
  const size = shape.reduce((a, b) => a * b, 1);
  let state = Math.imul(seed + 1, 0x9e3779b9) >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    shape,
    data: Float64Array.from(
      { length: size },
      () => Math.fround((uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3) * scale),
    ),
  };
}

/** The largest difference of two arrays, relative to the largest magnitude (at least `floor`) of the second. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>, floor = 1e-30): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} numbers instead of ${expected.length}`);
  let difference = 0, magnitude = floor;
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i] - expected[i]);
    if (!(d <= difference)) difference = d; // NaN counts
    magnitude = Math.max(magnitude, Math.abs(expected[i]));
  }
  return difference / magnitude;
}

/** The Euclidean norm. */
export function norm(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] ** 2;
  return Math.sqrt(total);
}
