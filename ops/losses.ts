/** Losses. */
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatShape, formatType, sameShape } from "../core/shape.ts";
import { div, maximum, sub } from "./binary.ts";
import { sum } from "./broadcast.ts";
import { equal, notEqual } from "./compare.ts";
import { checkDomain } from "./define.ts";
import { cast, inF32, where } from "./select.ts";
import { logSumExp } from "./softmax.ts";
import { iota, onesLike } from "./sources.ts";
import { expandDims } from "./views.ts";

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions {
  /** Positions with this target are ignored. */
  readonly ignoreIndex?: number;
  /** `"mean"` over the positions that are not ignored (at least 1), `"sum"`, or `"none"`: one loss per position. */
  readonly reduction?: "mean" | "sum" | "none";
}

const CROSS_ENTROPY_OPTIONS = optionNames<CrossEntropyOptions>({ ignoreIndex: true, reduction: true });

/**
 * `-log softmax(logits)[target]`, in nats. Shapes: logits `[..., V]`, targets `[...]` (i32 or u32); a scalar, or
 * `[...]` for reduction `"none"`. A target outside `0 .. V - 1` that is not ignored is treated as a class with logit 0
 * that takes no part in the softmax: check targets beforehand. Gradient: `softmax - oneHot`, zero at ignored positions.
 * @throws {ShapeError} if the targets' shape is not that of the logits without the last axis.
 * @throws {DTypeError} if the logits are not floats or the targets not integers.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  checkOptions("crossEntropy", options, CROSS_ENTROPY_OPTIONS);
  const { ignoreIndex, reduction = "mean" } = options;
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
  // Selected by comparison rather than by gather: this fuses with the row's other reductions, and its gradient is not a scatter.
  const classes = iota(logits.shape, logits.rank - 1, targets.dtype);
  return inF32(logits, (wide) => {
    const chosen = sum(where(equal(classes, expandDims(targets, -1)), wide, 0), { axes: -1 });
    const losses = sub(logSumExp(wide), chosen);
    if (ignoreIndex === undefined) return reduce(losses, onesLike(losses), reduction);
    const counts = notEqual(targets, ignoreIndex);
    return reduce(where(counts, losses, 0), cast(counts, losses.dtype), reduction);
  });
}

function reduce(losses: Tensor, counts: Tensor, reduction: "mean" | "sum" | "none"): Tensor {
  if (reduction === "none") return losses;
  return reduction === "sum" ? sum(losses) : div(sum(losses), maximum(sum(counts), 1));
}
