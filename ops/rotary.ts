/** Rotary position embedding. */
import { DTypeError, ShapeError } from "../core/errors.ts";
import { isTensor, type Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatType } from "../core/shape.ts";
import { add, mul, sub } from "./binary.ts";
import { concat } from "./concat.ts";
import { checkDomain } from "./define.ts";
import type { TensorLike } from "./operands.ts";
import { cast } from "./select.ts";
import { sliceAxis } from "./slice.ts";
import { iota } from "./sources.ts";
import { cos, exp, sin } from "./unary.ts";

/** What {@link rotaryEmbedding} takes beside the tensor. */
export interface RotaryOptions {
  /** Sets the slowest rotation: one radian in `base` positions, nearly. */
  readonly base?: number;
  /** The position of the first row: a number or a scalar tensor; 0 unless said. */
  readonly offset?: TensorLike;
}

const ROTARY_OPTIONS = optionNames<RotaryOptions>({ base: true, offset: true });

/**
 * Rotates pairs of features by angles that grow with position (Su et al., arXiv 2104.09864): feature `i` of the first half and feature `i` of the second
 * form a pair, turned by `(offset + t) base^(-2i/K)` radians at row t.
 * Shapes: x `[..., T, K]` with K even, such as `[B, H, T, K]`; the result is like `x`. Gradient: rotated back; none for the offset if it is an integer.
 * @throws {ShapeError} if `x` has no rows, K is odd, or the offset is not a scalar.
 * @throws {DTypeError} if `x` is not a float.
 */
export function rotaryEmbedding(x: Tensor, options: RotaryOptions = {}): Tensor {
  checkOptions("rotaryEmbedding", options, ROTARY_OPTIONS);
  const { base = 10000, offset = 0 } = options;
  checkDomain("rotate", x, "float");
  if (x.rank < 2 || x.shape[x.rank - 1] % 2 !== 0) {
    throw new ShapeError(`Cannot rotate ${formatType(x)}: it must be [..., T, K] with K even`, [x.shape]);
  }
  const T = x.shape[x.rank - 2], half = x.shape[x.rank - 1] / 2;
  const positions = add(iota([T, half], 0, x.dtype), positionOf(offset, x));
  const frequencies = exp(mul(iota([T, half], 1, x.dtype), -Math.log(base) / half));
  const angles = mul(positions, frequencies); // [T, K / 2]
  const cosines = cos(angles), sines = sin(angles);
  const first = sliceAxis(x, -1, 0, half), second = sliceAxis(x, -1, half, half);
  return concat([sub(mul(first, cosines), mul(second, sines)), add(mul(second, cosines), mul(first, sines))], -1);
}

function positionOf(offset: TensorLike, x: Tensor): TensorLike {
  if (!isTensor(offset)) return offset;
  if (offset.rank !== 0) {
    throw new ShapeError(`Cannot rotate from offset ${formatType(offset)}: it must be a scalar, it has rank ${offset.rank}`, [offset.shape]);
  }
  if (offset.dtype === "bool") throw new DTypeError(`Cannot rotate from offset ${formatType(offset)}: it must be a number`, [offset.dtype]);
  return cast(offset, x.dtype);
}
