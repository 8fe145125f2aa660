/** Losses. All compute f16 in f32. */
import { isHalf } from "../core/dtype.ts";
import { OptionError, ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { broadcastShapes, formatShape, formatType, sameShape, sizeOfShape } from "../core/shape.ts";
import { add, div, maximum, minimum, mul, sub } from "./binary.ts";
import { broadcastTo, sum } from "./broadcast.ts";
import { equal, greater, notEqual } from "./compare.ts";
import { softplus } from "./activations.ts";
import { checkDomain, checkSameDType } from "./define.ts";
import { mean } from "./reduce.ts";
import { cast, inF32, where } from "./select.ts";
import { logSumExp } from "./softmax.ts";
import { iota, onesLike } from "./sources.ts";
import { log, neg } from "./unary.ts";
import { expandDims, reshape } from "./views.ts";

/** How losses are combined: their mean, their sum, or not at all. */
export type Reduction = "mean" | "sum" | "none";

/** Options of elementwise losses. */
export interface LossOptions {
  /** `"mean"` over all elements (the default), `"sum"`, or `"none"`: one loss per element. */
  readonly reduction?: Reduction;
}

const LOSS_OPTIONS = optionNames<LossOptions>({ reduction: true });

/** Combines losses; the mean is over the sum of `counts`, at least 1. */
function reduce(losses: Tensor, reduction: Reduction, counts = onesLike(losses)): Tensor {
  if (reduction === "none") return losses;
  return reduction === "sum" ? sum(losses) : div(sum(losses), maximum(sum(counts), 1));
}

/** Applies an elementwise loss to operands broadcast to one shape, in f32. */
function elementwise(
  what: string,
  operands: readonly Tensor[],
  reduction: Reduction = "mean",
  loss: (...wide: Tensor[]) => Tensor,
): Tensor {
  const [first, ...rest] = operands;
  checkDomain(`take the ${what} of`, first, "float");
  for (const other of rest) checkSameDType(`take the ${what} of`, first, other);
  const shape = operands.map((operand) => operand.shape).reduce((all, each) =>
    broadcastShapes(all, each, `take the ${what} of`)
  );
  const isNarrow = isHalf(first.dtype);
  const wide = operands.map((operand) => broadcastTo(isNarrow ? cast(operand, "f32") : operand, shape));
  return cast(reduce(loss(...wide), reduction), first.dtype);
}

/**
 * The squared error `(prediction - target)^2`. Shapes: the operands broadcast; a scalar, or their shape for reduction
 * `"none"`.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are not floats.
 */
export function mse(predictions: Tensor, targets: Tensor, options: LossOptions = {}): Tensor {
  checkOptions("mse", options, LOSS_OPTIONS);
  return elementwise("squared error", [predictions, targets], options.reduction, (x, y) => {
    const error = sub(x, y);
    return mul(error, error);
  });
}

/** Options of {@link huber}. */
export interface HuberOptions extends LossOptions {
  /** The error from which the loss is linear. Default: 1. */
  readonly delta?: number;
}

const HUBER_OPTIONS = optionNames<HuberOptions>({ reduction: true, delta: true });

/**
 * The Huber loss: `e^2 / 2` for errors up to `delta`, `delta (|e| - delta / 2)` beyond, so that the gradient is at most
 * `delta`. Shapes: the operands broadcast; a scalar, or their shape for reduction `"none"`.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are not floats.
 * @throws {OptionError} if `delta` is not above 0.
 */
export function huber(predictions: Tensor, targets: Tensor, options: HuberOptions = {}): Tensor {
  checkOptions("huber", options, HUBER_OPTIONS);
  const { delta = 1, reduction } = options;
  if (!(delta > 0)) {
    throw new OptionError(`Cannot use delta ${delta} of huber: it must be above 0`, "delta");
  }
  return elementwise("Huber loss", [predictions, targets], reduction, (x, y) => {
    const error = sub(x, y);
    // By a select: abs has derivative 0 at 0, which would spoil the second derivative there.
    const size = where(greater(error, 0), error, neg(error)), inner = minimum(size, delta);
    // Both branches in one formula; what is squared is at most delta and cannot overflow.
    return mul(inner, sub(size, mul(inner, 0.5)));
  });
}

/**
 * The cross-entropy of probabilities `sigmoid(logits)` and targets from 0 to 1, in nats: `log(1 + e^x) - target x`, which
 * neither overflows nor takes the logarithm of 0.
 * Gradient: `sigmoid(logits) - target`. Shapes: the operands broadcast; a scalar, or their shape for reduction `"none"`.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are not floats; cast bool targets.
 */
export function binaryCrossEntropy(logits: Tensor, targets: Tensor, options: LossOptions = {}): Tensor {
  checkOptions("binaryCrossEntropy", options, LOSS_OPTIONS);
  return elementwise(
    "binary cross-entropy",
    [logits, targets],
    options.reduction,
    (x, y) => sub(softplus(x), mul(x, y)),
  );
}

/** Options of {@link gaussianNll}. */
export interface GaussianNllOptions extends LossOptions {
  /** Lower bound of the variance. Default: 1e-6. */
  readonly epsilon?: number;
  /** Whether to add the constant `log(2 pi) / 2`. Default: false. */
  readonly full?: boolean;
}

const GAUSSIAN_NLL_OPTIONS = optionNames<GaussianNllOptions>({ reduction: true, epsilon: true, full: true });

/**
 * The negative log-likelihood of targets under normal distributions with predicted means and variances:
 * `(log v + (target - mean)^2 / v) / 2`. A variance below `epsilon` is replaced by it and gets no gradient. Shapes: the
 * operands broadcast; a scalar, or their shape for reduction `"none"`.
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if the dtypes differ or are not floats.
 */
export function gaussianNll(
  means: Tensor,
  targets: Tensor,
  variances: Tensor,
  options: GaussianNllOptions = {},
): Tensor {
  checkOptions("gaussianNll", options, GAUSSIAN_NLL_OPTIONS);
  const { epsilon = 1e-6, full = false, reduction } = options;
  return elementwise("Gaussian loss", [means, targets, variances], reduction, (mean, target, variance) => {
    const error = sub(target, mean), spread = maximum(variance, epsilon);
    const loss = mul(add(log(spread), div(mul(error, error), spread)), 0.5);
    return full ? add(loss, Math.log(2 * Math.PI) / 2) : loss;
  });
}

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions {
  /** Positions with this target are ignored. */
  readonly ignoreIndex?: number;
  /** `"mean"` over the positions that are not ignored (at least 1), `"sum"`, or `"none"`: one loss per position. */
  readonly reduction?: Reduction;
  /** Share of each target that is spread evenly over all classes, from 0 to 1. Default: 0. */
  readonly labelSmoothing?: number;
}

const CROSS_ENTROPY_OPTIONS = optionNames<CrossEntropyOptions>({
  ignoreIndex: true,
  reduction: true,
  labelSmoothing: true,
});

/**
 * `-log softmax(logits)[target]`, in nats. Shapes: logits `[..., V]`, targets `[...]` (i32 or u32); a scalar, or
 * `[...]` for reduction `"none"`. A target outside `0 .. V - 1` that is not ignored is treated as a class with logit 0
 * that takes no part in the softmax: check targets beforehand. With label smoothing s the target distribution is
 * `(1 - s) oneHot + s / V` (Szegedy et al., arXiv 1512.00567); a logit of -infinity makes that infinite. Gradient:
 * `softmax - oneHot`, zero at ignored positions.
 * @throws {ShapeError} if the targets' shape is not that of the logits without the last axis.
 * @throws {DTypeError} if the logits are not floats or the targets not integers.
 * @throws {OptionError} if the label smoothing is not from 0 to 1.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  checkOptions("crossEntropy", options, CROSS_ENTROPY_OPTIONS);
  const { ignoreIndex, reduction = "mean", labelSmoothing = 0 } = options;
  checkDomain("take the cross-entropy of", logits, "float");
  checkDomain("take the cross-entropy with targets", targets, "integer");
  if (logits.rank === 0 || !sameShape(logits.shape.slice(0, -1), targets.shape)) {
    throw new ShapeError(
      `Cannot take the cross-entropy of ${formatType(logits)} with targets ${
        formatType(targets)
      }: targets must have the shape of the logits without the last axis, ${formatShape(logits.shape.slice(0, -1))}`,
      [logits.shape, targets.shape],
    );
  }
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new OptionError(
      `Cannot use labelSmoothing ${labelSmoothing} of crossEntropy: it must be from 0 to 1`,
      "labelSmoothing",
    );
  }
  return inF32(logits, (wide) => {
    const N = sizeOfShape(targets.shape), rows = reshape(wide, [N, wide.shape[wide.rank - 1]]);
    const losses = reshape(rowLosses(rows, reshape(targets, [N]), labelSmoothing), targets.shape);
    if (ignoreIndex === undefined) return reduce(losses, reduction);
    const counts = notEqual(targets, ignoreIndex);
    return reduce(where(counts, losses, 0), reduction, cast(counts, losses.dtype));
  });
}

/**
 * The cross-entropy of each row of logits [N, V], f32. One axis of rows lets a large V be computed some rows at a time.
 */
function rowLosses(logits: Tensor, targets: Tensor, labelSmoothing: number): Tensor {
  // Selected by comparison rather than by gather: this fuses with the row's other reductions, and its gradient is not a
  // scatter.
  const classes = iota(logits.shape, 1, targets.dtype);
  const chosen = sum(where(equal(classes, expandDims(targets, -1)), logits, 0), { axes: -1 });
  const target = labelSmoothing === 0
    ? chosen
    : add(mul(chosen, 1 - labelSmoothing), mul(mean(logits, { axes: -1 }), labelSmoothing));
  return sub(logSumExp(logits), target);
}
