/**
 * Normalisations over the last axis, computed in f32 for f16. Shapes: the result is like `x`. Gradients are composed of
 * those of their parts and correct to any order.
 */
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { checkType, formatType } from "../core/shape.ts";
import { add, mul, sub } from "./binary.ts";
import { sum } from "./broadcast.ts";
import { checkDomain, checkSameDType } from "./define.ts";
import { mean } from "./reduce.ts";
import { cast, inF32 } from "./select.ts";
import { rsqrt, square } from "./unary.ts";

function checkLastAxis(action: string, x: Tensor): void {
  checkType(action, x);
  if (x.rank === 0) {
    throw new ShapeError(`Cannot ${action} ${formatType(x)}: it needs an axis to normalise over, its rank is 0`, [
      x.shape,
    ]);
  }
}

/** Dtypes are not converted implicitly, although f16 is computed in f32. */
function checkParameters(action: string, x: Tensor, parameters: Readonly<Record<string, Tensor | undefined>>): void {
  checkDomain(action, x, "float");
  for (const [name, parameter] of Object.entries(parameters)) {
    if (parameter) checkSameDType(`${action} with a ${name}`, x, parameter);
  }
}

/** Options of {@link layerNorm}. */
export interface LayerNormOptions {
  /** Multiplies the normalised values; broadcasts to `x`. */
  readonly gain?: Tensor;
  /** Added at the end; broadcasts to `x`. */
  readonly bias?: Tensor;
  /** Added to the variance. */
  readonly epsilon?: number;
}

const LAYER_NORM_OPTIONS = optionNames<LayerNormOptions>({ gain: true, bias: true, epsilon: true });

/**
 * `(x - mean) / sqrt(variance + epsilon) * gain + bias` over the last axis, with the biased variance (Ba, Kiros,
 * Hinton, arXiv 1607.06450).
 * @throws {ShapeError} if `x` is a scalar, or gain or bias do not broadcast.
 * @throws {DTypeError} if `x` is not a float.
 */
export function layerNorm(x: Tensor, options: LayerNormOptions = {}): Tensor {
  checkOptions("layerNorm", options, LAYER_NORM_OPTIONS);
  const { gain, bias, epsilon = 1e-5 } = options;
  checkLastAxis("layer-normalise", x);
  checkParameters("layer-normalise", x, { gain, bias });
  return inF32(x, (wide) => {
    const centered = sub(wide, mean(wide, { axes: -1, keepDims: true }));
    const variance = mean(square(centered), { axes: -1, keepDims: true });
    const normal = mul(centered, rsqrt(add(variance, epsilon)));
    const scaled = gain ? mul(normal, cast(gain, wide.dtype)) : normal;
    return bias ? add(scaled, cast(bias, wide.dtype)) : scaled;
  });
}

/** Options of {@link rmsNorm}. */
export interface RmsNormOptions {
  /** Multiplies the normalised values; broadcasts to `x`. */
  readonly gain?: Tensor;
  /** Added to the mean square. */
  readonly epsilon?: number;
}

const RMS_NORM_OPTIONS = optionNames<RmsNormOptions>({ gain: true, epsilon: true });

/**
 * `x / sqrt(mean of x^2 + epsilon) * gain` over the last axis (Zhang and Sennrich, arXiv 1910.07467).
 * @throws {ShapeError} if `x` is a scalar, or the gain does not broadcast.
 * @throws {DTypeError} if `x` is not a float.
 */
export function rmsNorm(x: Tensor, options: RmsNormOptions = {}): Tensor {
  checkOptions("rmsNorm", options, RMS_NORM_OPTIONS);
  const { gain, epsilon = 1e-6 } = options;
  checkLastAxis("RMS-normalise", x);
  checkParameters("RMS-normalise", x, { gain });
  return inF32(x, (wide) => {
    const normal = mul(wide, rsqrt(add(mean(square(wide), { axes: -1, keepDims: true }), epsilon)));
    return gain ? mul(normal, cast(gain, wide.dtype)) : normal;
  });
}

/** Options of {@link l2Normalize}. */
export interface L2NormalizeOptions {
  /** Added to the sum of squares. */
  readonly epsilon?: number;
}

const L2_NORMALIZE_OPTIONS = optionNames<L2NormalizeOptions>({ epsilon: true });

/**
 * `x / sqrt(sum of x^2 + epsilon)` over the last axis.
 * @throws {ShapeError} if `x` is a scalar.
 * @throws {DTypeError} if `x` is not a float.
 */
export function l2Normalize(x: Tensor, options: L2NormalizeOptions = {}): Tensor {
  checkOptions("l2Normalize", options, L2_NORMALIZE_OPTIONS);
  const { epsilon = 1e-6 } = options;
  checkLastAxis("l2-normalise", x);
  return inF32(x, (wide) => mul(wide, rsqrt(add(sum(square(wide), { axes: -1, keepDims: true }), epsilon))));
}
