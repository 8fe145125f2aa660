/** Training steps of one layer of a baseline, whose random parameters are `randn` in the order of their names. */
import { flatten, unflatten } from "../../core/tree.ts";
import { mean, square, sub } from "../../ops/mod.ts";
import { type MixerName, MIXERS } from "../../titans/mixers/registry.ts";
import { HostRng } from "../../titans/nn/host_rng.ts";
import { initialValues } from "../../titans/nn/initializers.ts";
import { Parameter } from "../../titans/nn/parameters.ts";
import { defaultsOf, type OptionRecord } from "../../titans/options/option_table.ts";
import { type Elements, random, type TrainingComputation } from "./computation.ts";

/** The extents of the layers. */
export const BASELINE_EXTENTS = { B: 2, T: 2048, D: 128, H: 2 } as const;

/**
 * Loss, the mean of (y - target)^2, and gradients in all parameters. What starts at random is randn of its deviation, or
 * bound; what does not starts as in a model. Seeds count the parameters from 1, x has 10 and the target 11.
 */
export function baselineLayer(
  mixer: MixerName,
  options: OptionRecord,
  T: number = BASELINE_EXTENTS.T,
): TrainingComputation {
  const { B, D, H } = BASELINE_EXTENTS, table = MIXERS[mixer].options;
  const layer = MIXERS[mixer].create({ ...defaultsOf(table), heads: H, ...options }, { width: D, block: 0, blocks: 1 });
  const { leaves, paths, spec } = flatten(
    layer.parameters(1),
    (value): value is Parameter => value instanceof Parameter,
    "a parameter",
  );
  const first = ({ shape, initializer }: Parameter, seed: number): Elements => {
    if ("normal" in initializer) return random(shape, initializer.normal, seed);
    if ("uniform" in initializer) return random(shape, initializer.uniform, seed);
    return { shape, data: initialValues(initializer, shape, new HostRng(0, "unused")) };
  };
  return {
    kind: "training",
    parameters: Object.fromEntries(leaves.map((parameter, i) => [paths[i], first(parameter, i + 1)])),
    inputs: [random([B, T, D], 1, 10), random([B, T, D], 1, 11)],
    loss: (params, x, y) => {
      const own = unflatten(spec, paths.map((path) => params[path]));
      const { output } = layer.forward(own, x, { state: layer.initialState(own, B), atStart: true });
      return mean(square(sub(output, y)));
    },
  };
}
