/**
 * Recurrent memory (Bulatov et al., RMT, arXiv 2207.06881): a text is read in segments, and rows that go through all
 * blocks with the tokens of one segment are what the next knows of it.
 *
 *     row = [mem | tokens | mem]            the same M vectors twice: to be read by tokens, and to be written to
 *     out = blocks(row)                     from the initial state of every block; positions count over the row
 *     mem <- norm(last M of out)            the norm is the model's last; logits are those of the rows of tokens
 *
 * It is a wrapper of the whole stack, not a mixer: what is written in the last block is read in the first. Tokens see the
 * memory of earlier segments only, and what is written sees the whole segment, so nothing depends on later tokens.
 *
 * A single token reads the memory first where a segment begins, and writes it where one ends; both are computed at every
 * token and chosen, since programs have no branches.
 */
import { isTensor, type Tensor } from "../../core/graph.ts";
import { type Rematerialization, scan } from "../../core/scan.ts";
import { flatten, unflatten } from "../../core/tree.ts";
import {
  add,
  broadcastTo,
  concat,
  constant,
  equal,
  expandDims,
  ones,
  reshape,
  sliceAxis,
  stopGradient,
  swapAxes,
  where,
} from "../../ops/mod.ts";
import { endsInterval, placeIn } from "../nn/intervals.ts";
import { recurrentTokensOf } from "../mixers/recipes.ts";
import { refuse } from "../options/option_table.ts";
import type { BlockLayer } from "./blocks.ts";
import type { ModelConfig } from "./options.ts";

/** How a model reads in segments. */
export interface RecurrentMemory {
  /** Rows of the memory, M. */
  readonly tokens: number;
  /** Tokens of a segment, S. */
  readonly segment: number;
  /** Segments through which gradients go back; 0 for all. */
  readonly depth: number;
}

/** The recurrent memory of a configuration, if it has one. */
export function recurrentMemoryOf(config: ModelConfig): RecurrentMemory | undefined {
  const tokens = recurrentTokensOf(config), { recurrentSegment: segment, recurrentDepth: depth } = config;
  return tokens > 0 ? { tokens, segment, depth } : undefined;
}

/** Checks that blocks can begin anywhere in a row. @throws {ConfigError} if one cannot. */
export function checkRecurrent(memory: RecurrentMemory | undefined, layers: readonly BlockLayer[]): void {
  const found = memory && layers.find(({ layer }) => layer.interval !== 1);
  if (!found) return;
  refuse(
    "recurrentTokens",
    memory.tokens,
    `${found.mixer.name} reads ${found.layer.interval} tokens at once, and the memory takes mixers that go on at any token`,
  );
}

/** What takes rows through all blocks. */
export interface RecurrentStack {
  /** From the initial state of every block: rows [B, R, D] to the same, before the last norm. */
  readonly read: (rows: Tensor, update?: Tensor) => Tensor;
  /** The last norm. */
  readonly norm: (rows: Tensor) => Tensor;
}

/** Where reading in segments begins, and with which tokens. */
export interface SegmentsContext {
  /** The memory before the first segment, [B, M, D]. */
  readonly memory: Tensor;
  /** Which tokens memories in the blocks store, [B, T]. */
  readonly update?: Tensor;
  readonly rematerialize: Rematerialization;
}

/** What a segment takes; as the xs of a scan with a leading axis. */
interface Segment {
  readonly x: Tensor; // [B, S, D]
  readonly update?: Tensor; // [B, S]
  /** 1 where gradients stop at the memory before it, an i32 scalar. */
  readonly stops: Tensor;
}

/**
 * Tokens [B, T, D] in segments.
 * @returns The rows of tokens before the last norm, and the memory after the last whole segment.
 */
