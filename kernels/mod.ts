/**
 * Devices and programs: `compile` takes a function of tensors to kernels on a {@link Device}, and gives a
 * {@link Program} to run.
 *
 * @example
 * ```ts
 * import { compile, requestDevice } from "@mneme/titans/kernels";
 * import { spec, type Tensor } from "@mneme/titans";
 * import { sum, tanh } from "@mneme/titans/ops";
 *
 * const device = await requestDevice({ kind: "reference" });
 * const program = await compile(device, (x: Tensor) => sum(tanh(x)), [spec([2])]);
 * const { data } = await program.run([0, 100]);
 * if (data[0] !== 1) throw new Error(`1 was expected, not ${data[0]}`);
 * device.dispose();
 * ```
 *
 * @module
 */
export { compile, type CompileOptions } from "./compile.ts";
export { jit, type JitOptions, type Jitted } from "./jit.ts";
export { DEVICE_KINDS, type DeviceKind, type DeviceOptions, requestDevice } from "./request_device.ts";
export {
  type DeviceEntry,
  type DeviceKindSpec,
  type DeviceName,
  DEVICES,
  type RequestOptions,
} from "./devices/registry.ts";
export type { ArrayRecord, CompileWatch, Device, DeviceArray, DeviceInfo, DeviceLimits } from "./device.ts";
export type { TileSize } from "./tiling/large.ts";
export { BaseDevice } from "./devices/base_device.ts";
export { HostMemoryDevice } from "./devices/host_memory/device.ts";
export { StoredArray } from "./devices/stored_array.ts";
export {
  type DeviceResult,
  type HostResult,
  type ProfileOptions,
  Program,
  type ProgramArguments,
  type ProgramRecord,
} from "./program.ts";
export type { PeakRates } from "./roofline.ts";
export type { ArrayLeaf } from "./arguments.ts";
export type { CompilePhase, PhaseListener } from "./phases.ts";
export type { HostArray, HostArrays, HostTensor, NumberMethods } from "./host_data.ts";
export type { ResultMethods, ResultTensor } from "./result_tensor.ts";
export { Explanation, type KernelReport, type MemoryReport, type ValueReport, type WorkTotals } from "./explain.ts";
export type { LiveRange } from "./plan_memory.ts";
export { ReferenceArray, ReferenceDevice } from "./devices/reference/device.ts";
export { CpuDevice, type CpuOptions, requestCpuDevice } from "./devices/wasm/device.ts";
export { NativeDevice, type NativeOptions, requestNativeDevice } from "./devices/native/device.ts";
export { CpuArray } from "./devices/host_memory/array.ts";
export { requestWebGpuDevice, WebGpuDevice, type WebGpuLimits, type WebGpuOptions } from "./devices/webgpu/device.ts";
export type { WebGpuStats } from "./devices/webgpu/context.ts";
export { WebGpuArray } from "./devices/webgpu/array.ts";
export type { PoolBuffer } from "./devices/webgpu/buffers.ts";
// What the signatures above are made of.
export type { DType, Half, HostData, Type } from "../core/dtype.ts";
export type { Tensor } from "../core/graph.ts";
export type { Nested, NestedList } from "../core/nested.ts";
export type { Shape } from "../core/shape.ts";
export type { Spec, SpecsOf } from "../core/trace.ts";
export type { MapTree } from "../core/tree.ts";
