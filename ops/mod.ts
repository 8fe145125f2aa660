/**
 * The ops: functions of symbolic tensors, for use inside functions that are traced. Names and semantics follow NumPy
 * and JAX; shapes are checked while tracing, at the user's line; dtypes are never promoted; every gradient can be
 * differentiated again.
 *
 * @example
 * ```ts
 * import { grad } from "@mneme/titans";
 * import type { Tensor } from "@mneme/titans";
 * import { matmul, mean, square, sub } from "@mneme/titans/ops";
 *
 * const loss = (w: Tensor, x: Tensor, y: Tensor) => mean(square(sub(matmul(x, w), y)));
 * const gradient = grad(loss); // (w, x, y) -> like w
 * ```
 *
 * @module
 */
export type { OneAxis } from "./axes.ts";
export type { TensorLike } from "./operands.ts";
export { arange, constant, full, iota, ones, onesLike, zeros, zerosLike } from "./sources.ts";
export {
  abs,
  ceil,
  clip,
  cos,
  erf,
  exp,
  expm1,
  floor,
  isFinite,
  isNaN,
  log,
  log1p,
  neg,
  reciprocal,
  round,
  rsqrt,
  sigmoid,
  sign,
  sin,
  sqrt,
  square,
  tanh,
} from "./unary.ts";
export { add, div, maximum, minimum, mod, mul, pow, sub } from "./binary.ts";
export {
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  notEqual,
} from "./compare.ts";
export { cast, stopGradient, where } from "./select.ts";
export { broadcastTo, type ReduceOptions, sum } from "./broadcast.ts";
export {
  all,
  any,
  argmax,
  type ArgmaxOptions,
  argmin,
  max,
  mean,
  min,
  prod,
  variance,
  type VarianceOptions,
} from "./reduce.ts";
export { expandDims, flip, reshape, squeeze, swapAxes, transpose } from "./views.ts";
export { pad, slice, sliceAxis, split } from "./slice.ts";
export { concat, stack } from "./concat.ts";
export { repeat, type RepeatOptions, roll, type RollOptions, tile } from "./tiling.ts";
export { eye, type EyeOptions, type TriangleOptions, tril, triu } from "./triangles.ts";
export { matmul } from "./matmul.ts";
export { einsum } from "./einsum.ts";
export { gather, type GatherOptions, oneHot, type OneHotOptions, scatterAdd } from "./gather.ts";
export { takeAlongAxis, type TakeAlongAxisOptions } from "./along_axis.ts";
export { argsort, sort, type SortOptions, topK, type TopKOptions } from "./sort.ts";
export { dynamicSlice, dynamicUpdateSlice, type Starts } from "./dynamic_slice.ts";
export { cumprod, cumsum, linearScan, type LinearScanOptions } from "./linear_scan.ts";
export { foldIn, normal, randomBits, splitKey, uniform, type UniformOptions } from "./random.ts";
export {
  bernoulli,
  type BernoulliOptions,
  categorical,
  type CategoricalOptions,
  dropout,
  type DropoutOptions,
  permutation,
  type PermutationOptions,
  truncatedNormal,
  type TruncatedNormalOptions,
} from "./sampling.ts";
export { gelu, type GeluOptions, logSigmoid, relu, silu, softplus, swiglu } from "./activations.ts";
export {
  l2Normalize,
  type L2NormalizeOptions,
  layerNorm,
  type LayerNormOptions,
  rmsNorm,
  type RmsNormOptions,
} from "./norms.ts";
export { logSoftmax, logSumExp, softmax, type SoftmaxOptions } from "./softmax.ts";
export {
  binaryCrossEntropy,
  crossEntropy,
  type CrossEntropyOptions,
  gaussianNll,
  type GaussianNllOptions,
  huber,
  type HuberOptions,
  type LossOptions,
  mse,
  type Reduction,
} from "./losses.ts";
export { attention, type AttentionOptions } from "./attention.ts";
export { causalConv1d, type CausalConvOptions } from "./conv.ts";
export { conv1d, type Conv1dOptions } from "./conv1d.ts";
export { selectiveScan, type SelectiveScanInputs, type SelectiveScanOptions } from "./selective_scan.ts";
export { triangularInverse, type TriangularInverseOptions } from "./triangular_inverse.ts";
export { rotaryEmbedding, type RotaryOptions } from "./rotary.ts";
export { type Rematerialization, scan, type ScanOptions } from "../core/scan.ts";
// What the signatures above are made of.
export type { Tensor } from "../core/graph.ts";
export type { DType, Type } from "../core/dtype.ts";
export type { Nested, NestedList } from "../core/nested.ts";
export type { Shape } from "../core/shape.ts";
