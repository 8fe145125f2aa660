/** What bundles for browsers have in place of the native device, which starts a compiler and opens what that has made. */
import { DeviceError } from "../../core/errors.ts";

const WHY = "browsers start no compilers and open no shared objects";

/** It is never available. */
export function isAvailable(): boolean {
  return false;
}

/** Why not. */
export function whyUnavailable(): string {
  return WHY;
}

/** Always fails. */
export function requestNativeDevice(): Promise<never> {
  return Promise.reject(
    new DeviceError(`Cannot open the device "native": ${WHY}; use "webgpu" or "cpu"`, "unavailable"),
  );
}

export { requestNativeDevice as request };

/** Nothing is one. */
export class NativeDevice {}
