/** Flags for the options of a model: whatever is given differs from the preset. */
import type { ConfigError, ModelConfig } from "../titans/mod.ts";
import { UsageError } from "./errors.ts";
import { choice, flagName, integer, number, toggle, type Values } from "./flags.ts";

/** The flags; ranges are checked where the model is made. */
export const MODEL_FLAGS = {
  width: integer("width of the model (this and what follows: from the preset unless given)", undefined),
  blocks: integer("blocks of mixer and MLP", undefined),
  heads: integer("heads of memory and attention", undefined),
  memory: choice(["mlp", "swiglu"], "the network whose weights are the memory"),
  memoryDepth: integer("matrices of an mlp memory, 1 to 4; 1 is linear", undefined),
  memoryExpansion: number("hidden width of the memory over the head width", undefined),
  memoryActivation: choice(["gelu", "silu"], "function between the matrices of an mlp memory"),
  memoryGain: choice(["outer", "fast"], "whose the gain of the memory's norm is: a parameter, or part of the memory"),
  miniBatch: integer("tokens whose inner gradients are taken at the same memory", undefined),
  thetaMax: number("upper bound of the inner step size", undefined),
  thetaBias: number("first bias of the gate of the inner step size", undefined),
  etaBias: number("first bias of the gate of momentum", undefined),
  alphaBias: number("first bias of the gate of forgetting", undefined),
  forgetTo: choice(["start", "zero"], "what forgetting leads the memory back to: its learned start, or zero"),
  gates: choice(
    ["head", "layer", "channel"],
    "what shares a gate: a head, a matrix of it, for forgetting a channel of that",
  ),
  convolution: integer("width of the memory's causal convolution; 0 for none", undefined),
  segment: integer("tokens of a segment of mac's attention", undefined),
  window: integer("tokens that mag's and mal's attention sees", undefined),
  persistentTokens: integer("learned tokens that attention always sees; 0 for none", undefined),
  memoryQuery: choice(["causal", "previous-segment", "learned"], "what mac asks its memory"),
  outputGate: choice(
    ["silu", "sigmoid"],
    "how the memory gates attention in mac and mag: silu(y * m), or y * sigmoid(m)",
  ),
  memoryTokens: integer("learned queries of mac", undefined),
  noMomentum: toggle("ablation: no momentum of surprise"),
  noForgetting: toggle("ablation: no forgetting"),
  noMemoryNorm: toggle("ablation: no residual and norm in the memory"),
  noNormalizeKeys: toggle("ablation: queries and keys of the memory as they come"),
  strictRetrieval: toggle("a token reads the memory before its own update"),
} as const;

/** The values of the flags. */
export type ModelFlags = Values<typeof MODEL_FLAGS>;

/** The options that differ from the preset. */
export function modelOptions(flags: ModelFlags): Partial<ModelConfig> {
  return Object.fromEntries(
    (Object.keys(MODEL_FLAGS) as (keyof ModelFlags)[]).flatMap((key) => optionOf(key, flags[key]) ?? []),
  );
}

/** The option of a flag and its value, or undefined if the flag was not given. */
function optionOf(
  key: keyof ModelFlags,
  value: string | number | boolean | undefined,
): [[field: keyof ModelConfig, value: unknown]] | undefined {
  if (value === undefined || value === false) return undefined;
  if (key === "gates") return [["gateGranularity", value]];
  if (key.startsWith("no")) return [[`${key[2].toLowerCase()}${key.slice(3)}` as keyof ModelConfig, false]];
  return [[key as keyof ModelConfig, value]];
}

/**
 * Checks that flags given to a run that goes on say what its model is.
 * @throws {UsageError} naming the first that does not.
 */
export function checkModelFlags(flags: ModelFlags, given: ReadonlySet<string>, model: ModelConfig, path: string): void {
  for (const key of (Object.keys(MODEL_FLAGS) as (keyof ModelFlags)[]).filter((key) => given.has(key))) {
    const [[field, value]] = optionOf(key, flags[key])!;
    if (model[field] === value) continue;
    throw new UsageError(
      `the run in ${path} has ${field} ${model[field]}, not ${value}: leave ${
        flagName(key)
      } out, or start a new run with another --out`,
    );
  }
}

