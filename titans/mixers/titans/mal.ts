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
import {
  advanceWindow,
  attentionRows,
  initialWindowState,
  type KeysAndValues,
  sharedKeys,
  windowAttention,
  type WindowState,
} from "../../nn/attention.ts";
import { mergeHeads } from "../../nn/layers.ts";
import { matrix, type Parameter, table } from "../../nn/parameters.ts";
import { type AnyMixer, defineMixer, type Mixed } from "../mixer_interface.ts";
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
import { checkAttentionOptions, MAL_OPTIONS } from "./options.ts";

/** Parameters of {@link mal}. */
export interface MalParameters<Leaf> {
  /** The memory and its projections. */
  readonly memory: MemoryLayer<Leaf>;
  /** Persistent tokens P, [N, D]; absent if there are none. */
  readonly persistent?: Leaf;
  /** `[W_Q | W_K | W_V]` of attention, [D, 3 D]. */
  readonly attention: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** The recurrent state of MAL, of constant size. */
export interface MalState {
  /** The state of the memory and of its convolution. */
  readonly memory: MemoryLayerState;
  /** Keys and values within reach of attention. */
  readonly window: WindowState;
  /** Keys and values of the memory's output for the persistent tokens, [B, H, P, K]; absent if there are none. */
  readonly persistent?: KeysAndValues;
}

/** The memory, followed by attention over a window of its output. */
export const mal: AnyMixer = defineMixer<typeof MAL_OPTIONS, MalParameters<Parameter>, MalState>({
  name: "mal",
  summary: "memory as a layer before sliding-window attention",
  paper: "2501.00663",
  options: MAL_OPTIONS,
  metrics: MEMORY_METRICS,
  remedies: memoryRemedies,
  create(options, { width: D }) {
    checkAttentionOptions(options, D);
    const config = { ...options, width: D }, { heads, window, miniBatch, persistentTokens } = options;
    /** Attention over the memory's output for some tokens, of which the first `count` remain visible afterwards. */
    const attend = (
      params: MalParameters<Tensor>,
      { output, state: memory }: Mixed<MemoryLayerState>,
      { before, count }: { readonly before: MalState; readonly count: number },
    ): Mixed<MalState> => {
      const rows = attentionRows({ heads }, params.attention, output), { persistent } = before;
      const y = mergeHeads(windowAttention(rows, { state: before.window, persistent })); // [B, T, D]
      const state = { memory, window: advanceWindow(before.window, rows, count) };
      return { output: matmul(y, params.out), state: persistent ? { ...state, persistent } : state };
    };
    return {
      interval: miniBatch,
      ...(window % miniBatch === 0 ? { together: window } : {}),
      parameters: (scale) => ({
        memory: memoryLayerParameters(config),
        ...(persistentTokens > 0 ? { persistent: table([persistentTokens, D], 1) } : {}),
        attention: matrix([D, 3 * D]),
        out: matrix([D, D], scale),
      }),
      initialState({ memory, persistent, attention, out }, batch) {
        const extents = { batch, heads, window, headWidth: D / heads };
        const empty = initialWindowState(extents, out.dtype);
        if (!persistent) return { memory: initialMemoryLayerState(memory, batch), window: empty };
        const { output, state } = readPersistent(config, memory, persistent, batch);
        return { memory: state, window: empty, persistent: sharedKeys({ heads }, attention, output, batch) };
      },
      forward(params, x, { state, update, observe }) {
        const T = x.shape[1], trace = observe !== undefined;
        const memory = memoryLayer(config, params.memory, x, { state: state.memory, update, trace });
        observeMemory(observe, { layer: params.memory, ...memory });
        return attend(params, memory, { before: state, count: T - T % miniBatch });
      },
      stepState: (state) => ({ ...state, memory: memoryLayerStepState(state.memory) }),
      step(params, x, { state, position }) {
        const memory = memoryLayerToken(config, params.memory, x, { state: state.memory, position });
        return attend(params, memory, { before: state, count: 1 });
      },
    };
  },
});
