/**
 * Mamba: a state space whose step size, input and output depend on the token.
 *
 *     [u | z] = x W_in,  E = 2 D channels each;   u = silu(conv(u) + bias)
 *     [r | b | c] = u W_x;   delta = softplus(r W_delta + bias)
 *     h_t[n, e] = exp(delta_t[e] a[n, e]) h_{t-1}[n, e] + delta_t[e] b_t[n] u_t[e],   a = -exp(log A)
 *     y = ((sum over n of c_t[n] h_t[n, e] + skip u) * silu(z)) W_out
 *
 * Inputs enter by Euler's rule, `delta b`, as in the authors' code, not by the zero-order hold of the paper's equation 4.
 *
 * (Gu and Dao, arXiv 2312.00752.)
 */
import type { Tensor } from "../../../core/graph.ts";
import {
  add,
  exp,
  expandDims,
  matmul,
  mul,
  neg,
  selectiveScan,
  silu,
  softplus,
  split,
  zeros,
} from "../../../ops/mod.ts";
import { matrix, Parameter, vector } from "../../nn/parameters.ts";
import { convolve, type Convolved, convolvedParameters, type ConvolvedState, initialConvolved } from "../convolved.ts";
import { stepBiases } from "../decay_initializers.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import { MAMBA_OPTIONS } from "./options.ts";

/** Parameters of {@link mamba}: E channels, states of N numbers, steps of rank R. */
export interface MambaParameters<Leaf> extends Convolved<Leaf> {
  /** `[u | z]`, [D, 2 E]. */
  readonly projection: Leaf;
  /** `[r | b | c]`, [E, R + 2 N]. */
  readonly selection: Leaf;
  /** Steps: `weight` [R, E], `bias` [E]. */
  readonly step: { readonly weight: Leaf; readonly bias: Leaf };
  /** log A, [N, E]. */
  readonly logRate: Leaf;
  /** [E] */
  readonly skip: Leaf;
  /** [E, D] */
  readonly out: Leaf;
}

/** What {@link mamba} carries from token to token. */
export interface MambaState extends ConvolvedState {
  /** [B, N, E] */
  readonly memory: Tensor;
}

/** Mamba. */
export const mamba: AnyMixer = defineMixer<typeof MAMBA_OPTIONS, MambaParameters<Parameter>, MambaState>({
  name: "mamba",
  summary: "Mamba: a selective state space, one small state per channel",
  paper: "2312.00752",
  options: MAMBA_OPTIONS,
  create({ expansion, stateWidth, stepRank, convolution, chunk }, { width: D }) {
    const E = expansion * D, N = stateWidth || 16, R = stepRank || Math.ceil(D / 16);
    return {
      interval: 1,
      parameters: (scale) => ({
        projection: matrix([D, 2 * E]),
        ...convolvedParameters(E, convolution, { bias: true }),
        selection: matrix([E, R + 2 * N]),
        step: { weight: new Parameter([R, E], { uniform: 1 / Math.sqrt(R) }, true), bias: stepBiases(E) },
        logRate: new Parameter([N, E], { parts: Array.from({ length: N }, (_, n) => Math.log(n + 1)) }, false),
        skip: vector([E], 1),
        out: matrix([E, D], scale),
      }),
      initialState: (params, batch) => ({ memory: zeros([batch, N, E]), ...initialConvolved(params, batch) }),
      forward(params, x, { state, update }) {
        const [inputs, gate] = split(matmul(x, params.projection), [E, E], 2);
        const convolved = convolve(params, inputs, { state, activation: false }), u = silu(convolved.rows);
        const [r, b, c] = split(matmul(u, params.selection), [R, N, N], 2);
        const delta = softplus(add(matmul(r, params.step.weight), params.step.bias));
        const written = update ? mul(b, expandDims(update, -1)) : b;
        const [y, memory] = selectiveScan(
          { u, delta, a: neg(exp(params.logRate)), b: written, c },
          { state: state.memory, piece: chunk || undefined },
        );
        const gated = mul(add(y, mul(params.skip, u)), silu(gate));
        return { output: matmul(gated, params.out), state: { memory, ...convolved.state } };
      },
    };
  },
});
