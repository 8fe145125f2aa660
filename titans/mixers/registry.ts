/** The built-in mixers. To add one, import it, and list it in the type and in the record. */
import { attention } from "./attention/attention.ts";
import { deltaNet } from "./delta/delta_net.ts";
import { gatedDeltaNet } from "./delta/gated_delta_net.ts";
import { gla } from "./gla/gla.ts";
import { hgrn2 } from "./hgrn2/hgrn2.ts";
import { linear } from "./linear/linear.ts";
import { mamba } from "./mamba/mamba.ts";
import { mamba2 } from "./mamba/mamba2.ts";
import type { AnyMixer } from "./mixer_interface.ts";
import { retnet } from "./retnet/retnet.ts";
import { lmm } from "./titans/lmm.ts";
import { mac } from "./titans/mac.ts";
import { mag } from "./titans/mag.ts";
import { mal } from "./titans/mal.ts";
import { tttLinear, tttMlp } from "./ttt/ttt.ts";

/** The name of a built-in mixer. */
export type MixerName =
  | "lmm"
  | "mac"
  | "mag"
  | "mal"
  | "attention"
  | "linear"
  | "retnet"
  | "gla"
  | "hgrn2"
  | "mamba"
  | "mamba2"
  | "deltaNet"
  | "gatedDeltaNet"
  | "tttLinear"
  | "tttMlp";

/** The mixers by name. */
export const MIXERS: { readonly [Name in MixerName]: AnyMixer } = {
  lmm,
  mac,
  mag,
  mal,
  attention,
  linear,
  retnet,
  gla,
  hgrn2,
  mamba,
  mamba2,
  deltaNet,
  gatedDeltaNet,
  tttLinear,
  tttMlp,
};

/** Finds a built-in mixer by its name; undefined if there is none. */
export function findMixer(name: string): AnyMixer | undefined {
  return Object.hasOwn(MIXERS, name) ? MIXERS[name as MixerName] : undefined;
}
