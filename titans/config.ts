/** What a model is: one flat record of options, which checkpoints store and compare field by field. */
import type { OptionNames } from "../core/options.ts";
import { checkNames, ConfigError } from "./errors.ts";
import type { GateGranularity } from "./mixers/titans/gates.ts";
import type { Activation, MemoryGain, MemoryNetwork } from "./mixers/titans/memory_network.ts";

/**
 * The models. `lmm`: the memory alone mixes tokens. `mac`: memory as context of a segment-wise attention. `mag`: memory
 * as a gate of sliding-window attention beside it. `mal`: memory as a layer before sliding-window attention.
 */
export type ModelKind = "lmm" | "mac" | "mag" | "mal";

/** The memory networks. `mlp`: linear layers with a function between. `swiglu`: three matrices, gated. */
export type MemoryKind = "mlp" | "swiglu";

/**
 * Where the context that MAC's attention gets from the memory comes from. `causal`: from the segment's own tokens, each
 * row seeing what was retrieved for tokens up to itself. `previous-segment`: from the tokens of the segment before, all
 * visible. `learned`: from learned queries, all visible.
 */
export type MemoryQuery = "causal" | "previous-segment" | "learned";

/**
 * What forgetting leads a memory back to. `start`: to its learned start M_0,
 * `M_t = (1 - alpha_t) M_{t-1} + alpha_t M_0 + S_t`. `zero`: to zero, as the paper has it (equation 13).
 */
export type ForgetTo = "start" | "zero";

/**
 * How the memory's output m gates attention's output y in MAC and MAG, both normalised: `silu`: `silu(y * m)`.
 * `sigmoid`: `y * sigmoid(m)`. The paper leaves the function open.
 */
export type OutputGate = "silu" | "sigmoid";

/** A model's options. See {@link defineConfig} for a record with defaults filled in. */
export interface ModelConfig {
  /** How tokens are mixed. */
  readonly model: ModelKind;
  /** Number of token ids; 256 for bytes. */
  readonly vocabulary: number;
  /** Numbers of a token where tokens are real-valued, [B, T, features], read through a linear map; 0 for token ids. */
  readonly features: number;
  /** Numbers that the head gives at each token; 0 for a logit per token id. */
  readonly outputs: number;
  /** Width of the residual stream, D. */
  readonly width: number;
  /** Number of blocks, each a mixer and an MLP. */
  readonly blocks: number;
  /** Heads of the memory and of attention; divides the width. */
  readonly heads: number;
  /** Hidden width of the SwiGLU MLP. */
  readonly mlpHidden: number;
  /** The network whose weights are the memory. */
  readonly memory: MemoryKind;
  /** Matrices of an `mlp` memory, L, 1 to 4. 1 is the linear memory. */
  readonly memoryDepth: number;
  /** Hidden width of the memory network over the head width. */
  readonly memoryExpansion: number;
  /** The function between the matrices of an `mlp` memory. */
  readonly memoryActivation: Activation;
  /** Whether M(x) = x + gain LN(f(x)) rather than f(x). */
  readonly memoryNorm: boolean;
  /**
   * Whose parameter the norm's gain is: the outer loop's, or the memory's own, which learns it while it reads, as it
   * does its matrices (with finer gates the gain has its own). `outer` by default: a fast gain bears small inner steps
   * only (docs/stability.md).
   */
  readonly memoryGain: MemoryGain;
  /**
   * Tokens whose inner gradients are taken at the same memory, b. Part of the model: training and decoding use the
   * same.
   */
  readonly miniBatch: number;
  /** Tokens handled by one set of products; divides the mini-batch. Cost only. */
  readonly tile: number;
  /** Upper bound of the inner step size theta. */
  readonly thetaMax: number;
  /** First bias of the gate of theta: theta starts around thetaMax sigmoid(thetaBias). */
  readonly thetaBias: number;
  /** First bias of the gate of eta, the momentum. */
  readonly etaBias: number;
  /**
   * First bias of the gate of alpha, the forgetting. -8, the default, is a half-life of about 2,000 tokens, -6 one of
   * 280, -4 one of 38. On text the first 300 steps tell them hardly apart (docs/stability.md); a memory that is to keep
   * things wants the long one.
   */
  readonly alphaBias: number;
  /** What shares a gate: a head, a head's matrix, or (for forgetting) a channel of it. */
  readonly gateGranularity: GateGranularity;
  /** Ablation: without momentum eta is 0. */
  readonly momentum: boolean;
  /** Ablation: without forgetting alpha is 0. */
  readonly forgetting: boolean;
  /**
   * What forgetting leads the memory back to. `start` by default: with a norm in the memory, forgetting towards zero
   * makes inner steps ever larger, until the gradient of a window of thousands of tokens overflows, and reading far
   * beyond the trained length gets worse (docs/stability.md).
   */
  readonly forgetTo: ForgetTo;
  /** Whether a token reads the memory before its own update. */
  readonly strictRetrieval: boolean;
  /** Width of the causal convolution after the memory's projections; 0 for none. */
  readonly convolution: number;
  /** Whether queries and keys of the memory have unit length. */
  readonly normalizeKeys: boolean;
  /** Tokens of a segment of MAC's attention, a multiple of the mini-batch. */
  readonly segment: number;
  /** Tokens that a query of MAG's and MAL's attention sees, itself among them. */
  readonly window: number;
  /**
   * Learned tokens that every query of attention sees, and that the memory of MAG and MAL reads first; 0 for none. LMM
   * has none.
   */
  readonly persistentTokens: number;
  /** What MAC asks the memory. */
  readonly memoryQuery: MemoryQuery;
  /**
   * How the memory's output gates attention's in MAC and MAG. `silu` by default: text is learned better with it
   * (docs/stability.md).
   */
  readonly outputGate: OutputGate;
  /** Number of learned queries when `memoryQuery` is `learned`. */
  readonly memoryTokens: number;
  /**
   * What loops keep for the gradient: `save` all matrix products, which is fastest, `recompute` none, which takes least
   * memory, `auto` the dearest. Cost only.
   */
  readonly checkpoint: "auto" | "recompute" | "save";
}

