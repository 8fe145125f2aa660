/** The blocks of a model as its configuration lists them: which mixer each has, and with which options. */
import { checkNames, ConfigError } from "../errors.ts";
import type { AnyMixer, Dimensions, MixerLayer, MixerSpec } from "../mixers/mixer_interface.ts";
import { blocksOf, recurrentTokensOf } from "../mixers/recipes.ts";
import { findMixer, MIXERS } from "../mixers/registry.ts";
import { checkValues, defaultsOf, type OptionRecord, withoutUndefined } from "../options/option_table.ts";
import type { ModelConfig } from "./options.ts";

/** A block's mixer with all its options. */
export interface BlockMixer {
  /** The mixer. */
  readonly mixer: AnyMixer;
  /** Its options: the block's own, else the model's, else the mixer's defaults. */
  readonly options: OptionRecord;
  /** The names of options that the block says itself, or its mixer's name does, so that the model's do not count. */
  readonly decided: readonly string[];
}

/**
 * The mixer of each block, with its options; these are checked one by one, not against each other.
 * @throws {ConfigError} naming the block and what is wrong with it.
 */
export function blockMixers(config: ModelConfig): BlockMixer[] {
  const { model, blocks } = config, rows = recurrentTokensOf(config);
  // With a recurrent memory a block never reads more than the row of a segment.
  const maxLength = rows > 0 ? config.recurrentSegment + 2 * rows : config.maxLength;
  const record = { ...config, maxLength } as unknown as OptionRecord;
  if (typeof blocks === "number") {
    const repeated = repeatedBlocks(model).map((spec) => resolveBlock(spec, record, "the model"));
    if (blocks % repeated.length !== 0) {
      throw new ConfigError(
        `Cannot use blocks ${blocks}: ${model} repeats ${repeated.length} blocks, give a multiple of that`,
        "blocks",
      );
    }
    return Array.from({ length: blocks }, (_, i) => repeated[i % repeated.length]);
  }
  if (!Array.isArray(blocks) || blocks.length === 0) {
    throw new ConfigError(`Cannot use blocks ${JSON.stringify(blocks)}: give a number, or a list of mixers`, "blocks");
  }
  return blocks.map((spec, i) => resolveBlock(spec, record, `block ${i}`));
}

/** The blocks that a model repeats; of a name that is not known one, with a mixer of that name. */
export function repeatedBlocks(model: string): readonly MixerSpec[] {
  return blocksOf(model) ?? [{ mixer: model }];
}

function resolveBlock(spec: MixerSpec, model: OptionRecord, where: string): BlockMixer {
  const { mixer, fixed } = mixerOf(spec, where);
  const { mixer: _, ...own } = spec;
  checkNames(`${mixer.name} in ${where}`, own, Object.keys(mixer.options));
  const inherited = Object.entries(model).filter(([name]) => Object.hasOwn(mixer.options, name));
  const decided = { ...fixed, ...withoutUndefined(own) };
  const options = { ...defaultsOf(mixer.options), ...Object.fromEntries(inherited), ...decided } as OptionRecord;
  checkValues(mixer.options, options);
  return { mixer, options, decided: Object.keys(decided) };
}

/** The mixer of a block, and the options that its name stands for. */
function mixerOf(
  spec: MixerSpec,
  where: string,
): { readonly mixer: AnyMixer; readonly fixed: Readonly<Record<string, unknown>> } {
  const given: unknown = (spec as Partial<MixerSpec> | null)?.mixer;
  const mixer = isMixer(given) ? given : typeof given === "string" ? findMixer(given) : undefined;
  if (mixer) return { mixer, fixed: {} };
  const blocks = typeof given === "string" ? blocksOf(given) : undefined;
  if (blocks?.length === 1) {
    const { mixer: _, ...fixed } = blocks[0], within = mixerOf(blocks[0], where);
    return { mixer: within.mixer, fixed: { ...within.fixed, ...fixed } };
  }
  if (blocks) {
    const names = blocks.map(({ mixer }) => mixer).join(", ");
    throw new ConfigError(`Cannot make ${where} with mixer ${given}: it stands for the blocks ${names}`, "blocks");
  }
  throw new ConfigError(
    `Cannot make ${where} with mixer ${JSON.stringify(given)}: built in are ${
      Object.keys(MIXERS).join(", ")
    }; give one of your own as a value, where a file is read as { mixers: [...] }`,
    "blocks",
  );
}

function isMixer(value: unknown): value is AnyMixer {
  return typeof value === "object" && value !== null && "create" in value && typeof value.create === "function";
}

/** The mixers in a configuration's blocks that are known; for records that are not checked yet. */
export function knownMixers({ model, blocks }: Partial<ModelConfig>): AnyMixer[] {
  const specs: readonly (Partial<MixerSpec> | null)[] = Array.isArray(blocks) ? blocks : repeatedBlocks(String(model));
  return specs.flatMap((spec) => {
    const mixer: unknown = spec?.mixer;
    if (typeof mixer !== "string") return isMixer(mixer) ? [mixer] : [];
    return findMixer(mixer) ?? knownMixers({ blocks: blocksOf(mixer) ?? [] });
  });
}

/** A layer in a block. */
export interface BlockLayer extends BlockMixer {
  /** The mixer made a layer. */
  // deno-lint-ignore no-explicit-any -- what a layer takes is what the same layer gave
  readonly layer: MixerLayer<any, any>;
  /** Whether the mixer has asked which block the layer is of, so that it may differ from others of the same options. */
  readonly readsPosition: () => boolean;
}

/** The layers of a model. @throws {ConfigError} if options are at odds with each other or with the width. */
export function blockLayers(config: ModelConfig): BlockLayer[] {
  const mixers = blockMixers(config), { width } = config;
  return mixers.map(({ mixer, options, decided }, position): BlockLayer => {
    let wasRead = false;
    const dimensions: Dimensions = {
      width,
      blocks: mixers.length,
      get block() {
        wasRead = true;
        return position;
      },
    };
    return { mixer, options, decided, layer: mixer.create(options, dimensions), readsPosition: () => wasRead };
  });
}

/** The mixers of a model in a word: `mac`, or `lmm,mag,lmm` where blocks differ. */
export function describeMixers({ model, blocks }: Pick<ModelConfig, "model" | "blocks">): string {
  if (typeof blocks === "number") return model;
  const names = blocks.map(({ mixer }) => typeof mixer === "string" ? mixer : mixer.name);
  return names.every((name) => name === names[0]) ? names[0] : names.join();
}

/**
 * A configuration as it was stored, with mixers that are given in the place of names.
 * @param mixers Of one's own; they go before built-in ones of the same name.
 */
export function withMixers(config: ModelConfig, mixers: readonly AnyMixer[]): ModelConfig {
  // What is built in stays a name, so that a model by name stays one: a list of blocks has no recurrent memory.
  const own = (name: unknown): AnyMixer | undefined =>
    mixers.find((mixer) => mixer.name === name && findMixer(mixer.name) !== mixer);
  const { model, blocks } = config;
  if (typeof blocks !== "number" && !Array.isArray(blocks)) return config;
  const specs = typeof blocks === "number" ? repeatedBlocks(model) : blocks;
  const replaced = specs.map((spec) => ({ ...spec, mixer: own(spec?.mixer) ?? spec?.mixer }));
  if (typeof blocks !== "number") return { ...config, blocks: replaced };
  return replaced.every(({ mixer }, i) => mixer === specs[i].mixer)
    ? config
    : { ...config, blocks: Array.from({ length: blocks }, (_, i) => replaced[i % replaced.length]) };
}
