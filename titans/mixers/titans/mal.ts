/**
 * MAL, memory as a layer: the memory first, then sliding-window attention over what it gives.
 *
 *     m = M([P | x])                        the memory has read P before the first token
 *     o = SWA(m)                            what the memory gave for P is visible from everywhere; then a projection
 *
 * (Titans, arXiv 2501.00663, equations 29-31.) The memory learns P as mini-batches of their own, so that mini-batches
 * of tokens start with the first token whatever the number of persistent tokens. What attention sees of P does not
 * change with the text; it is part of the state.
 */
import type { Tensor } from "../../../core/graph.ts";
import { matmul } from "../../../ops/mod.ts";
import { checkLayerConfig, type LayerConfig } from "../../config.ts";
import { type KeysAndValues, mergeHeads } from "../../nn/layers.ts";
import {
  initialMemoryLayerState,
  type MemoryLayer,
  memoryLayer,
  memoryLayerParameters,
  type MemoryLayerState,
  readPersistent,
} from "./memory_layer.ts";
import { checkMixer, type MixerOptions, type MixerResult } from "../mixer.ts";
import { matrix, type Parameter, table } from "../../nn/parameters.ts";
import {
  advanceWindow,
  attentionRows,
  initialWindowState,
  sharedKeys,
  windowAttention,
  type WindowState,
} from "../../nn/window_attention.ts";

/** Parameters of {@link malMixer}. */
export interface MalMixer<Leaf> {
  /** The memory and its projections. */
  readonly memory: MemoryLayer<Leaf>;
  /** Persistent tokens P, [N, D]; absent if there are none. */
  readonly persistent?: Leaf;
  /** `[W_Q | W_K | W_V]` of attention, [D, 3 D]. */
  readonly attention: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** What MAL carries from piece to piece: of constant size. */
export interface MalState {
  /** The state of the memory and of its convolution. */
  readonly memory: MemoryLayerState;
  /** Keys and values that attention may still look at. */
  readonly window: WindowState;
  /** Keys and values of what the memory gave for the persistent tokens, [B, H, P, K]; absent if there are none. */
  readonly persistent?: KeysAndValues;
}

/** Describes the parameters; `scale` shrinks what the mixer adds to the residual stream at the start. */
export function malMixerParameters(config: LayerConfig, scale: number): MalMixer<Parameter> {
  const { width: D, persistentTokens } = config;
  return {
    memory: memoryLayerParameters(config),
    ...(persistentTokens > 0 ? { persistent: table([persistentTokens, D], 1) } : {}),
    attention: matrix([D, 3 * D]),
    out: matrix([D, D], scale),
  };
}

/** The state before the first token: the memory has read the persistent tokens, the window is empty. */
export function initialMalState(config: LayerConfig, params: MalMixer<Tensor>, batch: number): MalState {
  checkLayerConfig(config);
  const window = initialWindowState(config, batch, params.out.dtype);
  if (!params.persistent) return { memory: initialMemoryLayerState(params.memory, batch), window };
  const { output, state } = readPersistent(config, params.memory, params.persistent, batch);
  return { memory: state, window, persistent: sharedKeys(config.heads, params.attention, output, batch) };
}

/**
 * Mixes tokens by the memory, then by attention over a window of what it gave.
 * @param x Tokens [B, T, D], any T of at least 1.
 * @returns [B, T, D], and the state at the last boundary between mini-batches.
 */
export function malMixer(
  config: LayerConfig,
  params: MalMixer<Tensor>,
  x: Tensor,
  options: MixerOptions<MalState>,
): MixerResult<MalState> {
  checkMixer("malMixer", config, options);
  const { state, store, trace } = options;
  const { heads, miniBatch } = config, T = x.shape[1];
  const memory = memoryLayer(config, params.memory, x, { state: state.memory, store, trace });
  const rows = attentionRows(heads, params.attention, memory.output);
  const y = mergeHeads(windowAttention(rows, { state: state.window, persistent: state.persistent })); // [B, T, D]
  const next = { memory: memory.state, window: advanceWindow(state.window, rows, T - T % miniBatch) };
  return {
    output: matmul(y, params.out),
    state: state.persistent ? { ...next, persistent: state.persistent } : next,
    ...(memory.trace ? { trace: memory.trace } : {}),
  };
}
