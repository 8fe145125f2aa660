/** Which parts of the printer of WGSL programs load: those that the package's size is measured with, and what they hold. */
import { assertEquals } from "@std/assert";
import { partsFor } from "../../kernels/devices/webgpu/parts.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { compile, type Device, grad, requestDevice, spec } from "../../mod.ts";
import { cast, cos, log, mul, sum, tanh } from "../../ops/mod.ts";
import type { Tensor } from "../../core/graph.ts";
import { Decoder, defineConfig, Model } from "../../titans/mod.ts";
import { kernelSteps } from "./check_schedule.ts";

/** A CPU that remembers the kernels of the programs that it loads. */
async function recording(): Promise<{ device: Device; kernels: Kernel[] }> {
  const device = await requestDevice({ kind: "cpu", threads: 1 }), kernels: Kernel[] = [], { load } = device;
  device.load = (program) => {
    kernels.push(...kernelSteps(program.plan!.steps).map(({ kernel }) => kernel));
    return load.call(device, program);
  };
  return { device, kernels };
}

/** The last part: basic, with kernels of all kinds, or with floats of 16 bits too. */
async function partOf(kernels: readonly Kernel[], texels = false): Promise<string> {
  const { kinds, helpers, chooseTexelReads } = await partsFor(kernels, texels);
  assertEquals(chooseTexelReads !== undefined, texels);
  for (const name of ["log_f32", "cos_f32"]) assertEquals(name in helpers, "row" in kinds);
  return "f16_of_f32" in helpers ? "half" : "row" in kinds ? "others" : "basic";
}

const OF: readonly [part: string, fn: (x: Tensor) => Tensor][] = [
  ["basic", grad((x: Tensor) => sum(tanh(x)))],
  ["basic", (x) => mul(x, x)],
  ["others", sum],
  ["others", log],
  ["others", cos],
  ["half", (x) => cast(x, "f16")],
];

for (const [i, [part, fn]] of OF.entries()) {
  Deno.test(`parts: program ${i} loads those that are ${part}`, async () => {
    const { device, kernels } = await recording();
    const program = await compile(device, fn, [spec([3])]);
    assertEquals(await partOf(kernels), part);
    assertEquals(await partOf(kernels, true), part);
    program.dispose();
    device.dispose();
  });
}

Deno.test("parts: models that write load kernels of all kinds, and no floats of 16 bits", async () => {
  for (const name of ["lmm", "mac", "mag", "mal"] as const) {
    const { device, kernels } = await recording();
    const model = new Model(defineConfig({ model: name, blocks: 1, width: 16 }));
    const decoder = await Decoder.create(device, model, model.layout.pack(model.initialize(1)));
    await decoder.read([1, 2, 3]);
    assertEquals(await partOf(kernels), "others", name);
    decoder.dispose();
    device.dispose();
  }
});
