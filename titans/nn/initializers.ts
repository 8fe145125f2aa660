/**
 * How parameters start.
 *
 * An {@link Initializer} is plain data. What depends on a shape, such as Glorot's scale, is a function from the shape to
 * one; layers take either. Shapes of matrices are [in, out], with any axes before them: `x W` reads "in" and makes "out".
 */
import type { OptionNames } from "../../core/options.ts";
import { type Shape, sizeOfShape } from "../../core/shape.ts";
import { checkNames, ConfigError } from "../errors.ts";
import type { HostRng } from "./host_rng.ts";

/**
 * How a parameter starts. `normal`: with a standard deviation. `truncatedNormal`: the same without what lies beyond two
 * deviations, which is drawn again. `uniform`: from `-bound` to `bound`. `orthogonal`: a gain times a matrix whose rows,
 * or columns if these are fewer, are orthonormal. `value`: one value. `parts`: several values for equal parts of it.
 */
export type Initializer =
  | { readonly normal: number }
  | { readonly truncatedNormal: number }
  | { readonly uniform: number }
  | { readonly orthogonal: number }
  | { readonly value: number }
  | { readonly parts: readonly number[] };

/** An initializer, or one for each shape. */
export type InitializerFor = Initializer | ((shape: Shape) => Initializer);

/** The initializer for a shape. */
export function initializerFor(initializer: InitializerFor, shape: Shape): Initializer {
  return typeof initializer === "function" ? initializer(shape) : initializer;
}

/** All zeros. */
export function zeros(): Initializer {
  return { value: 0 };
}

/** All ones. */
export function ones(): Initializer {
  return { value: 1 };
}

/** One value throughout. */
export function constant(value: number): Initializer {
  return { value };
}

/** Normal with mean 0. */
export function normal(deviation: number): Initializer {
  return { normal: deviation };
}

/** Normal with mean 0; what lies beyond two deviations is drawn again, which makes the deviation 0.88 times as large. */
export function truncatedNormal(deviation: number): Initializer {
  return { truncatedNormal: deviation };
}

/** Uniform from `-bound` to `bound`. */
export function uniform(bound: number): Initializer {
  return { uniform: bound };
}

/**
 * A gain times a random matrix with orthonormal rows, or columns if these are fewer (Saxe, McClelland, Ganguli, arXiv
 * 1312.6120): what it multiplies keeps its length.
 */
export function orthogonal(gain = 1): Initializer {
  return { orthogonal: gain };
}

/** Normal with deviation `gain sqrt(2 / (in + out))` (Glorot and Bengio, AISTATS 2010), also called Xavier's. */
export function glorotNormal(gain = 1): (shape: Shape) => Initializer {
  return (shape) => ({ normal: gain * glorotDeviation(shape) });
}

/** Uniform with deviation `gain sqrt(2 / (in + out))` (Glorot and Bengio, AISTATS 2010), also called Xavier's. */
export function glorotUniform(gain = 1): (shape: Shape) => Initializer {
  return (shape) => ({ uniform: gain * Math.sqrt(3) * glorotDeviation(shape) });
}

/** Normal with deviation `gain / sqrt(in)`; for relu with its gain of sqrt(2) (He et al., arXiv 1502.01852), Kaiming's. */
export function heNormal(gain: number = Math.SQRT2): (shape: Shape) => Initializer {
  return (shape) => ({ normal: gain / Math.sqrt(fansOf(shape).in) });
}

/** Uniform with deviation `gain / sqrt(in)`; for relu with its gain of sqrt(2) (He et al., arXiv 1502.01852), Kaiming's. */
export function heUniform(gain: number = Math.SQRT2): (shape: Shape) => Initializer {
  return (shape) => ({ uniform: gain * Math.sqrt(3 / fansOf(shape).in) });
}

/** Normal with deviation `1 / sqrt(in)`, LeCun's: what comes out is about as large as what goes in. */
export function lecunNormal(): (shape: Shape) => Initializer {
  return heNormal(1);
}

function glorotDeviation(shape: Shape): number {
  const fans = fansOf(shape);
  return Math.sqrt(2 / (fans.in + fans.out));
}

