/**
 * MAC one token at a time. The state holds what attention sees within a segment: the segment's own keys and values, and
 * with causal queries those of the context. Context from elsewhere does not change within a segment and is recomputed
 * for each token.
 */
import type { Tensor } from "../../../core/graph.ts";
import { equal, iota, matmul, reshape, where } from "../../../ops/mod.ts";
import { type KeysAndValues, segmentAttention } from "../../nn/attention.ts";
import { mergeHeads } from "../../nn/layers.ts";
import type { Mixed, StepContext } from "../mixer_interface.ts";
import type { MacParameters, MacState } from "./mac.ts";
import { contextKeys, fixedKeys, type MacConfig, projectSegments } from "./mac_segments.ts";
import { endsInterval, placeIn } from "../../nn/intervals.ts";
import { memoryLayerToken, memoryOf } from "./memory_layer.ts";
import { readMemory } from "./memory_network.ts";
import { gateOutput } from "./output_gate.ts";

/**
 * Mixes one token by memory as context.
 * @param x One token per text, [B, 1, D].
 * @param context The state before the token, including what only single tokens need, and the number of tokens before
 * it.
 * @returns [B, 1, D], and the state after the token.
 */
export function macToken(
  config: MacConfig,
  params: MacParameters<Tensor>,
  x: Tensor,
  { state, position }: StepContext<MacState>,
): Mixed<MacState> {
  const place = placeIn(config.segment, position), ends = endsInterval(config.segment, position);
  const token = projectSegments(config, params, x, { offset: place });
  const { persistent, queries: learned } = fixedKeys(config, params, x.shape[0]);
  const causal = config.memoryQuery === "causal";
  const asked = causal ? token.context! : state.queries?.before ?? learned!;
  const retrieved = readMemory(memoryOf(config, params.memory), state.segmentWeights!, asked);
  const given = contextKeys(config, params, retrieved, causal ? place : undefined);
  const own = withRow(state.own!, token, place), context = causal ? withRow(state.context!, given, place) : given;
  const keys = { own, context, contextIsCausal: causal, persistent, offset: place };
  const y = mergeHeads(segmentAttention(token.query, keys)); // [B, 1, D]
  const memory = memoryLayerToken(config, params.memory, y, { state: state.memory, position });
  const mixed = gateOutput(config, { y, gain: params.norm, memory: memory.output });
  const after = (value: Tensor, before: Tensor): Tensor => where(ends, value, before);
  const queries = state.queries && insert(state.queries.own!, token.context!, place);
  return {
    output: matmul(mixed, params.out),
    state: {
      memory: memory.state,
      segmentWeights: state.segmentWeights!.map((w, l) => after(memory.state.memory.weights[l], w)),
      own,
      ...(causal ? { context } : {}),
      ...(queries ? { queries: { before: after(queries, state.queries!.before), own: queries } } : {}),
    },
  };
}

/** Replaces the row at a position of [B, H, C, K] by [B, H, 1, K]. */
function insert(rows: Tensor, row: Tensor, position: Tensor): Tensor {
  const C = rows.shape[2];
  return where(equal(reshape(iota([C], 0), [C, 1]), position), row, rows);
}

function withRow(rows: KeysAndValues, { key, value }: KeysAndValues, position: Tensor): KeysAndValues {
  return { key: insert(rows.key, key, position), value: insert(rows.value, value, position) };
}
