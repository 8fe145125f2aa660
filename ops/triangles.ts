/** Triangles of matrices: parts of one, and the unit matrix. */
import type { DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { checkShape, formatType, type Shape } from "../core/shape.ts";
import { add } from "./binary.ts";
import { equal, greaterEqual, lessEqual } from "./compare.ts";
import { cast, where } from "./select.ts";
import { iota } from "./sources.ts";

/** For each place of the last two axes the number of its row moved by `diagonal`, and that of its column. */
function placesOf(shape: Shape, diagonal: number): [row: Tensor, column: Tensor] {
  const matrix = shape.slice(-2), row = iota(matrix, 0);
  return [diagonal === 0 ? row : add(row, diagonal), iota(matrix, 1)];
}

function checkTriangle(action: string, x: Tensor, diagonal: number): void {
  if (x.rank < 2) {
    throw new ShapeError(`Cannot ${action} ${formatType(x)}: it must have at least 2 axes, it has ${x.rank}`, [
      x.shape,
    ]);
  }
  if (!Number.isInteger(diagonal)) {
    throw new ShapeError(`Cannot ${action} ${formatType(x)} at diagonal ${diagonal}: it must be a whole number`, [
      x.shape,
    ]);
  }
}

/** Which diagonal {@link tril} and {@link triu} are cut at. */
export interface TriangleOptions {
  /**
   * The diagonal up to which elements are kept: 0 (the default) is the main one, 1, 2, ... above it, -1, -2, ... below.
   */
  readonly diagonal?: number;
}

const TRIANGLE_OPTIONS = optionNames<TriangleOptions>({ diagonal: true });

/**
 * The lower triangle of matrices `[.., M, N]`: zeros above a diagonal, whatever is there. Products with it leave out what
 * is known to be zero. Gradient: the lower triangle.
 * @throws {ShapeError} if `x` has fewer than 2 axes or the diagonal is not a whole number.
 */
export function tril(x: Tensor, options: TriangleOptions = {}): Tensor {
  checkOptions("tril", options, TRIANGLE_OPTIONS);
  const { diagonal = 0 } = options;
  checkTriangle("take the lower triangle of", x, diagonal);
  const [row, column] = placesOf(x.shape, diagonal);
  return where(lessEqual(column, row), x, 0);
}

/**
 * The upper triangle of matrices `[.., M, N]`: zeros below a diagonal, whatever is there. Products with it leave out what
 * is known to be zero. Gradient: the upper triangle.
 * @throws {ShapeError} if `x` has fewer than 2 axes or the diagonal is not a whole number.
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
  /** Number of columns. Default: as many as rows. */
  readonly columns?: number;
  /** The diagonal of ones: 0 (the default) is the main one, 1, 2, ... above it, -1, -2, ... below. */
  readonly diagonal?: number;
  /** Element type. Default: f32. */
  readonly dtype?: DType;
}

const EYE_OPTIONS = optionNames<EyeOptions>({ columns: true, diagonal: true, dtype: true });

/** The matrix `[rows, columns]` with ones on a diagonal. @throws {ShapeError} if a number is not valid. */
export function eye(rows: number, options: EyeOptions = {}): Tensor {
  checkOptions("eye", options, EYE_OPTIONS);
  const { columns = rows, diagonal = 0, dtype = "f32" } = options, shape = [rows, columns];
  checkShape(shape, "make a unit matrix");
  const [row, column] = placesOf(shape, diagonal);
  return cast(equal(row, column), dtype);
}
