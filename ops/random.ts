/**
 * Counter-based random numbers: a function of a key and a position, with no state. The same key gives the same numbers
 * on every device.
 *
 * The generator is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011).
 */
import { DTypeError, ShapeError } from "../core/errors.ts";
import type { Expr, ExprBuilder } from "../core/expr.ts";
import { apply, isTensor, type Tensor } from "../core/graph.ts";
import { fill } from "../core/linear.ts";
import type { Attrs, MapOp } from "../core/op.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { checkShape, formatType, sizeOfShape } from "../core/shape.ts";
import { add, div, mul, sub } from "./binary.ts";
import { broadcastTo } from "./broadcast.ts";
import { checkDomain, checkSameShape, noGradient } from "./define.ts";
import type { TensorLike } from "./operands.ts";
import { cast } from "./select.ts";
import { arange } from "./sources.ts";
import { sliceAxis } from "./slice.ts";
import { stack } from "./concat.ts";
import { cos, log, neg, sqrt } from "./unary.ts";
import { reshape } from "./views.ts";

const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]];
const PARITY = 0x1BD11BDA;

/** The arithmetic of u32 that the generator needs: numbers for the reference, expressions for kernels. */
interface Words<T> {
  readonly literal: (value: number) => T;
  readonly add: (x: T, y: T) => T;
  readonly xor: (x: T, y: T) => T;
  readonly rotateLeft: (x: T, bits: number) => T;
}

/** 20 rounds of mixing; every fourth adds a key word and the count of injections. */
function threefry<T>(
  { literal, add, xor, rotateLeft }: Words<T>,
  [key0, key1, counter0, counter1]: readonly T[],
): [T, T] {
  const keys = [key0, key1, xor(xor(key0, key1), literal(PARITY))];
  let x0 = add(counter0, key0), x1 = add(counter1, key1);
  for (let group = 0; group < 5; group++) {
    for (const bits of ROTATIONS[group % 2]) {
      x0 = add(x0, x1);
      x1 = xor(rotateLeft(x1, bits), x0);
    }
    x0 = add(x0, keys[(group + 1) % 3]);
    x1 = add(x1, add(keys[(group + 2) % 3], literal(group + 1)));
  }
  return [x0, x1];
}

const NUMBER_WORDS: Words<number> = {
  literal: (value) => value >>> 0,
  add: (x, y) => (x + y) >>> 0,
  xor: (x, y) => (x ^ y) >>> 0,
  rotateLeft: (x, bits) => ((x << bits) | (x >>> (32 - bits))) >>> 0,
};

function exprWords(e: ExprBuilder): Words<Expr> {
  const literal = (value: number) => e.const(value, "u32");
  return {
    literal,
    add: (x, y) => e.binary("add", x, y),
    xor: (x, y) => e.binary("xor", x, y),
    rotateLeft: (x, bits) =>
      e.binary("or", e.binary("shiftLeft", x, literal(bits)), e.binary("shiftRight", x, literal(32 - bits))),
  };
}

interface ThreefryAttrs extends Attrs {
  /** Which of the two words of a block to return. */
  readonly word: number;
}

/** One word of the block for a key (two words) and a counter (two words); all u32 of one shape. */
export const threefryOp: MapOp<ThreefryAttrs> = {
  name: "threefry",
  kind: "map",
  infer: (inputs) => {
    for (const input of inputs) {
      if (input.dtype !== "u32") {
        throw new DTypeError(`Cannot draw random bits by ${formatType(input)}: keys and counters must be u32`, [
          input.dtype,
        ]);
      }
      checkSameShape("draw random bits by", inputs[0], input);
    }
    return [{ shape: inputs[0].shape, dtype: "u32" }];
  },
  reference: (
    inputs,
    { word },
  ) => [inputs[0].data.map((_, i) => threefry(NUMBER_WORDS, inputs.map((input) => input.data[i]))[word])],
  lower: (e, args, { word }) => threefry(exprWords(e), args)[word],
  vjp: noGradient("random bits are integers"),
};

