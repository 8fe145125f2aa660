/** Sampling from distributions, permutations and dropout. */
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
  /** The probability of true: a number, or an f32 tensor that broadcasts to the shape. Default: 0.5. */
  readonly p?: TensorLike;
}

const BERNOULLI_OPTIONS = optionNames<BernoulliOptions>({ p: true });

/**
 * Bools that are true with probability `p`, to a resolution of 2^-24; never for 0, always for 1. Gradient: none.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2], the shape is not valid or `p` does not broadcast to it.
 */
export function bernoulli(key: Tensor, shape: readonly number[], options: BernoulliOptions = {}): Tensor {
  checkOptions("bernoulli", options, BERNOULLI_OPTIONS);
  const { p = 0.5 } = options;
  return less(uniform(key, shape), isTensor(p) ? broadcastTo(p, shape) : p);
}

/**
 * Standard Gumbel samples: minus the logarithm of exponential ones. 48 random bits give exponential samples near 0,
 * which become the largest Gumbel samples, the full relative precision of a float.
 */
function gumbel(key: Tensor, shape: readonly number[]): Tensor {
  const [high, low] = randomPairs(key, shape);
  const unit = add(toUnit(high), mul(add(toUnit(low), 2 ** -25), 2 ** -24)); // in (0, 1]
  // At 1 the exponential sample would be infinite, and its class could never win.
  return neg(log(neg(log1p(neg(minimum(unit, 1 - 2 ** -24))))));
}

/** Options of {@link categorical}. */
export interface CategoricalOptions {
  /** The axis of the classes. Default: the last. */
  readonly axis?: number;
  /** Alias of `axis`. */
  readonly axes?: number | readonly [number];
  /** Shape of the result, which ends with that of the logits without the axis. Default: just that. */
  readonly shape?: readonly number[];
}

const CATEGORICAL_OPTIONS = optionNames<CategoricalOptions>({ axis: true, axes: true, shape: true });

/**
 * Samples class indices (i32) with probabilities `softmax(logits)`, as the argmax of logits plus Gumbel noise. A class
 * with logit -infinity is never drawn, unless all are; a NaN logit always is. Gradient: none.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2], the axis is out of range or empty, or the shape does not end with that
 * of the logits without the axis.
 * @throws {DTypeError} if the logits are not floats.
 */
export function categorical(key: Tensor, logits: Tensor, options: CategoricalOptions = {}): Tensor {
  checkOptions("categorical", options, CATEGORICAL_OPTIONS);
  checkDomain("draw classes by", logits, "float");
  const axis = normalizeAxis(axisOf(options, "categorical") ?? -1, logits, "draw along");
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

/** Options of {@link permutation}. */
export interface PermutationOptions {
  /** The axis to shuffle. Default: the first. */
  readonly axis?: number;
  /** Alias of `axis`. */
  readonly axes?: number | readonly [number];
}

const PERMUTATION_OPTIONS = optionNames<PermutationOptions>({ axis: true, axes: true });

/**
 * A random permutation of `0 .. n - 1` (i32), or of the slices of a tensor along an axis: sorted by 32 random bits each.
 * Two equal draws, with probability about `n^2 / 2^33`, keep their order. Gradient: to the original positions.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2], `n` is not a non-negative integer, or the axis is out of range.
 */
export function permutation(key: Tensor, of: number | Tensor, options: PermutationOptions = {}): Tensor {
  checkOptions("permutation", options, PERMUTATION_OPTIONS);
  const given = axisOf(options, "permutation") ?? 0;
  if (!isTensor(of)) return argsort(randomBits(key, [of]));
  const axis = normalizeAxis(given, of, "shuffle along");
  return gather(of, argsort(randomBits(key, [of.shape[axis]])), { axis });
}

/** Options of {@link truncatedNormal}. */
export interface TruncatedNormalOptions {
  /** Lower bound. Default: -2. */
  readonly low?: number;
  /** Upper bound. Default: 2. */
  readonly high?: number;
}

const TRUNCATED_NORMAL_OPTIONS = optionNames<TruncatedNormalOptions>({ low: true, high: true });
/** The smallest probability of the interval between the bounds: below, f32 has too few steps there. */
const LEAST_SHARE = 1e-5;

/**
 * Samples of the standard normal distribution truncated to an interval, as f32: the inverse distribution function of
 * uniform samples.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2] or the shape is not valid.
 * @throws {OptionError} if the interval has a probability below 1e-5.
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
      `Cannot draw normal numbers from ${low} to ${high}: the interval must have a probability of at least ${LEAST_SHARE}, it has ${
        ((end - start) / 2).toPrecision(2)
      }`,
      "low",
    );
  }
  // u is uniform between start and end; 1 - u and 1 + u are computed separately, so that neither cancels near an end.
  const unit = add(toUnit(randomBits(key, shape)), 2 ** -25), share = end - start;
  const above = add(mul(sub(1, unit), share), 1 - end), below = add(mul(unit, share), 1 + start);
  return clip(mul(inverseErf(above, below), Math.SQRT2), low, high);
}

/**
 * Single-precision polynomials in `w = -log(1 - u^2)`, and in its square root for the tails (Giles: "Approximating the
 * erfinv function", GPU Computing Gems, 2011).
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
  /** The probability that an element is dropped, from 0 to 1; 0 returns the tensor unchanged. */
  readonly rate: number;
}

const DROPOUT_OPTIONS = optionNames<DropoutOptions>({ rate: true });

/**
 * Inverted dropout: sets elements to 0 with probability `rate` and divides the others by `1 - rate`, which keeps the mean
 * (Srivastava et al., JMLR 2014). Use rate 0 for evaluation. Gradient: divided by `1 - rate`, 0 where dropped.
 * @param key u32[2].
 * @throws {ShapeError} if the key is not u32[2].
 * @throws {DTypeError} if `x` is not a float.
 * @throws {OptionError} if the rate is not from 0 to 1.
 */
export function dropout(key: Tensor, x: Tensor, options: DropoutOptions): Tensor {
  checkOptions("dropout", options, DROPOUT_OPTIONS);
  checkDomain("drop elements of", x, "float");
  const { rate } = options ?? {};
  if (!(rate >= 0 && rate <= 1)) {
    throw new OptionError(`Cannot use rate ${rate} of dropout: it must be from 0 to 1`, "rate");
  }
  if (rate === 0) return x;
  if (rate === 1) return zerosLike(x);
  return where(bernoulli(key, x.shape, { p: 1 - rate }), mul(x, 1 / (1 - rate)), 0);
}
