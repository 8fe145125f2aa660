/**
 * TTT layers: the hidden state is a model, which takes a gradient step on every token it reads (Sun et al., arXiv
 * 2407.04620). TTT-Linear's is a matrix a head, TTT-MLP's a network of one hidden layer.
 *
 *     q, k, v = x W_Q, x W_K, x W_V per head, perhaps after a short convolution; q and k rotated by their place in the mini-batch of b tokens
 *     eta = base sigmoid(x W_eta + c) / K per head;   tau_i = max(1 / (i + 1) + learned_i, 0) for token i of a mini-batch
 *     o = M_{W_t}(q) with weights that have learned k -> v from tokens up to t: learn.ts
 *     y = [gelu(x W_G) *] LN(o) W_O
 *
 * Widely copied kernels differ from the paper: they give `o + LN(o)` in place of `q + LN(o)` and let the rate be the
 * reading token's alone. This follows the authors' code.
 */
import type { Tensor } from "../../../core/graph.ts";
import {
  add,
  broadcastTo,
  expandDims,
  gather,
  gelu,
  iota,
  layerNorm,
  matmul,
  maximum,
  mul,
  reciprocal,
  sigmoid,
  split,
  swapAxes,
} from "../../../ops/mod.ts";
import { mergeHeads, splitHeads } from "../../nn/layers.ts";
import { matrix, Parameter, vector } from "../../nn/parameters.ts";
import { refuse } from "../../options/option_table.ts";
import { convolve, type Convolved, convolvedParameters, type ConvolvedState, initialConvolved } from "../convolved.ts";
import { type AnyMixer, defineMixer, type Remedy, type Tensors } from "../mixer_interface.ts";
import { endsInterval, placeIn } from "../../nn/intervals.ts";
import { type Affine, EPSILON, type InnerModel, type InnerNorm, linearModel, mlpModel } from "./inner_model.ts";
import { learn, learnToken, noSums, type TokenState, type TttSequence } from "./learn.ts";
import { TTT_OPTIONS, type TttOptions } from "./options.ts";

