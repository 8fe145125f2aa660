/** Triangular parts of matrices, and the identity matrix. */
import type { DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { checkShape, checkType, formatType, type Shape } from "../core/shape.ts";
import { add } from "./binary.ts";
import { equal, greaterEqual, lessEqual } from "./compare.ts";
import { cast, where } from "./select.ts";
import { iota } from "./sources.ts";

/** The row index, shifted by `diagonal`, and the column index of each element of the last two axes. */
function placesOf(shape: Shape, diagonal: number): [row: Tensor, column: Tensor] {
  const matrix = shape.slice(-2), row = iota(matrix, 0);
  return [diagonal === 0 ? row : add(row, diagonal), iota(matrix, 1)];
}

function checkTriangle(action: string, x: Tensor, diagonal: number): void {
  checkType(action, x);
  if (x.rank < 2) {
    throw new ShapeError(`Cannot ${action} ${formatType(x)}: it must have at least 2 axes, it has ${x.rank}`, [
      x.shape,
    ]);
  }
  if (!Number.isInteger(diagonal)) {
    throw new ShapeError(`Cannot ${action} ${formatType(x)} at diagonal ${diagonal}: it must be an integer`, [
      x.shape,
    ]);
  }
}

/** Options of {@link tril} and {@link triu}. */
export interface TriangleOptions {
  /** The last diagonal that is kept: positive above the main diagonal, negative below. Default: 0, the main diagonal. */
  readonly diagonal?: number;
}

const TRIANGLE_OPTIONS = optionNames<TriangleOptions>({ diagonal: true });

/**
 * The lower triangle of matrices `[.., M, N]`, with zeros above a diagonal (NaN there is replaced too). Matrix products
 * skip tiles that are zero. Gradient: the lower triangle.
 * @throws {ShapeError} if `x` has fewer than 2 axes or the diagonal is not an integer.
 */
export function tril(x: Tensor, options: TriangleOptions = {}): Tensor {
  checkOptions("tril", options, TRIANGLE_OPTIONS);
  const { diagonal = 0 } = options;
  checkTriangle("take the lower triangle of", x, diagonal);
  const [row, column] = placesOf(x.shape, diagonal);
  return where(lessEqual(column, row), x, 0);
}

/**
 * The upper triangle of matrices `[.., M, N]`, with zeros below a diagonal (NaN there is replaced too). Matrix products
 * skip tiles that are zero. Gradient: the upper triangle.
 * @throws {ShapeError} if `x` has fewer than 2 axes or the diagonal is not an integer.
 */
export function triu(x: Tensor, options: TriangleOptions = {}): Tensor {
  checkOptions("triu", options, TRIANGLE_OPTIONS);
  const { diagonal = 0 } = options;
  checkTriangle("take the upper triangle of", x, diagonal);
  const [row, column] = placesOf(x.shape, diagonal);
  return where(greaterEqual(column, row), x, 0);
}

/** Options of {@link eye}. */
export interface EyeOptions {
  /** Number of columns. Default: the number of rows. */
  readonly columns?: number;
  /** The diagonal of ones: positive above the main diagonal, negative below. Default: 0. */
  readonly diagonal?: number;
  /** Element type. Default: f32. */
  readonly dtype?: DType;
}

const EYE_OPTIONS = optionNames<EyeOptions>({ columns: true, diagonal: true, dtype: true });

/** A matrix `[rows, columns]` with ones on a diagonal and zeros elsewhere. @throws {ShapeError} if a number is not valid. */
export function eye(rows: number, options: EyeOptions = {}): Tensor {
  checkOptions("eye", options, EYE_OPTIONS);
  const { columns = rows, diagonal = 0, dtype = "f32" } = options, shape = [rows, columns];
  checkShape(shape, "make an identity matrix");
  const [row, column] = placesOf(shape, diagonal);
  return cast(equal(row, column), dtype);
}
