/**
 * Micro-benchmark of printed kernels: compile and first run, then min and median time of one dispatch, as GFLOP/s or GB/s.
 *
 * Machines and their load differ too much for absolute ceilings: beside each case a hand-written kernel of the same bound (a 512^3 multiplication of 8x8
 * register tiles, or an addition of 2M elements in vec4s) is timed in turns with it, and the ratio is printed.
 * Run: `deno run --allow-env=NODEVICE_SELECT tests/bench/kernels_micro.ts [software|gpu] [name filter]`.
 */
import type { Kernel } from "../../kernels/kernel.ts";
import { contractKernel, flatKernel, normKernel, recurrenceKernel, reduceKernel, scatterKernel, softmaxKernel } from "../kernels/print_cases.ts";
import { Gpu, randomElements } from "../kernels/print_harness.ts";

interface Case {
  readonly name: string;
  readonly kernel: Kernel;
  /** Multiply-adds count twice. */
  readonly flops?: number;
  readonly bytes?: number;
}

function matmul(name: string, [batch, m, n, k]: number[], options = {}): Case {
  return { name, kernel: contractKernel({ batch, m, n, k, ...options }), flops: 2 * batch * m * n * k };
}

const CASES: readonly Case[] = [
  matmul("matmul 256^3", [1, 256, 256, 256]),
  matmul("matmul 512^3", [1, 512, 512, 512]),
  matmul("matmul 256 x 64^3", [256, 64, 64, 64]),
  matmul("matmul 256 x (16x64x64)", [256, 16, 64, 64]),
  matmul("matmul 64x1024x256", [1, 64, 1024, 256]),
  matmul("matmul 64x256x1024", [1, 64, 256, 1024]),
  matmul("matmul 512^3 lhs transposed", [1, 512, 512, 512], { transposeLhs: true }),
  matmul("matmul 512^3 rhs transposed", [1, 512, 512, 512], { transposeRhs: true }),
  matmul("matmul 512^3 fused", [1, 512, 512, 512], { fused: true }),
  matmul("matmul 257x129x63", [1, 257, 129, 63]),
  matmul("matmul 8 x (16x16x64)", [8, 16, 16, 64]),
  { name: "add 4M", kernel: flatKernel([4 << 20]), bytes: 12 * (4 << 20) },
  { name: "add 64K", kernel: flatKernel([64 << 10]), bytes: 12 * (64 << 10) },
  { name: "row sum 4096x256", kernel: reduceKernel("sum", 4096, 256, 1), bytes: 4 * 4096 * 256 },
  { name: "column sum 4096x256", kernel: reduceKernel("sum", 4096, 256, 0), bytes: 4 * 4096 * 256 },
  { name: "sum of 1M", kernel: reduceKernel("sum", 1, 1 << 20, 1), bytes: 4 << 20 },
  { name: "softmax 4096x64", kernel: softmaxKernel(4096, 64, false), bytes: 8 * 4096 * 64 },
  { name: "softmax 2048x512", kernel: softmaxKernel(2048, 512, false), bytes: 8 * 2048 * 512 },
  { name: "norm 4096x256", kernel: normKernel(4096, 256, 1), bytes: 8 * 4096 * 256 },
  { name: "recurrence 8x512x256", kernel: recurrenceKernel(8, 512, 256, false), bytes: 12 * 8 * 512 * 256 },
  { name: "scatter 1024 rows of 256", kernel: scatterKernel(256, 256, 1024), bytes: 12 * 1024 * 256 },
];

const style = Deno.args[0] === "gpu" ? "gpu" : "software";
const gpu = await Gpu.open();
const multiplication = handWrittenMultiplication(), addition = handWrittenAddition();
console.log(`${gpu.description}, ${style} style`);
for (const entry of CASES) {
  if (!Deno.args[1] || entry.name.includes(Deno.args[1])) await measure(entry);
}

