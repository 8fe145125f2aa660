/** What a WebGPU device holds goes when its programs go: counted in objects made and not destroyed. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { CompileError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { spec } from "../../core/trace.ts";
import { compile, requestWebGpuDevice, type WebGpuDevice } from "../../kernels/mod.ts";
import { printWgsl } from "./print_wgsl.ts";
import { add, constant, matmul, mul, sum, tanh } from "../../ops/mod.ts";

/** Pipelines without a program that are kept for later ones. */
const UNUSED_KEPT = 64;

/** A program with a constant, a loop, a product that reads through textures, several kernels and an arena. */
async function loadOne(device: WebGpuDevice, factor: number, isRun: boolean): Promise<void> {
  const program = await compile(device, (x: Tensor): Tensor[] => {
    const weights = constant(Float32Array.from({ length: 1024 }, (_, i) => Math.sin(i)), [32, 32]);
    const [last, ys] = scan(
      (carry: Tensor, row: Tensor): [Tensor, Tensor] => [tanh(add(mul(carry, factor), row)), sum(carry)],
      sum(x, { axes: 1 }),
      x,
    );
    return [matmul(tanh(matmul(x, weights)), weights), last, ys];
  }, [spec([32, 32])]);
  if (isRun) {
    await program.run(new Float32Array(1024).fill(0.1));
    program.launch(new Float32Array(1024)).forEach((array) => array.dispose());
    await program.explain({ profile: [new Float32Array(1024)] });
  }
  program.dispose();
  program.dispose();
}

Deno.test("webgpu: programs that are disposed leave nothing behind, run or not", async () => {
  const device = await requestWebGpuDevice();
  await loadOne(device, 1, true);
  const { buffersAlive, bindGroupsAlive, textureBytes, arrayBytes } = device.stats;
  for (let i = 0; i < 3; i++) await loadOne(device, 1, true);
  for (let i = 0; i < 100; i++) await loadOne(device, 2 + i / 128, false);
  const after = device.stats;
  assertEquals({ ...after, buffersAlive, bindGroupsAlive, textureBytes, arrayBytes }, after);
  assertEquals(bindGroupsAlive, 0);
  assertEquals(textureBytes, 0);
  assert(after.pipelines <= UNUSED_KEPT, `${after.pipelines} pipelines are kept`);
  device.dispose();
  const { buffersAlive: left, pipelines, arrayBytes: bytes } = device.stats;
  assertEquals({ left, pipelines, bytes }, { left: 0, pipelines: 0, bytes: 0 });
});

Deno.test("webgpu: pipelines are kept while a program uses them, and for the next program", async () => {
  const device = await requestWebGpuDevice();
  const load = () => compile(device, (x: Tensor) => tanh(mul(x, 1.25)), [spec([8])]);
  const [first, second] = [await load(), await load()];
  assertEquals(device.stats.pipelines, 1);
  first.dispose();
  // More pipelines than are kept unused: that of the second program is not one of them.
  for (let i = 0; i < UNUSED_KEPT + 4; i++) {
    (await compile(device, (x: Tensor) => mul(x, 3 + i), [spec([8])])).dispose();
  }
  assertEquals(device.stats.pipelines, UNUSED_KEPT + 1);
  assertEquals([...(await second.run(new Float32Array(8))).data], new Array(8).fill(0));
  second.dispose();
  assertEquals(device.stats.pipelines, UNUSED_KEPT);
  device.dispose();
});

Deno.test("webgpu: a program that is refused leaves nothing behind", async () => {
  const device = await requestWebGpuDevice({
    printer: (kernel, target) => {
      const printed = printWgsl(kernel, target);
      return kernel.kind === "row" ? { ...printed, source: `${printed.source}\nfn wrong() { not wgsl }` } : printed;
    },
  });
  const before = device.stats;
  for (let i = 0; i < 3; i++) {
    await assertRejects(
      () => compile(device, (x: Tensor) => [tanh(x), sum(matmul(x, x), { axes: 1 })], [spec([40, 40])]),
      CompileError,
    );
  }
  const { buffersAlive, bindGroupsAlive } = device.stats;
  assertEquals({ buffersAlive, bindGroupsAlive }, {
    buffersAlive: before.buffersAlive,
    bindGroupsAlive: before.bindGroupsAlive,
  });
  device.dispose();
});
