/** Inverses of triangular matrices, by block doubling. */
import { customVjp } from "../core/custom_vjp.ts";
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatType } from "../core/shape.ts";
import { div, mul, sub } from "./binary.ts";
import { sum } from "./broadcast.ts";
import { equal, greater, logicalAnd } from "./compare.ts";
import { concat } from "./concat.ts";
import { checkDomain } from "./define.ts";
import { matmul } from "./matmul.ts";
import { inF32, where } from "./select.ts";
import { pad, sliceAxis, split } from "./slice.ts";
import { iota, zerosLike } from "./sources.ts";
import { tril } from "./triangles.ts";
import { neg, reciprocal } from "./unary.ts";
import { expandDims, reshape, squeeze, swapAxes } from "./views.ts";

/** Options of {@link triangularInverse}. */
export interface TriangularInverseOptions {
  /** Whether the matrices are upper triangular. Default: false, lower triangular. */
  readonly upper?: boolean;
  /** Whether to take the diagonal as 1 and not read it. Default: false. */
  readonly unitDiagonal?: boolean;
}

const TRIANGULAR_INVERSE_OPTIONS = optionNames<TriangularInverseOptions>({ upper: true, unitDiagonal: true });

/**
 * The inverse of triangular matrices `[.., N, N]`. The other triangle is not read. A zero on the diagonal gives
 * infinities and NaN.
 *
 * Block doubling: if X holds the inverses of the diagonal blocks of size s, and M selects what is below them within blocks
 * of size 2 s, then `X - X (A o M) X` holds the inverses of size 2 s. Every intermediate X is the inverse of blocks of A,
 * which makes this as stable as substitution, in f32 and for nearly equal rows too, where the Neumann product
 * `(I + N)(I + N^2)(I + N^4)..` loses all digits. Cost: about `N^3 / 3 + 100 N^2`
 * multiply-adds, in `2 log2 N - 2` products. For f16, computed in f32.
 * Gradient: `-X^T g X^T` within the triangle.
 * @throws {ShapeError} if the last two axes are not equal.
 * @throws {DTypeError} if `x` is not a float.
 */
export function triangularInverse(x: Tensor, options: TriangularInverseOptions = {}): Tensor {
  checkOptions("triangularInverse", options, TRIANGULAR_INVERSE_OPTIONS);
  checkDomain("invert", x, "float");
  const { upper = false, unitDiagonal = false } = options;
  if (x.rank < 2 || x.shape[x.rank - 1] !== x.shape[x.rank - 2]) {
    throw new ShapeError(`Cannot invert ${formatType(x)}: its last two axes must be equal`, [x.shape]);
  }
  if (upper) return swapAxes(triangularInverse(swapAxes(x, -1, -2), { unitDiagonal }), -1, -2);
  return inF32(x, unitDiagonal ? inverseOfUnitLower : inverseOfLower);
}

const inverseOfLower = withGradient((x) => {
  const scale = reciprocal(sum(where(isDiagonal(x), x, 0), { axes: -1 }));
  return doubled(x, scale);
}, 0);

const inverseOfUnitLower = withGradient((x) => doubled(x, undefined), -1);

/** Gives an inverse its gradient, cut off above a diagonal. */
function withGradient(inverse: (x: Tensor) => Tensor, diagonal: number): (x: Tensor) => Tensor {
  return customVjp(inverse, {
    forward: (x) => {
      const result = inverse(x);
      return [result, result];
    },
    backward: (result, g) => {
      const transposed = swapAxes(result, -1, -2);
      return [tril(neg(matmul(matmul(transposed, g), transposed)), { diagonal })];
    },
  });
}

function isDiagonal(x: Tensor): Tensor {
  const matrix = x.shape.slice(-2);
  return equal(iota(matrix, 0), iota(matrix, 1));
}

/** Rows up to which doubling in place is cheaper than to take blocks apart and join them. */
const SMALL_BLOCK = 16;

/** The inverse of a lower triangular matrix, given the inverse of its diagonal; undefined for ones. */
function doubled(x: Tensor, scale: Tensor | undefined): Tensor {
  const N = x.shape[x.rank - 1], doublings = Math.max(0, Math.ceil(Math.log2(N / SMALL_BLOCK)));
  if (doublings === 0) return inverseInPlace(x, scale);
  const size = Math.ceil(N / 2 ** doublings), rows = size * 2 ** doublings;
  // Rows and columns of zeros make a whole number of blocks; they do not reach the others.
  const filled = rows === N ? x : filledUp(x, rows - N, 2);
  const blocks = diagonalBlocks(filled, size); // [.., M / s, s, s]
  const scales = scale && reshape(rows === N ? scale : filledUp(scale, rows - N, 1), blocks.shape.slice(0, -1));
  let inverse = inverseInPlace(blocks, scales);
  for (let s = size; s < rows; s *= 2) inverse = joined(inverse, diagonalBlocks(filled, 2 * s), s);
  const whole = reshape(inverse, filled.shape);
  return rows === N ? whole : sliceAxis(sliceAxis(whole, -1, 0, N), -2, 0, N);
}

/** Zeros behind the last elements of the last axes. */
function filledUp(x: Tensor, count: number, axes: number): Tensor {
  return pad(x, x.shape.map((_, axis) => [0, axis < x.rank - axes ? 0 : count]));
}

/** The blocks on the diagonal of matrices `[.., M, M]`, `[.., M / s, s, s]`: each starts `s (M + 1)` elements after the last. */
function diagonalBlocks(x: Tensor, size: number): Tensor {
  const M = x.shape[x.rank - 1], lead = x.shape.slice(0, -2), count = M / size;
  const flat = filledUp(reshape(x, [...lead, M * M]), M, 1);
  const rows = sliceAxis(reshape(flat, [...lead, count, size * (M + 1)]), -1, 0, size * M);
  return sliceAxis(reshape(rows, [...lead, count, size, M]), -1, 0, size);
}

/** From inverses of blocks `[.., n, s, s]` those of the blocks `x` of twice the size, `[.., n / 2, 2 s, 2 s]`. */
function joined(inverse: Tensor, x: Tensor, size: number): Tensor {
  const pairs = reshape(inverse, [...x.shape.slice(0, -2), 2, size, size]);
  const [first, second] = split(pairs, [1, 1], -3).map((half) => squeeze(half, -3));
  const below = sliceAxis(sliceAxis(x, -2, size, size), -1, 0, size);
  const corner = neg(matmul(matmul(second, below), first));
  return concat([concat([first, zerosLike(first)], -1), concat([corner, second], -1)], -2);
}

/** The same for few rows: each round multiplies whole matrices, most of whose elements are zeros. */
function inverseInPlace(x: Tensor, scale: Tensor | undefined): Tensor {
  const matrix = x.shape.slice(-2), row = iota(matrix, 0), column = iota(matrix, 1);
  const below = (size: number): Tensor =>
    where(
      logicalAnd(
        equal(div(row, 2 * size), div(column, 2 * size)),
        greater(div(row, size), div(column, size)),
      ),
      x,
      0,
    );
  // The first round needs no product: blocks of one row are the diagonal.
  let inverse = neg(below(1));
  if (scale) inverse = mul(mul(expandDims(scale, -1), inverse), expandDims(scale, -2));
  inverse = where(isDiagonal(x), scale ? expandDims(scale, -1) : 1, inverse);
  for (let size = 2; size < matrix[0]; size *= 2) {
    inverse = sub(inverse, matmul(matmul(inverse, below(size)), inverse));
  }
  return inverse;
}
