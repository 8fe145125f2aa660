/**
 * Test-time training: how the weights of an inner model learn from tokens while it answers them.
 *
 *     W_t = W_0 - tau_i sum_{s <= t} eta_s grad loss_s(W_0)        token t is the i-th of its mini-batch, which begins at W_0
 *     o_t = M_{W_t}(q_t)                                           the next mini-batch begins at the last W_t
 *
 * The token rate tau_i multiplies the whole sum: with 1 / (i + 1), W_t is W_0 less a mean of gradients. This is not a
 * recurrence of weights, but with the gradients as rows H_l, D_l (inner_model.ts) the weights of no token are needed:
 *
 *     X W_l(t) + b_l(t) = X W_l + b_l - (tau_t eta_s (X H_l^T + 1)) D_l          the dual form, s <= t; the 1 is the bias
 *
 * and the weights at the end are `W_l - H_l^T (tau_last eta D_l)`. (Sun et al., arXiv 2407.04620, sections 2.4 to 2.6.)
 */
import { isTensor, type Tensor } from "../../../core/graph.ts";
import { type Rematerialization, scan } from "../../../core/scan.ts";
import { mapLeaves } from "../../../core/tree.ts";
import {
  add,
  broadcastTo,
  concat,
  expandDims,
  greaterEqual,
  iota,
  matmul,
  mul,
  reshape,
  rotaryEmbedding,
  sliceAxis,
  squeeze,
  sub,
  sum,
  swapAxes,
  transpose,
  where,
  zerosLike,
} from "../../../ops/mod.ts";
import {
  type Affine,
  type AffineMap,
  gradientRows,
  type InnerModel,
  type InnerNorm,
  mapsAt,
  normalizeInner,
} from "./inner_model.ts";

/** An inner model and what it has of the outer loop. */
export interface Learner {
  /** The function. */
  readonly model: InnerModel;
  /** Its norm. */
  readonly norm: InnerNorm;
  /** The rates tau of the tokens of a mini-batch, [b]. */
  readonly tokenRate: Tensor;
}

/** What an inner model learns from and is asked; keys and queries before rotation. */
export interface TttSequence {
  /** What each token asks, [B, H, T, K]. */
  readonly query: Tensor;
  /** What each token stores under, [B, H, T, K]. */
  readonly key: Tensor;
  /** What each token stores, [B, H, T, K]. */
  readonly value: Tensor;
  /** The learning rate eta of each token, [B, H, T]. */
  readonly rate: Tensor;
}

/** One mini-batch; as the xs of a scan every tensor has a leading axis N. */
interface MiniBatch {
  readonly query: Tensor; // [B, H, b, K], rotated
  readonly key: Tensor;
  readonly value: Tensor;
  /** `tau_t eta_s`, [B, H, b, b], zero for later tokens. */
  readonly rates: Tensor;
  /** What the first map's gradient rows weigh in each answer, `tau_t eta_s (q_t . k_s + 1)`: no weights are needed. */
  readonly alike: Tensor;
  /** `tau_last eta_s`, [B, H, b, 1]. */
  readonly lastRates: Tensor;
}

/**
 * Answers and learns from a sequence in matrix products.
 * @param weights Before the first token, which begins a mini-batch.
 * @returns The outputs [B, H, T, K], and the weights after the last whole mini-batch.
 */
export function learn(
  learner: Learner,
  sequence: TttSequence,
  { weights, checkpoint }: { readonly weights: readonly Affine[]; readonly checkpoint?: Rematerialization },
): { readonly output: Tensor; readonly weights: readonly Affine[] } {
  const [B, H, T, K] = sequence.query.shape, [b] = learner.tokenRate.shape;
  const count = Math.floor(T / b), rest = T % b, outputs: Tensor[] = [];
  let current = weights;
  if (count > 0) {
    const [end, ys] = scan(
      (carry: readonly Affine[], x: MiniBatch) => miniBatchStep(learner, carry, x),
      current,
      miniBatches(learner, sequence, { start: 0, count, length: b }),
      { rematerialize: checkpoint },
    );
    outputs.push(reshape(transpose(ys, [1, 2, 0, 3, 4]), [B, H, count * b, K]));
    current = end;
  }
  if (rest > 0) {
    const last = miniBatches(learner, sequence, { start: T - rest, count: 1, length: rest });
    outputs.push(miniBatchStep(learner, current, mapLeaves(last, isTensor, (x) => squeeze(x, 0)))[1]);
  }
  return { output: outputs.length === 1 ? outputs[0] : concat(outputs, 2), weights: current };
}

