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
import { isTensor, type Tensor } from "../../../core/graph.ts";
import { scan } from "../../../core/scan.ts";
import { mapLeaves } from "../../../core/tree.ts";
import {
  broadcastTo,
  concat,
  expandDims,
  l2Normalize,
  matmul,
  reshape,
  rotaryEmbedding,
  silu,
  sliceAxis,
  split,
  transpose,
  zeros,
} from "../../../ops/mod.ts";
import { checkLayerConfig, type LayerConfig } from "../../config.ts";
import { type KeysAndValues, mergeHeads, segmentAttention, splitHeads } from "../../nn/layers.ts";
import { readMemory } from "./memory_network.ts";
import {
  initialMemoryLayerState,
  type MemoryLayer,
  memoryLayer,
  memoryLayerParameters,
  type MemoryLayerState,
  memoryOf,
  normalizeHeads,
} from "./memory_layer.ts";
import { checkMixer, gateOutput, type MixerOptions, type MixerResult } from "../mixer.ts";
import { matrix, type Parameter, table, vector } from "../../nn/parameters.ts";
import { joinTokens, type MemoryTrace, uncut } from "./trace.ts";

/** Parameters of {@link macMixer}. */
export interface MacMixer<Leaf> {
  /** The memory and its projections. */
  readonly memory: MemoryLayer<Leaf>;
  /** Maps tokens to queries of the memory, [D, D]; absent when the queries are learned. */
  readonly contextProjection?: Leaf;
  /** Learned queries of the memory, [N, D], when `memoryQuery` is `learned`. */
  readonly contextQueries?: Leaf;
  /** Gain of the norm of what the memory gives, [H, K]. */
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

/** What MAC carries from segment to segment. */
export interface MacState {
  /** The state of the memory and of its convolution. */
  readonly memory: MemoryLayerState;
  /** Queries of the segment before, [B, H, C, K]: only when `memoryQuery` is `previous-segment`. */
  readonly queries?: Tensor;
}

/** Describes the parameters; `scale` shrinks what the mixer adds to the residual stream at the start. */
export function macMixerParameters(config: LayerConfig, scale: number): MacMixer<Parameter> {
  const { width: D, heads: H, persistentTokens, memoryQuery, memoryTokens } = config;
  return {
    memory: memoryLayerParameters(config),
    ...(memoryQuery === "learned"
      ? { contextQueries: table([memoryTokens, D], 1) }
      : { contextProjection: matrix([D, D]) }),
    contextNorm: vector([H, D / H], 1),
    ...(persistentTokens > 0 ? { persistent: table([persistentTokens, D], 1) } : {}),
    attention: matrix([D, 3 * D]),
    norm: vector([D], 1),
    out: matrix([D, D], scale),
  };
}

/** The state before the first token. */
export function initialMacState(config: LayerConfig, params: MacMixer<Tensor>, batch: number): MacState {
  checkLayerConfig(config);
  const memory = initialMemoryLayerState(params.memory, batch);
  if (config.memoryQuery !== "previous-segment") return { memory };
  const { heads, width, segment } = config;
  return { memory, queries: zeros([batch, heads, segment, width / heads], params.out.dtype) };
}

/** A segment of C tokens; as the xs of a scan every tensor has a leading axis N. */
export interface Segment {
  /** Of attention, [B, H, C, K], rotated. */
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  /** For the memory, [B, H, C, K]; absent when the queries are learned. */
  readonly context?: Tensor;
  /** [B, C]; absent when the memory learns from all tokens. */
  readonly store?: Tensor;
}

/**
 * Mixes tokens by memory as context, segment after segment.
 * @param x Tokens [B, T, D], any T of at least 1; segments start with the first token, the last may be short.
 * @returns [B, T, D], and the state at the last boundary between segments.
 */
export function macMixer(
  config: LayerConfig,
  params: MacMixer<Tensor>,
  x: Tensor,
  options: MixerOptions<MacState>,
): MixerResult<MacState> {
  checkMixer("macMixer", config, options);
  const { state, store, trace } = options;
  const { segment, checkpoint } = config;
  const [B, T, D] = x.shape;
  const count = Math.floor(T / segment), rest = T % segment;
  const fixed = fixedKeys(config, params, B);
  const outputs: Tensor[] = [], traces: MemoryTrace[] = [];
  const mix = (carry: MacState, s: Segment): [MacState, MixedSegment] =>
    macSegment(config, params, carry, s, { ...fixed, trace });
  let last = state;
  if (count > 0) {
    const cut = (t: Tensor): Tensor =>
      reshape(sliceAxis(t, 1, 0, count * segment), [B * count, segment, ...t.shape.slice(2)]);
    const stack = (t: Tensor): Tensor =>
      // [B N, ...] -> [N, B, ...]
      transpose(reshape(t, [B, count, ...t.shape.slice(1)]), [1, 0, ...t.shape.slice(1).map((_, i) => 2 + i)]);
    const segments = mapLeaves(
      projectSegments(config, params, cut(x), { store: store && cut(store) }),
      isTensor,
      stack,
    );
    const [end, ys] = scan(mix, state, segments, { rematerialize: checkpoint });
    outputs.push(reshape(transpose(ys.output, [1, 0, 2, 3]), [B, count * segment, D]));
    if (ys.trace) traces.push(mapLeaves(ys.trace, isTensor, uncut));
    last = end;
  }
  if (rest > 0) {
    const tail = (t: Tensor): Tensor => sliceAxis(t, 1, T - rest, rest);
    const [, mixed] = mix(last, projectSegments(config, params, tail(x), { store: store && tail(store) }));
    outputs.push(mixed.output);
    if (mixed.trace) traces.push(mixed.trace);
  }
  const output = matmul(outputs.length === 1 ? outputs[0] : concat(outputs, 1), params.out);
  return { output, state: last, ...(trace ? { trace: joinTokens(traces) } : {}) };
}

/**
 * All of a segment that does not depend on the memory, for many segments at once: x is [B N, C, D], its first token at
 * place `offset` of its segment.
 */
export function projectSegments(
  { heads, width: D, normalizeKeys }: LayerConfig,
  params: MacMixer<Tensor>,
  x: Tensor,
  { store, offset = 0 }: { readonly store?: Tensor; readonly offset?: Tensor | number } = {},
): Segment {
  const [query, key, value] = split(matmul(x, params.attention), [D, D, D], 2).map((part) => splitHeads(part, heads));
  const asked = params.contextProjection && silu(splitHeads(matmul(x, params.contextProjection), heads));
  const context = asked && normalizeKeys ? l2Normalize(asked) : asked;
  return {
    query: rotaryEmbedding(query, { offset }),
    key: rotaryEmbedding(key, { offset }),
    value,
    ...(context ? { context } : {}),
    ...(store ? { store } : {}),
  };
}

/** What is the same for all segments: persistent keys and values, and learned queries of the memory [B, H, N, K]. */
export interface Fixed {
  readonly persistent?: KeysAndValues;
  readonly queries?: Tensor;
}

/** Computes them for B texts. */
export function fixedKeys({ heads, width: D, normalizeKeys }: LayerConfig, params: MacMixer<Tensor>, B: number): Fixed {
  const all = (x: Tensor): Tensor =>
    broadcastTo(splitHeads(expandDims(x, 0), heads), [B, heads, x.shape[0], D / heads]);
  const queries = params.contextQueries && all(params.contextQueries);
  const [, key, value] = params.persistent ? split(matmul(params.persistent, params.attention), [D, D, D], 1) : [];
  return {
    ...(key && value ? { persistent: { key: all(key), value: all(value) } } : {}),
    ...(queries ? { queries: normalizeKeys ? l2Normalize(queries) : queries } : {}),
  };
}

/** What a segment gave, [B, C, D] before the last projection, and what the memory did at its tokens. */
type MixedSegment = Omit<MixerResult<MacState>, "state">;

/** One segment. Its length may be shorter than the configuration's; then the state that it returns is of no use. */
function macSegment(
  config: LayerConfig,
  params: MacMixer<Tensor>,
  state: MacState,
  segment: Segment,
  { persistent, queries, trace }: Fixed & { readonly trace?: boolean },
): [MacState, MixedSegment] {
  const causal = config.memoryQuery === "causal";
  const asked = queries ?? (causal ? segment.context! : state.queries!);
  const retrieved = readMemory(memoryOf(config, params.memory), state.memory.memory.weights, asked); // [B, H, N, K]
  const context = contextKeys(config, params, retrieved, causal ? 0 : undefined);
  const y = mergeHeads(segmentAttention(segment.query, { own: segment, context, contextIsCausal: causal, persistent })); // [B, C, D]
  const memory = memoryLayer(config, params.memory, y, { state: state.memory, store: segment.store, trace });
  const output = gateOutput(config, { y, gain: params.norm, memory: memory.output });
  const next = {
    memory: memory.state,
    ...(state.queries ? { queries: fullLength(segment.context!, state.queries) } : {}),
  };
  return [next, { output, ...(memory.trace ? { trace: memory.trace } : {}) }];
}

/**
 * Keys and values of attention from rows [B, H, N, K] that the memory gave; those of tokens stand at places from
 * `offset` on, others nowhere.
 */
export function contextKeys(
  { heads, width: D }: LayerConfig,
  params: MacMixer<Tensor>,
  retrieved: Tensor,
  offset: Tensor | number | undefined,
): KeysAndValues {
  const rows = normalizeHeads(params.contextNorm, retrieved); // [B, N, D]
  const projection = sliceAxis(params.attention, 1, D, 2 * D);
  const [key, value] = split(matmul(rows, projection), [D, D], 2).map((part) => splitHeads(part, heads));
  return { key: offset === undefined ? key : rotaryEmbedding(key, { offset }), value };
}

/** Queries as the carry has them: those of a short last segment are not carried on, so the old ones may stand. */
function fullLength(queries: Tensor, carried: Tensor): Tensor {
  return queries.shape[2] === carried.shape[2] ? queries : carried;
}