/** Compiles and times one case and prints its line. */
async function measure({ name, kernel, flops, bytes }: Case): Promise<void> {
  const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
  const { printed, pipeline } = await gpu.compile(kernel, gpu.target(style));
  const buffers = gpu.buffers(data);
  const timed = timer(pipeline, gpu.bind(pipeline, printed, buffers), printed.workgroups);
  const yardstick = flops ? multiplication : addition;
  const firstMs = timed(1);
  const repeats = Math.max(1, Math.min(50, Math.ceil(40 / timed(1))));
  const pairs = Array.from({ length: 7 }, () => ({ ms: timed(repeats) / repeats, yardstickMs: yardstick.timed(1) }));
  const sorted = (values: number[]) => values.sort((a, b) => a - b);
  const times = sorted(pairs.map(({ ms }) => ms)), reference = sorted(pairs.map(({ yardstickMs }) => yardstickMs))[0];
  const rate = (ms: number) => (flops ?? bytes!) / ms / 1e6;
  const ratio = rate(times[0]) / (yardstick.work / reference / 1e6);
  const figures = `${rate(times[0]).toFixed(2)} ${flops ? "GFLOP/s" : "GB/s"}, median ${rate(times[3]).toFixed(2)}, ${ratio.toFixed(2)} of hand-written`;
  console.log(`${name.padEnd(28)} first ${firstMs.toFixed(0).padStart(4)} ms, then ${times[0].toFixed(3).padStart(8)} ms: ${figures}`);
  for (const buffer of buffers) buffer.destroy();
}

/** A function that gives the milliseconds of a pass with `count` dispatches, fence included. */
function timer(pipeline: GPUComputePipeline, groups: readonly GPUBindGroup[], workgroups: readonly [number, number, number]): (count: number) => number {
  return (count) => {
    const start = performance.now();
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    groups.forEach((group, at) => pass.setBindGroup(at, group));
    for (let at = 0; at < count; at++) pass.dispatchWorkgroups(...workgroups);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    gpu.device.queue.onSubmittedWorkDone();
    return performance.now() - start;
  };
}

/** A hand-written kernel to compare with, warmed up. */
function handWritten(elements: number, work: number, groupCount: number, body: string): { work: number; timed: (count: number) => number } {
  const operands = [0, 1, 2].map((at) => `@group(0) @binding(${at}) var<storage, read_write> b${at}: array<vec4f>;`).join("\n");
  const code = `${operands}\n@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) g: vec3<u32>) { ${body} }`;
  const pipeline = gpu.device.createComputePipeline({ layout: "auto", compute: { module: gpu.device.createShaderModule({ code }), entryPoint: "main" } });
  const entries = gpu.buffers([1, 2, 3].map((seed) => randomElements("f32", elements, seed))).map((buffer, binding) => ({ binding, resource: { buffer } }));
  const timed = timer(pipeline, [gpu.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries })], [groupCount, 1, 1]);
  timed(1);
  return { work, timed };
}

/** 512^3 by 8x8 register tiles, k by 4. */
function handWrittenMultiplication(): ReturnType<typeof handWritten> {
  const rows = [0, 1, 2, 3, 4, 5, 6, 7], quads = [0, 1], steps = [0, 1, 2, 3];
  const cells = rows.flatMap((row) => quads.map((quad) => ({ row, quad, name: `c${row}_${quad}` })));
  const loads = rows.map((row) => `let x${row} = b0[a + ${row * 128}u];`).concat(
    steps.flatMap((step) => quads.map((quad) => `let y${step}_${quad} = b1[b + ${step * 128 + quad}u];`)),
  );
  const sums = steps.flatMap((step) => cells.map(({ row, quad, name }) => `${name} += x${row}.${"xyzw"[step]} * y${step}_${quad};`));
  const body = `let column = g.x % 64u; let row = g.x / 64u;
    ${cells.map(({ name }) => `var ${name} = vec4f(0);`).join(" ")}
    for (var k = 0u; k < 128u; k++) { let a = row * 1024u + k; let b = k * 512u + column * 2u; ${[...loads, ...sums].join(" ")} }
    ${cells.map(({ row, quad, name }) => `b2[row * 1024u + column * 2u + ${row * 128 + quad}u] = ${name};`).join(" ")}`;
  return handWritten(512 * 512, 2 * 512 ** 3, 512, body);
}

/** An addition of 2M elements, a vec4 an invocation. */
function handWrittenAddition(): ReturnType<typeof handWritten> {
  return handWritten(2 << 20, 12 * 65535 * 32, 65535, "b2[g.x] = b0[g.x] + b1[g.x] * 0.1;");
}
