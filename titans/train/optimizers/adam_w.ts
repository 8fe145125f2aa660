/** AdamW (Loshchilov and Hutter, arXiv 1711.05101). */
import type { Tensor } from "../../../core/graph.ts";
import { add, div, mul, sqrt, square } from "../../../ops/mod.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import type { Optimizer } from "./optimizer.ts";

/** Options of AdamW, and of whatever updates some of the parameters by it. */
export const ADAM_OPTIONS = {
  beta1: { kind: "number", default: 0.9, min: 0, max: 1, belowMax: true, help: "decay of the first moment" },
  beta2: { kind: "number", default: 0.95, min: 0, max: 1, belowMax: true, help: "decay of the second moment" },
  epsilon: { kind: "number", default: 1e-8, min: 0, aboveMin: true, help: "added to the root of the second moment" },
} as const satisfies OptionTable;

/** The factors `1 / (1 - beta^t)` that correct the moments for their start at zero. */
export function biasCorrections({ beta1, beta2 }: OptionsOf<typeof ADAM_OPTIONS>, step: number): readonly number[] {
  return [1 / (1 - beta1 ** (step + 1)), 1 / (1 - beta2 ** (step + 1))];
}

/** The direction of moments that were updated. */
export function adamDirection(
  { first, second }: Readonly<Record<"first" | "second", Tensor>>,
  [correction1, correction2]: readonly Tensor[],
  epsilon: number,
): Tensor {
  return div(mul(first, correction1), add(sqrt(mul(second, correction2)), epsilon));
}

/**
 * AdamW; decay is applied where all rules apply it.
 *
 *     m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
 *     direction = m' / (sqrt(v') + epsilon)                            m', v' corrected for their start at zero
 */
export const adamW: Optimizer<typeof ADAM_OPTIONS, "first" | "second"> = {
  name: "adamW",
  summary: "Adam with decoupled weight decay",
  options: ADAM_OPTIONS,
  learningRate: 3e-3,
  state: ["first", "second"],
  elementwise: true,
  scalars: biasCorrections,
  update({ gradient, state, scalars }, { beta1, beta2, epsilon }) {
    const first = add(mul(state.first, beta1), mul(gradient, 1 - beta1));
    const second = add(mul(state.second, beta2), mul(square(gradient), 1 - beta2));
    return { direction: adamDirection({ first, second }, scalars, epsilon), state: { first, second } };
  },
};
