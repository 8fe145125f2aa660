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
import {
  advanceWindow,
  type AttentionRows,
  attentionRows,
  initialWindowState,
  sharedKeys,
  windowAttention,
  type WindowState,
} from "../../nn/attention.ts";
import { mergeHeads } from "../../nn/layers.ts";
import { matrix, type Parameter, table, vector } from "../../nn/parameters.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import {
  initialMemoryLayerState,
  type MemoryLayer,
  memoryLayer,
  memoryLayerParameters,
  type MemoryLayerState,
  memoryLayerStepState,
  memoryLayerToken,
  readPersistent,
} from "./memory_layer.ts";
import { MEMORY_METRICS, memoryRemedies, observeMemory } from "./observe_memory.ts";
import { checkAttentionOptions, MAG_OPTIONS } from "./options.ts";
import { gateOutput } from "./output_gate.ts";

/** Parameters of {@link mag}. */
export interface MagParameters<Leaf> {
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

/** The recurrent state of MAG, of constant size. */
export interface MagState {
  /** The state of the memory and of its convolution. */
  readonly memory: MemoryLayerState;
  /** Keys and values within reach of attention. */
  readonly window: WindowState;
}

/** Attention over a window, gated by the memory beside it. */
export const mag: AnyMixer = defineMixer<typeof MAG_OPTIONS, MagParameters<Parameter>, MagState>({
  name: "mag",
  summary: "memory as a gate of sliding-window attention beside it",
  paper: "2501.00663",
  options: MAG_OPTIONS,
  metrics: MEMORY_METRICS,
  remedies: memoryRemedies,
  create(options, { width: D }) {
    checkAttentionOptions(options, D);
    const config = { ...options, width: D }, { heads, window, miniBatch, persistentTokens } = options;
    const mixed = (
      params: MagParameters<Tensor>,
      rows: AttentionRows,
      { state, memory }: { readonly state: WindowState; readonly memory: Tensor },
    ): Tensor => {
      const [B] = rows.query.shape;
      const persistent = params.persistent &&
        sharedKeys({ heads }, params.attention, expandDims(params.persistent, 0), B);
      const y = mergeHeads(windowAttention(rows, { state, persistent })); // [B, T, D]
      return matmul(gateOutput(options, { y, gain: params.norm, memory }), params.out);
    };
    return {
      interval: miniBatch,
      ...(window % miniBatch === 0 ? { together: window } : {}),
      parameters: (scale) => ({
        memory: memoryLayerParameters(config),
        ...(persistentTokens > 0 ? { persistent: table([persistentTokens, D], 1) } : {}),
        attention: matrix([D, 3 * D]),
        norm: vector([D], 1),
        out: matrix([D, D], scale),
      }),
      initialState({ memory, persistent, out }, batch) {
        const extents = { batch, heads, window, headWidth: D / heads };
        return {
          memory: persistent
            ? readPersistent(config, memory, persistent, batch).state
            : initialMemoryLayerState(memory, batch),
          window: initialWindowState(extents, out.dtype),
        };
      },
      forward(params, x, { state, update, observe }) {
        const T = x.shape[1], rows = attentionRows({ heads }, params.attention, x);
        const memory = memoryLayer(config, params.memory, x, {
          state: state.memory,
          update,
          trace: observe !== undefined,
        });
        observeMemory(observe, { layer: params.memory, ...memory });
        return {
          output: mixed(params, rows, { state: state.window, memory: memory.output }),
          state: { memory: memory.state, window: advanceWindow(state.window, rows, T - T % miniBatch) },
        };
      },
      stepState: ({ memory, window }) => ({ memory: memoryLayerStepState(memory), window }),
      step(params, x, { state, position }) {
        const rows = attentionRows({ heads }, params.attention, x);
        const memory = memoryLayerToken(config, params.memory, x, { state: state.memory, position });
        return {
          output: mixed(params, rows, { state: state.window, memory: memory.output }),
          state: { memory: memory.state, window: advanceWindow(state.window, rows, 1) },
        };
      },
    };
  },
});