/** Parameters of a TTT layer. */
export interface TttParameters<Leaf> extends Convolved<Leaf> {
  /** `[W_Q | W_K | W_V]`, [D, 3 D]. */
  readonly projection: Leaf;
  /** W_eta, [D, H]. */
  readonly rate: Leaf;
  /** [H] */
  readonly rateBias: Leaf;
  /** What is added to the token rates `1 / (i + 1)`, [b]. */
  readonly tokenRate: Leaf;
  /** The weights of the inner model before the first token. */
  readonly initial: readonly Affine<Leaf>[];
  /** The norm in the inner model. */
  readonly innerNorm: InnerNorm<Leaf>;
  /** The norm of the output, [D]. */
  readonly norm: InnerNorm<Leaf>;
  /** W_G, [D, D]; absent without gate. */
  readonly gate?: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** What a TTT layer carries: at a boundary the weights, and the rows that the convolution sees. */
export interface TttState extends ConvolvedState {
  /** The weights of the inner model at the start of the mini-batch. */
  readonly weights: readonly Affine[];
  /** The gradients of its tokens since; only where single tokens are read. */
  readonly sums?: readonly Affine[];
}

/** TTT-Linear: the state of a head is a matrix and a bias. */
export const tttLinear: AnyMixer = tttMixer(
  "tttLinear",
  "TTT-Linear: a linear model that learns from each token it reads",
  linearModel,
);

/** TTT-MLP: the state of a head is an MLP. */
export const tttMlp: AnyMixer = tttMixer("tttMlp", "TTT-MLP: an MLP that learns from each token it reads", mlpModel);

/** The deviation of first weights: the norm after them makes their size free. */
const DEVIATION = 0.02;

function tttMixer(name: string, summary: string, model: InnerModel): AnyMixer {
  return defineMixer<typeof TTT_OPTIONS, TttParameters<Parameter>, TttState>({
    name,
    summary,
    paper: "2407.04620",
    options: TTT_OPTIONS,
    metrics: { innerRate: { of: "rate", as: "mean" } },
    remedies: (options): readonly Remedy[] => [{ option: "baseRate", smallerThan: baseRateOf(model, options) }],
    create(options, { width: D }) {
      const { heads: H, miniBatch, checkpoint } = options, K = D / H;
      checkHeads(options, D);
      const tokenRates = (params: Tensors<TttParameters<Parameter>>): Tensor => {
        const means = reciprocal(add(iota([miniBatch], 0, "f32"), 1));
        return maximum(add(means, params.tokenRate), 0);
      };
      const learnerOf = (params: Tensors<TttParameters<Parameter>>) => ({ model, norm: params.innerNorm });
      const sequenceOf = (
        params: Tensors<TttParameters<Parameter>>,
        x: Tensor,
        { state, update, count }: { readonly state: TttState; readonly update?: Tensor; readonly count: number },
      ): { readonly sequence: TttSequence; readonly convolved: ConvolvedState } => {
        const { rows, state: convolved } = convolve(params, matmul(x, params.projection), { state, count });
        const [query, key, value] = split(rows, [D, D, D], 2).map((part) => splitHeads(part, H));
        const open = swapAxes(sigmoid(add(matmul(x, params.rate), params.rateBias)), 1, 2); // [B, H, T]
        const rate = mul(open, baseRateOf(model, options) / K);
        return {
          sequence: { query, key, value, rate: update ? mul(rate, expandDims(update, 1)) : rate },
          convolved,
        };
      };
      const outputOf = (params: Tensors<TttParameters<Parameter>>, x: Tensor, o: Tensor): Tensor => {
        const y = layerNorm(mergeHeads(o), { ...params.norm, epsilon: EPSILON });
        return matmul(params.gate ? mul(gelu(matmul(x, params.gate)), y) : y, params.out);
      };
      return {
        interval: miniBatch,
        together: miniBatch,
        parameters: (scale) => describe(model, options, { width: D, scale }),
        initialState: (params, batch) => ({
          weights: params.initial.map(({ matrix, bias }) => ({
            matrix: broadcastTo(expandDims(matrix, 0), [batch, ...matrix.shape]),
            bias: broadcastTo(expandDims(expandDims(bias, 1), 0), [batch, H, 1, bias.shape[1]]),
          })),
          ...initialConvolved(params, batch),
        }),
        forward(params, x, { state, update, observe }) {
          const T = x.shape[1];
          const { sequence, convolved } = sequenceOf(params, x, { state, update, count: T - T % miniBatch });
          observe?.("rate", sequence.rate, ["batch", "head", "time"]);
          const learner = { ...learnerOf(params), tokenRate: tokenRates(params) };
          const { output, weights } = learn(learner, sequence, { weights: state.weights, checkpoint });
          return { output: outputOf(params, x, output), state: { weights, ...convolved } };
        },
        stepState: (state) => ({ ...state, sums: noSums(state.weights) }),
        step(params, x, { state, position }) {
          const index = placeIn(miniBatch, position);
          const { sequence, convolved } = sequenceOf(params, x, { state, count: 1 });
          const { output, state: after } = learnToken(learnerOf(params), sequence, {
            ...state as TokenState,
            index,
            tokenRate: gather(tokenRates(params), index),
            isLast: endsInterval(miniBatch, position),
          });
          return { output: outputOf(params, x, output), state: { ...after, ...convolved } };
        },
      };
    },
  });
}

function baseRateOf(model: InnerModel, { baseRate }: TttOptions): number {
  return baseRate || model.baseRate;
}

function checkHeads({ heads }: TttOptions, D: number): void {
  if (D % heads !== 0) refuse("heads", heads, `it must divide the width, ${D}`);
  if ((D / heads) % 2 !== 0) {
    refuse("heads", heads, `rotary positions need an even head width, ${D} / ${heads} is ${D / heads}`);
  }
}

/** Describes the parameters of a layer. */
function describe(
  model: InnerModel,
  { heads: H, miniBatch, convolution, backboneGate }: TttOptions,
  { width: D, scale }: { readonly width: number; readonly scale: number },
): TttParameters<Parameter> {
  const K = D / H, small = (shape: readonly number[]): Parameter => new Parameter(shape, { normal: DEVIATION }, true);
  return {
    projection: matrix([D, 3 * D]),
    ...convolvedParameters(3 * D, convolution),
    rate: small([D, H]),
    rateBias: vector([H], 0),
    tokenRate: vector([miniBatch], 0),
    initial: model.widths(K).map(([from, to]) => ({ matrix: small([H, from, to]), bias: vector([H, to], 0) })),
    innerNorm: { gain: vector([H, K], 1), bias: vector([H, K], 0) },
    norm: { gain: vector([D], 1), bias: vector([D], 0) },
    ...(backboneGate ? { gate: matrix([D, D]) } : {}),
    out: matrix([D, D], scale),
  };
}
