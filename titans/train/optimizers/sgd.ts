/** Stochastic gradient descent with momentum (Polyak, 1964; Nesterov's form as in Sutskever et al., 2013). */
import { add, mul } from "../../../ops/mod.ts";
import type { OptionTable } from "../../options/option_table.ts";
import type { Optimizer } from "./optimizer.ts";

/** Options of {@link sgd}. */
export const SGD_OPTIONS = {
  momentum: {
    kind: "number",
    default: 0.9,
    min: 0,
    max: 1,
    belowMax: true,
    flag: "optimizerMomentum",
    help: "share of the accumulated gradient that is kept",
  },
  nesterov: { kind: "toggle", default: false, help: "look ahead along the momentum" },
} as const satisfies OptionTable;

/**
 * SGD with momentum.
 *
 *     m <- momentum m + g,   direction = m, or with nesterov g + momentum m
 */
export const sgd: Optimizer<typeof SGD_OPTIONS, "momentum"> = {
  name: "sgd",
  summary: "stochastic gradient descent with momentum",
  options: SGD_OPTIONS,
  learningRate: 0.1,
  state: ["momentum"],
  elementwise: true,
  update({ gradient, state }, { momentum, nesterov }) {
    const next = add(mul(state.momentum, momentum), gradient);
    return { direction: nesterov ? add(gradient, mul(next, momentum)) : next, state: { momentum: next } };
  },
};
