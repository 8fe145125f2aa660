/** How the registry opens the native device. */
import type { RequestOptions } from "../registry.ts";
import { type NativeDevice, requestNativeDevice } from "./device.ts";
import { CACHE_FOLDER, whyNotPermitted } from "./open_toolchain.ts";

/** Whether this is Deno, with all permissions that the device needs. Whether there is a compiler shows when it is opened. */
export function isAvailable(options?: RequestOptions): boolean {
  return whyUnavailable(options) === undefined;
}

/** Why it is not available, in one line. */
export function whyUnavailable({ nativeCacheDirectory = CACHE_FOLDER }: RequestOptions = {}): string | undefined {
  return whyNotPermitted(nativeCacheDirectory);
}

/** Finds a compiler and starts threads. */
export function request({ nativeCacheDirectory, threads }: RequestOptions): Promise<NativeDevice> {
  return requestNativeDevice({ cacheDirectory: nativeCacheDirectory, threads });
}
