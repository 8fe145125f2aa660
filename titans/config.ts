/** A model's configuration: presets, and what makes, checks, completes and compares the flat records of options. */
import { checkNames, ConfigError } from "./errors.ts";
import type { MemoryNetwork } from "./mixers/titans/memory_network.ts";
import {
  checkAttentionOptions,
  checkMacOptions,
  checkMemoryOptions,
  LMM_OPTIONS,
  MAC_OPTIONS,
  MAG_OPTIONS,
  MAL_OPTIONS,
} from "./mixers/titans/options.ts";
import { MODEL_OPTIONS, type ModelConfig, type ModelKind } from "./models/options.ts";
import {
  checkValues,
  completeOptions,
  defaultsOf,
  firstDifference,
  idleBecauseOf,
  type OptionTable,
  withoutUndefined,
} from "./options/option_table.ts";

export type { ModelConfig, ModelKind } from "./models/options.ts";

/** Named sizes. `nano` learns real text within minutes on two cores; `small` needs a GPU. */
export const PRESETS: Readonly<Record<"nano" | "small", ModelConfig>> = {
  nano: defaultsOf(MODEL_OPTIONS),
  small: {
    ...defaultsOf(MODEL_OPTIONS),
    width: 256,
    blocks: 4,
    heads: 4,
    mlpHidden: 704,
    segment: 128,
    window: 128,
    persistentTokens: 16,
    memoryTokens: 32,
    checkpoint: "auto",
  },
};

/** The name of a preset. */
export type PresetName = keyof typeof PRESETS;

/** Of each kind of model the options of its mixer, and the check of these against each other and the width. */
const MIXERS: Readonly<
  Record<ModelKind, { readonly options: OptionTable; readonly check: (config: ModelConfig, width: number) => void }>
> = {
  lmm: { options: LMM_OPTIONS, check: checkMemoryOptions },
  mac: { options: MAC_OPTIONS, check: checkMacOptions },
  mag: { options: MAG_OPTIONS, check: checkAttentionOptions },
  mal: { options: MAL_OPTIONS, check: checkAttentionOptions },
};

/** The options that a kind of model uses, with what its mixer says of them; all, if there is no such kind. */
export function optionsOfKind(kind: unknown): OptionTable {
  if (!Object.hasOwn(MIXERS, kind as string)) return MODEL_OPTIONS;
  const { options } = MIXERS[kind as ModelKind], others = Object.values(MIXERS).map(({ options }) => options);
  const isUsed = (name: string): boolean => name in options || !others.some((other) => name in other);
  return Object.fromEntries(
    Object.entries(MODEL_OPTIONS).filter(([name]) => isUsed(name)).map(([name, row]) => [name, options[name] ?? row]),
  );
}

/**
 * A whole configuration from some options.
 * @param options Whatever differs from the preset.
 * @param preset Where the rest comes from, `nano` unless given.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function defineConfig(options: Partial<ModelConfig> = {}, preset: PresetName = "nano"): ModelConfig {
  if (!Object.hasOwn(PRESETS, preset)) {
    throw new ConfigError(`Cannot use preset ${preset}: there are ${Object.keys(PRESETS).join(" and ")}`, "preset");
  }
  checkNames("a model", options, Object.keys(MODEL_OPTIONS));
  const given = withoutUndefined(options);
  const base = PRESETS[preset];
  const miniBatch = Number(given.miniBatch ?? base.miniBatch);
  const config: ModelConfig = { ...base, tile: miniBatch % base.tile === 0 ? base.tile : miniBatch, ...given };
  validateConfig(config);
  return config;
}

/**
 * Checks a configuration.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function validateConfig(config: ModelConfig): void {
  checkValues(MODEL_OPTIONS, config);
  MIXERS[config.model].check(config, config.width);
}

/**
 * What the layers take: a model's options, and if wanted a memory network of your own in place of the one that `memory`
 * and its options describe.
 *
 * Give the same network to the function that describes a layer's parameters, to the one that makes its first state, and
 * to the layer.
 * @example A memory with a residual around its first matrix.
 * ```ts
 * import { add, silu } from "@mneme/titans/ops";
 * import { defineConfig, type LayerConfig, lmmMixerParameters, type MemoryNetwork } from "@mneme/titans/titans";
 *
 * const K = 32;
 * const network: MemoryNetwork = {
 *   layers: [{ in: K, out: K }, { in: K, out: K }],
 *   gains: [],
 *   forward: (linear, x) => linear(1, add(x, silu(linear(0, x)))),
 * };
 * const config: LayerConfig = { ...defineConfig({ model: "lmm", width: 64, heads: 2 }), network };
 * console.log(lmmMixerParameters(config, 1).memory.initial.length); // 2
 * ```
 */
export interface LayerConfig extends ModelConfig {
  /** The memory network; its rows are as wide as a head, `width / heads`. */
  readonly network?: MemoryNetwork;
}

/**
 * Checks the names of a layer's options; their values are checked where a model is made of them.
 * @throws {ConfigError} naming the first that is no option.
 */
export function checkLayerConfig(config: LayerConfig): void {
  checkNames("a model", config, LAYER_OPTIONS);
}

const LAYER_OPTIONS: readonly string[] = [...Object.keys(MODEL_OPTIONS), "network"];

/**
 * A stored configuration with the options that did not exist when it was written: such as models were then.
 * @param stored As read from a file; not checked.
 */
export function completeConfig(stored: Partial<ModelConfig>): ModelConfig {
  // What a mixer says of its option goes first.
  return completeOptions({ ...MODEL_OPTIONS, ...optionsOfKind(stored.model) }, stored) as ModelConfig;
}

/**
 * The name of the first option in which two models differ, or undefined: options that change cost alone do not count,
 * nor do those that change nothing in both.
 */
export function differingField(lhs: ModelConfig, rhs: ModelConfig): keyof ModelConfig | undefined {
  return firstDifference(optionsOfKind(lhs.model) as typeof MODEL_OPTIONS, lhs, rhs);
}

/** The option because of which another one changes nothing: `model`, if its mixer has no such option. */
export function idleOption(config: ModelConfig, name: keyof ModelConfig): keyof ModelConfig | undefined {
  const row = optionsOfKind(config.model)[name];
  return row ? idleBecauseOf(row, config) as keyof ModelConfig | undefined : "model";
}

/** Tokens after which a model's state can be carried on: the segment, or else the mini-batch. */
export function stateInterval(config: ModelConfig): number {
  return config.model === "mac" ? config.segment : config.miniBatch;
}
