/**
 * Softmax and its kin over one axis. Shapes: softmax and logSoftmax are like `x`; logSumExp lacks the axis.
 *
 * All subtract the greatest element first. The result does not depend on what is subtracted, so its derivative in that respect is zero, identically and to
 * every order: it is stopped, which spares every gradient a sum of terms that cancel.
 */
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { axisOf } from "./axes.ts";
import { add, div, maximum, minimum, sub } from "./binary.ts";
import { sum } from "./broadcast.ts";
import { max } from "./reduce.ts";
import { stopGradient } from "./select.ts";
import { exp, log } from "./unary.ts";
import { squeeze } from "./views.ts";

/** What {@link softmax} and its kin take beside the tensor. */
export interface SoftmaxOptions {
  /** Along which axis; the last unless said. */
  readonly axis?: number;
  /** Another name of `axis`. */
  readonly axes?: number | readonly [number];
}

const SOFTMAX_OPTIONS = optionNames<SoftmaxOptions>({ axis: true, axes: true });

function chosenAxis(of: string, options: SoftmaxOptions): number {
  checkOptions(of, options, SOFTMAX_OPTIONS);
  return axisOf(options, of) ?? -1;
}

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
  const weights = exp(shifted(x, axis));
  return div(weights, sum(weights, { axes: axis, keepDims: true }));
}

/**
 * `log softmax(x)` along an axis, without taking the logarithm of something that was rounded to 0.
 * @throws {ShapeError} if the axis is out of range or empty.
 * @throws {DTypeError} if `x` is not a float.
 */
export function logSoftmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  const axis = chosenAxis("logSoftmax", options);
  const centered = shifted(x, axis);
  return sub(centered, log(sum(exp(centered), { axes: axis, keepDims: true })));
}

/**
 * `log sum e^x` along an axis; -infinity where all elements are. Gradient: the softmax.
 * @throws {ShapeError} if the axis is out of range or empty.
 * @throws {DTypeError} if `x` is not a float.
 */
export function logSumExp(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  const axis = chosenAxis("logSumExp", options);
  // Infinity minus infinity is NaN, so what is subtracted stays finite.
  const limit = x.dtype === "f16" ? 60000 : 3e38;
  const top = stopGradient(minimum(maximum(max(x, { axes: axis, keepDims: true }), -limit), limit));
  return squeeze(add(log(sum(exp(sub(x, top)), { axes: axis, keepDims: true })), top), axis);
}
