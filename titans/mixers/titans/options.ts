/**
 * The options of the four Titans: those of the memory, and those of the attention beside it, which `mac`, `mag` and
 * `mal` share in part. A mixer's table lists the options that it uses; options used by several mixers are the same row.
 */
import { type OptionsOf, type OptionTable, refuse } from "../../options/option_table.ts";
import { SHARED_OPTIONS } from "../shared_options.ts";

/** The options of the memory and of its inner loop. */
export const MEMORY_OPTIONS = {
  memory: {
    kind: "choice",
    choices: { mlp: "linear layers with an activation between them", swiglu: "three matrices, gated" },
    default: "mlp",
    group: "Memory network",
    help: "the network whose weights are the memory; in the library also your own",
    source: "3.1; `swiglu` ours",
    before: "mlp",
  },
  memoryDepth: {
    kind: "integer",
    default: 2,
    min: 1,
    max: 4,
    group: "Memory network",
    help: "matrices of an `mlp` memory; 1 is the linear memory",
    source: "3.1 (L_M); 2: CR",
  },
  memoryExpansion: {
    kind: "number",
    default: 4,
    min: 0,
    aboveMin: true,
    max: 64,
    group: "Memory network",
    help: "hidden width of the memory network over the head width",
    source: "CR",
    idleWith: { memoryDepth: [1] },
  },
  memoryActivation: {
    kind: "choice",
    choices: { gelu: "the tanh approximation of GELU", silu: "x sigmoid(x)" },
    default: "gelu",
    group: "Memory network",
    help: "activation between the matrices of an `mlp` memory",
    source: "CR",
    idleWith: { memory: ["swiglu"], memoryDepth: [1] },
  },
  memoryNorm: {
    kind: "toggle",
    default: true,
    group: "Memory network",
    help: "a residual and a norm in the memory, `M(x) = x + LN(f(x))`",
    without: "`M(x) = f(x)`",
    source: "CR",
  },
  memoryGain: {
    kind: "choice",
    choices: {
      outer: "a parameter of the model",
      fast: "part of the memory, learned while it reads (for small inner steps only)",
    },
    default: "outer",
    group: "Memory network",
    help: "what the gain of the memory's norm is",
    source: "ours; [measured](stability.md)",
    before: "outer",
  },
  miniBatch: SHARED_OPTIONS.miniBatch,
  tile: {
    kind: "integer",
    default: 16,
    min: 1,
    max: 4096,
    group: "Memory learning",
    help: "tokens in one set of matrix products, a divisor of `miniBatch`",
    costOnly: true,
    flag: false,
  },
  thetaMax: {
    kind: "number",
    default: 0.1,
    min: 0,
    aboveMin: true,
    max: 64,
    group: "Memory learning",
    help: "upper bound of a token's inner step size, theta; recall tasks need 1 to 4",
    source: "ours (theta: equation 10); [measured](stability.md)",
  },
  thetaBias: {
    kind: "number",
    default: 0,
    group: "Memory learning",
    help: "initial bias of theta's gate: theta starts around `thetaMax` sigmoid(bias)",
  },
  etaBias: {
    kind: "number",
    default: 0,
    group: "Memory learning",
    help: "initial bias of the gate of eta, the momentum, which starts around sigmoid(bias)",
    source: "ours (eta: equation 10)",
    idleWith: { momentum: [false] },
  },
  alphaBias: {
    kind: "number",
    default: -8,
    group: "Memory learning",
    help:
      "initial bias of the gate of alpha, the forgetting: -8 is a half-life of about 2,000 tokens, -6 of 280, -4 of 38",
    source: "ours (alpha: equation 13); [measured](stability.md)",
    idleWith: { forgetting: [false] },
  },
  gateGranularity: {
    kind: "choice",
    choices: {
      head: "a head",
      layer: "one matrix of a head",
      channel: "a column of that for alpha, and as `layer` for the others",
    },
    default: "head",
    group: "Memory learning",
    help: "what shares a gate",
    source: "3.1; per layer and channel: CR",
    flag: "gates",
    before: "head",
  },
  momentum: {
    kind: "toggle",
    default: true,
    group: "Memory learning",
    help: "momentum of surprise",
    without: "eta is 0",
    source: "equation 10",
  },
  forgetting: {
    kind: "toggle",
    default: true,
    group: "Memory learning",
    help: "forgetting",
    without: "alpha is 0",
    source: "equation 13",
  },
  forgetTo: {
    kind: "choice",
    choices: { start: "its learned initial weights, M_0", zero: "zero, as in the paper" },
    default: "start",
    group: "Memory learning",
    help: "what forgetting leads the memory back to",
    source: "`zero`: equation 13; `start`: ours, [measured](stability.md)",
    before: "zero",
    idleWith: { forgetting: [false] },
  },
  strictRetrieval: {
    kind: "toggle",
    default: false,
    group: "Memory learning",
    help: "a token reads the memory before its own update",
    without: "after it",
    source: "without: equation 15; with: ours",
  },
  convolution: SHARED_OPTIONS.convolution,
  normalizeKeys: {
    kind: "toggle",
    default: true,
    group: "Memory learning",
    help: "unit length of the memory's queries and keys",
    without: "they are taken as they come",
    source: "4.4",
    before: true,
  },
} as const satisfies OptionTable;

