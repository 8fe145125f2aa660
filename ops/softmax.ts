/**
 * Softmax and related functions over one axis. Shapes: softmax and logSoftmax are like `x`; logSumExp lacks the axis.
 *
 * All compute f16 in f32, and subtract the largest element first. The result does not depend on the subtracted value,
 * so its derivative with respect to it is zero, identically and to every order: it is stopped, which saves every
 * gradient a sum of terms that cancel.
 */
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { axisOf } from "./axes.ts";
import { add, div, maximum, minimum, sub } from "./binary.ts";
import { sum } from "./broadcast.ts";
import { max } from "./reduce.ts";
import { inF32, stopGradient } from "./select.ts";
import { exp, log } from "./unary.ts";
import { squeeze } from "./views.ts";

/** Options of {@link softmax} and related functions. */
export interface SoftmaxOptions {
  /** The axis. Default: the last. */
  readonly axis?: number;
  /** Another name of `axis`. */
  readonly axes?: number | readonly [number];
}

const SOFTMAX_OPTIONS = optionNames<SoftmaxOptions>({ axis: true, axes: true });

function chosenAxis(of: string, options: SoftmaxOptions): number {
  checkOptions(of, options, SOFTMAX_OPTIONS);
  return axisOf(options, of) ?? -1;
}

const GREATEST_F32 = (2 - 2 ** -23) * 2 ** 127;

function shifted(x: Tensor, axis: number): Tensor {
  return sub(x, stopGradient(max(x, { axes: axis, keepDims: true })));
}

/**
 * `e^x / sum e^x` along an axis; NaN where all elements are -infinity.
 * @throws {ShapeError} if the axis is out of range or empty.
 * @throws {DTypeError} if `x` is not a float.
 */
export function softmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  const axis = chosenAxis("softmax", options);
  return inF32(x, (wide) => {
    const weights = exp(shifted(wide, axis));
    return div(weights, sum(weights, { axes: axis, keepDims: true }));
  });
}

/**
 * `log softmax(x)` along an axis, without taking the logarithm of something that was rounded to 0.
 * @throws {ShapeError} if the axis is out of range or empty.
 * @throws {DTypeError} if `x` is not a float.
 */
export function logSoftmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  const axis = chosenAxis("logSoftmax", options);
  return inF32(x, (wide) => {
    const centered = shifted(wide, axis);
    return sub(centered, log(sum(exp(centered), { axes: axis, keepDims: true })));
  });
}

/**
 * `log sum e^x` along an axis; -infinity where all elements are. Gradient: the softmax.
 * @throws {ShapeError} if the axis is out of range or empty.
 * @throws {DTypeError} if `x` is not a float.
 */
export function logSumExp(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  const axis = chosenAxis("logSumExp", options);
  return inF32(x, (wide) => {
    // Infinity minus infinity is NaN, so the subtracted value must be finite.
    const top = stopGradient(minimum(maximum(max(wide, { axes: axis, keepDims: true }), -GREATEST_F32), GREATEST_F32));
    return squeeze(add(log(sum(exp(sub(wide, top)), { axes: axis, keepDims: true })), top), axis);
  });
}
