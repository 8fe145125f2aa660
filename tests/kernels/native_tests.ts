/** What tests of the native device share. */
import { DeviceError } from "../../mod.ts";
import { type NativeDevice, requestNativeDevice } from "../../kernels/devices/native/device.ts";

/** Where tests keep what they compile. */
export const NATIVE_CACHE = ".scratch/native";

/** Why the device cannot be opened here; undefined if it can. */
export const noNative: string | undefined = await requestNativeDevice({ cacheDirectory: NATIVE_CACHE }).then(
  (device) => void device.dispose(),
  (error) => {
    if (error instanceof DeviceError && error.reason === "unavailable") return error.message;
    throw error;
  },
);

/** The device, with what tests compile kept in {@link NATIVE_CACHE}. */
export function openNative(): Promise<NativeDevice> {
  return requestNativeDevice({ cacheDirectory: NATIVE_CACHE });
}

/** A test that needs a C compiler. Where there is none it is skipped, and its name says why. */
export function nativeTest(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  if (noNative === undefined) Deno.test(name, fn);
  else Deno.test.ignore(`${name} (skipped: ${noNative})`, fn);
}
