/**
 * Gated DeltaNet: the delta rule with a memory that also decays, and a gate on the output (Yang, Kautz and Hatamizadeh,
 * arXiv 2412.06464). See delta_layer.ts.
 */
import type { Parameter } from "../../nn/parameters.ts";
import { refuse } from "../../options/option_table.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import type { RecurrentState } from "../recurrent.ts";
import { DELTA_METRICS, deltaLayer, type DeltaParameters } from "./delta_layer.ts";
import { GATED_DELTA_NET_OPTIONS } from "./options.ts";

/** Gated DeltaNet. */
export const gatedDeltaNet: AnyMixer = defineMixer<
  typeof GATED_DELTA_NET_OPTIONS,
  DeltaParameters<Parameter>,
  RecurrentState
>({
  name: "gatedDeltaNet",
  summary: "Gated DeltaNet: DeltaNet with a decay that each token chooses, and a gate",
  paper: "2412.06464",
  options: GATED_DELTA_NET_OPTIONS,
  metrics: DELTA_METRICS,
  create(options, { width }) {
    const { heads, keyRatio, valueExpansion } = options, keyWidth = Math.round(keyRatio * width / heads);
    if (keyWidth === 0) {
      refuse("keyRatio", keyRatio, `keys of ${heads} heads of a model of width ${width} would be empty`);
    }
    return deltaLayer({ ...options, width, keyWidth, valueWidth: valueExpansion * keyWidth, gated: true });
  },
});
