/** Numbers for tests: deterministic values, comparison with an allowance, and the one table of tolerances. */
import { type DType, type HostData, isFloat } from "../core/dtype.ts";
import type { NdArray } from "../core/op.ts";
import { formatShape, type Shape, sizeOfShape } from "../core/shape.ts";

/** How much of a result's error is inherent in its arithmetic. */
export type ToleranceClass = "exact" | "arithmetic" | "function" | "accumulation";

/** An allowance: `absolute * max(1, greatest expected magnitude) + relative * |expected|`. */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

/**
 * The tolerances of results on devices, by class and dtype. `exact`: moved or selected elements and integers.
 * `arithmetic`: a few roundings. `function`: elementary functions, which devices approximate. `accumulation`: sums of
 * many terms, in any order.
 */
export const TOLERANCES: Readonly<Record<ToleranceClass, Readonly<Record<DType, Tolerance>>>> = {
  exact: tolerances({ relative: 0, absolute: 0 }, { relative: 0, absolute: 0 }),
  arithmetic: tolerances({ relative: 1e-6, absolute: 1e-7 }, { relative: 2e-3, absolute: 1e-3 }),
  function: tolerances({ relative: 1e-5, absolute: 1e-5 }, { relative: 5e-3, absolute: 5e-3 }),
  accumulation: tolerances({ relative: 1e-5, absolute: 1e-5 }, { relative: 1e-2, absolute: 1e-2 }),
};

/** The tolerance of results of the f64 reference against plain JavaScript. */
export const REFERENCE_TOLERANCE: Tolerance = { relative: 1e-12, absolute: 1e-13 };

/** The tolerance of gradients against central differences in f64. */
export const GRADIENT_TOLERANCE: Tolerance = { relative: 2e-7, absolute: 2e-8 };

/** bf16 has three bits less than f16. */
function tolerances(f32: Tolerance, f16: Tolerance): Readonly<Record<DType, Tolerance>> {
  const none = { relative: 0, absolute: 0 };
  const bf16 = { relative: 8 * f16.relative, absolute: 8 * f16.absolute };
  return { f32, f16, bf16, i32: none, u32: none, bool: none };
}

/** A generator of uniform numbers in [0, 1): the one of the golden files. */
export function uniformGenerator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Normal-like numbers, `(sum of four uniform - 2) sqrt(3) scale`, as the golden files have them. */
export function randn(count: number, scale: number, seed: number): Float32Array {
  const next = uniformGenerator(seed);
  return Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * Math.sqrt(3) * scale);
}

/** An array of given elements. */
export function array(shape: Shape, data: ArrayLike<number>, dtype: DType = "f32"): NdArray {
  if (data.length !== sizeOfShape(shape)) throw new Error(`${data.length} elements for shape ${formatShape(shape)}`);
  return { shape, dtype, data: Float64Array.from(data) };
}

/** An f32 array of numbers between `low` and `high` that f32 holds exactly. */
export function random(shape: Shape, low = -2, high = 2, seed = 1): NdArray {
  const next = uniformGenerator(seed * 7919 + sizeOfShape(shape));
  return array(shape, Float32Array.from({ length: sizeOfShape(shape) }, () => low + (high - low) * next()));
}

/**
 * An f32 array of numbers between `low` and `high` in random order, evenly spaced: no two are near each other. 0 is not
 * among them for symmetric bounds.
 */
export function distinct(shape: Shape, low = -2, high = 2, seed = 1): NdArray {
  const size = sizeOfShape(shape), next = uniformGenerator(seed * 104729 + size);
  const values = Array.from({ length: size }, (_, i) => Math.fround(low + (high - low) * ((i + 0.37) / size)));
  for (let i = size - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [values[i], values[j]] = [values[j], values[i]];
  }
  return array(shape, values);
}

/** An integer array of numbers from `low` to below `high`. */
export function integers(shape: Shape, low: number, high: number, dtype: DType = "i32", seed = 1): NdArray {
  const next = uniformGenerator(seed * 15485863 + sizeOfShape(shape));
  return array(shape, Array.from({ length: sizeOfShape(shape) }, () => low + Math.floor(next() * (high - low))), dtype);
}

/** Fills a shape from its multi-indices: the plain way to say what is expected. */
export function build(shape: Shape, element: (index: readonly number[]) => number): number[] {
  return Array.from({ length: sizeOfShape(shape) }, (_, offset) => {
    let rest = offset;
    const index = new Array<number>(shape.length);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    return element(index);
  });
}

/** The element at a multi-index; an index is aligned to the right and an extent of 1 repeats, as in broadcasting. */
export function at(x: NdArray, index: readonly number[]): number {
  const lead = index.length - x.shape.length;
  return x.data[x.shape.reduce((offset, extent, axis) => offset * extent + (extent === 1 ? 0 : index[lead + axis]), 0)];
}

/** What {@link assertClose} found about the worst element. */
export interface Closeness {
  /** The greatest error as a share of its allowance. */
  readonly worst: number;
}

/**
 * Asserts that two arrays agree within a tolerance. NaN agrees with NaN, an infinity with itself.
 * @throws {Error} that names the case, the shape, the worst element, both values and the allowance.
 */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance,
  label: string,
  shape?: Shape,
): Closeness {
  const where = `${label}${shape ? ` ${formatShape(shape)}` : ""}`;
  if (actual.length !== expected.length) {
    throw new Error(`${where}: ${actual.length} elements, expected ${expected.length}`);
  }
  let scale = 1;
  for (let i = 0; i < expected.length; i++) {
    if (Number.isFinite(expected[i])) scale = Math.max(scale, Math.abs(expected[i]));
  }
  let worst = 0, worstAt = -1;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i]) || actual[i] === expected[i]) continue;
    const allowance = tolerance.absolute * scale + tolerance.relative * Math.abs(expected[i]);
    const error = Math.abs(actual[i] - expected[i]);
    const share = Number.isFinite(error) && Number.isFinite(expected[i]) ? error / allowance : Infinity;
    if (share > worst) [worst, worstAt] = [share, i];
  }
  if (worst > 1) {
    const allowance = tolerance.absolute * scale + tolerance.relative * Math.abs(expected[worstAt]);
    throw new Error(
      `${where}: element ${worstAt} is ${actual[worstAt]}, expected ${expected[worstAt]} (allowed ${allowance})`,
    );
  }
  return { worst };
}

/** A value of the interpreter as the host array that a device takes. */
export function toHost({ data, dtype }: NdArray): HostData {
  return isFloat(dtype) ? Float32Array.from(data) : dtype === "i32" ? Int32Array.from(data) : Uint32Array.from(data);
}
