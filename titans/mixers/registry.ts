/** The mixers that are built in: the only list of them. One more is an import and a name here. */
import { attention } from "./attention/attention.ts";
import type { AnyMixer } from "./mixer_interface.ts";
import { lmm } from "./titans/lmm.ts";
import { mac } from "./titans/mac.ts";
import { mag } from "./titans/mag.ts";
import { mal } from "./titans/mal.ts";

/** The mixers by name. */
export const MIXERS: { readonly [Name in "lmm" | "mac" | "mag" | "mal" | "attention"]: AnyMixer } = {
  lmm,
  mac,
  mag,
  mal,
  attention,
};

/** Models that are known by another name than that of the mixer in all their blocks. */
const MODELS: { readonly [Name in "transformer"]: { readonly mixer: AnyMixer; readonly summary: string } } = {
  transformer: { mixer: attention, summary: "Transformer++: attention over all earlier tokens, no memory" },
};

/** What a model whose blocks are alike is called: by its mixer, or as the field knows it. */
export type ModelKind = "lmm" | "mac" | "mag" | "mal" | "attention" | "transformer";

/** What each kind of model is, in a line. */
export const MODEL_KINDS: { readonly [Kind in ModelKind]: string } = {
  lmm: lmm.summary,
  mac: mac.summary,
  mag: mag.summary,
  mal: mal.summary,
  attention: attention.summary,
  transformer: MODELS.transformer.summary,
};

/** The mixer of a name, its own or a model's; undefined if none is built in. */
export function findMixer(name: string): AnyMixer | undefined {
  if (Object.hasOwn(MODELS, name)) return MODELS[name as keyof typeof MODELS].mixer;
  return Object.hasOwn(MIXERS, name) ? MIXERS[name as keyof typeof MIXERS] : undefined;
}
