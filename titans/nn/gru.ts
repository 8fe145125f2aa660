/**
 * The gated recurrent unit (Cho et al., arXiv 1406.1078), in the form of PyTorch and cuDNN: the reset gate multiplies the
 * recurrent product with its bias, rather than the state before it.
 *
 *     r = sigmoid(x W_r + b_r + h U_r + c_r)         reset
 *     z = sigmoid(x W_z + b_z + h U_z + c_z)         update
 *     n = tanh(x W_n + b_n + r (h U_n + c_n))        new
 *     h <- (1 - z) n + z h
 *
 * The three matrices stand side by side in the order r, z, n, which is PyTorch's: `weight_ih_l0`, transposed, is
 * `input`.
 */
import { ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import { scan } from "../../core/scan.ts";
import { formatType } from "../../core/shape.ts";
import { add, matmul, mul, sigmoid, split, sub, swapAxes, tanh, zeros } from "../../ops/mod.ts";
import { checkNames } from "../errors.ts";
import { type InitializerFor, initializerFor, uniform } from "./initializers.ts";
import type { Layer } from "./layer.ts";
import { requireWidth } from "./linear.ts";
import { Parameter } from "./parameters.ts";

/** Parameters of {@link gru}; gates in the order r, z, n. */
export interface GruParameters<Leaf> {
  /** `[W_r | W_z | W_n]`, [in, 3 width]. */
  readonly input: Leaf;
  /** `[U_r | U_z | U_n]`, [width, 3 width]. */
  readonly recurrent: Leaf;
  /** b, [3 width] */
  readonly inputBias: Leaf;
  /** c, [3 width] */
  readonly recurrentBias: Leaf;
}

/** Options of {@link gru}. */
export interface GruOptions {
  /** How all parameters are initialised. Default: uniform up to `1 / sqrt(width)`, as in PyTorch. */
  readonly initializer?: InitializerFor;
}

const GRU_OPTIONS = optionNames<GruOptions>({ initializer: true });

/** How a sequence is read. */
export interface GruCall {
  /** The state before the first token, [B, width]. Default: zeros. */
  readonly state?: Tensor;
  /** Whether to read from the last token to the first. */
  readonly reverse?: boolean;
}

const GRU_CALL = optionNames<GruCall>({ state: true, reverse: true });

/** What a sequence gives. */
export interface GruResult {
  /** The state after each token, [B, T, width]. */
  readonly output: Tensor;
  /** The state after the last token that was read, [B, width]. */
  readonly state: Tensor;
}

/** A gated recurrent unit. */
export interface Gru extends Layer<GruParameters<Tensor>, [x: Tensor, call?: GruCall], GruResult> {
  /** One token: its vector [B, in] and the state before it, [B, width]; gives the state after it. */
  step(params: GruParameters<Tensor>, x: Tensor, state: Tensor): Tensor;
}

/**
 * A gated recurrent unit: sequences [B, T, in] to states [B, T, width]. A loop that stays one: kernels and compile time
 * do not grow with T; what does not depend on the state is one product for all tokens.
 * @param inWidth Width of a token.
 * @param width Width of the state.
 */
export function gru(inWidth: number, width: number, options: GruOptions = {}): Gru {
  checkNames("gru", options, GRU_OPTIONS);
  const { initializer = uniform(1 / Math.sqrt(width)) } = options;
  const parameter = (shape: readonly number[], decay: boolean): Parameter =>
    new Parameter(shape, initializerFor(initializer, shape), decay);
  const fromInput = ({ input, inputBias }: GruParameters<Tensor>, x: Tensor): Tensor => {
    requireWidth("read with a GRU", x, inWidth);
    return add(matmul(x, input), inputBias);
  };
  const next = ({ recurrent, recurrentBias }: GruParameters<Tensor>, given: Tensor, state: Tensor): Tensor => {
    const thirds = [width, width, width];
    const [xr, xz, xn] = split(given, thirds, -1);
    const [hr, hz, hn] = split(add(matmul(state, recurrent), recurrentBias), thirds, -1);
    const r = sigmoid(add(xr, hr)), z = sigmoid(add(xz, hz)), n = tanh(add(xn, mul(r, hn)));
    return add(n, mul(z, sub(state, n)));
  };
  return {
    parameters: {
      input: parameter([inWidth, 3 * width], true),
      recurrent: parameter([width, 3 * width], true),
      inputBias: parameter([3 * width], false),
      recurrentBias: parameter([3 * width], false),
    },
    step: (params, x, state) => next(params, fromInput(params, x), state),
    apply: (params, x, call = {}) => {
      checkNames("a GRU", call, GRU_CALL);
      if (x.rank !== 3) {
        throw new ShapeError(`Cannot read ${formatType(x)} with a GRU: sequences have shape [B, T, ${inWidth}]`, [
          x.shape,
        ]);
      }
      const given = swapAxes(fromInput(params, x), 0, 1); // [T, B, 3 width]
      const [state, states] = scan(
        (state: Tensor, given: Tensor): [Tensor, Tensor] => {
          const after = next(params, given, state);
          return [after, after];
        },
        call.state ?? zeros([x.shape[0], width], x.dtype),
        given,
        { reverse: call.reverse ?? false },
      );
      return { output: swapAxes(states, 0, 1), state };
    },
  };
}
