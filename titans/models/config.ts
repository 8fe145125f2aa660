/** A model's configuration: presets, and what makes, checks, completes and compares the flat records of options. */
import { checkNames, ConfigError } from "../errors.ts";
import { FIXED_PRESETS, MODEL_KINDS, type ModelKind } from "../mixers/recipes.ts";
import { MIXERS } from "../mixers/registry.ts";
import { blockLayers, blockMixers, knownMixers, repeatedBlocks } from "./blocks.ts";
import { balanced } from "./model_parameters.ts";
import { MODEL_OPTIONS, type ModelConfig } from "./options.ts";
import { PAPER_OPTIONS, PAPER_SIZES, type PaperSizeName } from "./paper_sizes.ts";
import { checkRecurrent, recurrentMemoryOf } from "./recurrent_memory.ts";
import {
  checkValues,
  completeOptions,
  defaultsOf,
  firstDifference,
  idleBecauseOf,
  type OptionRow,
  type OptionTable,
  withoutUndefined,
} from "../options/option_table.ts";

export type { ModelConfig } from "./options.ts";

const PAPER_PRESETS = Object.fromEntries(
  Object.entries(PAPER_SIZES).map(([name, { blocks, width, heads }]) => [
    name,
    { ...defaultsOf(MODEL_OPTIONS), ...PAPER_OPTIONS, blocks, width, heads, mlpHidden: 2.75 * width },
  ]),
) as Readonly<Record<PaperSizeName, ModelConfig>>;

/**
 * Named sizes. `nano` learns real text within minutes on two cores; `small` needs a GPU; the others are those of the
 * paper, see {@link PAPER_SIZES}.
 */
export const PRESETS: Readonly<Record<"nano" | "small" | PaperSizeName, ModelConfig>> = {
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
  ...PAPER_PRESETS,
};

/**
 * How many parameters the models of a preset have, within 3%, but for those in `FIXED_PRESETS`, whose MLPs have the
 * width that `nano` and `small` say.
 */
export const PRESET_PARAMETERS: Readonly<Record<PresetName, number>> = {
  nano: 200_000,
  small: 4_800_000,
  ...Object.fromEntries(Object.entries(PAPER_SIZES).map(([name, { parameters }]) => [name, parameters])),
} as Record<PresetName, number>;

/** The name of a preset. */
export type PresetName = keyof typeof PRESETS;

/** The built-in mixers that have an option. */
export function mixersWith(name: string): readonly string[] {
  return Object.keys(MIXERS).filter((mixer) => Object.hasOwn(MIXERS[mixer as keyof typeof MIXERS].options, name));
}

/** The options that a model uses, with what its mixers say of them: of its own, and of the mixers in its blocks. */
export function optionsUsed(config: Partial<ModelConfig>): OptionTable {
  const used = knownMixers(config).map(({ options }) => options);
  const rows = Object.entries(MODEL_OPTIONS).flatMap(([name, row]): [string, OptionRow][] => {
    const [using] = used.filter((options) => Object.hasOwn(options, name));
    if (using) return [[name, using[name]]];
    return mixersWith(name).length > 0 && used.length > 0 ? [] : [[name, row]];
  });
  return Object.fromEntries(rows);
}

