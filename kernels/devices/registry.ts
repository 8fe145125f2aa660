/** The registry of devices. Their code is imported on demand: a bundle that is split into chunks loads only the devices that it opens.
 *
 * A device is a folder beside this file with an `entry.ts`, and a line of {@link DEVICES}.
 */
import type { Device } from "../device.ts";
import type { DeviceOptions } from "../request_device.ts";

/** Options for opening a device. Devices ignore options of other devices. */
export type RequestOptions = Omit<DeviceOptions, "kind">;

/** The code of a device: what its `entry.ts` exports. */
export interface DeviceEntry {
  /** Whether the runtime has what the device needs. Opening it may fail all the same: there may be no adapter. */
  isAvailable(options?: RequestOptions): boolean;
  /** Why it is not available, in one line. */
  whyUnavailable?(options?: RequestOptions): string | undefined;
  /** Opens it. @throws {DeviceError} with reason `unavailable` if it is not available, with a remedy. */
  request(options: RequestOptions): Promise<Device>;
}

/** A device that can be opened. */
export interface DeviceKindSpec {
  /** A short description for help texts. */
  readonly summary: string;
  /**
   * Whether `auto` takes it, in the order of the registry: `always` if it is there, `hardware` unless it is emulated.
   * Default: never.
   */
  readonly automatic?: "always" | "hardware";
  /** Imports its code. */
  load(): Promise<DeviceEntry>;
}

/** Every device, the fastest first. */
export const DEVICES = {
  webgpu: { summary: "a GPU", automatic: "hardware", load: (): Promise<DeviceEntry> => import("./webgpu/entry.ts") },
  native: {
    summary: "the CPU with a C compiler",
    automatic: "always",
    load: (): Promise<DeviceEntry> => import("./native/entry.ts"),
  },
  cpu: { summary: "the CPU", automatic: "always", load: (): Promise<DeviceEntry> => import("./wasm/entry.ts") },
  reference: { summary: "exact and very slow", load: (): Promise<DeviceEntry> => import("./reference/entry.ts") },
} as const satisfies Readonly<Record<string, DeviceKindSpec>>;

/** The name of a device. */
export type DeviceName = keyof typeof DEVICES;

/** The names of all devices, in order. */
export const DEVICE_NAMES: readonly DeviceName[] = Object.keys(DEVICES) as DeviceName[];