/** Flags of options that are no flags of a model. */
const OTHER_FLAGS: Readonly<Record<string, string>> = {
  learningRate: "--lr",
  warmupSteps: "--warmup",
  totalSteps: "--steps",
  vocabulary: "--vocabulary",
};

/** The flag that sets an option, if there is one. */
function flagOf(field: string): string | undefined {
  if (Object.hasOwn(OTHER_FLAGS, field)) return OTHER_FLAGS[field];
  if (field === "model") return "--model";
  if (field === "gateGranularity") return flagName("gates");
  const key = `no${field[0].toUpperCase()}${field.slice(1)}`;
  return Object.hasOwn(MODEL_FLAGS, field)
    ? flagName(field)
    : Object.hasOwn(MODEL_FLAGS, key)
    ? flagName(key)
    : undefined;
}

/** An option that cannot be, in the words of the command line: names of options become those of their flags. */
export function inFlags(error: ConfigError, flags: ModelFlags): UsageError {
  const [, value, rule] = /^Cannot use \S+ (.*?): (.*)$/s.exec(error.message) ?? [], flag = flagOf(error.field);
  if (flag === undefined || rule === undefined) return new UsageError(error.message, { cause: error });
  const isGiven = Object.hasOwn(OTHER_FLAGS, error.field) || flags[error.field as keyof ModelFlags] !== undefined ||
    flag.startsWith("--no-") ||
    flag === "--model";
  const named = rule.replace(/\b[a-z]+[A-Z][A-Za-z]*\b/g, (option) => flagOf(option) ?? option).replace(
    /without (--no-\S+)/,
    "with $1",
  );
  return new UsageError(`${flag} cannot be ${value}${isGiven ? "" : " (which the preset says)"}: ${named}`, {
    cause: error,
  });
}

/** Why a flag changes nothing in a model, or undefined if it does. */
const IDLE: Readonly<Partial<Record<keyof ModelFlags, (model: ModelConfig) => string | undefined>>> = {
  memoryActivation: ({ memory, memoryDepth }) =>
    memory === "swiglu" ? "with --memory swiglu" : memoryDepth === 1 ? "with --memory-depth 1" : undefined,
  memoryExpansion: ({ memory, memoryDepth }) =>
    memory === "mlp" && memoryDepth === 1 ? "with --memory-depth 1" : undefined,
  etaBias: ({ momentum }) => momentum ? undefined : "with --no-momentum",
  alphaBias: ({ forgetting }) => forgetting ? undefined : "with --no-forgetting",
  forgetTo: ({ forgetting }) => forgetting ? undefined : "with --no-forgetting",
  segment: ({ model }) => model === "mac" ? undefined : `with --model ${model}`,
  window: ({ model }) => model === "mag" || model === "mal" ? undefined : `with --model ${model}`,
  persistentTokens: ({ model }) => model === "lmm" ? "with --model lmm" : undefined,
  memoryQuery: ({ model }) => model === "mac" ? undefined : `with --model ${model}`,
  memoryTokens: ({ model, memoryQuery }) =>
    model !== "mac"
      ? `with --model ${model}`
      : memoryQuery !== "learned"
      ? `with --memory-query ${memoryQuery}`
      : undefined,
  outputGate: ({ model }) => model === "mac" || model === "mag" ? undefined : `with --model ${model}`,
};

/** A line for each flag that was given and changes nothing. */
export function idleFlags(flags: ModelFlags, model: ModelConfig): string[] {
  return (Object.keys(IDLE) as (keyof ModelFlags)[]).flatMap((key) => {
    const why = flags[key] === undefined ? undefined : IDLE[key]!(model);
    return why === undefined ? [] : [`note: ${flagName(key)} changes nothing ${why}`];
  });
}
