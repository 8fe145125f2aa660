/** How the registry opens the cpu device. */
import type { RequestOptions } from "../registry.ts";
import { type CpuDevice, requestCpuDevice } from "./device.ts";
import { findFeatures } from "./features.ts";

/** Whether the runtime's WebAssembly has SIMD. */
export function isAvailable(): boolean {
  return findFeatures().simd;
}

/** Opens the CPU. */
export function request({ threads }: RequestOptions): Promise<CpuDevice> {
  return requestCpuDevice({ threads });
}
