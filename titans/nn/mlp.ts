/** The multilayer perceptron of one hidden layer, gated or not. */
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import { gelu, relu, silu, split, swiglu, tanh } from "../../ops/mod.ts";
import { checkNames, ConfigError } from "../errors.ts";
import type { InitializerFor } from "./initializers.ts";
import type { Layer } from "./layer.ts";
import { linear, type LinearParameters } from "./linear.ts";

/** Parameters of {@link mlp}. */
export interface MlpParameters<Leaf> {
  /** To the hidden layer: [width, hidden], of "swiglu" gate and input side by side, [width, 2 hidden]. */
  readonly expand: LinearParameters<Leaf>;
  /** [hidden, out] */
  readonly contract: LinearParameters<Leaf>;
}

/** What the hidden layer of {@link mlp} computes; `swiglu` multiplies a silu of one half with the other half. */
export type MlpActivation = "gelu" | "relu" | "silu" | "tanh" | "swiglu";

const ACTIVATIONS: Readonly<Record<Exclude<MlpActivation, "swiglu">, (x: Tensor) => Tensor>> = {
  gelu: (x) => gelu(x),
  relu,
  silu,
  tanh,
};

/** Options of {@link mlp}. */
export interface MlpOptions {
  /** The activation. Default: "gelu", in its usual approximation by tanh. */
  readonly activation?: MlpActivation;
  /** Extent of the last axis that comes out. Default: that which goes in. */
  readonly outWidth?: number;
  /** Whether biases are added. Default: true, but false for "swiglu". */
  readonly bias?: boolean;
  /** How the weights are initialised. Default: LeCun's normal. */
  readonly weightInitializer?: InitializerFor;
}

const MLP_OPTIONS = optionNames<MlpOptions>({ activation: true, outWidth: true, bias: true, weightInitializer: true });

/**
 * `activation(x W + b) V + c`: [..., width] to [..., out]; with "swiglu" `(silu(x G) * (x U)) V` (Shazeer, arXiv
 * 2002.05202).
 * @param width Extent of the last axis that goes in.
 * @param hidden Extent of the hidden layer.
 */
export function mlp(width: number, hidden: number, options: MlpOptions = {}): Layer<MlpParameters<Tensor>> {
  checkNames("mlp", options, MLP_OPTIONS);
  const { activation = "gelu", outWidth = width, bias = activation !== "swiglu", weightInitializer } = options;
  if (activation !== "swiglu" && !Object.hasOwn(ACTIVATIONS, activation)) {
    const names = [...Object.keys(ACTIVATIONS), "swiglu"].join(", ");
    throw new ConfigError(
      `Cannot make an mlp with activation ${JSON.stringify(activation)}: there are ${names}`,
      "activation",
    );
  }
  const expand = linear(width, activation === "swiglu" ? 2 * hidden : hidden, { bias, weightInitializer });
  const contract = linear(hidden, outWidth, { bias, weightInitializer });
  const activate = (x: Tensor): Tensor => {
    if (activation !== "swiglu") return ACTIVATIONS[activation](x);
    const [gate, up] = split(x, [hidden, hidden], -1);
    return swiglu(gate, up);
  };
  return {
    parameters: { expand: expand.parameters, contract: contract.parameters },
    apply: (params, x) => contract.apply(params.contract, activate(expand.apply(params.expand, x))),
  };
}