/** The options of the attention beside the memory. */
export const ATTENTION_OPTIONS = {
  segment: {
    kind: "integer",
    default: 64,
    min: 1,
    max: 65536,
    group: "Attention",
    help: "tokens of a segment of `mac`'s attention, a multiple of `miniBatch`",
    source: "4.1; CR has 512",
  },
  window: SHARED_OPTIONS.window,
  persistentTokens: {
    kind: "integer",
    default: 4,
    min: 0,
    max: 4096,
    group: "Attention",
    help: "learned tokens that every query sees, and the memory of `mag` and `mal` reads first; 0 for none",
    source: "3.3, equation 19; CR has 128",
  },
  memoryQuery: {
    kind: "choice",
    choices: {
      causal: "the segment's own tokens, of which a row sees those up to itself",
      "previous-segment": "the tokens of the segment before",
      learned: "learned queries",
    },
    default: "causal",
    group: "Attention",
    help: "what `mac` asks its memory with",
    source: "equation 21; ours, so that no row sees a later token",
  },
  outputGate: {
    kind: "choice",
    choices: { silu: "`silu(y * m)`", sigmoid: "`y * sigmoid(m)`" },
    default: "silu",
    group: "Attention",
    help: "how the memory's output m gates attention's output y in `mac` and `mag`, both normalised",
    source: "equations 25, 28; [measured](stability.md)",
    before: "silu",
  },
  memoryTokens: {
    kind: "integer",
    default: 16,
    min: 1,
    max: 4096,
    group: "Attention",
    help: "how many queries `mac` asks with when `memoryQuery` is `learned`",
    source: "ours; CR has 256",
    idleWith: { memoryQuery: ["causal", "previous-segment"] },
  },
} as const satisfies OptionTable;

/** Options of `lmm`: the memory alone. */
export const LMM_OPTIONS = {
  heads: SHARED_OPTIONS.heads,
  ...MEMORY_OPTIONS,
  checkpoint: SHARED_OPTIONS.checkpoint,
} as const satisfies OptionTable;

/** Options of `mac`: the memory as context of a segment's attention. */
export const MAC_OPTIONS = {
  ...LMM_OPTIONS,
  segment: ATTENTION_OPTIONS.segment,
  persistentTokens: ATTENTION_OPTIONS.persistentTokens,
  memoryQuery: ATTENTION_OPTIONS.memoryQuery,
  // Before this option existed, the gate of `mac` differed from that of the others.
  outputGate: { ...ATTENTION_OPTIONS.outputGate, before: "sigmoid" },
  memoryTokens: ATTENTION_OPTIONS.memoryTokens,
} as const satisfies OptionTable;

/** Options of `mag`: the memory as a gate of sliding-window attention. */
export const MAG_OPTIONS = {
  ...LMM_OPTIONS,
  window: ATTENTION_OPTIONS.window,
  persistentTokens: ATTENTION_OPTIONS.persistentTokens,
  outputGate: ATTENTION_OPTIONS.outputGate,
} as const satisfies OptionTable;

/** Options of `mal`: the memory as a layer before sliding-window attention. */
export const MAL_OPTIONS = {
  ...LMM_OPTIONS,
  window: ATTENTION_OPTIONS.window,
  persistentTokens: ATTENTION_OPTIONS.persistentTokens,
} as const satisfies OptionTable;

/** The memory networks. */
export type MemoryKind = OptionsOf<typeof MEMORY_OPTIONS>["memory"];

/** The source of the context that MAC's attention receives from the memory. */
export type MemoryQuery = OptionsOf<typeof ATTENTION_OPTIONS>["memoryQuery"];

/** The weights that a memory forgets towards. */
export type ForgetTo = OptionsOf<typeof MEMORY_OPTIONS>["forgetTo"];

/** How the memory's output gates that of attention in MAC and MAG. The paper leaves the function open. */
export type OutputGate = OptionsOf<typeof ATTENTION_OPTIONS>["outputGate"];

/** The options of a memory. */
export type MemoryOptions =
  & OptionsOf<typeof MEMORY_OPTIONS>
  & OptionsOf<Pick<typeof SHARED_OPTIONS, "heads" | "checkpoint">>;

/**
 * Checks that the options of a memory are consistent.
 * @param width Of the residual stream.
 * @throws {ConfigError} naming the first inconsistency.
 */
export function checkMemoryOptions(options: MemoryOptions, width: number): void {
  const { heads, memory, memoryDepth, memoryNorm, memoryGain, miniBatch, tile } = options;
  if (width % heads !== 0) refuse("heads", heads, `it must divide the width, ${width}`);
  if (miniBatch % tile !== 0) refuse("tile", tile, `it must divide the mini-batch, ${miniBatch}`);
  if (memory === "swiglu" && memoryDepth !== 2) {
    refuse("memoryDepth", memoryDepth, "a swiglu memory has one depth: leave it at 2, or use memory mlp");
  }
  if (memoryGain === "fast" && !memoryNorm) {
    refuse("memoryGain", memoryGain, "a memory without memoryNorm has no gain: leave it at outer");
  }
}

/** The same for a memory beside attention, whose rotary positions rotate pairs of a head's channels. */
export function checkAttentionOptions(options: MemoryOptions, width: number): void {
  checkMemoryOptions(options, width);
  const { heads } = options;
  if ((width / heads) % 2 !== 0) {
    refuse("heads", heads, `rotary positions need an even head width, ${width} / ${heads} is ${width / heads}`);
  }
}

/** The same for `mac`. */
export function checkMacOptions(options: OptionsOf<typeof MAC_OPTIONS>, width: number): void {
  checkAttentionOptions(options, width);
  const { segment, miniBatch } = options;
  if (segment % miniBatch !== 0) refuse("segment", segment, `it must be a multiple of the mini-batch, ${miniBatch}`);
}
