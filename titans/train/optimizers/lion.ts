/** Lion (Chen et al., "Symbolic discovery of optimization algorithms", arXiv 2302.06675). */
import { add, mul, sign } from "../../../ops/mod.ts";
import type { OptionTable } from "../../options/option_table.ts";
import type { Optimizer } from "./optimizer.ts";

/** Options of {@link lion}. */
export const LION_OPTIONS = {
  beta1: {
    kind: "number",
    default: 0.9,
    min: 0,
    max: 1,
    belowMax: true,
    help: "share of the momentum in the direction",
  },
  beta2: { kind: "number", default: 0.99, min: 0, max: 1, belowMax: true, help: "decay of the momentum" },
} as const satisfies OptionTable;

/**
 * Lion: every parameter moves by the learning rate, so that it takes a smaller one than Adam, and a larger decay.
 *
 *     direction = sign(beta1 m + (1 - beta1) g),   m <- beta2 m + (1 - beta2) g
 */
export const lion: Optimizer<typeof LION_OPTIONS, "momentum"> = {
  name: "lion",
  summary: "the sign of a momentum",
  options: LION_OPTIONS,
  learningRate: 5e-4,
  state: ["momentum"],
  elementwise: true,
  update({ gradient, state }, { beta1, beta2 }) {
    const direction = sign(add(mul(state.momentum, beta1), mul(gradient, 1 - beta1)));
    return { direction, state: { momentum: add(mul(state.momentum, beta2), mul(gradient, 1 - beta2)) } };
  },
};
