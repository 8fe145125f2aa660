/** The built-in mixers. To add one, import it and list it here. */
import { attention } from "./attention/attention.ts";
import type { AnyMixer } from "./mixer_interface.ts";
import { lmm } from "./titans/lmm.ts";
import { mac } from "./titans/mac.ts";
import { mag } from "./titans/mag.ts";
import { mal } from "./titans/mal.ts";
import { tttLinear, tttMlp } from "./ttt/ttt.ts";

/** The name of a built-in mixer. */
export type MixerName = "lmm" | "mac" | "mag" | "mal" | "attention" | "tttLinear" | "tttMlp";

/** The mixers by name. */
export const MIXERS: { readonly [Name in MixerName]: AnyMixer } = {
  lmm,
  mac,
  mag,
  mal,
  attention,
  tttLinear,
  tttMlp,
};

/** Models with a name other than that of the mixer in all of their blocks. */
const MODELS: { readonly [Name in "transformer"]: { readonly mixer: AnyMixer; readonly summary: string } } = {
  transformer: { mixer: attention, summary: "Transformer++: attention over all earlier tokens, no memory" },
};

/** The name of a model with equal blocks: that of its mixer, or its common name. */
export type ModelKind = MixerName | "transformer";

/** One-line descriptions of the kinds of models. */
export const MODEL_KINDS: { readonly [Kind in ModelKind]: string } = {
  lmm: lmm.summary,
  mac: mac.summary,
  mag: mag.summary,
  mal: mal.summary,
  attention: attention.summary,
  tttLinear: tttLinear.summary,
  tttMlp: tttMlp.summary,
  transformer: MODELS.transformer.summary,
};

/** Finds a built-in mixer by its name or the name of a model; undefined if there is none. */
export function findMixer(name: string): AnyMixer | undefined {
  if (Object.hasOwn(MODELS, name)) return MODELS[name as keyof typeof MODELS].mixer;
  return Object.hasOwn(MIXERS, name) ? MIXERS[name as keyof typeof MIXERS] : undefined;
}
