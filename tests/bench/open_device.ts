/** Devices to time. What the native one compiles is kept beside the figures, where the benchmark may write. */
import { type Device, type DeviceOptions, requestDevice } from "../../kernels/mod.ts";

const NATIVE_CACHE = "bench/.native";

/** Opens a device; of no kind, the one that training would take. */
export function openDevice(options: Pick<DeviceOptions, "kind" | "threads"> = {}): Promise<Device> {
  return requestDevice({ nativeCacheDirectory: NATIVE_CACHE, ...options });
}
