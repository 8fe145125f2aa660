/** Tensors above one binding of WebGPU: bound in pieces, or by kernels for parts of them. */
import { bindingsOf } from "../../kernels/limits.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { DeviceError } from "../../core/errors.ts";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { type Spec, spec, type SpecsOf } from "../../core/trace.ts";
import { compile } from "../../kernels/compile.ts";
import type { HostResult, ProgramArguments } from "../../kernels/program.ts";
import { BufferPool } from "../../kernels/devices/webgpu/buffers.ts";
import { requestWebGpuDevice, type WebGpuDevice } from "../../kernels/devices/webgpu/device.ts";
import { Health } from "../../kernels/devices/webgpu/health.ts";
import { Pieces } from "../../kernels/devices/webgpu/print_pieces.ts";
import type { PrintTarget } from "../../kernels/devices/webgpu/print_wgsl.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import * as ops from "../../ops/mod.ts";
import { checkOperands, KERNEL_CASES } from "./kernel_cases.ts";
import { Gpu, runReference } from "./print_harness.ts";
import { printWgsl } from "./print_wgsl.ts";
import { bindAtMost, openFinely } from "./short_bindings.ts";
import { kernelSteps } from "./check_schedule.ts";

const gpu = await Gpu.open();

/** The bytes of a third of the largest operand, where a binding may end. */
function third(sizes: readonly number[]): number {
  const step = gpu.device.limits.minStorageBufferOffsetAlignment;
  return Math.max(1, Math.ceil(4 * Math.max(...sizes) / 3 / step)) * step;
}

for (const [what, cases] of Object.entries(KERNEL_CASES)) {
  Deno.test(`kernels in pieces of bindings, in both styles: ${what}`, async () => {
    let inPieces = 0;
    for (const { label, kernel, data, allowance, loops } of cases()) {
      const wanted = runReference(kernel, data, loops);
      for (const style of ["software", "gpu"] as const) {
        const target: PrintTarget = {
          ...gpu.target(style),
          pieces: new Pieces(third(data.map(({ length }) => length))),
        };
        if (printWgsl(kernel, target).bindings.every(({ piece }) => !piece)) continue;
        inPieces++;
        checkOperands(`${label}, ${style}`, await gpu.run(kernel, data, target, loops), wanted, allowance);
      }
    }
    assert(inPieces > 0);
  });
}

const wave = (size: number, start = 0) => Float32Array.from({ length: size }, (_, i) => Math.sin(i * 0.7 + start));

interface Drawn<Args extends readonly unknown[], R> {
  readonly fn: (...args: Args) => R;
  readonly specs: SpecsOf<Args>;
  readonly args: ProgramArguments<Args>;
  readonly donate?: readonly number[];
}

/** The results of a program on a device with bindings of so many bytes. */
async function resultsIn<Args extends readonly unknown[], R>(
  device: WebGpuDevice,
  { bytes, maxOperands }: { readonly bytes: number; readonly maxOperands?: number },
  { fn, specs, args, donate }: Drawn<Args, R>,
): Promise<{ results: HostResult<R>; kernels: number; most: number }> {
  bindAtMost(device, bytes, maxOperands);
  const program = await compile(device, fn, specs, { donate });
  const results = await program.run(...args);
  const steps = kernelSteps(program.plan!.steps), { maxBindingBytes } = device.limits;
  const bindings = steps.map(({ kernel }) => bindingsOf(kernel.operands, maxBindingBytes));
  program.dispose();
  return { results, kernels: steps.length, most: Math.max(...bindings) };
}

const SIZE = 5000;

/** A step of Adam on vectors. */
function adam({ w, m, v }: Record<"w" | "m" | "v", Tensor>, g: Tensor, rate: Tensor) {
  const first = ops.add(ops.mul(m, 0.9), ops.mul(g, 0.1)),
    second = ops.add(ops.mul(v, 0.99), ops.mul(ops.square(g), 0.01));
  const step = ops.mul(ops.broadcastTo(rate, [SIZE]), ops.div(first, ops.add(ops.sqrt(second), 1e-6)));
  return { w: ops.sub(w, step), m: first, v: second };
}

Deno.test("pieces: an update of vectors in more pieces than there are bindings runs part by part, to the same bits", async () => {
  using device = await openFinely({ poison: true });
  const vector = spec([SIZE]);
  const state = { w: wave(SIZE), m: wave(SIZE, 1), v: wave(SIZE, 2).map(Math.abs) };
  const program = {
    fn: adam,
    specs: [{ w: vector, m: vector, v: vector }, vector, spec([])] as [Record<"w" | "m" | "v", Spec>, Spec, Spec],
    args: [state, wave(SIZE, 3), Float32Array.of(0.1)] as [
      Record<"w" | "m" | "v", Float32Array>,
      Float32Array,
      Float32Array,
    ],
    donate: [0],
  };
  const whole = await resultsIn(device, { bytes: 2 ** 20 }, program);
  const parts = await resultsIn(device, { bytes: 4096, maxOperands: 8 }, program);
  assertEquals(whole.kernels, 1);
  assert(parts.kernels > 1 && parts.most <= 8, `${parts.kernels} kernels of ${parts.most} bindings`);
  assertEquals(parts.results, whole.results);
});

