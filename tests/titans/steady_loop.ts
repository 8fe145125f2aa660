/**
 * A program for steady_state_test.ts: a loop of training steps or launches that must take no more and more memory.
 *
 * Prints as JSON what lives in the heap after a collection, how much memory the process has, and what the device has
 * made, each early and late in the loop. The heap is compared after forced collections, the process by medians of many
 * samples, because the engine returns memory when it likes.
 */
import { spec } from "../../core/trace.ts";
import {
  compile,
  CpuDevice,
  type Device,
  type DeviceArray,
  requestDevice,
  type Tensor,
  WebGpuDevice,
} from "../../kernels/mod.ts";
import { add, matmul, mul, tanh } from "../../ops/mod.ts";
import { defineConfig, defineOptimizer, Model, RandomWindows, Trainer } from "../../titans/mod.ts";

/**
 * What a loop took, in bytes: the heap in use in the middle and at the end, resident memory early and late, what the
 * device had made after warm-up and at the end.
 */
export interface LoopReport {
  readonly heap: readonly [number, number];
  readonly resident: readonly [number, number];
  readonly device: readonly [Record<string, number>, Record<string, number>];
}

/** Steps between two samples. */
const BETWEEN = 20;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** What the device has made or holds; in a steady loop none of it changes. */
function madeBy(device: Device): Record<string, number> {
  if (device instanceof CpuDevice) return { bytes: device.highWaterBytes };
  if (!(device instanceof WebGpuDevice)) return {};
  const { buffersCreated, bindGroupsCreated, pipelines, arrayBytes, freeBytes } = device.stats;
  return { buffersCreated, bindGroupsCreated, pipelines, arrayBytes, freeBytes };
}

/** Runs 20 % more steps than asked for, the first of them to warm up. */
async function measure(device: Device, steps: number, run: (count: number) => Promise<void>): Promise<LoopReport> {
  const { gc } = globalThis as { gc?: () => void };
  if (!gc) throw new Error("run with --v8-flags=--expose-gc");
  for (let step = 0; step < steps / 5; step += BETWEEN) await run(BETWEEN);
  const samples: number[] = [], heap: number[] = [], made: Record<string, number>[] = [];
  const look = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    gc();
    heap.push(Deno.memoryUsage().heapUsed);
    made.push(madeBy(device));
  };
  await look();
  for (let step = 0; step < steps; step += BETWEEN) {
    await run(BETWEEN);
    samples.push(Deno.memoryUsage().rss);
    // What the engine makes once, such as optimised code, is there by now.
    if (step + BETWEEN === steps / 2) await look();
  }
  await look();
  const third = Math.floor(samples.length / 3);
  return {
    heap: [heap[1], heap[2]],
    resident: [median(samples.slice(0, third)), median(samples.slice(-third))],
    device: [made[0], made[2]],
  };
}

/** Training steps of a tiny model. */
async function train(device: Device, steps: number): Promise<LoopReport> {
  const shape = { batch: 2, length: 16 };
  const model = new Model(
    defineConfig({
      model: "lmm",
      vocabulary: 16,
      width: 8,
      blocks: 1,
      mlpHidden: 12,
      memoryExpansion: 2,
      miniBatch: 4,
      convolution: 2,
    }),
  );
  const trainer = await Trainer.create(device, { model, optimizer: defineOptimizer(), shape, seed: 1 });
  const data = new RandomWindows(Uint8Array.from({ length: 400 }, (_, i) => [3, 1, 4, 15, 9][i % 5]), shape, 7);
  return await measure(device, steps, async (count) => void await trainer.run(data, count));
}

/** Launches of a small program whose state goes from one to the next, donated, beside an argument from the host. */
async function launch(device: Device, steps: number): Promise<LoopReport> {
  const type = { shape: [16, 16], dtype: "f32" } as const;
  const fn = (state: { x: Tensor; m: Tensor }, y: Tensor) => ({
    x: tanh(matmul(add(state.x, state.m), y)),
    m: add(mul(state.m, 0.9), state.x),
  });
  const program = await compile(device, fn, [{ x: spec(type.shape), m: spec(type.shape) }, spec(type.shape)], {
    donate: [0],
  });
  const host = new Float32Array(256).fill(0.01);
  let state: { x: DeviceArray; m: DeviceArray } = { x: device.upload(host, type), m: device.upload(host, type) };
  return await measure(device, steps, async (count) => {
    for (let i = 0; i < count; i++) state = program.launch(state, host);
    await state.x.read();
  });
}

if (import.meta.main) {
  const [kind, what, steps] = Deno.args;
  const device = await requestDevice({ kind: kind as "cpu" | "webgpu" });
  const report = await (what === "train" ? train : launch)(device, Number(steps));
  console.log(JSON.stringify(report));
  device.dispose();
  Deno.exit(0);
}
