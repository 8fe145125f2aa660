/** What tests of the native device share. They need a C compiler, which `deno task setup:compiler` finds or installs. */
import { type NativeDevice, requestNativeDevice } from "../../kernels/devices/native/device.ts";

/** Where tests keep what they compile. */
export const NATIVE_CACHE = ".scratch/native";

/** The device, with what tests compile kept in {@link NATIVE_CACHE}. */
export function openNative(): Promise<NativeDevice> {
  return requestNativeDevice({ cacheDirectory: NATIVE_CACHE });
}
