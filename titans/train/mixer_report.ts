/** Turns what mixers observe into validation metrics. */
import type { Tensor } from "../../core/graph.ts";
import { add, full, max, mul, reshape, square, sum } from "../../ops/mod.ts";
import type { Metric } from "../mixers/mixer_interface.ts";
import type { Observation } from "../models/model.ts";
import type { Weighted } from "./objective.ts";

/** A mean, or the root of one. */
export interface Figure extends Weighted {
  /** Whether the figure is the root of the mean. */
  readonly root?: boolean;
}

/**
 * The figures of a batch.
 * @param observed By all mixers.
 * @param metrics What is reported, by name.
 * @param mask Which tokens to include, [B, T]. Default: all. A row of padding only is never included.
 */
export function mixerFigures(
  observed: readonly Observation[],
  metrics: Readonly<Record<string, Metric>>,
  mask?: Tensor,
): Record<string, Figure> {
  const figures: Record<string, Figure> = {};
  for (const [name, { of, as }] of Object.entries(metrics)) {
    const own = observed.filter((observation) => observation.name === of);
    if (own.length > 0) figures[name] = as === "mean" ? meanOf(own, mask) : normOf(own, mask);
  }
  return figures;
}

/** Mean over tokens, and over all else, of tensors with a time axis. */
function meanOf(observed: readonly Observation[], mask?: Tensor): Figure {
  const parts = observed.map(({ tensor, axes }): Weighted => {
    const [batch, time] = [axes.indexOf("batch"), axes.indexOf("time")];
    const others = tensor.shape.reduce((a, b) => a * b, 1) / (tensor.shape[batch] * tensor.shape[time]);
    const average = mul(
      sum(tensor, { axes: axes.flatMap((_, i) => i === batch || i === time ? [] : [i]) }),
      1 / others,
    );
    return mask
      ? { sum: sum(mul(average, mask)), weight: sum(mask) }
      : { sum: sum(average), weight: full([], tensor.shape[batch] * tensor.shape[time]) };
  });
  return parts.reduce((a, b) => ({ sum: add(a.sum, b.sum), weight: add(a.weight, b.weight) }));
}

/** Root mean square over rows of the norm of all tensors together; rows are the first axis. */
function normOf(observed: readonly Observation[], mask?: Tensor): Figure {
  const [B] = observed[0].tensor.shape, used = mask && max(mask, { axes: 1 }); // [B]
  const squares = observed.map(({ tensor }) => {
    const own = square(tensor);
    return sum(used ? mul(own, reshape(used, [B, ...tensor.shape.slice(1).map(() => 1)])) : own);
  });
  return { sum: squares.reduce((a, b) => add(a, b)), weight: used ? sum(used) : full([], B), root: true };
}
