/** What a model is: one flat record of options, which checkpoints store and compare field by field. */
import { ConfigError } from "./errors.ts";
import type { Activation } from "./memory_network.ts";

/** The models. `lmm`: the memory alone mixes tokens. `mac`: memory as context of a segment-wise attention. */
export type ModelKind = "lmm" | "mac";

/**
 * Where the context that MAC's attention gets from the memory comes from. `causal`: from the segment's own tokens, each row seeing what was retrieved
 * for tokens up to itself. `previous-segment`: from the tokens of the segment before, all visible. `learned`: from learned queries, all visible.
 */
export type MemoryQuery = "causal" | "previous-segment" | "learned";

/** A model's options. See {@link defineConfig} for a record with defaults filled in. */
export interface ModelConfig {
  /** How tokens are mixed. */
  readonly model: ModelKind;
  /** Number of token ids; 256 for bytes. */
  readonly vocabulary: number;
  /** Width of the residual stream, D. */
  readonly width: number;
  /** Number of blocks, each a mixer and an MLP. */
  readonly blocks: number;
  /** Heads of the memory and of attention; divides the width. */
  readonly heads: number;
  /** Hidden width of the SwiGLU MLP. */
  readonly mlpHidden: number;
  /** Matrices of the memory network, L, 1 to 4. 1 is the linear memory. */
  readonly memoryDepth: number;
  /** Hidden width of the memory network over the head width. */
  readonly memoryExpansion: number;
  /** The function between the matrices of the memory network. */
  readonly memoryActivation: Activation;
  /** Whether M(x) = x + LN(f(x)), the norm's gain belonging to the outer loop. */
  readonly memoryNorm: boolean;
  /** Tokens whose inner gradients are taken at the same memory, b. Part of the model: training and decoding use the same. */
  readonly miniBatch: number;
  /** Tokens handled by one set of products; divides the mini-batch. Cost only. */
  readonly tile: number;
  /** Upper bound of the inner step size theta. */
  readonly thetaMax: number;
  /** First bias of the gate of theta: theta starts around thetaMax sigmoid(thetaBias). */
  readonly thetaBias: number;
  /** First bias of the gate of eta, the momentum. */
  readonly etaBias: number;
  /** First bias of the gate of alpha, the forgetting. -8 is a half-life of about 2,000 tokens. */
  readonly alphaBias: number;
  /** Ablation: without momentum eta is 0. */
  readonly momentum: boolean;
  /** Ablation: without forgetting alpha is 0. */
  readonly forgetting: boolean;
  /** Whether a token reads the memory before its own update. */
  readonly strictRetrieval: boolean;
  /** Width of the causal convolution after the memory's projections; 0 for none. */
  readonly convolution: number;
  /** Tokens of an attention segment, a multiple of the mini-batch. */
  readonly segment: number;
  /** Learned tokens that every query sees; 0 for none. */
  readonly persistentTokens: number;
  /** What MAC asks the memory. */
  readonly memoryQuery: MemoryQuery;
  /** Number of learned queries when `memoryQuery` is `learned`. */
  readonly memoryTokens: number;
  /** What loops keep for the gradient: `save` keeps matrix products too, which is faster; `recompute` takes less memory. Cost only. */
  readonly checkpoint: "recompute" | "save";
}

const NANO: ModelConfig = {
  model: "mac",
  vocabulary: 256,
  width: 64,
  blocks: 2,
  heads: 2,
  mlpHidden: 176,
  memoryDepth: 2,
  memoryExpansion: 4,
  memoryActivation: "gelu",
  memoryNorm: true,
  miniBatch: 16,
  tile: 16,
  thetaMax: 0.1,
  thetaBias: 0,
  etaBias: 0,
  alphaBias: -8,
  momentum: true,
  forgetting: true,
  strictRetrieval: false,
  convolution: 4,
  segment: 64,
  persistentTokens: 4,
  memoryQuery: "causal",
  memoryTokens: 16,
  checkpoint: "save",
};

/** Named sizes. `nano` learns real text within minutes on two cores; `small` wants a GPU. */
export const PRESETS: Readonly<Record<"nano" | "small", ModelConfig>> = {
  nano: NANO,
  small: {
    ...NANO,
    width: 256,
    blocks: 4,
    heads: 4,
    mlpHidden: 704,
    segment: 128,
    persistentTokens: 16,
    memoryTokens: 32,
    checkpoint: "recompute",
  },
};

