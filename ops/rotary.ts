/** Rotary position embedding. */
import { DTypeError, ShapeError } from "../core/errors.ts";
import { isTensor, type Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatType } from "../core/shape.ts";
import { add, mul, sub } from "./binary.ts";
import { concat } from "./concat.ts";
import { checkDomain } from "./define.ts";
import type { TensorLike } from "./operands.ts";
import { cast, inF32 } from "./select.ts";
import { sliceAxis } from "./slice.ts";
import { constant, iota } from "./sources.ts";
import { cos, exp, floor, sin } from "./unary.ts";

/** Options of {@link rotaryEmbedding}. */
export interface RotaryOptions {
  /** Sets the slowest rotation: one radian in `base` positions, nearly. */
  readonly base?: number;
  /**
   * The position of the first row: a number, a scalar tensor, or one per leading index of `x`, such as `[B, 1, 1, 1]`.
   * Default: 0.
   */
  readonly offset?: TensorLike;
}

const ROTARY_OPTIONS = optionNames<RotaryOptions>({ base: true, offset: true });

/**
 * Rotates pairs of features by angles that grow with position (Su et al., arXiv 2104.09864): feature `i` of the first
 * half and feature `i` of the second form a pair, turned by `(offset + t) base^(-2i/K)` radians at row t. Angles are
 * accurate to 1e-6 for positions up to 2^24 if the offset is a tensor or exceeds 2,048, otherwise to 2e-4; f16 is
 * rotated in f32. Shapes: x `[..., T, K]` with K even, such as `[B, H, T, K]`; the result is like `x`. Gradient:
 * rotated back; none for the offset if it is an integer.
 * @throws {ShapeError} if `x` has no rows, K is odd, or the offset differs between rows or features.
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
  const from = positionOf(x, offset), positions = add(iota([T, half], 0, "f32"), from); // [..., T, K / 2]
  const isNear = !isTensor(from) && from >= 0 && from + T <= NEAR;
  const angles = isNear
    ? mul(positions, exp(mul(iota([T, half], 1, "f32"), -Math.log(base) / half)))
    : farAngles(positions, base, half);
  const cosines = cos(angles), sines = sin(angles);
  return inF32(x, (wide) => {
    const first = sliceAxis(wide, -1, 0, half), second = sliceAxis(wide, -1, half, half);
    return concat([sub(mul(first, cosines), mul(second, sines)), add(mul(second, cosines), mul(first, sines))], -1);
  });
}

/**
 * Positions below this are few enough for their angles to be rounded as they are: they are off by 2e-4 radians at most.
 */
const NEAR = 2048;

/** Positions are split into whole spans and a remainder. */
const SPAN = 4096;

/**
 * The angles of positions of up to 2^24, modulo a whole turn. As a product in f32 an angle of a million would be off by
 * a tenth. Frequencies are therefore in turns per position and turns per span, each split into a part of 12 bits and a
 * remainder: products of positions with the first part are exact, whole turns are dropped, and products with the
 * remainder are small. Off by 1e-6 radians at most.
 */
function farAngles(positions: Tensor, base: number, half: number): Tensor {
  const frequencies = Array.from({ length: half }, (_, i) => base ** (-i / half) / (2 * Math.PI));
  const [near, far] = [1, SPAN].map((step) => frequencies.map((turns) => turns * step % 1));
  const leading = (turns: readonly number[]) => turns.map((value) => Math.round(value * SPAN) / SPAN);
  const rest = (turns: readonly number[]) => leading(turns).map((value, i) => turns[i] - value);
  const table = constant([leading(near), rest(near), leading(far), rest(far)].flat(), [4, half]);
  const row = (at: number) => sliceAxis(table, 0, at, 1); // [1, K / 2]
  const fraction = (turns: Tensor) => sub(turns, floor(turns));
  const spans = floor(mul(positions, 1 / SPAN)), steps = sub(positions, mul(spans, SPAN));
  const turnsOf = (count: Tensor, at: number) => add(fraction(mul(count, row(at))), mul(count, row(at + 1)));
  const turns = add(turnsOf(steps, 0), turnsOf(spans, 2));
  return mul(sub(turns, floor(add(turns, 0.5))), 2 * Math.PI);
}

/** An offset as a position: of all rows of `x`, or of those at each of its leading indices. */
function positionOf(x: Tensor, offset: TensorLike): TensorLike {
  if (!isTensor(offset)) return offset;
  const { rank, shape } = offset;
  const fits = rank === 0 ||
    rank === x.rank && shape.every((extent, axis) => extent === 1 || axis < rank - 2 && extent === x.shape[axis]);
  if (!fits) {
    throw new ShapeError(
      `Cannot rotate ${formatType(x)} from offset ${formatType(offset)}: it must be a scalar, or of shape [${
        x.shape.map((extent, axis) => axis < x.rank - 2 ? extent : 1).join(", ")
      }] where axes may be 1`,
      [x.shape, shape],
    );
  }
  if (offset.dtype === "bool") {
    throw new DTypeError(`Cannot rotate from offset ${formatType(offset)}: it must be a number`, [offset.dtype]);
  }
  return cast(offset, "f32");
}