/** Word `word` of a key's blocks for the counters `[high, low]`. */
function block(key: Tensor, low: Tensor, word: number): Tensor {
  if (key?.dtype !== "u32" || key.rank !== 1 || key.shape[0] !== 2) {
    throw new ShapeError(`Cannot draw random numbers by key ${formatType(key)}: a key must be u32[2]`);
  }
  const half = (at: number) => broadcastTo(reshape(sliceAxis(key, 0, at, 1), []), low.shape);
  return apply(threefryOp, [half(0), half(1), fill(low, 0), low], { word });
}

function words(key: Tensor, shape: readonly number[], word: number): Tensor {
  checkShape(shape, "draw random numbers");
  return block(key, reshape(arange(sizeOfShape(shape), "u32"), shape), word);
}

/**
 * 32 random bits per element, as u32; the element's row-major position is the counter.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2] or the shape is not valid.
 */
export function randomBits(key: Tensor, shape: readonly number[]): Tensor {
  return words(key, shape, 0);
}

/** Both words of the block of each position: 64 random bits per element, at hardly more than the cost of 32. */
export function randomPairs(key: Tensor, shape: readonly number[]): [Tensor, Tensor] {
  return [words(key, shape, 0), words(key, shape, 1)];
}

/** The upper 24 bits as a float in `[0, 1)`: each is exact in f32. */
export function toUnit(bits: Tensor): Tensor {
  return mul(cast(div(bits, 256), "f32"), 2 ** -24);
}

/** Options of {@link uniform}. */
export interface UniformOptions {
  /** Lower bound, inclusive. Default: 0. */
  readonly low?: TensorLike;
  /** Upper bound, exclusive. Default: 1. */
  readonly high?: TensorLike;
}

const UNIFORM_OPTIONS = optionNames<UniformOptions>({ low: true, high: true });

/**
 * Uniform f32 numbers in `[low, high)`, in steps of `(high - low) / 2^24`.
 * Gradient: through `low` and `high` where they are tensors.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2] or the shape is not valid.
 */
export function uniform(key: Tensor, shape: readonly number[], options: UniformOptions = {}): Tensor {
  checkOptions("uniform", options, UNIFORM_OPTIONS);
  const { low = 0, high = 1 } = options;
  const unit = toUnit(randomBits(key, shape));
  return low === 0 && high === 1 ? unit : add(low, mul(sub(high, low), unit));
}

/**
 * Standard normal f32 numbers, by Box and Muller: `sqrt(-2 log u) cos(2 pi v)`, with `u` and `v` from the two words of
 * one block. At most 5.8 in magnitude.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2] or the shape is not valid.
 */
export function normal(key: Tensor, shape: readonly number[]): Tensor {
  const u = sub(1, toUnit(words(key, shape, 0))), v = toUnit(words(key, shape, 1));
  return mul(sqrt(mul(neg(log(u)), 2)), cos(mul(v, 2 * Math.PI)));
}

/**
 * Derives a key from another key and a number, for independent streams.
 * @param key u32[2].
 * @param data An integer, or an integer scalar such as a step count.
 * @throws {ShapeError | DTypeError} if the key is not u32[2] or `data` is not an integer scalar.
 */
export function foldIn(key: Tensor, data: TensorLike): Tensor {
  if (isTensor(data)) {
    checkDomain("fold in", data, "integer");
    if (data.rank !== 0) {
      throw new ShapeError(`Cannot fold in ${formatType(data)}: it must be a scalar, it has rank ${data.rank}`, [
        data.shape,
      ]);
    }
  }
  const low = isTensor(data) ? cast(data, "u32") : fill({ shape: [], dtype: "u32" }, data, "fold in");
  return stack([block(key, low, 0), block(key, low, 1)], 0);
}

/**
 * Derives independent keys: `foldIn(key, 0)`, `foldIn(key, 1)`, and so on. Do not draw from a key that was split.
 * @param key u32[2].
 * @param count Number of keys. Default: 2.
 * @throws {ShapeError} if the key is not u32[2] or the count is not a non-negative integer.
 */
export function splitKey(key: Tensor, count = 2): Tensor[] {
  checkShape([count], "split a key into a list");
  return Array.from({ length: count }, (_, i) => foldIn(key, i));
}
