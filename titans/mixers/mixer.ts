/** What token mixers have in common. */
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import { mul, rmsNorm, sigmoid, silu } from "../../ops/mod.ts";
import { checkLayerConfig, type LayerConfig } from "../config.ts";
import { checkNames } from "../errors.ts";
import type { MemoryTrace } from "./titans/trace.ts";

/** What a mixer takes beside its parameters and tokens. */
export interface MixerOptions<State> {
  /** The state before the first token, which stands at a boundary. */
  readonly state: State;
  /** Which tokens the memory learns from, [B, T] of ones and zeros; all unless given. */
  readonly store?: Tensor;
  /** Whether to say what the memory does at each token; costs another run of the memory. */
  readonly trace?: boolean;
}

const MIXER_OPTIONS = optionNames<MixerOptions<unknown>>({ state: true, store: true, trace: true });

/** Checks the names of what a mixer takes. @throws {ConfigError} for one that is no option. */
export function checkMixer(of: string, config: LayerConfig, options: MixerOptions<unknown>): void {
  checkLayerConfig(config);
  checkNames(of, options, MIXER_OPTIONS);
}

/** What a mixer gave. */
export interface MixerResult<State> {
  /** [B, T, D] */
  readonly output: Tensor;
  /** The state at the last boundary: before the first token of the mini-batch or segment that is not complete. */
  readonly state: State;
  /** What the memory did at each token, if it was asked for. */
  readonly trace?: MemoryTrace;
}

/** What the gate at a mixer's end takes. */
interface Gated {
  /** What attention gave, [B, T, D]. */
  readonly y: Tensor;
  /** Gain of the norm of y, [D]. */
  readonly gain: Tensor;
  /** What the memory gave, normalised, [B, T, D]. */
  readonly memory: Tensor;
}

/** What attention gave, gated by what the memory gave (`outputGate`): [B, T, D]. */
export function gateOutput({ outputGate }: LayerConfig, { y, gain, memory }: Gated): Tensor {
  const normed = rmsNorm(y, { gain });
  return outputGate === "silu" ? silu(mul(normed, memory)) : mul(normed, sigmoid(memory));
}