export function throughSegments(
  { tokens: M, segment: S, depth }: RecurrentMemory,
  stack: RecurrentStack,
  x: Tensor,
  { memory, update, rematerialize }: SegmentsContext,
): { readonly x: Tensor; readonly memory: Tensor } {
  const [B, T, D] = x.shape, count = Math.floor(T / S), rest = T % S, outputs: Tensor[] = [];
  const one = (memory: Tensor, x: Tensor, update?: Tensor): [memory: Tensor, x: Tensor] => {
    const always = ones([B, M], x.dtype);
    const out = stack.read(concat([memory, x, memory], 1), update && concat([always, update, always], 1));
    const length = x.shape[1];
    return [stack.norm(sliceAxis(out, 1, M + length, M)), sliceAxis(out, 1, M, length)];
  };
  let last = memory;
  if (count > 0) {
    const cut = (x: Tensor): Tensor =>
      swapAxes(reshape(sliceAxis(x, 1, 0, count * S), [B, count, S, ...x.shape.slice(2)]), 0, 1);
    const stops = Int32Array.from({ length: count }, (_, n) => depth > 0 && n > 0 && n % depth === 0 ? 1 : 0);
    const xs: Segment = { x: cut(x), stops: constant(stops, [count]), ...(update && { update: cut(update) }) };
    const [end, ys] = scan(
      (memory: Tensor, { x, update, stops }: Segment) =>
        one(depth > 0 ? where(equal(stops, 1), stopGradient(memory), memory) : memory, x, update),
      memory,
      xs,
      { rematerialize },
    );
    outputs.push(reshape(swapAxes(ys, 0, 1), [B, count * S, D]));
    last = end;
  }
  if (rest > 0) {
    const stops = depth > 0 && count > 0 && count % depth === 0;
    const ragged = (x: Tensor): Tensor => sliceAxis(x, 1, T - rest, rest);
    outputs.push(one(stops ? stopGradient(last) : last, ragged(x), update && ragged(update))[1]);
  }
  return { x: outputs.length === 1 ? outputs[0] : concat(outputs, 1), memory: last };
}

/** What takes rows through all blocks after a state. */
export interface SteppedStack<State> extends Pick<RecurrentStack, "norm"> {
  /** Many rows, from a state or from the beginning of a row. */
  readonly read: (rows: Tensor, state?: State) => { readonly x: Tensor; readonly state: State };
  /** One row at a place in its row, an i32 scalar. */
  readonly step: (row: Tensor, state: State, position: Tensor) => { readonly x: Tensor; readonly state: State };
}

/** What is carried within a segment. */
export interface SegmentState<State> {
  /** Of the blocks, after the rows so far; at the beginning of a segment it does not matter. */
  readonly blocks: State;
  /** [B, M, D] */
  readonly memory: Tensor;
}

/**
 * One token [B, 1, D] of a segment.
 * @param position Tokens read before it: an i32 scalar, or one per text, [B, 1, 1, 1].
 */
export function throughToken<State>(
  { tokens: M, segment: S }: RecurrentMemory,
  stack: SteppedStack<State>,
  x: Tensor,
  { blocks, memory, position }: SegmentState<State> & { readonly position: Tensor },
): { readonly x: Tensor; readonly state: SegmentState<State> } {
  const index = placeIn(S, position);
  const begun = stack.read(memory).state;
  const token = stack.step(x, choose(equal(index, 0), begun, blocks), add(index, M));
  const written = stack.norm(stack.read(memory, token.state).x);
  return {
    x: token.x,
    state: { blocks: token.state, memory: choose(endsInterval(S, position), written, memory) },
  };
}

/** One tree or the other, by a condition for all texts or one for each, [B, 1, 1, 1]. */
function choose<Tree>(condition: Tensor, lhs: Tree, rhs: Tree): Tree {
  const { leaves, spec } = flatten(lhs, isTensor), others = flatten(rhs, isTensor).leaves;
  return unflatten(spec, leaves.map((leaf, i) => where(perText(condition, leaf.rank), leaf, others[i]))) as Tree;
}

function perText(condition: Tensor, rank: number): Tensor {
  return condition.rank === 0 ? condition : reshape(condition, [condition.shape[0], ...Array(rank - 1).fill(1)]);
}

/** The learned start [M, D] for B texts. */
export function firstMemory(start: Tensor, batch: number): Tensor {
  return broadcastTo(expandDims(start, 0), [batch, ...start.shape]);
}
