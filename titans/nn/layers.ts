/** The layers around the memory: heads, gated MLP, attention over a segment, and the trees of their parameters. */
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import {
  add,
  concat,
  greaterEqual,
  iota,
  less,
  lessEqual,
  logicalAnd,
  logicalOr,
  matmul,
  mul,
  reshape,
  softmax,
  split,
  sub,
  swapAxes,
  swiglu,
  transpose,
  where,
} from "../../ops/mod.ts";
import { checkNames } from "../errors.ts";
import { matrix, type Parameter } from "./parameters.ts";

/** `[B, T, H K] -> [B, H, T, K]`. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [B, T, D] = x.shape;
  return transpose(reshape(x, [B, T, heads, D / heads]), [0, 2, 1, 3]);
}

/** `[B, H, T, K] -> [B, T, H K]`. */
export function mergeHeads(x: Tensor): Tensor {
  const [B, H, T, K] = x.shape;
  return reshape(transpose(x, [0, 2, 1, 3]), [B, T, H * K]);
}

/** Parameters of {@link gatedMlp}. */
export interface GatedMlp<Leaf> {
  /** Gate and input, [D, 2 F]. */
  readonly expand: Leaf;
  /** [F, D] */
  readonly contract: Leaf;
}

/**
 * Describes a gated MLP of width D and hidden width F; `scale` shrinks what it adds to the residual stream at the
 * start.
 */
export function gatedMlpParameters(width: number, hidden: number, scale: number): GatedMlp<Parameter> {
  return { expand: matrix([width, 2 * hidden]), contract: matrix([hidden, width], scale) };
}

/** SwiGLU: `(silu(x G) * (x U)) C` (Shazeer, arXiv 2002.05202). Shapes: [..., D] to [..., D]. */
export function gatedMlp({ expand, contract }: GatedMlp<Tensor>, x: Tensor): Tensor {
  const F = contract.shape[0];
  const [gate, up] = split(matmul(x, expand), [F, F], -1);
  return matmul(swiglu(gate, up), contract);
}

/** Keys and values [B, H, N, K] of one group. */
export interface KeysAndValues {
  /** What queries are compared with. */
  readonly key: Tensor;
  /** What queries take. */
  readonly value: Tensor;
}

/** What the queries of a segment look at. */
export interface SegmentKeys {
  /** The segment's own tokens: visible up to the query's position. */
  readonly own: KeysAndValues;
  /** What the memory gave. */
  readonly context: KeysAndValues;
  /** Whether row i of the context is visible from query i on only, rather than always. */
  readonly contextIsCausal: boolean;
  /** Persistent tokens: always visible. */
  readonly persistent?: KeysAndValues;
}

const SEGMENT_KEYS = optionNames<SegmentKeys>({ own: true, context: true, contextIsCausal: true, persistent: true });

/**
 * Attention of a segment over `[P | h | S]`.
 * @param query [B, H, C, K]
 * @param keys Persistent tokens, context and own tokens.
 * @returns [B, H, C, K]
 */
export function segmentAttention(query: Tensor, keys: SegmentKeys): Tensor {
  checkNames("segmentAttention", keys, SEGMENT_KEYS);
  const { own, context, contextIsCausal, persistent } = keys;
  const C = query.shape[2];
  const groups = [...(persistent ? [persistent] : []), context, own];
  const key = concat(groups.map((group) => group.key), 2), value = concat(groups.map((group) => group.value), 2);
  const S = key.shape[2];
  const visible = segmentVisibility(C, S, contextIsCausal); // [C, S]
  const scores = mul(matmul(query, swapAxes(key, -1, -2)), 1 / Math.sqrt(query.shape[3])); // [B, H, C, S]
  // What is hidden is zero by its weight already; said once more, no product computes it.
  return matmul(where(visible, softmax(where(visible, scores, -1e30)), 0), value);
}

/**
 * Which of S keys each of C queries sees, bool[C, S]: the last C keys stand where the queries do; a causal context of
 * as many comes before them.
 */
function segmentVisibility(C: number, S: number, contextIsCausal: boolean): Tensor {
  const row = iota([C, S], 0), own = sub(iota([C, S], 1), S - C), context = add(own, C);
  const earlier = lessEqual(own, row);
  if (!contextIsCausal) return earlier;
  const ofContext = logicalAnd(less(own, 0), lessEqual(context, row)),
    ofOwn = logicalAnd(greaterEqual(own, 0), earlier);
  return logicalOr(less(context, 0), logicalOr(ofContext, ofOwn));
}
