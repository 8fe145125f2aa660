/** Opens a device. */
import { DeviceError } from "../core/errors.ts";
import type { Device, DeviceKind } from "./device.ts";
import { ReferenceDevice } from "./reference/device.ts";
import { requestWebGpuDevice } from "./webgpu/device.ts";

/**
 * Opens a device, which the caller owns and disposes of.
 *
 * `auto` takes a real GPU if there is one, else WebGPU in software. `reference` interprets in f64: slow, exact, needs nothing.
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
    case "webgpu":
      return await requestWebGpuDevice();
    case "reference":
      return new ReferenceDevice();
    case "cpu":
      throw new DeviceError('Cannot open the device "cpu": this version does not have it yet; use "webgpu" or "reference"', "unavailable");
    default:
      throw new DeviceError(`Cannot open the device "${kind}": known kinds are "auto", "webgpu", "cpu" and "reference"`, "unavailable");
  }
}
