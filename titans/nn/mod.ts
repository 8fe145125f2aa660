/**
 * Layers for models of your own: each is descriptions of its parameters and a function of parameters and inputs. No
 * layer holds values; a model is a record of layers' parameters and a function that applies them.
 *
 * @example
 * ```ts
 * import { jit, requestDevice, type Tensor, valueAndGrad } from "@mneme/titans";
 * import * as nn from "@mneme/titans/nn";
 * import { mean, mul, square, sub, tanh } from "@mneme/titans/ops";
 *
 * const model = nn.sequential(nn.linear(2, 8), tanh, nn.linear(8, 1));
 * const layout = nn.layoutOf(model.parameters);
 * const loss = (flat: Tensor, x: Tensor, y: Tensor) => mean(square(sub(model.apply(layout.unflatten(flat), x), y)));
 * const device = await requestDevice({ kind: "cpu" });
 * const step = jit(device, (flat: Tensor, x: Tensor, y: Tensor) => {
 *   const [error, gradient] = valueAndGrad(loss)(flat, x, y);
 *   return { error, flat: sub(flat, mul(gradient, 0.3)) };
 * });
 *
 * const x = [[0, 0], [0, 1], [1, 0], [1, 1]], y = [[0], [1], [1], [0]];
 * let state = await step(layout.pack(layout.initialize(1)), x, y);
 * for (let i = 0; i < 400; i++) state = await step(state.flat, x, y);
 * if (state.error.item() > 0.01) throw new Error(`the exclusive or was not learned: ${state.error.item()}`);
 * device.dispose();
 * ```
 *
 * @module
 */
export {
  initialize,
  type InitialValue,
  type Layer,
  layoutOf,
  type ParametersOf,
  sequential,
  valuesOf,
} from "./layer.ts";
export {
  type Embedding,
  embedding,
  type EmbeddingOptions,
  type EmbeddingParameters,
  linear,
  type LinearOptions,
  type LinearParameters,
} from "./linear.ts";
export {
  layerNorm,
  type LayerNormLayerOptions,
  type NormParameters,
  rmsNorm,
  type RmsNormLayerOptions,
} from "./normalization.ts";
export { mlp, type MlpActivation, type MlpOptions, type MlpParameters } from "./mlp.ts";
export { type Gru, gru, type GruCall, type GruOptions, type GruParameters, type GruResult } from "./gru.ts";
export {
  multiHeadAttention,
  type MultiHeadAttentionOptions,
  type MultiHeadAttentionParameters,
} from "./multi_head_attention.ts";
export {
  constant,
  glorotNormal,
  glorotUniform,
  heNormal,
  heUniform,
  type Initializer,
  type InitializerFor,
  lecunNormal,
  normal,
  ones,
  orthogonal,
  truncatedNormal,
  uniform,
  zeros,
} from "./initializers.ts";
export { type NamedArrays, type NamedParameter, Parameter, ParameterLayout } from "./parameters.ts";
// What the signatures above are made of.
export type { Tensor } from "../../core/graph.ts";
export type { Shape } from "../../core/shape.ts";
export type { MapTree } from "../../core/tree.ts";
