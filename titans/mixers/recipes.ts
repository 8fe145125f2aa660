/**
 * Models by name. A model whose blocks are equal is called after their mixer; a recipe is a model with a name of its own:
 * blocks that repeat, with the options that make them what the name says.
 */
import type { AnyMixer, MixerSpec } from "./mixer_interface.ts";
import { findMixer, type MixerName, MIXERS } from "./registry.ts";

/** A model by name. */
export interface Recipe {
  /** One line for help texts. */
  readonly summary: string;
  /** The arXiv identifier of the paper that it is from, if there is one. */
  readonly paper?: string;
  /** The mixers of the blocks that repeat. Every block has an MLP of its own. */
  readonly blocks: readonly MixerSpec[];
  /** Rows of a recurrent memory around the blocks, where the model's options say nothing else. */
  readonly recurrentTokens?: number;
}

/** The name of a recipe. */
export type RecipeName = "transformer" | "swa" | "samba" | "gdnH1" | "gdnH2" | "macMal" | "memoryMamba2" | "rmt";

/** Models with a name other than that of the mixer in all of their blocks. */
export const RECIPES: { readonly [Name in RecipeName]: Recipe } = {
  transformer: {
    summary: "Transformer++: attention over all earlier tokens, no memory",
    paper: "2302.13971",
    blocks: [{ mixer: "attention" }],
  },
  swa: {
    summary: "attention over a sliding window, no memory",
    paper: "1904.10509",
    blocks: [{ mixer: "attention", span: "window" }],
  },
  samba: {
    summary: "Samba: blocks of `mamba` and sliding-window attention in turn",
    paper: "2406.07522",
    blocks: [{ mixer: "mamba" }, { mixer: "swa" }],
  },
  gdnH1: {
    summary: "Gated DeltaNet-H1: blocks of `gatedDeltaNet` and sliding-window attention in turn",
    paper: "2412.06464",
    blocks: [{ mixer: "gatedDeltaNet" }, { mixer: "swa" }],
  },
  gdnH2: {
    summary: "Gated DeltaNet-H2: blocks of `mamba2`, `gatedDeltaNet` and sliding-window attention in turn",
    paper: "2412.06464",
    blocks: [{ mixer: "mamba2" }, { mixer: "gatedDeltaNet" }, { mixer: "swa" }],
  },
  macMal: {
    summary: "blocks of `mac` and `mal` in turn",
    blocks: [{ mixer: "mac" }, { mixer: "mal" }],
  },
  memoryMamba2: {
    summary: "blocks of `lmm` and `mamba2` in turn",
    blocks: [{ mixer: "lmm" }, { mixer: "mamba2" }],
  },
  rmt: {
    summary: "RMT: attention over segments, with memory tokens from one to the next",
    paper: "2207.06881",
    blocks: [{ mixer: "attention", span: "full" }],
    recurrentTokens: 16,
  },
};

/** The name of a model: that of a recipe, or of the mixer in all of its blocks. */
export type ModelKind = MixerName | RecipeName;

/** One-line descriptions of the kinds of models. */
export const MODEL_KINDS: { readonly [Kind in ModelKind]: string } = Object.fromEntries(
  [...Object.entries<AnyMixer>(MIXERS), ...Object.entries<Recipe>(RECIPES)].map((
    [name, { summary }],
  ) => [name, summary]),
) as Record<ModelKind, string>;

/**
 * Models whose presets have MLPs of one width, as they have since 0.1.0. In presets of the others the MLPs are as wide
 * as makes all equally large.
 */
export const FIXED_PRESETS: ReadonlySet<ModelKind> = new Set(["lmm", "mac", "mag", "mal", "attention", "transformer"]);

/** The blocks that a name stands for: those of a recipe, or one with the mixer of that name; undefined if there is none. */
export function blocksOf(name: string): readonly MixerSpec[] | undefined {
  if (Object.hasOwn(RECIPES, name)) return RECIPES[name as RecipeName].blocks;
  return findMixer(name) && [{ mixer: name }];
}

/** The rows of recurrent memory of a model: as many as its options say, else its recipe. */
export function recurrentTokensOf(
  { model, blocks, recurrentTokens }: {
    readonly model: string;
    readonly blocks: unknown;
    readonly recurrentTokens: number;
  },
): number {
  if (recurrentTokens > 0 || typeof blocks !== "number" || !Object.hasOwn(RECIPES, model)) return recurrentTokens;
  return RECIPES[model as RecipeName].recurrentTokens ?? 0;
}

/** The arXiv identifier of the paper that a model is from. */
export function paperOf(kind: ModelKind): string | undefined {
  return Object.hasOwn(RECIPES, kind) ? RECIPES[kind as RecipeName].paper : findMixer(kind)?.paper;
}
