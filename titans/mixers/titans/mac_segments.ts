/** MAC over many tokens: a loop over segments. */
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
} from "../../../ops/mod.ts";
import { attentionRows, type KeysAndValues, segmentAttention, sharedKeys } from "../../nn/attention.ts";
import { mergeHeads, normalizeHeads, splitHeads } from "../../nn/layers.ts";
import type { Mixed } from "../mixer_interface.ts";
import type { MacParameters, MacState } from "./mac.ts";
import type { MemoryConfig } from "./memory_config.ts";
import { memoryLayer, type MemoryLayerOptions, memoryOf } from "./memory_layer.ts";
import { readMemory } from "./memory_network.ts";
import type { MAC_OPTIONS } from "./options.ts";
import type { OptionsOf } from "../../options/option_table.ts";
import { gateOutput } from "./output_gate.ts";
import { joinTokens, type MemoryTrace, uncut } from "./trace.ts";

/** The options of MAC and the width of its tokens. */
export type MacConfig = MemoryConfig & OptionsOf<typeof MAC_OPTIONS>;

/** A segment of C tokens. As the xs of a scan, every tensor has a leading axis N. */
export interface Segment {
  /** Of attention, [B, H, C, K], rotated. */
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  /** For the memory, [B, H, C, K]; absent when the queries are learned. */
  readonly context?: Tensor;
  /** [B, C]; absent when the memory learns from all tokens. */
  readonly update?: Tensor;
}

/**
 * Mixes tokens by memory as context, segment after segment.
 * @param x Tokens [B, T, D], any T of at least 1; segments start with the first token, the last may be short.
 * @returns [B, T, D] before the last projection, and the state at the last boundary between segments.
 */
export function macSegments(
  config: MacConfig,
  params: MacParameters<Tensor>,
  x: Tensor,
  { state, update, trace }: Omit<MemoryLayerOptions, "state"> & { readonly state: MacState },
): Mixed<MacState> & { readonly trace?: MemoryTrace } {
  const { segment, checkpoint } = config;
  const [B, T, D] = x.shape;
  const count = Math.floor(T / segment), rest = T % segment;
  const fixed = fixedKeys(config, params, B);
  const outputs: Tensor[] = [], traces: MemoryTrace[] = [];
  const mix = (carry: MacState, s: Segment): [MacState, MixedSegment] =>
    macSegment(config, params, carry, s, { ...fixed, trace });
  // The state that only single tokens need is known at a boundary.
  const { memory: { memory: { weights, surprise }, ...convolution }, queries } = state;
  let last: MacState = {
    memory: { memory: { weights, surprise }, ...convolution },
    ...(queries ? { queries: { before: queries.before } } : {}),
  };
  if (count > 0) {
    const cut = (t: Tensor): Tensor =>
      reshape(sliceAxis(t, 1, 0, count * segment), [B * count, segment, ...t.shape.slice(2)]);
    const stack = (t: Tensor): Tensor =>
      // [B N, ...] -> [N, B, ...]
      transpose(reshape(t, [B, count, ...t.shape.slice(1)]), [1, 0, ...t.shape.slice(1).map((_, i) => 2 + i)]);
    const segments = mapLeaves(
      projectSegments(config, params, cut(x), { update: update && cut(update) }),
      isTensor,
      stack,
    );
    const [end, ys] = scan(mix, last, segments, { rematerialize: checkpoint });
    outputs.push(reshape(transpose(ys.output, [1, 0, 2, 3]), [B, count * segment, D]));
    if (ys.trace) traces.push(mapLeaves(ys.trace, isTensor, uncut));
    last = end;
  }
  if (rest > 0) {
    const tail = (t: Tensor): Tensor => sliceAxis(t, 1, T - rest, rest);
    const [, mixed] = mix(last, projectSegments(config, params, tail(x), { update: update && tail(update) }));
    outputs.push(mixed.output);
    if (mixed.trace) traces.push(mixed.trace);
  }
  const output = outputs.length === 1 ? outputs[0] : concat(outputs, 1);
  return { output, state: last, ...(trace ? { trace: joinTokens(traces) } : {}) };
}