/** Cuts a sequence into mini-batches, and computes for all of them at once what does not depend on weights. */
function miniBatches(
  { tokenRate }: Learner,
  { query, key, value, rate }: TttSequence,
  { start, count, length }: { readonly start: number; readonly count: number; readonly length: number },
): MiniBatch {
  const cut = (x: Tensor): Tensor => {
    const [B, H, , K] = x.shape;
    const rows = reshape(sliceAxis(x, 2, start, count * length), [B, H, count, length, K]);
    return transpose(rows, [2, 0, 1, 3, 4]); // [N, B, H, b, K]
  };
  const eta = cut(expandDims(rate, -1)), tau = expandDims(sliceAxis(tokenRate, 0, 0, length), -1); // [N, B, H, b, 1], [b, 1]
  const rotated = { query: rotaryEmbedding(cut(query)), key: rotaryEmbedding(cut(key)) };
  const rates = causal(mul(tau, swapAxes(eta, -1, -2)));
  return {
    ...rotated,
    value: cut(value),
    rates,
    alike: similarity(rates, rotated.query, rotated.key),
    lastRates: mul(sliceAxis(tau, 0, length - 1, 1), eta),
  };
}

/** Zero for columns after the row: no token learns from later ones, whatever they are. */
function causal(x: Tensor): Tensor {
  const b = x.shape[x.rank - 1];
  return where(broadcastTo(greaterEqual(iota([b, b], 0), iota([b, b], 1)), x.shape), x, 0);
}

/** How much of each token's gradient row each row reads, [..., b, b]. */
function similarity(rates: Tensor, x: Tensor, rows: Tensor): Tensor {
  return causal(mul(rates, add(matmul(x, swapAxes(rows, -1, -2)), 1)));
}

/** One mini-batch: its answers, and the weights after it. */
function miniBatchStep(
  { model, norm }: Learner,
  weights: readonly Affine[],
  { query, key, value, rates, alike, lastRates }: MiniBatch,
): [readonly Affine[], Tensor] {
  const gradients = gradientRows(model, norm, weights, { key, value }), before = mapsAt(weights);
  const affine: AffineMap = (l, x) => {
    const { rows, deltas } = gradients[l];
    return sub(before(l, x), matmul(x === query ? alike : similarity(rates, x, rows), deltas));
  };
  const output = add(query, normalizeInner(norm, model.apply(affine, query)));
  const after = weights.map(({ matrix, bias }, l): Affine => {
    const steps = mul(lastRates, gradients[l].deltas); // [B, H, b, out]
    return {
      matrix: sub(matrix, matmul(swapAxes(gradients[l].rows, -1, -2), steps)),
      bias: sub(bias, sum(steps, { axes: 2, keepDims: true })),
    };
  });
  return [after, output];
}

/** What single tokens need: the weights at the start of their mini-batch, and the gradients since. */
export interface TokenState {
  /** W_0, as at a boundary. */
  readonly weights: readonly Affine[];
  /** `sum_{s <= t} eta_s grad loss_s(W_0)`. */
  readonly sums: readonly Affine[];
}

/** No gradient of a mini-batch yet. */
export function noSums(weights: readonly Affine[]): readonly Affine[] {
  return mapLeaves(weights, isTensor, zerosLike) as readonly Affine[];
}

/** The place of a token in its mini-batch. */
export interface Place {
  /** How many tokens of the mini-batch come before it, an i32 scalar. */
  readonly index: Tensor;
  /** Its rate tau, a scalar. */
  readonly tokenRate: Tensor;
  /** Whether it is the last: a bool scalar. */
  readonly isLast: Tensor;
}

/** Learns from one token [B, H, 1, K], and answers it: what {@link learn} gives for it. */
export function learnToken(
  { model, norm }: Omit<Learner, "tokenRate">,
  { query, key, value, rate }: TttSequence,
  { weights, sums, index, tokenRate, isLast }: TokenState & Place,
): { readonly output: Tensor; readonly state: TokenState } {
  const asked = rotaryEmbedding(query, { offset: index }), stored = rotaryEmbedding(key, { offset: index });
  const eta = expandDims(rate, -1); // [B, H, 1, 1]
  const gradients = gradientRows(model, norm, weights, { key: stored, value });
  const after = sums.map(({ matrix, bias }, l): Affine => {
    const step = mul(eta, gradients[l].deltas); // [B, H, 1, out]
    return { matrix: add(matrix, mul(swapAxes(gradients[l].rows, -1, -2), step)), bias: add(bias, step) };
  });
  const moved = weights.map(({ matrix, bias }, l): Affine => ({
    matrix: sub(matrix, mul(tokenRate, after[l].matrix)),
    bias: sub(bias, mul(tokenRate, after[l].bias)),
  }));
  const output = add(asked, normalizeInner(norm, model.apply(mapsAt(moved), asked)));
  const choose = (last: readonly Affine[], within: readonly Affine[]): readonly Affine[] =>
    last.map(({ matrix, bias }, l) => ({
      matrix: where(isLast, matrix, within[l].matrix),
      bias: where(isLast, bias, within[l].bias),
    }));
  return { output, state: { weights: choose(moved, weights), sums: choose(noSums(after), after) } };
}