/** The name of a preset. */
export type PresetName = keyof typeof PRESETS;

const FLAGS = ["memoryNorm", "momentum", "forgetting", "strictRetrieval"] as const;
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  model: ["lmm", "mac"],
  memoryActivation: ["gelu", "silu"],
  memoryQuery: ["causal", "previous-segment", "learned"],
  checkpoint: ["recompute", "save"],
};
const COUNTS: Readonly<Record<string, readonly [number, number]>> = {
  vocabulary: [2, 2 ** 24],
  width: [1, 65536],
  blocks: [1, 1024],
  heads: [1, 1024],
  mlpHidden: [1, 2 ** 20],
  memoryDepth: [1, 4],
  miniBatch: [1, 4096],
  tile: [1, 4096],
  convolution: [0, 64],
  segment: [1, 65536],
  persistentTokens: [0, 4096],
  memoryTokens: [1, 4096],
};
const NUMBERS = ["memoryExpansion", "thetaMax", "thetaBias", "etaBias", "alphaBias"] as const;

/**
 * A whole configuration from some options.
 * @param options Whatever differs from the preset.
 * @param preset Where the rest comes from, `nano` unless said.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function defineConfig(options: Partial<ModelConfig> = {}, preset: PresetName = "nano"): ModelConfig {
  if (!Object.hasOwn(PRESETS, preset)) throw new ConfigError(`Cannot use preset ${preset}: there are ${Object.keys(PRESETS).join(" and ")}`, "preset");
  for (const field of Object.keys(options)) {
    if (!Object.hasOwn(NANO, field)) throw new ConfigError(`Cannot use option ${field}: a model has no such option`, field);
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const base = PRESETS[preset];
  const miniBatch = given.miniBatch ?? base.miniBatch;
  const config = { ...base, tile: Math.min(base.tile, Number(miniBatch)), ...given } as ModelConfig;
  validateConfig(config);
  return config;
}

/**
 * Checks a configuration.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function validateConfig(config: ModelConfig): void {
  const record = config as unknown as Record<string, unknown>;
  const fail = (field: string, rule: string): never => {
    throw new ConfigError(`Cannot use ${field} ${JSON.stringify(record[field])}: ${rule}`, field);
  };
  for (const [field, allowed] of Object.entries(CHOICES)) {
    if (!allowed.includes(record[field] as string)) fail(field, `it must be one of ${allowed.join(", ")}`);
  }
  for (const field of FLAGS) if (typeof record[field] !== "boolean") fail(field, "it must be true or false");
  for (const [field, [low, high]] of Object.entries(COUNTS)) {
    const value = record[field] as number;
    if (!Number.isInteger(value) || value < low || value > high) fail(field, `it must be an integer from ${low} to ${high}`);
  }
  for (const field of NUMBERS) if (!Number.isFinite(record[field])) fail(field, "it must be a finite number");
  const { width, heads, miniBatch, tile, segment, memoryExpansion, thetaMax } = config;
  if (width % heads !== 0) fail("heads", `it must divide the width, ${width}`);
  if (config.model === "mac" && (width / heads) % 2 !== 0) fail("heads", `rotary positions need an even head width, ${width} / ${heads} is ${width / heads}`);
  if (miniBatch % tile !== 0) fail("tile", `it must divide the mini-batch, ${miniBatch}`);
  if (config.model === "mac" && segment % miniBatch !== 0) fail("segment", `it must be a multiple of the mini-batch, ${miniBatch}`);
  if (!(memoryExpansion > 0) || memoryExpansion > 64) fail("memoryExpansion", "it must be above 0 and at most 64");
  if (!(thetaMax > 0) || thetaMax > 64) fail("thetaMax", "it must be above 0 and at most 64");
}

/**
 * The name of the first option in which two configurations differ, or undefined.
 * @param lhs One configuration.
 * @param rhs Another one.
 * @param ignore Options that do not matter for the question.
 */
export function differingField(lhs: ModelConfig, rhs: ModelConfig, ignore: readonly (keyof ModelConfig)[] = []): keyof ModelConfig | undefined {
  return (Object.keys(NANO) as (keyof ModelConfig)[]).find((field) => !ignore.includes(field) && lhs[field] !== rhs[field]);
}

/** Tokens after which a model's state can be carried on: the segment, or the mini-batch where there is no attention. */
export function stateInterval(config: ModelConfig): number {
  return config.model === "mac" ? config.segment : config.miniBatch;
}
