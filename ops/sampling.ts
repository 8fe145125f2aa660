/** Random draws made of random bits: choices, orders, cut-off normal numbers, dropout. */
import { OptionError, ShapeError } from "../core/errors.ts";
import { isTensor, type Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { checkShape, formatShape, formatType, normalizeAxis, sameShape } from "../core/shape.ts";
import { axisOf } from "./axes.ts";
import { add, maximum, minimum, mul, sub } from "./binary.ts";
import { broadcastTo } from "./broadcast.ts";
import { less } from "./compare.ts";
import { checkDomain } from "./define.ts";
import { erfOf } from "./erf.ts";
import { gather } from "./gather.ts";
import type { TensorLike } from "./operands.ts";
import { randomBits, randomPairs, toUnit, uniform } from "./random.ts";
import { argmax } from "./reduce.ts";
import { cast, where } from "./select.ts";
import { argsort } from "./sort.ts";
import { zerosLike } from "./sources.ts";
import { clip, log, log1p, neg, sqrt } from "./unary.ts";
import { transpose } from "./views.ts";

/** Options of {@link bernoulli}. */
export interface BernoulliOptions {
  /** The probability of true, from 0 to 1: a number, or an f32 tensor that broadcasts to the shape. Default: 1/2. */
  readonly p?: TensorLike;
}

const BERNOULLI_OPTIONS = optionNames<BernoulliOptions>({ p: true });

/**
 * Truth values that are true with probability `p`, in steps of 2^-24; never for 0, always for 1. Gradient: none.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2], the shape is not valid or `p` does not broadcast to it.
 */
export function bernoulli(key: Tensor, shape: readonly number[], options: BernoulliOptions = {}): Tensor {
  checkOptions("bernoulli", options, BERNOULLI_OPTIONS);
  const { p = 0.5 } = options;
  return less(uniform(key, shape), isTensor(p) ? broadcastTo(p, shape) : p);
}

/**
 * Standard Gumbel numbers, `-log e` of exponential ones. Those near 0, which make the greatest numbers, have the relative
 * precision of a float: 48 random bits go into each.
 */
function gumbel(key: Tensor, shape: readonly number[]): Tensor {
  const [high, low] = randomPairs(key, shape);
  const unit = add(toUnit(high), mul(add(toUnit(low), 2 ** -25), 2 ** -24)); // in (0, 1]
  // Rounded up to 1 an exponential number would be infinite, and nothing could be chosen.
  return neg(log(neg(log1p(neg(minimum(unit, 1 - 2 ** -24))))));
}

/** Options of {@link categorical}. */
export interface CategoricalOptions {
  /** The axis of classes in the logits. Default: the last. */
  readonly axis?: number;
  /** Another name of `axis`. */
  readonly axes?: number | readonly [number];
  /** Shape of the draws; it ends with the shape of the logits without the axis, which is the default. */
  readonly shape?: readonly number[];
}

const CATEGORICAL_OPTIONS = optionNames<CategoricalOptions>({ axis: true, axes: true, shape: true });

/**
 * Numbers (i32) of classes drawn with probabilities `softmax(logits)`: the greatest of logits and Gumbel noise. A class
 * of logit -infinity is never drawn, unless all are; with NaN among the logits it is the NaN. Gradient: none.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2], the axis is out of range or empty, or the shape does not end with that
 * of the logits without the axis.
 * @throws {DTypeError} if the logits are not floats.
 */
export function categorical(key: Tensor, logits: Tensor, options: CategoricalOptions = {}): Tensor {
  checkOptions("categorical", options, CATEGORICAL_OPTIONS);
  checkDomain("draw classes by", logits, "float");
  const axis = normalizeAxis(axisOf(options, "categorical") ?? -1, logits.rank, "draw along");
  const others = [...logits.shape.keys()].filter((other) => other !== axis);
  const rows = transpose(cast(logits, "f32"), [...others, axis]), classes = logits.shape[axis];
  const batch = rows.shape.slice(0, -1), { shape = batch } = options;
  checkShape(shape, "draw classes");
  if (shape.length < batch.length || !sameShape(shape.slice(shape.length - batch.length), batch)) {
    throw new ShapeError(
      `Cannot draw classes of shape ${formatShape(shape)} by ${formatType(logits)}: the shape must end with ${
        formatShape(batch)
      }`,
      [shape, logits.shape],
    );
  }
  const noise = gumbel(key, [...shape, classes]);
  return argmax(add(broadcastTo(rows, noise.shape), noise), { axis: -1 });
}

/** Which axis {@link permutation} shuffles. */
export interface PermutationOptions {
  /** Along which axis of a tensor. Default: the first. */
  readonly axis?: number;
  /** Another name of `axis`. */
  readonly axes?: number | readonly [number];
}

const PERMUTATION_OPTIONS = optionNames<PermutationOptions>({ axis: true, axes: true });

/**
 * The numbers `0 .. n - 1` (i32) in random order, or the slices of a tensor along an axis in random order: the order of
 * random bits. Of two slices with the same 32 bits, a chance of `n^2 / 2^33`, the first comes first. Gradient: back to
 * where each slice came from.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2], `n` is not a whole number from 0 on, or the axis is out of range.
 */
export function permutation(key: Tensor, of: number | Tensor, options: PermutationOptions = {}): Tensor {
  checkOptions("permutation", options, PERMUTATION_OPTIONS);
  const given = axisOf(options, "permutation") ?? 0;
  if (!isTensor(of)) return argsort(randomBits(key, [of]));
  const axis = normalizeAxis(given, of.rank, "shuffle along");
  return gather(of, argsort(randomBits(key, [of.shape[axis]])), { axis });
}

/** Options of {@link truncatedNormal}. */
export interface TruncatedNormalOptions {
  /** The smallest number. Default: -2. */
  readonly low?: number;
  /** The largest number. Default: 2. */
  readonly high?: number;
}

const TRUNCATED_NORMAL_OPTIONS = optionNames<TruncatedNormalOptions>({ low: true, high: true });
/** The least share of the normal distribution that may lie between the bounds: beyond, f32 has too few steps. */
const LEAST_SHARE = 1e-5;

/**
 * Standard normal f32 numbers between two bounds, by default -2 and 2: the inverse of the distribution function of
 * uniform ones.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2] or the shape is not valid.
 * @throws {OptionError} if less than 1e-5 of the distribution lies between the bounds.
 */
export function truncatedNormal(
  key: Tensor,
  shape: readonly number[],
  options: TruncatedNormalOptions = {},
): Tensor {
  checkOptions("truncatedNormal", options, TRUNCATED_NORMAL_OPTIONS);
  const { low = -2, high = 2 } = options, start = erfOf(low * Math.SQRT1_2), end = erfOf(high * Math.SQRT1_2);
  if (!((end - start) / 2 >= LEAST_SHARE)) {
    throw new OptionError(
      `Cannot draw normal numbers from ${low} to ${high}: ${
        ((end - start) / 2).toPrecision(2)
      } of the distribution lies there, it must be at least ${LEAST_SHARE}`,
      "low",
    );
  }
  // u is uniform between start and end; 1 - u and 1 + u are made apart, so that neither loses digits near an end.
  const unit = add(toUnit(randomBits(key, shape)), 2 ** -25), share = end - start;
  const above = add(mul(sub(1, unit), share), 1 - end), below = add(mul(unit, share), 1 + start);
  return clip(mul(inverseErf(above, below), Math.SQRT2), low, high);
}

/**
 * Single-precision polynomials in `w = -log(1 - u^2)` and in its root (Giles: "Approximating the erfinv function", GPU
 * Computing Gems, 2011); the second is the one for the tails.
 */
const MIDDLE = [
  2.81022636e-8,
  3.43273939e-7,
  -3.5233877e-6,
  -4.39150654e-6,
  0.00021858087,
  -0.00125372503,
  -0.00417768164,
  0.246640727,
  1.50140941,
];
const TAILS = [
  -0.000200214257,
  0.000100950558,
  0.00134934322,
  -0.00367342844,
  0.00573950773,
  -0.0076224613,
  0.00943887047,
  1.00167406,
  2.83297682,
];

/** The inverse error function of u, given `1 - u` and `1 + u`. */
function inverseErf(above: Tensor, below: Tensor): Tensor {
  const w = neg(log(mul(above, below))), u = mul(sub(below, above), 0.5);
  const polynomial = (x: Tensor, [first, ...rest]: readonly number[]): Tensor =>
    rest.reduce<Tensor | number>((sum, coefficient) => add(mul(sum, x), coefficient), first) as Tensor;
  const middle = polynomial(sub(w, 2.5), MIDDLE), tails = polynomial(sub(sqrt(maximum(w, 0)), 3), TAILS);
  return mul(u, where(less(w, 5), middle, tails));
}

/** Options of {@link dropout}. */
export interface DropoutOptions {
  /** The share of elements that become 0, from 0 to 1; 0 gives the tensor as it is. */
  readonly rate: number;
}

const DROPOUT_OPTIONS = optionNames<DropoutOptions>({ rate: true });

/**
 * `x` with each element 0 with probability `rate`, the others over `1 - rate`, so that the mean stays (Srivastava et
 * al., JMLR 2014, inverted). Deterministic models take rate 0. Gradient: over `1 - rate` to those that stayed.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2].
 * @throws {DTypeError} if `x` is not a float.
 * @throws {OptionError} if the rate is not from 0 to 1.
 */
export function dropout(key: Tensor, x: Tensor, options: DropoutOptions): Tensor {
  checkOptions("dropout", options, DROPOUT_OPTIONS);
  checkDomain("drop elements of", x, "float");
  const { rate } = options;
  if (!(rate >= 0 && rate <= 1)) {
    throw new OptionError(`Cannot use rate ${rate} of dropout: it must be from 0 to 1`, "rate");
  }
  if (rate === 0) return x;
  if (rate === 1) return zerosLike(x);
  return where(bernoulli(key, x.shape, { p: 1 - rate }), mul(x, 1 / (1 - rate)), 0);
}
