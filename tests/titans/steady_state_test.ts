/**
 * Long loops of launches and training steps take no more and more memory: not of the device, the process, or the heap.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeviceError } from "../../core/errors.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { defineConfig, defineOptimizer, Model, Trainer } from "../../titans/mod.ts";
import type { LoopReport } from "./steady_loop.ts";

const LOOPS = [
  { kind: "cpu", what: "train", steps: 1000 },
  { kind: "cpu", what: "launch", steps: 5000 },
  { kind: "webgpu", what: "launch", steps: 2000 },
  { kind: "webgpu", what: "train", steps: 120 },
] as const;

async function runLoop(args: readonly string[]): Promise<LoopReport> {
  const script = new URL("steady_loop.ts", import.meta.url).pathname;
  const flags = [
    "run",
    "--quiet",
    "--no-prompt",
    "--v8-flags=--expose-gc",
    "--allow-read",
    "--allow-env=NODEVICE_SELECT",
    script,
    ...args,
  ];
  const { code, stdout, stderr } = await new Deno.Command("deno", { args: flags }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

for (const { kind, what, steps } of LOOPS) {
  Deno.test(`${kind}: memory stays what it is over ${steps} ${what === "train" ? "training steps" : "launches"}`, async () => {
    const { heap, resident, device } = await runLoop([kind, what, String(steps)]);
    console.log(`${kind} ${what}: resident ${mebibytes(resident)}, heap ${mebibytes(heap)} MiB early and late`);
    assertEquals(device[1], device[0]);
    assert(resident[1] <= 1.05 * resident[0], `the process grew from ${resident[0]} to ${resident[1]} bytes`);
    // The engine's own tables grow by some 50 kilobytes once; an array or a promise kept a step would be more.
    const kept = heap[1] - heap[0];
    assert(kept <= 2 ** 16 + 48 * steps / 2, `${kept} bytes of ${steps / 2} steps stay in the heap`);
  });
}

Deno.test("a trainer has one copy of parameters and moments: each step takes the memory of the last one's", async () => {
  for (const kind of ["lmm", "mac"] as const) {
    const device = await requestDevice({ kind: "cpu" });
    const options = {
      vocabulary: 16,
      width: 8,
      blocks: 1,
      mlpHidden: 12,
      memoryExpansion: 2,
      miniBatch: 4,
      segment: 8,
      convolution: 2,
    };
    const model = new Model(defineConfig({ model: kind, ...options }));
    const shape = { batch: 1, length: 16 };
    const trainer = await Trainer.create(device, { model, optimizer: defineOptimizer(), shape, seed: 1 });
    const { values, outputs } = trainer.program.plan!;
    const taken = outputs.map((id) => values[id]).filter(({ storage }) =>
      storage.kind === "output" && storage.takes !== undefined
    );
    assertEquals(taken.filter(({ type }) => type.shape[0] === model.layout.size).length, 3, kind);
    const before = trainer.params;
    trainer.launch(new Int32Array(17));
    await assertRejects(() => before.read(), DeviceError, "it was donated");
    assertEquals((await trainer.params.read()).length, model.layout.size);
    await trainer.flush();
    trainer.dispose();
    device.dispose();
  }
});

function mebibytes(bytes: readonly number[]): string {
  return bytes.map((each) => (each / 2 ** 20).toFixed(2)).join(" and ");
}
