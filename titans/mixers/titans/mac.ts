/**
 * MAC, memory as context: attention over a segment that also sees persistent tokens and what the memory gives for the
 * segment; then the memory learns from what attention made of it, and gates it.
 *
 *     h = M_{t-1}(S W_Q)                    read with the memory before the segment
 *     y = Attn([P | h | S])                 rows of S
 *     M_t <- update with y
 *     o = silu(norm(y) * norm(M(y)))        then a projection; the nonlinearity is an option, `outputGate`
 *
 * (Titans, arXiv 2501.00663, equations 21-25.) Two leaks of the future in the literal text are closed. Row j of the
 * attention sees h_i only for i <= j (`memoryQuery: "causal"`), or h comes from elsewhere than the segment's own
 * tokens. And the gate of token i reads the memory M_{t,i} that has learned up to token i, not the memory after the
 * whole segment.
 *
 * Rotary positions count from the start of the segment; h_i stands where token i stands; persistent tokens, learned
 * queries and the context of a previous segment have none.
 */
import type { Tensor } from "../../../core/graph.ts";
import { matmul, zeros } from "../../../ops/mod.ts";
import type { KeysAndValues } from "../../nn/attention.ts";
import { matrix, type Parameter, table, vector } from "../../nn/parameters.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import { type MacConfig, macSegments } from "./mac_segments.ts";
import { macToken } from "./mac_token.ts";
import {
  initialMemoryLayerState,
  type MemoryLayer,
  memoryLayerParameters,
  type MemoryLayerState,
  memoryLayerStepState,
} from "./memory_layer.ts";
import { MEMORY_METRICS, memoryRemedies, observeMemory } from "./observe_memory.ts";
import { checkMacOptions, MAC_OPTIONS } from "./options.ts";

/** Parameters of {@link mac}. */
export interface MacParameters<Leaf> {
  /** The memory and its projections. */
  readonly memory: MemoryLayer<Leaf>;
  /** Maps tokens to queries of the memory, [D, D]; absent when the queries are learned. */
  readonly contextProjection?: Leaf;
  /** Learned queries of the memory, [N, D], when `memoryQuery` is `learned`. */
  readonly contextQueries?: Leaf;
  /** Gain of the norm of the memory's output, [H, K]. */
  readonly contextNorm: Leaf;
  /** Persistent tokens P, [N, D]; absent if there are none. */
  readonly persistent?: Leaf;
  /** `[W_Q | W_K | W_V]` of attention, [D, 3 D]. */
  readonly attention: Leaf;
  /** Gain of the norm of y, [D]. */
  readonly norm: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** The recurrent state of MAC, of constant size. */
export interface MacState {
  /** The state of the memory and of its convolution. */
  readonly memory: MemoryLayerState;
  /**
   * Queries [B, H, C, K] of the segment before, and within a segment those of its own tokens: only when `memoryQuery`
   * is `previous-segment`.
   */
  readonly queries?: { readonly before: Tensor; readonly own?: Tensor };
  /** State that only single tokens need, within a segment. */
  /** The memory's weights before the segment, which give its context: one matrix [B, H, in, out] a layer. */
  readonly segmentWeights?: readonly Tensor[];
  /** Keys and values of the segment's tokens, [B, H, C, K]; those of future tokens are undefined. */
  readonly own?: KeysAndValues;
  /** Keys and values of the context; only when `memoryQuery` is `causal`. */
  readonly context?: KeysAndValues;
}

/** Memory as context: attention over a segment, persistent tokens and the memory's output for the segment. */
export const mac: AnyMixer = defineMixer<typeof MAC_OPTIONS, MacParameters<Parameter>, MacState>({
  name: "mac",
  summary: "memory as context of attention over segments",
  paper: "2501.00663",
  options: MAC_OPTIONS,
  metrics: MEMORY_METRICS,
  // Version 0.1.0 stored the queries of the previous segment under this name.
  renamed: { queries: "queries.before" },
  remedies: memoryRemedies,
  create(options, { width: D }) {
    checkMacOptions(options, D);
    const config: MacConfig = { ...options, width: D };
    const { heads: H, segment: C, memoryQuery, persistentTokens, memoryTokens } = options;
    const rows = (like: Tensor): Tensor => zeros([like.shape[0], H, C, D / H], like.dtype);
    return {
      interval: C,
      together: C,
      parameters: (scale) => ({
        memory: memoryLayerParameters(config),
        ...(memoryQuery === "learned"
          ? { contextQueries: table([memoryTokens, D], 1) }
          : { contextProjection: matrix([D, D]) }),
        contextNorm: vector([H, D / H], 1),
        ...(persistentTokens > 0 ? { persistent: table([persistentTokens, D], 1) } : {}),
        attention: matrix([D, 3 * D]),
        norm: vector([D], 1),
        out: matrix([D, D], scale),
      }),
      initialState(params, batch) {
        const memory = initialMemoryLayerState(params.memory, batch);
        return memoryQuery === "previous-segment"
          ? { memory, queries: { before: rows(memory.memory.weights[0]) } }
          : { memory };
      },
      forward(params, x, { state, update, observe }) {
        const { trace, ...mixed } = macSegments(config, params, x, { state, update, trace: observe !== undefined });
        observeMemory(observe, { layer: params.memory, state: mixed.state.memory, trace });
        return { output: matmul(mixed.output, params.out), state: mixed.state };
      },
      stepState({ memory, queries }) {
        const { weights } = memory.memory, none = { key: rows(weights[0]), value: rows(weights[0]) };
        return {
          memory: memoryLayerStepState(memory),
          segmentWeights: weights,
          own: none,
          ...(memoryQuery === "causal" ? { context: none } : {}),
          ...(queries ? { queries: { before: queries.before, own: none.key } } : {}),
        };
      },
      step: (params, x, context) => macToken(config, params, x, context),
    };
  },
});