/**
 * A whole configuration from some options.
 * @param options Whatever differs from the preset.
 * @param preset Provides the other options. Default: `nano`.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function defineConfig(options: Partial<ModelConfig> = {}, preset: PresetName = "nano"): ModelConfig {
  if (!Object.hasOwn(PRESETS, preset)) {
    throw new ConfigError(`Cannot use preset ${preset}: there are ${Object.keys(PRESETS).join(", ")}`, "preset");
  }
  checkNames("a model", options, Object.keys(MODEL_OPTIONS));
  const given = withoutUndefined(options);
  const base = typeof (given.blocks ?? 0) === "number" ? presetOf(given.model, preset) : PRESETS[preset];
  const miniBatch = Number(given.miniBatch ?? base.miniBatch);
  const config: ModelConfig = { ...base, tile: miniBatch % base.tile === 0 ? base.tile : miniBatch, ...given };
  validateConfig(config);
  return config;
}

/** What a preset is for a model: with whole repetitions of its blocks, and MLPs that make it as large as others. */
function presetOf(model: ModelKind = MODEL_OPTIONS.model.default, preset: PresetName): ModelConfig {
  const base = PRESETS[preset], repeated = repeatedBlocks(model).length;
  const isFixed = FIXED_PRESETS.has(model) && !Object.hasOwn(PAPER_SIZES, preset);
  if (isFixed || !Object.hasOwn(MODEL_KINDS, model)) return base;
  const blocks = repeated * Math.max(1, Math.round(Number(base.blocks) / repeated));
  return { ...balanced({ ...base, model, blocks }, PRESET_PARAMETERS[preset]), model: base.model };
}

/**
 * Checks a configuration.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function validateConfig(config: ModelConfig): void {
  checkNames("a model", config, Object.keys(MODEL_OPTIONS));
  checkValues(MODEL_OPTIONS, {
    ...config,
    blocks: Array.isArray(config.blocks) ? config.blocks.length : config.blocks,
  });
  checkRecurrent(recurrentMemoryOf(config), blockLayers(config));
}

/**
 * A stored configuration with the options that did not exist when it was written: such as models were then.
 * @param stored As read from a file; not checked.
 */
export function completeConfig(stored: Partial<ModelConfig>): ModelConfig {
  // What a mixer says of its option goes first.
  return completeOptions({ ...MODEL_OPTIONS, ...optionsUsed(stored) }, stored) as unknown as ModelConfig;
}

/**
 * The name of the first option in which two models differ, or undefined: options that change cost alone do not count,
 * nor do those that change nothing in both. Where blocks differ among themselves it is `blocks`.
 */
export function differingField(lhs: ModelConfig, rhs: ModelConfig): keyof ModelConfig | undefined {
  const left = blockMixers(lhs), right = blockMixers(rhs);
  const isUniform = typeof lhs.blocks === "number" && typeof rhs.blocks === "number";
  const shared = Math.min(left.length, right.length);
  if (left.slice(0, shared).some(({ mixer }, i) => mixer.name !== right[i].mixer.name)) {
    return isUniform ? "model" : "blocks";
  }
  const around = firstDifference(AROUND_BLOCKS, lhs, rhs) as keyof ModelConfig | undefined;
  if (around || left.length !== right.length) return around ?? "blocks";
  const within = left.map(({ mixer, options }, i) => firstDifference(mixer.options, options, right[i].options));
  const field = within.find((name) => name !== undefined) as keyof ModelConfig | undefined;
  return field && !isUniform ? "blocks" : field;
}

/**
 * The option because of which another one changes nothing in any block: what names the mixers, if none has such an
 * option, or all say themselves what it is.
 */
export function idleOption(config: ModelConfig, name: keyof ModelConfig): keyof ModelConfig | undefined {
  if (mixersWith(name).length === 0) return idleBecauseOf(MODEL_OPTIONS[name], config) as keyof ModelConfig | undefined;
  const mixers = typeof config.blocks === "number" ? "model" : "blocks";
  const reasons = blockMixers(config).flatMap(({ mixer, options, decided }) => {
    if (!Object.hasOwn(mixer.options, name) || decided.includes(name)) return [];
    const reason = idleBecauseOf(mixer.options[name], options);
    return [reason !== undefined && decided.includes(reason) ? mixers : reason as keyof ModelConfig | undefined];
  });
  if (reasons.length === 0) return mixers;
  return reasons.includes(undefined) ? undefined : reasons[0];
}

/** The options of a model that are not those of its blocks. */
const AROUND_BLOCKS: OptionTable = Object.fromEntries(
  Object.entries(MODEL_OPTIONS).filter(([name]) =>
    name !== "model" && name !== "blocks" && mixersWith(name).length === 0
  ),
);
