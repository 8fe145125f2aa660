/** LMM: the memory alone mixes tokens. Output of the memory, a gate that is linear in the token, a projection. */
import type { Tensor } from "../../../core/graph.ts";
import { matmul, mul, silu } from "../../../ops/mod.ts";
import type { LayerConfig } from "../../config.ts";
import {
  initialMemoryLayerState,
  type MemoryLayer,
  memoryLayer,
  memoryLayerParameters,
  type MemoryLayerState,
} from "./memory_layer.ts";
import { checkMixer, type MixerOptions, type MixerResult } from "../mixer.ts";
import { matrix, type Parameter } from "../../nn/parameters.ts";

/** Parameters of {@link lmmMixer}. */
export interface LmmMixer<Leaf> {
  /** The memory and its projections. */
  readonly memory: MemoryLayer<Leaf>;
  /** [D, D] */
  readonly gate: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** Describes the parameters; `scale` shrinks what the mixer adds to the residual stream at the start. */
export function lmmMixerParameters(config: LayerConfig, scale: number): LmmMixer<Parameter> {
  const { width: D } = config;
  return { memory: memoryLayerParameters(config), gate: matrix([D, D]), out: matrix([D, D], scale) };
}

/** The state before the first token. */
export function initialLmmState(params: LmmMixer<Tensor>, batch: number): MemoryLayerState {
  return initialMemoryLayerState(params.memory, batch);
}

/**
 * `(silu(x G) * norm(M(x))) O`.
 * @param x Tokens [B, T, D], any T of at least 1.
 * @returns [B, T, D], and the state at the last boundary between mini-batches.
 */
export function lmmMixer(
  config: LayerConfig,
  params: LmmMixer<Tensor>,
  x: Tensor,
  options: MixerOptions<MemoryLayerState>,
): MixerResult<MemoryLayerState> {
  checkMixer("lmmMixer", config, options);
  const { state, store, trace } = options;
  const memory = memoryLayer(config, params.memory, x, { state, store, trace });
  const output = matmul(mul(silu(matmul(x, params.gate)), memory.output), params.out);
  return { output, state: memory.state, ...(memory.trace ? { trace: memory.trace } : {}) };
}
