/** Where a token stands in an interval: a mini-batch, a segment. */
import type { Tensor } from "../../core/graph.ts";
import { div, equal, mul, sub } from "../../ops/mod.ts";

/**
 * The number of tokens that precede a token in its interval, given the number before it in the text: i32, a scalar or
 * one per text.
 */
export function placeIn(interval: number, position: Tensor): Tensor {
  return sub(position, mul(div(position, interval), interval));
}

/** Whether a token, given the number before it in the text, is the last of its interval: bool of the same shape. */
export function endsInterval(interval: number, position: Tensor): Tensor {
  return equal(placeIn(interval, position), interval - 1);
}
