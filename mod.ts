/**
 * Mneme trains and runs Titans: sequence models whose long-term memory is a small network that keeps learning while it
 * reads.
 *
 * It is a compiler first: a function of symbolic tensors is traced into a graph, differentiated as often as asked,
 * simplified, cut into fused kernels, given memory, printed as WGSL and run on WebGPU. This entry point has what that
 * takes; the operations are in `./ops`, the layers and models in `./titans`.
 *
 * @example
 * ```ts
 * import { compile, grad, requestDevice, spec } from "@mneme/titans";
 * import type { Tensor } from "@mneme/titans";
 * import { mul, sum } from "@mneme/titans/ops";
 *
 * const cube = (x: Tensor) => sum(mul(x, mul(x, x)));
 * const device = await requestDevice({ kind: "reference" });
 * const program = await compile(device, grad((x: Tensor) => sum(grad(cube)(x))), [spec([2])]);
 * const { data } = await program.run([1, 2]);
 * if (data[0] !== 6 || data[1] !== 12) throw new Error(`6 x was expected, not ${data}`);
 * device.dispose();
 * ```
 *
 * @module
 */
export type { Tensor } from "./core/graph.ts";
export type { DType, Half, HostData, Type } from "./core/dtype.ts";
export type { Shape } from "./core/shape.ts";
export {
  CompileError,
  DeviceError,
  type DeviceErrorReason,
  DTypeError,
  OptionError,
  ShapeError,
} from "./core/errors.ts";
export {
  grad,
  type GradOf,
  type GradOptions,
  type TreeFunction,
  type ValueAndGrad,
  valueAndGrad,
  vjp,
} from "./core/grad.ts";
export { checkpoint } from "./core/checkpoint.ts";
export { type ArgumentCotangents, customVjp, type VjpRule } from "./core/custom_vjp.ts";
export { type Rematerialization, scan, type ScanOptions } from "./core/scan.ts";
export { Spec, spec, type SpecsOf, trace, type Traced } from "./core/trace.ts";
export { compile, type CompileOptions } from "./kernels/compile.ts";
export { jit, type JitOptions, type Jitted } from "./kernels/jit.ts";
export { type DeviceKind, type DeviceOptions, requestDevice } from "./kernels/request_device.ts";
export {
  type DeviceResult,
  type HostResult,
  Program,
  type ProgramArguments,
  type ProgramRecord,
} from "./kernels/program.ts";
export type { Device, DeviceArray, DeviceInfo, DeviceLimits } from "./kernels/device.ts";
export type { TileSize } from "./kernels/tiling/large.ts";
export type { ArrayLeaf } from "./kernels/arguments.ts";
export type { HostArray, HostArrays, HostTensor, NumberMethods } from "./kernels/host_data.ts";
export type { ResultMethods, ResultTensor } from "./kernels/result_tensor.ts";
export type { Nested, NestedList } from "./core/nested.ts";
export type { Explanation } from "./kernels/explain.ts";
