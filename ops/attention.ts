/** Scaled dot-product attention with the masks that Titans needs. */
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { checkType, formatType, sameShape } from "../core/shape.ts";
import { add, div, mul, sub } from "./binary.ts";
import { equal, less, lessEqual, logicalAnd, logicalOr } from "./compare.ts";
import { matmul } from "./matmul.ts";
import { where } from "./select.ts";
import { softmax } from "./softmax.ts";
import { iota } from "./sources.ts";
import { swapAxes } from "./views.ts";

/** Which keys a query sees, and the scale of the scores. */
export interface AttentionOptions {
  /** Whether a query sees no later key. */
  readonly causal?: boolean;
  /** A query sees only keys less than this many positions away. */
  readonly window?: number;
  /** Positions fall into blocks of this length; a query sees its own block. */
  readonly segment?: number;
  /**
   * The first `prefix` keys have no position and are always visible; query i has the position of key `prefix + i`.
   */
  readonly prefix?: number;
  /** Multiplies the scores. Default: `1 / sqrt(K)`. */
  readonly scale?: number;
}

const ATTENTION_OPTIONS = optionNames<AttentionOptions>({
  causal: true,
  window: true,
  segment: true,
  prefix: true,
  scale: true,
});

/**
 * `softmax(scale q k^T) v`, each query over the keys that it sees. Shapes: q `[B, H, T, K]`, k `[B, H, S, K]`, v `[B,
 * H, S, V]`, result `[B, H, T, V]`; any leading axes, the same in all three. Restrictions combine: a key must pass each
 * that is given. A query that sees no key averages all of them. Memory: large scores are computed a tile at a time.
 * @throws {ShapeError} if the shapes do not match, or a length is not a positive integer.
 * @throws {DTypeError} if the dtypes differ or are not floats.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  checkOptions("attention", options, ATTENTION_OPTIONS);
  checkOperands(q, k, v);
  const T = q.shape[q.rank - 2], S = k.shape[k.rank - 2];
  checkExtents(options, S);
  const scale = options.scale ?? 1 / Math.sqrt(q.shape[q.rank - 1]);
  const scores = mul(matmul(q, swapAxes(k, -1, -2)), scale); // [B, H, T, S]
  const visible = visibility(T, S, options);
  // Large but finite: -infinity would turn a row that sees nothing into NaN.
  const hidden = q.dtype === "f16" ? -60000 : -1e30;
  const weights = softmax(visible ? where(visible, scores, hidden) : scores);
  // Masked weights are already zero, except for queries that see nothing. Masking them again makes this known to the compiler, so products here and in the gradients skip them.
  return matmul(visible && everyQuerySees(T, S, options) ? where(visible, weights, 0) : weights, v);
}

/**
 * Whether every query sees at least one key. The last one sees the fewest: queries before the last key's position see
 * the key at their own position.
 */
function everyQuerySees(
  T: number,
  S: number,
  { window = Infinity, segment = Infinity, prefix = 0 }: AttentionOptions,
): boolean {
  const query = T - 1, lastKey = S - prefix - 1;
  const ownSegment = segment === Infinity ? 0 : query - query % segment;
  return prefix > 0 || query <= lastKey || (lastKey >= 0 && lastKey > query - window && lastKey >= ownSegment);
}

/** Whether the query of each row sees the key of each column, bool[T, S]; undefined if every one does. */
function visibility(
  T: number,
  S: number,
  { causal = false, window, segment, prefix = 0 }: AttentionOptions,
): Tensor | undefined {
  const query = iota([T, S], 0), key = sub(iota([T, S], 1), prefix);
  const rules: Tensor[] = [];
  if (causal) rules.push(lessEqual(key, query));
  if (window !== undefined) rules.push(less(sub(query, key), window));
  if (window !== undefined && !causal) rules.push(less(sub(key, query), window));
  // Shifted by whole segments, so that no position is negative: division truncates.
  const shift = segment === undefined ? 0 : segment * Math.ceil(prefix / segment);
  if (segment !== undefined) rules.push(equal(div(add(query, shift), segment), div(add(key, shift), segment)));
  if (rules.length === 0) return undefined;
  const positioned = rules.reduce(logicalAnd);
  return prefix > 0 ? logicalOr(less(key, 0), positioned) : positioned;
}

function checkOperands(q: Tensor, k: Tensor, v: Tensor): void {
  for (const x of [q, k, v]) checkType("attend with", x);
  const fits = q.rank >= 2 && k.rank === q.rank && v.rank === q.rank &&
    sameShape(q.shape.slice(0, -2), k.shape.slice(0, -2)) &&
    sameShape(k.shape.slice(0, -1), v.shape.slice(0, -1)) && q.shape[q.rank - 1] === k.shape[k.rank - 1];
  if (!fits) {
    throw new ShapeError(
      `Cannot attend with q ${formatType(q)}, k ${formatType(k)}, v ${
        formatType(v)
      }: they must be [B, H, T, K], [B, H, S, K] and [B, H, S, V]`,
      [q.shape, k.shape, v.shape],
    );
  }
}

function checkExtents({ window, segment, prefix = 0 }: AttentionOptions, S: number): void {
  for (const [name, length] of Object.entries({ window, segment })) {
    if (length !== undefined && !(Number.isInteger(length) && length > 0)) {
      throw new ShapeError(`Cannot attend with ${name} ${length}: it must be a positive integer`);
    }
  }
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > S) {
    throw new ShapeError(`Cannot attend with prefix ${prefix}: it must lie within 0 .. ${S}, the number of keys`);
  }
}
