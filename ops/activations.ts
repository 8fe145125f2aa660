/**
 * Activation functions. Shapes: the result is like `x`. Gradients are composed of those of their parts and correct to
 * any order.
 */
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { add, mul } from "./binary.ts";
import { greater, lessEqual } from "./compare.ts";
import { where } from "./select.ts";
import { erf, exp, log, log1p, neg, sigmoid, tanh } from "./unary.ts";

/** `max(x, 0)`. Gradient: 1 above 0, 0 from there down. */
export function relu(x: Tensor): Tensor {
  // A select rather than maximum(x, 0), which would halve the gradient at 0; this order of operands keeps NaN.
  return where(lessEqual(x, 0), 0, x);
}

/** `x sigmoid(x)`, also called swish. @throws {DTypeError} if `x` is not a float. */
export function silu(x: Tensor): Tensor {
  return mul(x, sigmoid(x));
}

/**
 * `log(1 + e^x)`, without overflow. Gradient: the sigmoid.
 * @throws {DTypeError} if `x` is not a float.
 */
export function softplus(x: Tensor): Tensor {
  // max(x, 0) + log(1 + e^-|x|), with |x| as a select: abs has derivative 0 at 0, which would make the second
  // derivative there wrong.
  const size = where(greater(x, 0), x, neg(x));
  return add(relu(x), log(add(exp(neg(size)), 1)));
}

/**
 * `log(sigmoid(x)) = -softplus(-x)`, without overflow, and accurate to its last digits where it is nearly 0: the
 * logarithm of a gate. Gradient: the sigmoid of -x.
 * @throws {DTypeError} if `x` is not a float.
 */
export function logSigmoid(x: Tensor): Tensor {
  // min(x, 0) - log(1 + e^-|x|), with |x| as a select, for the reason given in softplus.
  const size = where(greater(x, 0), x, neg(x));
  return neg(add(relu(neg(x)), log1p(exp(neg(size)))));
}

/** Which form of {@link gelu} to take. */
export interface GeluOptions {
  /** `"tanh"`: the usual approximation, off by at most 5e-4. `"none"`: the exact form, by the error function. */
  readonly approximate?: "tanh" | "none";
}

const GELU_OPTIONS = optionNames<GeluOptions>({ approximate: true });

/**
 * The Gaussian error linear unit, `x` times the probability that a standard normal number is below `x` (Hendrycks and
 * Gimpel, arXiv 1606.08415).
 * @throws {DTypeError} if `x` is not a float.
 */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  checkOptions("gelu", options, GELU_OPTIONS);
  const { approximate = "tanh" } = options;
  if (approximate === "none") return mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1));
  const inner = mul(mul(x, add(mul(mul(x, x), 0.044715), 1)), Math.sqrt(2 / Math.PI));
  return mul(mul(x, 0.5), add(tanh(inner), 1));
}

/**
 * `silu(gate) * up`: the gated unit of Llama-like feed-forward layers (Shazeer, arXiv 2002.05202).
 * @throws {ShapeError | DTypeError} if the two do not broadcast, or are not floats of one dtype.
 */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  return mul(silu(gate), up);
}