/** A table of rows that is looked up and multiplied with, and its gradient. */
function tied(table: Tensor, ids: Tensor) {
  const scores = (t: Tensor) => ops.matmul(ops.gather(t, ids), ops.transpose(t));
  const loss = (t: Tensor) => ops.mean(ops.logSumExp(scores(t)));
  return { scores: scores(table), loss: loss(table), gradient: grad(loss)(table) };
}

Deno.test("pieces: a table of many rows, its gradient and the scores of all rows", async () => {
  using device = await openFinely({ poison: true });
  const program = {
    fn: tied,
    specs: [spec([300, 12]), spec([7], "i32")] as [Spec, Spec],
    args: [wave(3600), Int32Array.of(0, 299, 150, 149, 299, 7, 100)] as [Float32Array, Int32Array],
  };
  const { results: wanted } = await resultsIn(device, { bytes: 2 ** 20 }, program);
  for (const bytes of [4800, 2400]) {
    const { results: found, most } = await resultsIn(device, { bytes }, program);
    assert(most > 4);
    for (const name of ["scores", "loss", "gradient"] as const) {
      wanted[name].data.forEach((value: number, i: number) =>
        assert(Math.abs(found[name].data[i] - value) < 1e-5, `${name}[${i}] is ${found[name].data[i]}, not ${value}`)
      );
    }
  }
});

Deno.test("pieces: what a loop reads and leaves lies in pieces that its turns choose", async () => {
  using device = await openFinely({ poison: true });
  const run = (xs: Tensor) =>
    scan(
      (carry: Tensor, x: Tensor) => [ops.add(ops.mul(carry, 0.5), x), ops.tanh(carry)] as const,
      ops.zeros([24]),
      xs,
    );
  const program = { fn: run, specs: [spec([40, 24])] as [Spec], args: [wave(960)] as [Float32Array] };
  const whole = await resultsIn(device, { bytes: 2 ** 20 }, program);
  const pieces = await resultsIn(device, { bytes: 1024 }, program);
  assert(pieces.most > 4);
  assertEquals(pieces.results, whole.results);
});

Deno.test("pieces: an embedding of 146 MiB where 128 MiB can be bound, its rows and a step down their gradient", async () => {
  // With the limits that every adapter has.
  using device = await openFinely();
  const rows = 600_000, width = 64, { maxBindingBytes, maxTensorBytes } = device.limits;
  assert(4 * rows * width > maxBindingBytes && 4 * rows * width < maxTensorBytes);
  const table = Float32Array.from({ length: rows * width }, (_, i) => (i % 977) / 977 - 0.5);
  const ids = Int32Array.of(0, rows - 1, 524_288, 524_287);
  const loss = (t: Tensor, at: Tensor) => ops.sum(ops.square(ops.gather(t, at)));
  const step = (t: Tensor, at: Tensor) => ({
    found: ops.gather(t, at),
    next: ops.sub(t, ops.mul(grad(loss)(t, at), 0.25)),
  });
  const program = await compile(device, step, [spec([rows, width]), spec([4], "i32")], { donate: [0] });
  const { found, next } = await program.run(device.upload(table, { shape: [rows, width], dtype: "f32" }), ids);
  ids.forEach((id, i) =>
    assertEquals(found.data.slice(i * width, (i + 1) * width), table.slice(id * width, (id + 1) * width), `row ${id}`)
  );
  for (const id of ids) for (let i = id * width; i < (id + 1) * width; i++) table[i] /= 2;
  const wrong = table.findIndex((value, i) => Math.abs(next.data[i] - value) > 1e-6);
  assert(wrong < 0, `element ${wrong} is ${next.data[wrong]}, not ${table[wrong]}`);
});

Deno.test("pieces: a kernel that needs more bindings than there are is refused with both numbers", async () => {
  using device = await requestWebGpuDevice();
  bindAtMost(device, 512, 6);
  const error = await assertRejects(
    () => compile(device, (table: Tensor, ids: Tensor) => ops.gather(table, ids), [spec([40, 32]), spec([3], "i32")]),
    DeviceError,
  );
  assertEquals(error.reason, "limit");
  assertMatch(
    error.message,
    /^Cannot bind the operands of gather: 1 of 3 are larger .* 12 bindings, .* may have 6; split/,
  );
});

Deno.test("pieces: tensors of more elements than kernels count are refused", async () => {
  const type = { shape: [2 ** 16, 2 ** 15], dtype: "bf16" as const };
  const value = { id: 0, type, sizeBytes: 2 ** 32, storage: { kind: "temporary" as const }, label: "scores" };
  using device = await requestWebGpuDevice();
  const limits = { ...device.limits, maxTensorBytes: 2 ** 33, maxBufferBytes: 2 ** 33 };
  const error = assertThrows(
    () => planMemory({ values: [value], steps: [], inputs: [], outputs: [] }, limits),
    DeviceError,
  );
  assertMatch(error.message, /^Cannot place scores bf16.* it has 2147483648 elements and one .* at most 2147418112/);
});

Deno.test("pieces: the pool makes no buffer that is larger than a buffer may be", () => {
  const pool = new BufferPool(gpu.device, new Health(), 9984);
  // Otherwise a multiple of 512.
  assertEquals(pool.acquire(9800).sizeBytes, 9984);
  assertEquals(pool.acquire(9000).sizeBytes, 9216);
  pool.destroy();
});
