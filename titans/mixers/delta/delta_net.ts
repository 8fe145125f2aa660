/**
 * DeltaNet: linear attention that replaces what is stored under a key instead of adding to it (Schlag et al., arXiv
 * 2102.11174; Yang et al., arXiv 2406.06484). See delta_layer.ts.
 */
import type { Parameter } from "../../nn/parameters.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import { checkHeads, type RecurrentState } from "../recurrent.ts";
import { DELTA_METRICS, deltaLayer, type DeltaParameters } from "./delta_layer.ts";
import { DELTA_NET_OPTIONS } from "./options.ts";

/** DeltaNet. */
export const deltaNet: AnyMixer = defineMixer<typeof DELTA_NET_OPTIONS, DeltaParameters<Parameter>, RecurrentState>({
  name: "deltaNet",
  summary: "DeltaNet: each token replaces what a matrix stores under its key",
  paper: "2406.06484",
  options: DELTA_NET_OPTIONS,
  metrics: DELTA_METRICS,
  create(options, { width }) {
    checkHeads(options.heads, width, "the width");
    const headWidth = width / options.heads;
    return deltaLayer({ ...options, width, keyWidth: headWidth, valueWidth: headWidth, gated: false });
  },
});
