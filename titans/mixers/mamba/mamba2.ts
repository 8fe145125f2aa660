/**
 * Mamba2: Mamba with one decay per head, which makes it linear attention with a decay that each token chooses.
 *
 *     [z | x' | B | C] = x W_in;   [x' | B | C] = silu(conv([x' | B | C]) + bias);   dt = softplus(x W_dt + bias) per head
 *     S_t = exp(-A dt_t) S_{t-1} + B_t^T (dt_t x'_t);   o_t = C_t S_t + skip x'_t
 *     y = norm(o * silu(z)) W_out                                RMS norm over all channels of a group, after the gate
 *
 * Heads are as wide as those of attention, and there are `expansion` times as many. B and C are shared by the heads of a
 * group. (Dao and Gu, arXiv 2405.21060.)
 */
import type { Tensor } from "../../../core/graph.ts";
import {
  add,
  broadcastTo,
  exp,
  expandDims,
  matmul,
  mul,
  neg,
  reshape,
  rmsNorm,
  silu,
  softplus,
  split,
  swapAxes,
} from "../../../ops/mod.ts";
import { mergeHeads, splitHeads } from "../../nn/layers.ts";
import {
  linearRecurrence,
  linearRecurrenceStep,
  type RecurrenceResult,
  type RecurrenceRows,
} from "../../nn/linear_recurrence.ts";
import { matrix, type Parameter, vector } from "../../nn/parameters.ts";
import { refuse } from "../../options/option_table.ts";
import { convolve, type Convolved, convolvedParameters, initialConvolved } from "../convolved.ts";
import { logRates, stepBiases } from "../decay_initializers.ts";
import { type AnyMixer, defineMixer, type ForwardContext, type Mixed } from "../mixer_interface.ts";
import { checkHeads, emptyMemory, type RecurrentState, storedKeys } from "../recurrent.ts";
import { MAMBA2_OPTIONS } from "./options.ts";

/** Parameters of {@link mamba2}: E channels in H heads of width P, states of N x P numbers, G groups. */
export interface Mamba2Parameters<Leaf> extends Convolved<Leaf> {
  /** `[z | x' | B | C]`, [D, 2 E + 2 G N]. The few columns of dt are apart, so that these fill vectors. */
  readonly projection: Leaf;
  /** Steps dt: `weight` [D, H], `bias` [H]. */
  readonly step: { readonly weight: Leaf; readonly bias: Leaf };
  /** log A, [H]. */
  readonly logRate: Leaf;
  /** [H] */
  readonly skip: Leaf;
  /** Gain of the norm, [E]. */
  readonly norm: Leaf;
  /** [E, D] */
  readonly out: Leaf;
}

/** The epsilon of the norm, of the authors' code. */
const EPSILON = 1e-5;

/** Many tokens, or one. */
type Recurrence = (
  rows: RecurrenceRows,
  options: { readonly decay: Tensor; readonly state: Tensor; readonly tile?: number },
) => RecurrenceResult;

/** Mamba2. */
export const mamba2: AnyMixer = defineMixer<typeof MAMBA2_OPTIONS, Mamba2Parameters<Parameter>, RecurrentState>({
  name: "mamba2",
  summary: "Mamba2: a state space with one decay per head, in matrix products",
  paper: "2405.21060",
  options: MAMBA2_OPTIONS,
  create({ heads, convolution, chunk, expansion, stateWidth, stateGroups: G }, { width: D }) {
    checkHeads(heads, D, "the width");
    const E = expansion * D, P = D / heads, H = expansion * heads, N = stateWidth || P;
    if (H % G !== 0) refuse("stateGroups", G, `it must divide the heads, ${expansion} times ${heads}`);
    /** What a group writes under or reads by, [B, T, G N], for each of its heads: one for all, or [B, H, T, N]. */
    const forHeads = (x: Tensor): Tensor => {
      const groups = splitHeads(x, G), [B, , T] = groups.shape;
      return G === 1 ? groups : reshape(broadcastTo(expandDims(groups, 2), [B, G, H / G, T, N]), [B, H, T, N]);
    };
    const normalize = (x: Tensor): Tensor => {
      const perGroup = reshape(x, [...x.shape.slice(0, 2), G, E / G]);
      return reshape(rmsNorm(perGroup, { epsilon: EPSILON }), x.shape);
    };
    const mix = (
      params: Mamba2Parameters<Tensor>,
      x: Tensor,
      { recurrence, state, update }: ForwardContext<RecurrentState> & { readonly recurrence: Recurrence },
    ): Mixed<RecurrentState> => {
      const [gate, inputs] = split(matmul(x, params.projection), [E, E + 2 * G * N], 2);
      const convolved = convolve(params, inputs, { state, activation: false });
      const [channels, write, read] = split(silu(convolved.rows), [E, G * N, G * N], 2);
      const step = swapAxes(softplus(add(matmul(x, params.step.weight), params.step.bias)), 1, 2); // [B, H, T]
      const own = splitHeads(channels, H); // [B, H, T, P]
      const { output, state: memory } = recurrence(
        { query: forHeads(read), key: storedKeys(forHeads(write), update), value: mul(own, expandDims(step, -1)) },
        {
          decay: mul(step, expandDims(neg(exp(params.logRate)), -1)),
          state: state.memory,
          tile: chunk || undefined,
        },
      );
      const y = mergeHeads(add(output, mul(own, reshape(params.skip, [H, 1, 1]))));
      const normal = mul(normalize(mul(y, silu(gate))), params.norm);
      return { output: matmul(normal, params.out), state: { memory, ...convolved.state } };
    };
    return {
      interval: 1,
      parameters: (scale) => ({
        projection: matrix([D, 2 * E + 2 * G * N]),
        ...convolvedParameters(E + 2 * G * N, convolution, { bias: true }),
        step: { weight: matrix([D, H]), bias: stepBiases(H) },
        logRate: logRates(H),
        skip: vector([H], 1),
        norm: vector([E], 1),
        out: matrix([E, D], scale),
      }),
      initialState: (params, batch) => ({
        memory: emptyMemory({ batch, heads: H, keyWidth: N, valueWidth: P }),
        ...initialConvolved(params, batch),
      }),
      forward: (params, x, context) => mix(params, x, { ...context, recurrence: linearRecurrence }),
      step: (params, x, { state }) => mix(params, x, { state, recurrence: linearRecurrenceStep }),
    };
  },
});