const NANO: ModelConfig = {
  model: "mac",
  vocabulary: 256,
  features: 0,
  outputs: 0,
  width: 64,
  blocks: 2,
  heads: 2,
  mlpHidden: 176,
  memory: "mlp",
  memoryDepth: 2,
  memoryExpansion: 4,
  memoryActivation: "gelu",
  memoryNorm: true,
  memoryGain: "outer",
  miniBatch: 16,
  tile: 16,
  thetaMax: 0.1,
  thetaBias: 0,
  etaBias: 0,
  alphaBias: -8,
  gateGranularity: "head",
  momentum: true,
  forgetting: true,
  forgetTo: "start",
  strictRetrieval: false,
  convolution: 4,
  normalizeKeys: true,
  segment: 64,
  window: 64,
  persistentTokens: 4,
  memoryQuery: "causal",
  outputGate: "silu",
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
    window: 128,
    persistentTokens: 16,
    memoryTokens: 32,
    checkpoint: "auto",
  },
};

/** The name of a preset. */
export type PresetName = keyof typeof PRESETS;

const FLAGS = ["memoryNorm", "momentum", "forgetting", "strictRetrieval", "normalizeKeys"] as const;
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  model: ["lmm", "mac", "mag", "mal"],
  memory: ["mlp", "swiglu"],
  memoryActivation: ["gelu", "silu"],
  memoryGain: ["outer", "fast"],
  gateGranularity: ["head", "layer", "channel"],
  forgetTo: ["start", "zero"],
  memoryQuery: ["causal", "previous-segment", "learned"],
  outputGate: ["silu", "sigmoid"],
  checkpoint: ["auto", "recompute", "save"],
};
const COUNTS: Readonly<Record<string, readonly [number, number]>> = {
  vocabulary: [2, 2 ** 24],
  features: [0, 65536],
  outputs: [0, 2 ** 24],
  width: [1, 65536],
  blocks: [1, 1024],
  heads: [1, 1024],
  mlpHidden: [1, 2 ** 20],
  memoryDepth: [1, 4],
  miniBatch: [1, 4096],
  tile: [1, 4096],
  convolution: [0, 64],
  segment: [1, 65536],
  window: [1, 65536],
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
  if (!Object.hasOwn(PRESETS, preset)) {
    throw new ConfigError(`Cannot use preset ${preset}: there are ${Object.keys(PRESETS).join(" and ")}`, "preset");
  }
  checkNames("a model", options, Object.keys(NANO));
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const base = PRESETS[preset];
  const miniBatch = Number(given.miniBatch ?? base.miniBatch);
  const config = { ...base, tile: miniBatch % base.tile === 0 ? base.tile : miniBatch, ...given } as ModelConfig;
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
    if (!Number.isInteger(value) || value < low || value > high) {
      fail(field, `it must be an integer from ${low} to ${high}`);
    }
  }
  for (const field of NUMBERS) if (!Number.isFinite(record[field])) fail(field, "it must be a finite number");
  const { width, heads, miniBatch, tile, segment, memoryExpansion, thetaMax } = config;
  if (width % heads !== 0) fail("heads", `it must divide the width, ${width}`);
  if (config.model !== "lmm" && (width / heads) % 2 !== 0) {
    fail("heads", `rotary positions need an even head width, ${width} / ${heads} is ${width / heads}`);
  }
  if (miniBatch % tile !== 0) fail("tile", `it must divide the mini-batch, ${miniBatch}`);
  if (config.model === "mac" && segment % miniBatch !== 0) {
    fail("segment", `it must be a multiple of the mini-batch, ${miniBatch}`);
  }
  if (config.memory === "swiglu" && config.memoryDepth !== 2) {
    fail("memoryDepth", "a swiglu memory has one depth: leave it at 2, or use memory mlp");
  }
  if (config.memoryGain === "fast" && !config.memoryNorm) {
    fail("memoryGain", "a memory without memoryNorm has no gain: leave it at outer");
  }
  if (!(memoryExpansion > 0) || memoryExpansion > 64) fail("memoryExpansion", "it must be above 0 and at most 64");
  if (!(thetaMax > 0) || thetaMax > 64) fail("thetaMax", "it must be above 0 and at most 64");
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

