/**
 * Rotary positions of a recurrence. Queries and keys are turned by their place among the tokens that are read at once,
 * and the state is turned back by as many steps after them, so that no position grows with the text:
 *
 *     q_i R^i . k_j R^j depends on i - j only;   S of the next tokens = rows of S, turned by R^-T
 */
import type { Tensor } from "../../../core/graph.ts";
import { add, concat, constant, mul, rotaryEmbedding, sliceAxis, sub } from "../../../ops/mod.ts";
import type { OptionsOf } from "../../options/option_table.ts";
import type { RETENTION_OPTIONS } from "./options.ts";

/** Which angles turn which pairs. */
export type Rotation = OptionsOf<typeof RETENTION_OPTIONS>["rotation"];

/** The base of the angles: pair i of K / 2 turns by `base^(-2 i / K)` each step. */
function baseOf(rotation: Rotation, K: number): number {
  const half = K / 2;
  // 10000^(-i / (half - 1)), the last angle included.
  return rotation === "paper" && half > 1 ? 10000 ** (half / (half - 1)) : 10000;
}

/** Rows [B, H, T, K], turned by their place from 0 on: channel i of the first half with channel i of the second. */
export function turned(rotation: Rotation, x: Tensor): Tensor {
  return rotation === "none" ? x : rotaryEmbedding(x, { base: baseOf(rotation, x.shape[3]) });
}

/** A state [B, H, K, V] as the token after the next `steps` finds it. */
export function turnedBack(rotation: Rotation, state: Tensor, steps: number): Tensor {
  if (rotation === "none") return state;
  const K = state.shape[2], half = K / 2, base = baseOf(rotation, K);
  const angles = Array.from({ length: half }, (_, i) => steps * base ** (-i / half));
  const cosines = constant(angles.map(Math.cos), [half, 1]), sines = constant(angles.map(Math.sin), [half, 1]);
  const first = sliceAxis(state, 2, 0, half), second = sliceAxis(state, 2, half, half);
  return concat([
    add(mul(first, cosines), mul(second, sines)),
    sub(mul(second, cosines), mul(first, sines)),
  ], 2);
}
