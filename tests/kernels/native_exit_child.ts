/** Ends while the threads of a native device that nobody disposed of still spin: they do for half a millisecond. */
import { compile, spec, type Tensor } from "../../mod.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { matmul } from "../../ops/mod.ts";
import { NATIVE_CACHE } from "./native_tests.ts";

const SQUARE = spec([96, 96]);
const device = await requestNativeDevice({ cacheDirectory: NATIVE_CACHE, threads: 5, minParallel: 0 });
const program = await compile(device, (x: Tensor) => matmul(x, x), [SQUARE]);
const x = device.upload(new Float32Array(96 * 96).fill(1), SQUARE);
addEventListener("unload", () => {
  for (let i = 0; i < 20; i++) program.launch(x).dispose();
});
