/** Opens a device. */
import { DeviceError } from "../core/errors.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import type { Device } from "./device.ts";
import {
  DEVICE_NAMES,
  type DeviceKindSpec,
  type DeviceName,
  DEVICES,
  type RequestOptions,
} from "./devices/registry.ts";

/**
 * The kinds of devices that {@link requestDevice} knows by name. `auto` takes a real GPU if there is one, else the CPU.
 */
export type DeviceKind = "auto" | DeviceName;

/** All kinds, `auto` first. */
export const DEVICE_KINDS: readonly DeviceKind[] = ["auto", ...DEVICE_NAMES];

/** Options of {@link requestDevice}. */
export interface DeviceOptions {
  /** Which device: a name, or a device of one's own. Default: `auto`. */
  readonly kind?: DeviceKind | DeviceKindSpec;
  /** Where a WebGPU driver is to keep compiled shaders. */
  readonly shaderCacheDirectory?: string;
  /** The folder in which the native device keeps compiled kernels. Default: `runs/.native` in the working directory. */
  readonly nativeCacheDirectory?: string;
  /** Threads that compute on the CPU, the caller's among them. Default: one per core. Results do not depend on it. */
  readonly threads?: number;
}

const DEVICE_OPTIONS = optionNames<DeviceOptions>({
  kind: true,
  shaderCacheDirectory: true,
  nativeCacheDirectory: true,
  threads: true,
});

/** More threads than any machine has cores. */
const MAX_THREADS = 1024;

/**
 * Opens a device, which the caller owns and disposes of. The device's code is imported here.
 *
 * `auto` takes a real GPU if there is one, else the CPU, which is many times as fast as WebGPU in software: `native` in
 * Deno where there is a C compiler and all that it takes is permitted, else `cpu`. It never prompts. `reference`
 * interprets in f64: slow, exact, needs nothing.
 *
 * `shaderCacheDirectory` is where a WebGPU driver is to keep compiled shaders, so that the next process starts faster
 * (see `WebGpuOptions`); other devices have no use for it. In Deno it takes
 * `--allow-env=MESA_SHADER_CACHE_DIR,__GL_SHADER_DISK_CACHE_PATH`.
 * @throws {DeviceError} with reason `unavailable` if there is no such device; the text says what to do. With reason
 * `validation` if the place of the shader cache may not be set, or `threads` is out of range.
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
  const { kind = "auto", ...rest } = options, { threads } = rest;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= MAX_THREADS)) {
    throw new DeviceError(
      `Cannot open a device with ${threads} threads: it must be an integer from 1 to ${MAX_THREADS}`,
      "validation",
    );
  }
  if (kind === "auto") return (await requestAutomatic(rest)).device;
  const spec = typeof kind === "string" ? Object.hasOwn(DEVICES, kind) ? DEVICES[kind] : undefined : kind;
  if (!spec) {
    const names = DEVICE_KINDS.map((name) => `"${name}"`), last = names.pop();
    throw new DeviceError(
      `Cannot open the device "${kind}": known kinds are ${names.join(", ")} and ${last}`,
      "unavailable",
    );
  }
  return await (await spec.load()).request(rest);
}

/** The device that `auto` takes, and why it took none of those before it. */
export interface AutomaticDevice {
  readonly device: Device;
  /** One line for each device that is faster, if it were there. */
  readonly passedOver: ReadonlyMap<DeviceName, string>;
}

/**
 * Opens the first device that is taken without being asked for. Nothing is prompted for.
 * @internal
 */
export async function requestAutomatic(options: RequestOptions): Promise<AutomaticDevice> {
  const specs: readonly [name: DeviceName, spec: DeviceKindSpec][] = DEVICE_NAMES.map((name) => [name, DEVICES[name]]);
  const candidates = specs.filter(([, { automatic }]) => automatic), passedOver = new Map<DeviceName, string>();
  for (const [at, [name, { automatic, load }]] of candidates.entries()) {
    const isLast = at === candidates.length - 1, entry = await load();
    // The last one says why there is none.
    if (!entry.isAvailable(options) && !isLast) {
      passedOver.set(name, entry.whyUnavailable?.(options) ?? "this runtime does not have it");
      continue;
    }
    try {
      const device = await entry.request(options);
      if (automatic === "always" || !device.info.software) return { device, passedOver };
      passedOver.set(name, `${device.info.description} is emulated`);
      device.dispose();
    } catch (error) {
      if (isLast || !(error instanceof DeviceError) || error.reason !== "unavailable") throw error;
      passedOver.set(name, error.message.replace(/^Cannot open .*?: /, "").replace(/, or use the device .*$/, ""));
    }
  }
  throw new DeviceError("Cannot open a device: none is there that is not emulated; name one", "unavailable");
}
