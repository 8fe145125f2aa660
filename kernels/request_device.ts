/** Opens a device. */
import { DeviceError } from "../core/errors.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import type { Device, DeviceKind } from "./device.ts";
import { requestCpuDevice } from "./devices/wasm/device.ts";
import { ReferenceDevice } from "./devices/reference/device.ts";
import { requestWebGpuDevice, type WebGpuOptions } from "./devices/webgpu/device.ts";

/** Options of {@link requestDevice}. */
export interface DeviceOptions extends Pick<WebGpuOptions, "shaderCacheDirectory"> {
  /** Which device. Default: `auto`. */
  readonly kind?: DeviceKind;
}

const DEVICE_OPTIONS = optionNames<DeviceOptions>({ kind: true, shaderCacheDirectory: true });

/**
 * Opens a device, which the caller owns and disposes of.
 *
 * `auto` takes a real GPU if there is one, else the processors: `cpu` is many times as fast as WebGPU in software.
 * `reference` interprets in f64: slow, exact, needs nothing.
 *
 * `shaderCacheDirectory` is where a WebGPU driver is to keep compiled shaders, so that the next process starts faster
 * (see {@link WebGpuOptions}); other devices have no use for it. In Deno it takes
 * `--allow-env=MESA_SHADER_CACHE_DIR,__GL_SHADER_DISK_CACHE_PATH`.
 * @throws {DeviceError} with reason `unavailable` if there is no such device; the text says what to do. With reason
 * `validation` if the place of the shader cache may not be set.
 * @example
 * ```ts
 * import { requestDevice } from "@mneme/titans";
 *
 * const device = await requestDevice({ kind: "reference" });
 * device.dispose();
 * ```
 */
export async function requestDevice(options: DeviceOptions = {}): Promise<Device> {
  checkOptions("requestDevice", options, DEVICE_OPTIONS);
  const { kind = "auto", shaderCacheDirectory } = options;
  switch (kind) {
    case "auto":
      return await realGpu({ shaderCacheDirectory }) ?? await requestCpuDevice();
    case "webgpu":
      return await requestWebGpuDevice({ shaderCacheDirectory });
    case "reference":
      return new ReferenceDevice();
    case "cpu":
      return await requestCpuDevice();
    default:
      throw new DeviceError(
        `Cannot open the device "${kind}": known kinds are "auto", "webgpu", "cpu" and "reference"`,
        "unavailable",
      );
  }
}

/** A GPU that is hardware; undefined if there is none. */
async function realGpu(options: WebGpuOptions): Promise<Device | undefined> {
  try {
    const device = await requestWebGpuDevice(options);
    if (!device.info.software) return device;
    device.dispose();
  } catch (error) {
    if (!(error instanceof DeviceError) || error.reason !== "unavailable") throw error;
  }
  return undefined;
}
