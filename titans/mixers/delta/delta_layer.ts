/**
 * The layer around the delta rule, of DeltaNet and Gated DeltaNet: from tokens to queries, keys, values and rates,
 * through the rule, to a normalised output.
 *
 *     q, k, v = silu(conv(x W_Q)), silu(conv(x W_K)), silu(conv(x W_V)) per head;   q and k of length 1
 *     beta = sigmoid(x W_beta) per head, or twice as much with negative eigenvalues
 *     DeltaNet:        S_t = S_{t-1} + beta_t k_t^T (v_t - k_t S_{t-1})
 *                      y = norm(K^-1/2 q_t S_t) W_O
 *     Gated DeltaNet:  S_t = S' + beta_t k_t^T (v_t - k_t S'),  S' = a_t S_{t-1},  a = exp(-A softplus(x W_a + bias)) per head
 *                      y = (silu(x W_G) * norm(K^-1/2 q_t S_t)) W_O
 *
 * The norm is the RMS norm per head, with one gain for all heads. After it K^-1/2 only decides how much its epsilon
 * counts, but at the start of a text, where outputs are small, that is a lot: the authors' code has it.
 */
import type { Tensor } from "../../../core/graph.ts";
import {
  add,
  exp,
  expandDims,
  l2Normalize,
  matmul,
  mul,
  neg,
  sigmoid,
  silu,
  softplus,
  split,
  swapAxes,
} from "../../../ops/mod.ts";
import { deltaRule, type DeltaRuleRows, deltaRuleStep } from "../../nn/delta_rule.ts";
import { normalizeHeads, splitHeads } from "../../nn/layers.ts";
import type { RecurrenceResult } from "../../nn/linear_recurrence.ts";
import { matrix, type Parameter, vector } from "../../nn/parameters.ts";
import { convolve, type Convolved, convolvedParameters, initialConvolved } from "../convolved.ts";
import { logRates, stepBiases } from "../decay_initializers.ts";
import { defineLayer, type ForwardContext, type Metric, type Mixed, type MixerLayer } from "../mixer_interface.ts";
import { emptyMemory, type RecurrentState } from "../recurrent.ts";

/** Parameters of a layer with the delta rule. */
export interface DeltaParameters<Leaf> extends Convolved<Leaf> {
  /** `[W_Q | W_K | W_V]`, [D, H (2 K + V)]. */
  readonly projection: Leaf;
  /** W_beta, [D, H]. */
  readonly rate: Leaf;
  /** W_a [D, H], its bias [H], and log A [H]; absent without decay. */
  readonly decay?: { readonly weight: Leaf; readonly bias: Leaf; readonly logRate: Leaf };
  /** W_G, [D, H V]; absent without gate. */
  readonly gate?: Leaf;
  /** Gain of the norm, [V]. */
  readonly norm: Leaf;
  /** [H V, D] */
  readonly out: Leaf;
}

/** What a layer with the delta rule is made of. */
export interface DeltaConfig {
  /** Width of a token, D. */
  readonly width: number;
  /** Heads, H. */
  readonly heads: number;
  /** Width of a key, K. */
  readonly keyWidth: number;
  /** Width of a value, V. */
  readonly valueWidth: number;
  /** Tokens that the convolution spans; 0 for none. */
  readonly convolution: number;
  /** Whether rates reach 2. */
  readonly negativeEigenvalues: boolean;
  /** Whether states decay and outputs are gated. */
  readonly gated: boolean;
  /** Tokens of a tile; 0 for what is fastest. */
  readonly chunk: number;
}

/** What is reported of such a layer. */
export const DELTA_METRICS: Readonly<Record<"deltaRate", Metric>> = { deltaRate: { of: "rate", as: "mean" } };

/** The epsilon of the norm of outputs, of the authors' code. */
const EPSILON = 1e-5;

/** Many tokens, or one. */
type Rule = (
  rows: DeltaRuleRows,
  options: { readonly decay?: Tensor; readonly state: Tensor; readonly tile?: number },
) => RecurrenceResult;

/** Makes a layer. */
export function deltaLayer(config: DeltaConfig): MixerLayer<DeltaParameters<Parameter>, RecurrentState> {
  const { chunk } = config;
  const mix = (
    params: DeltaParameters<Tensor>,
    x: Tensor,
    { rule, ...context }: ForwardContext<RecurrentState> & { readonly rule: Rule },
  ): Mixed<RecurrentState> => {
    const { rows, decay, convolved } = inputsOf(config, params, x, context);
    const { output, state: memory } = rule(rows, { decay, state: context.state.memory, tile: chunk || undefined });
    const normal = normalizeHeads(params.norm, output, EPSILON);
    const y = params.gate ? mul(silu(matmul(x, params.gate)), normal) : normal;
    return { output: matmul(y, params.out), state: { memory, ...convolved } };
  };
  return defineLayer({
    interval: 1,
    parameters: (scale) => describe(config, scale),
    initialState: (params, batch) => ({
      memory: emptyMemory({ batch, ...config }),
      ...initialConvolved(params, batch),
    }),
    forward: (params, x, context) => mix(params, x, { ...context, rule: deltaRule }),
    step: (params, x, { state }) => mix(params, x, { state, rule: deltaRuleStep }),
  });
}

function describe(
  { width: D, heads: H, keyWidth: K, valueWidth: V, convolution, gated }: DeltaConfig,
  scale: number,
): DeltaParameters<Parameter> {
  const channels = H * (2 * K + V);
  return {
    projection: matrix([D, channels]),
    ...convolvedParameters(channels, convolution),
    rate: matrix([D, H]),
    ...(gated && {
      decay: { weight: matrix([D, H]), bias: stepBiases(H), logRate: logRates(H) },
      gate: matrix([D, H * V]),
    }),
    norm: vector([V], 1),
    out: matrix([H * V, D], scale),
  };
}

/** What the rule takes, [B, H, T, ..], and the state of the convolution after the tokens. */
function inputsOf(
  { heads: H, keyWidth: K, valueWidth: V, negativeEigenvalues }: DeltaConfig,
  params: DeltaParameters<Tensor>,
  x: Tensor,
  { state, update, observe }: ForwardContext<RecurrentState>,
) {
  const perHead = (logits: Tensor): Tensor => swapAxes(logits, 1, 2); // [B, T, H] to [B, H, T]
  const convolved = convolve(params, matmul(x, params.projection), { state, activation: false });
  const [query, key, value] = split(silu(convolved.rows), [H * K, H * K, H * V], 2).map((part) => splitHeads(part, H));
  const open = perHead(sigmoid(matmul(x, params.rate)));
  const wanted = negativeEigenvalues ? mul(open, 2) : open;
  const rate = update ? mul(wanted, expandDims(update, 1)) : wanted;
  const decay = params.decay && perHead(
    neg(mul(exp(params.decay.logRate), softplus(add(matmul(x, params.decay.weight), params.decay.bias)))),
  );
  observe?.("rate", rate, ["batch", "head", "time"]);
  if (decay) observe?.("decay", exp(decay), ["batch", "head", "time"]);
  return {
    rows: { query: mul(l2Normalize(query), 1 / Math.sqrt(K)), key: l2Normalize(key), value, rate },
    decay,
    convolved: convolved.state,
  };
}
