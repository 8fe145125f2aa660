/**
 * Mixed precision: what a step keeps between its kernels in 16 bits, and for f16 the scaling of the loss.
 *
 * Weights, moments and all arithmetic are f32. The gradients of f16 underflow below 6e-8 and overflow above 65,504, so
 * the loss is multiplied by a scale before it is differentiated and the gradient divided by it. A step whose gradient
 * overflows is skipped and the scale halved; after many good steps it is doubled (Micikevicius et al. 2018, section 3.2).
 */
import type { Half } from "../../core/dtype.ts";
import type { Tensor } from "../../core/graph.ts";
import {
  add,
  greaterEqual,
  logicalAnd,
  maximum,
  minimum,
  mul,
  sliceAxis,
  squeeze,
  stack,
  where,
} from "../../ops/mod.ts";
import { ConfigError } from "../errors.ts";
import type { OptionsOf, OptionTable } from "../options/option_table.ts";

/** The rows. */
export const PRECISION_OPTIONS = {
  precision: {
    kind: "choice",
    choices: {
      "f32": "everything",
      "bf16": "activations and what loops save in bfloat16",
      "f16": "the same in half precision, with dynamic loss scaling",
    },
    default: "f32",
    before: "f32",
    help: "floats that a step keeps in memory between its kernels; weights, moments, sums and memories are f32",
  },
} as const satisfies OptionTable;

/** The floats that a step keeps in memory between its kernels. */
export type Precision = OptionsOf<typeof PRECISION_OPTIONS>["precision"];

/** The 16-bit type of a precision; undefined for f32. */
export function storageOf(precision: Precision): Half | undefined {
  return precision === "f32" ? undefined : precision;
}

/** The scale of the loss in f16, and what it depends on. */
export interface LossScaling {
  /** What the loss is multiplied by: a power of two. */
  readonly scale: number;
  /** Steps since the scale last changed. */
  readonly steps: number;
  /** Steps that overflowed and were skipped, of the whole run. */
  readonly skipped: number;
}

/**
 * Before the first step: 2^13 for a mean loss. The loss that is differentiated is a sum over the tokens of a batch, so the
 * scale is smaller by their number.
 */
export function firstScaling(tokens: number): LossScaling {
  return { scale: 2 ** (13 - Math.ceil(Math.log2(tokens))), steps: 0, skipped: 0 };
}

/** Good steps after which the scale is doubled. */
export const GROWTH_INTERVAL = 2000;

const LARGEST_SCALE = 2 ** 24, LEAST_SCALE = 2 ** -24;

/** As the step takes it, f32 [3]. */
export function packScaling({ scale, steps, skipped }: LossScaling): Float32Array<ArrayBuffer> {
  return Float32Array.of(scale, steps, skipped);
}

/** From what the step returns. */
export function unpackScaling([scale, steps, skipped]: ArrayLike<number> & Iterable<number>): LossScaling {
  return { scale, steps, skipped };
}

/**
 * Checks scaling that comes from a file.
 * @throws {ConfigError} if it is none.
 */
export function checkScaling({ scale, steps, skipped }: LossScaling): void {
  const isCount = (value: number): boolean => Number.isInteger(value) && value >= 0 && value < 2 ** 24;
  if (
    scale >= LEAST_SCALE && scale <= LARGEST_SCALE && Math.log2(scale) % 1 === 0 && isCount(steps) && isCount(skipped)
  ) return;
  throw new ConfigError(
    `Cannot go on with the loss scaling ${
      JSON.stringify({ scale, steps, skipped })
    }: the scale must be a power of two ` +
      `from ${LEAST_SCALE} to ${LARGEST_SCALE}, steps and skipped integers of at least 0`,
    "scaling",
  );
}

/** The scale of a packed scaling, []. */
export function scaleOf(scaling: Tensor): Tensor {
  return squeeze(sliceAxis(scaling, 0, 0, 1), 0);
}

/** The scaling after a step: halved if it overflowed, doubled after enough good steps. */
export function nextScaling(scaling: Tensor, overflowed: Tensor): Tensor {
  const [scale, steps, skipped] = [0, 1, 2].map((at) => squeeze(sliceAxis(scaling, 0, at, 1), 0));
  const after = add(steps, 1), grows = greaterEqual(after, GROWTH_INTERVAL);
  const grown = where(grows, minimum(mul(scale, 2), LARGEST_SCALE), scale);
  return stack([
    where(overflowed, maximum(mul(scale, 0.5), LEAST_SCALE), grown),
    where(overflowed, 0, where(grows, 0, after)),
    where(overflowed, add(skipped, 1), skipped),
  ], 0);
}

/** Whether a smaller scale may help: the loss is finite, the gradient is not, and the scale is not the least. */
export function canBackOff(scaling: Tensor, finiteLoss: Tensor, overflowed: Tensor): Tensor {
  return logicalAnd(logicalAnd(finiteLoss, overflowed), greaterEqual(scaleOf(scaling), 2 * LEAST_SCALE));
}