function fansOf(shape: Shape): { readonly in: number; readonly out: number } {
  if (shape.length >= 2) return { in: shape[shape.length - 2], out: shape[shape.length - 1] };
  throw new ConfigError(
    `Cannot scale a parameter of shape [${shape}] by what goes in and out of it: it needs the two axes of a matrix; give a number`,
    "initializer",
  );
}

const INITIALIZER: OptionNames = ["normal", "truncatedNormal", "uniform", "orthogonal", "value", "parts"];

/** Checks an initializer for a shape. @throws {ConfigError} in one line if it does not say with what to start. */
export function checkInitializer(initializer: Initializer, shape: Shape): void {
  checkNames("a parameter's initializer", initializer, INITIALIZER);
  const refuse = (text: string): never => {
    throw new ConfigError(`Cannot make a parameter that starts ${text}`, "initializer");
  };
  const given = Object.entries<number | readonly number[]>({ ...initializer });
  if (given.length !== 1) {
    refuse(`by ${given.map(([name]) => name).join(" and ") || "nothing"}: give one of ${INITIALIZER.join(", ")}`);
  }
  const [[name, start]] = given, size = sizeOfShape(shape);
  if (name === "orthogonal" && shape.length < 2) refuse(`orthogonal with shape [${shape}]: it needs two axes`);
  if (name !== "parts") {
    if (!Number.isFinite(start)) refuse(`with ${name} ${start}: it must be a finite number`);
    return;
  }
  const parts = start as readonly number[];
  if (!parts?.every?.(Number.isFinite)) refuse(`in parts of ${parts}: they must be finite numbers`);
  if (parts.length === 0 ? size !== 0 : size % parts.length !== 0) {
    refuse(`in ${parts.length} equal parts: it has ${size} elements`);
  }
}

/** The first values of a parameter, from a stream of random numbers of its own. */
export function initialValues(initializer: Initializer, shape: Shape, rng: HostRng): Float32Array {
  const size = sizeOfShape(shape);
  const fill = (value: (i: number) => number): Float32Array => {
    const values = new Float32Array(size);
    for (let i = 0; i < size; i++) values[i] = value(i);
    return values;
  };
  if ("value" in initializer) return new Float32Array(size).fill(initializer.value);
  if ("parts" in initializer) {
    const { parts } = initializer;
    return fill((i) => parts[Math.floor(i * parts.length / size)]);
  }
  if ("uniform" in initializer) return fill((i) => initializer.uniform * (2 * rng.uniform(i) - 1));
  if ("truncatedNormal" in initializer) return fill((i) => initializer.truncatedNormal * truncated(rng, i, size));
  if ("orthogonal" in initializer) return orthogonalMatrices(initializer.orthogonal, shape, rng);
  const values = new Float32Array(size);
  rng.fillNormal(values, initializer.normal);
  return values;
}

/** The i-th of `size` normal numbers within two deviations: the first of its draws that is. */
function truncated(rng: HostRng, i: number, size: number): number {
  let draw = rng.normal(i);
  for (let n = i + size; Math.abs(draw) > 2; n += size) draw = rng.normal(n);
  return draw;
}

/** Matrices of normal numbers, made orthogonal by Gram and Schmidt's method along their shorter side. */
function orthogonalMatrices(gain: number, shape: Shape, rng: HostRng): Float32Array {
  const [rows, columns] = shape.slice(-2), count = Math.min(rows, columns), length = Math.max(rows, columns);
  const values = new Float32Array(sizeOfShape(shape));
  for (let start = 0; start < values.length; start += rows * columns) {
    const vectors: Float64Array[] = [];
    for (let v = 0; v < count; v++) {
      const vector = Float64Array.from({ length }, (_, i) => rng.normal(start + v * length + i));
      // Twice: what rounding leaves of the others' directions the first time is gone after the second.
      for (let pass = 0; pass < 2; pass++) {
        for (const other of vectors) {
          const along = dot(vector, other);
          other.forEach((x, i) => vector[i] -= along * x);
        }
        const norm = Math.sqrt(dot(vector, vector));
        vector.forEach((x, i) => vector[i] = x / norm);
      }
      vectors.push(vector);
      vector.forEach((x, i) => values[start + (rows <= columns ? v * columns + i : i * columns + v)] = gain * x);
    }
  }
  return values;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}