/**
 * Everything about a segment that does not depend on the memory, for many segments at once: x is [B N, C, D], with its
 * first token at position `offset` of its segment.
 */
export function projectSegments(
  { heads, normalizeKeys }: MacConfig,
  params: MacParameters<Tensor>,
  x: Tensor,
  { update, offset = 0 }: { readonly update?: Tensor; readonly offset?: Tensor | number } = {},
): Segment {
  const { query, key, value } = attentionRows({ heads }, params.attention, x);
  const asked = params.contextProjection && silu(splitHeads(matmul(x, params.contextProjection), heads));
  const context = asked && normalizeKeys ? l2Normalize(asked) : asked;
  return {
    query: rotaryEmbedding(query, { offset }),
    key: rotaryEmbedding(key, { offset }),
    value,
    ...(context ? { context } : {}),
    ...(update ? { update } : {}),
  };
}

/** Constant over all segments: persistent keys and values, and learned queries of the memory [B, H, N, K]. */
export interface Fixed {
  readonly persistent?: KeysAndValues;
  readonly queries?: Tensor;
}

/** Computes them for B texts. */
export function fixedKeys(
  { heads, width: D, normalizeKeys }: MacConfig,
  params: MacParameters<Tensor>,
  B: number,
): Fixed {
  const all = (x: Tensor): Tensor =>
    broadcastTo(splitHeads(expandDims(x, 0), heads), [B, heads, x.shape[0], D / heads]);
  const queries = params.contextQueries && all(params.contextQueries);
  const persistent = params.persistent && sharedKeys({ heads }, params.attention, expandDims(params.persistent, 0), B);
  return {
    ...(persistent ? { persistent } : {}),
    ...(queries ? { queries: normalizeKeys ? l2Normalize(queries) : queries } : {}),
  };
}

/** The output of a segment, [B, C, D] before the last projection, and what the memory did at its tokens. */
interface MixedSegment {
  readonly output: Tensor;
  readonly trace?: MemoryTrace;
}

/** One segment. If it is shorter than the configured length, the returned state is invalid. */
function macSegment(
  config: MacConfig,
  params: MacParameters<Tensor>,
  state: MacState,
  segment: Segment,
  { persistent, queries, trace }: Fixed & { readonly trace?: boolean },
): [MacState, MixedSegment] {
  const causal = config.memoryQuery === "causal";
  const asked = queries ?? (causal ? segment.context! : state.queries!.before);
  const retrieved = readMemory(memoryOf(config, params.memory), state.memory.memory.weights, asked); // [B, H, N, K]
  const context = contextKeys(config, params, retrieved, causal ? 0 : undefined);
  const y = mergeHeads(segmentAttention(segment.query, { own: segment, context, contextIsCausal: causal, persistent })); // [B, C, D]
  const memory = memoryLayer(config, params.memory, y, { state: state.memory, update: segment.update, trace });
  const output = gateOutput(config, { y, gain: params.norm, memory: memory.output });
  const next = {
    memory: memory.state,
    ...(state.queries ? { queries: { before: fullLength(segment.context!, state.queries.before) } } : {}),
  };
  return [next, { output, ...(memory.trace ? { trace: memory.trace } : {}) }];
}

/**
 * Keys and values of attention from the memory's output rows [B, H, N, K]; rows of tokens have positions from `offset`
 * on, others have none.
 */
export function contextKeys(
  { heads, width: D }: MacConfig,
  params: MacParameters<Tensor>,
  retrieved: Tensor,
  offset: Tensor | number | undefined,
): KeysAndValues {
  const rows = normalizeHeads(params.contextNorm, retrieved); // [B, N, D]
  const projection = sliceAxis(params.attention, 1, D, 2 * D);
  const [key, value] = split(matmul(rows, projection), [D, D], 2).map((part) => splitHeads(part, heads));
  return { key: offset === undefined ? key : rotaryEmbedding(key, { offset }), value };
}

/** Queries for the carry. Those of a short last segment are not carried on, so the old ones may remain. */
function fullLength(queries: Tensor, carried: Tensor): Tensor {
  return queries.shape[2] === carried.shape[2] ? queries : carried;
}
