/** How the registry opens a WebGPU device. */
import type { RequestOptions } from "../registry.ts";
import { requestWebGpuDevice, type WebGpuDevice } from "./device.ts";
import { webgpu } from "./host.ts";

/** Whether the runtime has WebGPU. */
export function isAvailable(): boolean {
  return webgpu() !== undefined;
}

/** Opens the adapter. */
export function request({ shaderCacheDirectory }: RequestOptions): Promise<WebGpuDevice> {
  return requestWebGpuDevice({ shaderCacheDirectory });
}
