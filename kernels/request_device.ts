/** Opens a device. */
import { DeviceError } from "../core/errors.ts";
import type { Device, DeviceKind } from "./device.ts";
import { requestCpuDevice } from "./cpu/device.ts";
import { ReferenceDevice } from "./reference/device.ts";
import { requestWebGpuDevice } from "./webgpu/device.ts";

/**
 * Opens a device, which the caller owns and disposes of.
 *
 * `auto` takes a real GPU if there is one, else the processors: `cpu` is many times as fast as WebGPU in software. `reference` interprets in f64: slow, exact,
 * needs nothing.
 * @throws {DeviceError} with reason `unavailable` if there is no such device; the text says what to do.
 * @example
 * ```ts
 * import { requestDevice } from "@mneme/titans";
 *
 * const device = await requestDevice({ kind: "reference" });
 * device.dispose();
 * ```
 */
export async function requestDevice({ kind = "auto" }: { readonly kind?: DeviceKind } = {}): Promise<Device> {
  switch (kind) {
    case "auto":
      return await realGpu() ?? await requestCpuDevice();
    case "webgpu":
      return await requestWebGpuDevice();
    case "reference":
      return new ReferenceDevice();
    case "cpu":
      return await requestCpuDevice();
    default:
      throw new DeviceError(`Cannot open the device "${kind}": known kinds are "auto", "webgpu", "cpu" and "reference"`, "unavailable");
  }
}

/** A GPU that is hardware; undefined if there is none. */
async function realGpu(): Promise<Device | undefined> {
  try {
    const device = await requestWebGpuDevice();
    if (!device.info.software) return device;
    device.dispose();
  } catch (error) {
    if (!(error instanceof DeviceError) || error.reason !== "unavailable") throw error;
  }
  return undefined;
}
