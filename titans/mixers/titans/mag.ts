/**
 * MAG, memory as a gate: sliding-window attention for what is near, the memory for all that was, side by side.
 *
 *     y = SWA([P | x])                      persistent tokens P are visible from everywhere
 *     m = M([P | x])                        the memory has read P before the first token
 *     o = silu(norm(y) * norm(m))           norms with learned vectors, then a projection; the nonlinearity is an option, `outputGate`
 *
 * (Titans, arXiv 2501.00663, equations 26-28.) The memory learns P as mini-batches of their own, so that mini-batches
 * of tokens start with the first token whatever the number of persistent tokens; the state before the first token is
 * the one after P.
 */
import type { Tensor } from "../../../core/graph.ts";
import { expandDims, matmul } from "../../../ops/mod.ts";
import { checkLayerConfig, type LayerConfig } from "../../config.ts";
import { mergeHeads } from "../../nn/layers.ts";
import {
  initialMemoryLayerState,
  type MemoryLayer,
  memoryLayer,
  memoryLayerParameters,
  type MemoryLayerState,
  readPersistent,
} from "./memory_layer.ts";
import { checkMixer, gateOutput, type MixerOptions, type MixerResult } from "../mixer.ts";
import { matrix, type Parameter, table, vector } from "../../nn/parameters.ts";
import {
  advanceWindow,
  attentionRows,
  initialWindowState,
  sharedKeys,
  windowAttention,
  type WindowState,
} from "../../nn/window_attention.ts";

/** Parameters of {@link magMixer}. */
export interface MagMixer<Leaf> {
  /** The memory and its projections; its norm is that of the gate. */
  readonly memory: MemoryLayer<Leaf>;
  /** Persistent tokens P, [N, D]; absent if there are none. */
  readonly persistent?: Leaf;
  /** `[W_Q | W_K | W_V]` of attention, [D, 3 D]. */
  readonly attention: Leaf;
  /** Gain of the norm of y, [D]. */
  readonly norm: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** What MAG carries from piece to piece: of constant size. */
export interface MagState {
  /** The state of the memory and of its convolution. */
  readonly memory: MemoryLayerState;
  /** Keys and values that attention may still look at. */
  readonly window: WindowState;
}

/** Describes the parameters; `scale` shrinks what the mixer adds to the residual stream at the start. */
export function magMixerParameters(config: LayerConfig, scale: number): MagMixer<Parameter> {
  const { width: D, persistentTokens } = config;
  return {
    memory: memoryLayerParameters(config),
    ...(persistentTokens > 0 ? { persistent: table([persistentTokens, D], 1) } : {}),
    attention: matrix([D, 3 * D]),
    norm: vector([D], 1),
    out: matrix([D, D], scale),
  };
}

/** The state before the first token: the memory has read the persistent tokens, the window is empty. */
export function initialMagState(config: LayerConfig, params: MagMixer<Tensor>, batch: number): MagState {
  checkLayerConfig(config);
  const window = initialWindowState(config, batch, params.out.dtype);
  if (!params.persistent) return { memory: initialMemoryLayerState(params.memory, batch), window };
  return { memory: readPersistent(config, params.memory, params.persistent, batch).state, window };
}

/**
 * Mixes tokens by attention over a window, gated by the memory.
 * @param x Tokens [B, T, D], any T of at least 1.
 * @returns [B, T, D], and the state at the last boundary between mini-batches.
 */
export function magMixer(
  config: LayerConfig,
  params: MagMixer<Tensor>,
  x: Tensor,
  options: MixerOptions<MagState>,
): MixerResult<MagState> {
  checkMixer("magMixer", config, options);
  const { state, store, trace } = options;
  const { heads, miniBatch } = config;
  const [B, T] = x.shape;
  const rows = attentionRows(heads, params.attention, x);
  const persistent = params.persistent && sharedKeys(heads, params.attention, expandDims(params.persistent, 0), B);
  const y = mergeHeads(windowAttention(rows, { state: state.window, persistent })); // [B, T, D]
  const memory = memoryLayer(config, params.memory, x, { state: state.memory, store, trace });
  const gated = gateOutput(config, { y, gain: params.norm, memory: memory.output });
  const next = { memory: memory.state, window: advanceWindow(state.window, rows, T - T % miniBatch) };
  return { output: matmul(gated, params.out), state: next, ...(memory.trace ? { trace: memory.trace } : {}) };
}