const LAYER_OPTIONS: OptionNames = [...Object.keys(NANO), "network"];

/**
 * What options mean in records from before they existed; `outputGate`, which only MAC did otherwise, is left to
 * {@link completeConfig}.
 */
const BEFORE: Partial<ModelConfig> = {
  features: 0,
  outputs: 0,
  memory: "mlp",
  gateGranularity: "head",
  normalizeKeys: true,
  window: 64,
  forgetTo: "zero",
  memoryGain: "outer",
};

/**
 * A stored configuration with the options that did not exist when it was written: such as models were then.
 * @param stored As read from a file; not checked.
 */
export function completeConfig(stored: Partial<ModelConfig>): ModelConfig {
  const before: Partial<ModelConfig> = { ...BEFORE, outputGate: stored.model === "mac" ? "sigmoid" : "silu" };
  const missing = Object.entries(before).filter(([field]) => !Object.hasOwn(stored, field));
  // In the order in which they are stored, so that what is written again is the same file.
  return { ...stored, ...Object.fromEntries(missing) } as ModelConfig;
}

/**
 * The name of the first option in which two configurations differ, or undefined.
 * @param lhs One configuration.
 * @param rhs Another one.
 * @param ignore Options that do not matter for the question.
 */
export function differingField(
  lhs: ModelConfig,
  rhs: ModelConfig,
  ignore: readonly (keyof ModelConfig)[] = [],
): keyof ModelConfig | undefined {
  return (Object.keys(NANO) as (keyof ModelConfig)[]).find((field) =>
    !ignore.includes(field) && lhs[field] !== rhs[field]
  );
}

/** Tokens after which a model's state can be carried on: the segment, or else the mini-batch. */
export function stateInterval(config: ModelConfig): number {
  return config.model === "mac" ? config.segment : config.miniBatch;
}
