/** Normalisations with learned gains. */
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import * as ops from "../../ops/norms.ts";
import { checkNames } from "../errors.ts";
import type { Layer } from "./layer.ts";
import { requireWidth } from "./linear.ts";
import { vector } from "./parameters.ts";
import type { Parameter } from "./parameters.ts";

/** Parameters of {@link layerNorm} and {@link rmsNorm}. */
export interface NormParameters<Leaf> {
  /** [width] */
  readonly gain: Leaf;
  /** [width], if the layer has one. */
  readonly bias?: Leaf;
}

/** Options of {@link layerNorm}. */
export interface LayerNormLayerOptions {
  /** Whether a bias is added. Default: true. */
  readonly bias?: boolean;
  /** Added to the variance. Default: 1e-5. */
  readonly epsilon?: number;
}

const LAYER_NORM_OPTIONS = optionNames<LayerNormLayerOptions>({ bias: true, epsilon: true });

/**
 * `(x - mean) / sqrt(variance + epsilon) * gain + bias` over the last axis, [..., width] (Ba, Kiros, Hinton, arXiv
 * 1607.06450). The gain starts at one, the bias at zero.
 */
export function layerNorm(width: number, options: LayerNormLayerOptions = {}): Layer<NormParameters<Tensor>> {
  checkNames("layerNorm", options, LAYER_NORM_OPTIONS);
  const { bias = true, epsilon = 1e-5 } = options;
  const parameters: NormParameters<Parameter> = { gain: vector([width], 1), ...(bias && { bias: vector([width], 0) }) };
  return {
    parameters,
    apply: ({ gain, bias }, x) => {
      requireWidth("layer-normalise", x, width);
      return ops.layerNorm(x, { gain, bias, epsilon });
    },
  };
}

/** Options of {@link rmsNorm}. */
export interface RmsNormLayerOptions {
  /** Added to the mean square. Default: 1e-6. */
  readonly epsilon?: number;
}

const RMS_NORM_OPTIONS = optionNames<RmsNormLayerOptions>({ epsilon: true });

/**
 * `x / sqrt(mean of x^2 + epsilon) * gain` over the last axis, [..., width] (Zhang and Sennrich, arXiv 1910.07467). The
 * gain starts at one.
 */
export function rmsNorm(width: number, options: RmsNormLayerOptions = {}): Layer<NormParameters<Tensor>> {
  checkNames("rmsNorm", options, RMS_NORM_OPTIONS);
  const { epsilon = 1e-6 } = options;
  return {
    parameters: { gain: vector([width], 1) },
    apply: ({ gain }, x) => {
      requireWidth("RMS-normalise", x, width);
      return ops.rmsNorm(x, { gain, epsilon });
    },
  };
}
