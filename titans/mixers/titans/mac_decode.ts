/**
 * MAC one token at a time. What attention looks at within a segment is kept: the segment's own keys and values, and
 * with causal queries those of the context. Contexts that come from elsewhere do not change within a segment, and are
 * read anew for each token.
 */
import type { Tensor } from "../../../core/graph.ts";
import {
  concat,
  equal,
  iota,
  lessEqual,
  matmul,
  mul,
  reshape,
  softmax,
  swapAxes,
  where,
  zeros,
} from "../../../ops/mod.ts";
import type { LayerConfig } from "../../config.ts";
import { type KeysAndValues, mergeHeads } from "../../nn/layers.ts";
import { contextKeys, fixedKeys, type MacMixer, type MacState, projectSegments } from "./mac.ts";
import {
  boundaryOfReading,
  type MemoryLayerReading,
  memoryLayerToken,
  memoryOf,
  readingAtBoundary,
} from "./memory_layer.ts";
import { readMemory } from "./memory_network.ts";
import type { Place } from "./memory_decode.ts";
import { gateOutput } from "../mixer.ts";

/** What MAC carries from token to token: of constant size. */
export interface MacReading {
  /** The state of the memory and of its convolution. */
  readonly memory: MemoryLayerReading;
  /** The memory's weights before the segment, which give its context: one matrix [B, H, in, out] a layer. */
  readonly segmentWeights: readonly Tensor[];
  /** Keys and values of the segment's tokens, [B, H, C, K]; those of tokens to come are of no use. */
  readonly own: KeysAndValues;
  /** The same of the context: only when `memoryQuery` is `causal`. */
  readonly context?: KeysAndValues;
  /** Queries of the segment before and of this one, [B, H, C, K]: only when `memoryQuery` is `previous-segment`. */
  readonly queries?: { readonly before: Tensor; readonly own: Tensor };
}

/** The state at a boundary between segments as one that is carried from token to token. */
export function macReadingAtBoundary(
  { heads, width, segment, memoryQuery }: LayerConfig,
  { memory, queries }: MacState,
): MacReading {
  const { weights } = memory.memory;
  const rows = zeros([weights[0].shape[0], heads, segment, width / heads], weights[0].dtype),
    none = { key: rows, value: rows };
  return {
    memory: readingAtBoundary(memory),
    segmentWeights: weights,
    own: none,
    ...(memoryQuery === "causal" ? { context: none } : {}),
    ...(queries ? { queries: { before: queries, own: rows } } : {}),
  };
}

/**
 * The state that is carried from token to token, at a boundary between segments, as one from which whole segments go
 * on.
 */
export function boundaryOfMacReading({ memory, queries }: MacReading): MacState {
  return { memory: boundaryOfReading(memory), ...(queries ? { queries: queries.before } : {}) };
}

/**
 * Mixes one token by memory as context.
 * @param x One token of each text, [B, 1, D].
 * @returns [B, 1, D], and the state after the token.
 */
export function macToken(
  config: LayerConfig,
  params: MacMixer<Tensor>,
  x: Tensor,
  { state, place }: { readonly state: MacReading; readonly place: Place },
): { readonly output: Tensor; readonly state: MacReading } {
  const { position, endsInterval } = place;
  const token = projectSegments(config, params, x, { offset: position });
  const fixed = fixedKeys(config, params, x.shape[0]);
  const asked = state.context ? token.context! : state.queries?.before ?? fixed.queries!;
  const retrieved = readMemory(memoryOf(config, params.memory), state.segmentWeights, asked);
  const given = contextKeys(config, params, retrieved, state.context && position);
  const own = withRow(state.own, token, position), context = state.context && withRow(state.context, given, position);
  const groups: Group[] = [{ ...(context ?? given), upToToken: context !== undefined }, { ...own, upToToken: true }];
  if (fixed.persistent) groups.unshift({ ...fixed.persistent, upToToken: false });
  const y = mergeHeads(tokenAttention(token.query, groups, position)); // [B, 1, D]
  const memory = memoryLayerToken(config, params.memory, y, { state: state.memory, place });
  const mixed = gateOutput(config, { y, gain: params.norm, memory: memory.output });
  const queries = state.queries && insert(state.queries.own, token.context!, position);
  return {
    output: matmul(mixed, params.out),
    state: {
      memory: memory.state,
      segmentWeights: state.segmentWeights.map((w, l) => where(endsInterval, memory.state.memory.weights[l], w)),
      own,
      ...(context ? { context } : {}),
      ...(queries ? { queries: { before: where(endsInterval, queries, state.queries!.before), own: queries } } : {}),
    },
  };
}

/** Rows [B, H, C, K] with that at a position replaced by a row [B, H, 1, K]. */
function insert(rows: Tensor, row: Tensor, position: Tensor): Tensor {
  const C = rows.shape[2];
  return where(equal(reshape(iota([C], 0), [C, 1]), position), row, rows);
}

function withRow(rows: KeysAndValues, { key, value }: KeysAndValues, position: Tensor): KeysAndValues {
  return { key: insert(rows.key, key, position), value: insert(rows.value, value, position) };
}

/** Keys and values of one group: all of them visible, or those of the segment's tokens up to the one that asks. */
interface Group extends KeysAndValues {
  readonly upToToken: boolean;
}

/** Attention of one query [B, H, 1, K]. */
function tokenAttention(query: Tensor, groups: readonly Group[], position: Tensor): Tensor {
  const scores = groups.map(({ key, upToToken }) => {
    const each = mul(matmul(query, swapAxes(key, -1, -2)), 1 / Math.sqrt(query.shape[3])); // [B, H, 1, N]
    return upToToken ? where(lessEqual(iota([key.shape[2]], 0), position), each, -1e30) : each;
  });
  return matmul(softmax(concat(scores, 3)), concat(groups.map(({ value }) => value), 2));
}
