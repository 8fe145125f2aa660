/** WebGPU devices with shorter bindings than their adapters have, so that small tensors are bound in pieces. */
import type { DeviceLimits } from "../../kernels/device.ts";
import { WebGpuDevice, type WebGpuOptions } from "../../kernels/devices/webgpu/device.ts";
import type { Printer } from "../../kernels/devices/webgpu/print_wgsl.ts";
import { printWgsl } from "./print_wgsl.ts";

/** Opens a device on which bindings may begin wherever the adapter allows, which is every 32 bytes on many. */
export async function openFinely(options: WebGpuOptions = {}): Promise<WebGpuDevice> {
  const adapter = (await navigator.gpu.requestAdapter())!, { limits, info } = adapter;
  const requiredLimits = {
    maxStorageBuffersPerShaderStage: Math.min(32, limits.maxStorageBuffersPerShaderStage),
    minStorageBufferOffsetAlignment: limits.minStorageBufferOffsetAlignment,
  };
  return new WebGpuDevice(await adapter.requestDevice({ requiredLimits }), info, options);
}

/** Makes bindings of a device as short as `bytes`, rounded up to where the adapter can bind. Holds for later programs. */
export function bindAtMost(device: WebGpuDevice, bytes: number, maxOperands = device.limits.maxOperands): void {
  const step = device.gpu.limits.minStorageBufferOffsetAlignment;
  const maxBindingBytes = Math.max(1, Math.ceil(bytes / step)) * step;
  (device as { limits: DeviceLimits }).limits = { ...device.limits, maxBindingBytes, maxOperands };
}

/** Prints as the device does, and counts. */
export function countPieces(counts: { kernels: number; inPieces: number }): Printer {
  return (kernel, target) => {
    const printed = printWgsl(kernel, target);
    counts.kernels++;
    if (printed.bindings.some(({ piece }) => piece)) counts.inPieces++;
    return printed;
  };
}
