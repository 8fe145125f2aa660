/** The WebGPU device and its executor with hand-written kernels, and the reference device. */
import { NATIVE_CACHE } from "./native_tests.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { Type } from "../../core/dtype.ts";
import { CompileError, DeviceError, ShapeError } from "../../core/errors.ts";
import { Graph } from "../../core/graph.ts";
import { makeVar, type Var } from "../../core/index_expr.ts";
import type { Device, DeviceArray, DeviceLimits } from "../../kernels/device.ts";
import type { MapKernel } from "../../kernels/kernel.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import type { KernelStep, Plan, Schedule, Step, Value } from "../../kernels/plan.ts";
import { ReferenceDevice } from "../../kernels/devices/reference/device.ts";
import { requestDevice } from "../../kernels/request_device.ts";
import { flattenSteps } from "../../kernels/devices/webgpu/commands.ts";
import { requestWebGpuDevice, type WebGpuDevice, type WebGpuOptions } from "../../kernels/devices/webgpu/device.ts";
import { quoteSource } from "../../kernels/devices/webgpu/pipelines.ts";
import type { Printer } from "../../kernels/devices/webgpu/print_wgsl.ts";
import { placeOf } from "../../kernels/devices/webgpu/host.ts";
import { unavailableText } from "../../kernels/devices/webgpu/unavailable.ts";

const EMPTY = new Graph([], []);
const bodies = new WeakMap<object, string>();

/**
 * Prints the WGSL that {@link kernel} was given: `a`, `b`, ... are the operands, `i` the invocation, `loops.index` the
 * loop indices.
 */
const printer: Printer = (kernel) => {
  const size = Math.max(...kernel.operands.map((operand) => operand.size));
  const bindings = kernel.operands.map((_, i) =>
    `@group(0) @binding(${i}) var<storage, read_write> ${"abcdefgh"[i]}: array<f32>;`
  );
  const source = [
    ...bindings,
    "struct Loops { index: vec4<u32>, bits: vec4<u32> }",
    "@group(1) @binding(0) var<uniform> loops: Loops;",
    "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {",
    "  let i = id.x;",
    `  ${bodies.get(kernel)}`,
    "}",
  ].join("\n");
  return {
    source,
    entryPoint: "main",
    workgroups: [Math.ceil(size / 64), 1, 1],
    usesLoops: true,
    bindings: kernel.operands.map((_, i) => ({ binding: i, operand: i })),
  };
};

/** A step whose kernel is one WGSL statement; operands that it writes are given in `writes`. */
function kernel(
  body: string,
  operands: readonly number[],
  writes: readonly number[],
  loops: readonly Var[] = [],
  size = 64,
): KernelStep {
  const data: MapKernel = {
    kind: "map",
    operands: operands.map((id) => ({ dtype: "f32", size, access: writes.includes(id) ? "readwrite" : "read" })),
    loops,
    origins: ["test", "kernel"],
    space: [],
    stores: [],
  };
  bodies.set(data, body);
  return { kind: "kernel", kernel: data, operands };
}

function value(id: number, storage: Value["storage"], size = 64): Value {
  return { id, type: { shape: [size], dtype: "f32" }, sizeBytes: size * 4, storage, label: `v${id}` };
}

function plan(values: readonly Value[], steps: readonly Step[], maxBufferBytes?: number): Plan {
  const numbered = (kind: "input" | "output"): number[] =>
    values.filter(({ storage }) => storage.kind === kind).map(({ id }) => id);
  const schedule: Schedule = { values, steps, inputs: numbered("input"), outputs: numbered("output") };
  return planMemory(schedule, { maxBufferBytes });
}

function withDevice(name: string, fn: (device: WebGpuDevice) => Promise<void>, options: WebGpuOptions = {}): void {
  Deno.test(name, async () => {
    const device = await requestWebGpuDevice({ printer, poison: true, ...options });
    try {
      await fn(device);
    } finally {
      device.dispose();
      // Lets the device's loss arrive before the test ends.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  });
}

const F64: Type = { shape: [64], dtype: "f32" };
const ramp = (from = 0): Float32Array => Float32Array.from({ length: 64 }, (_, i) => from + i);

/** y = 2 x + 1 through a temporary. */
function affine(): Plan {
  const values = [
    value(0, { kind: "input", position: 0 }),
    value(1, { kind: "temporary" }),
    value(2, { kind: "output", position: 0 }),
  ];
  return plan(values, [kernel("b[i] = 2.0 * a[i];", [0, 1], [1]), kernel("b[i] = a[i] + 1.0;", [1, 2], [2])]);
}

withDevice("arrays of every dtype come back as they went", async (device) => {
  const arrays: [Type, Float32Array | Int32Array | Uint32Array | Float64Array, number[]][] = [
    [{ shape: [3], dtype: "f32" }, Float32Array.of(1.5, -2, 1e-40), [1.5, -2, Math.fround(1e-40)]],
    [{ shape: [2], dtype: "f32" }, Float64Array.of(0.25, 3), [0.25, 3]],
    [{ shape: [], dtype: "i32" }, Int32Array.of(-7), [-7]],
    [{ shape: [2, 1], dtype: "u32" }, Uint32Array.of(7, 4294967295), [7, 4294967295]],
    [{ shape: [2], dtype: "bool" }, Uint32Array.of(1, 0), [1, 0]],
    [{ shape: [3], dtype: "f16" }, Float32Array.of(0.5, 65504, -0.25), [0.5, 65504, -0.25]],
    [{ shape: [3], dtype: "bf16" }, Float32Array.of(0.5, 1.01, -3e38), [0.5, 1.0078125, -3.00405527047391e38]],
    [{ shape: [0, 4], dtype: "f32" }, new Float32Array(0), []],
  ];
  const uploaded = arrays.map(([type, data]) => device.upload(data, type));
  const before = device.stats.buffersCreated;
  const read = await Promise.all(uploaded.map((array) => array.read()));
  assertEquals(read.map((data) => Array.from(data)), arrays.map(([, , expected]) => expected));
  assertEquals(device.stats.buffersCreated - before, 1, "reads of one turn share one staging buffer");
  assert(read[2] instanceof Int32Array && read[4] instanceof Uint32Array);
});

withDevice("a program runs through its arena", async (device) => {
  const program = await device.load({ graph: EMPTY, plan: affine() });
  const [y] = program.launch([device.upload(ramp(), F64)]);
  assertEquals(await y.read(), ramp().map((x) => 2 * x + 1));
  assertEquals(program.sources.length, 2);
  assertEquals(program.shaders, [0, 1]);
});

withDevice("equal kernels at different places share one source text", async (device) => {
  const values = [
    value(0, { kind: "input", position: 0 }),
    value(1, { kind: "temporary" }),
    value(2, { kind: "output", position: 0 }),
  ];
  const steps = [kernel("b[i] = 2.0 * a[i];", [0, 1], [1]), kernel("b[i] = 2.0 * a[i];", [1, 2], [2])];
  const program = await device.load({ graph: EMPTY, plan: plan(values, steps) });
  assertEquals(program.shaders, [0, 0]);
  assertEquals(device.stats.pipelines, 1);
  const [y] = program.launch([device.upload(ramp(), F64)]);
  assertEquals(await y.read(), ramp().map((x) => 4 * x));
});

withDevice("constants, and an alias of a part of an output", async (device) => {
  const values = [
    value(0, { kind: "constant", data: ramp(100) }),
    value(1, { kind: "output", position: 0 }, 128),
    value(2, { kind: "alias", of: 1, byteOffset: 256 }),
    value(3, { kind: "alias", of: 1, byteOffset: 0 }),
  ];
  const steps = [kernel("b[i] = a[i];", [0, 2], [2]), kernel("b[i] = -a[i];", [0, 3], [3])];
  const program = await device.load({ graph: EMPTY, plan: plan(values, steps) });
  const [y] = program.launch([]);
  assertEquals(Array.from(await y.read()), [...ramp(100).map((x) => -x), ...ramp(100)]);
});

withDevice("an arena larger than one buffer is cut in several", async (device) => {
  const count = 6;
  const values = [value(0, { kind: "input", position: 0 }), value(1, { kind: "output", position: 0 })];
  const steps: Step[] = [];
  // All temporaries live until the last step reads them.
  for (let id = 2; id < 2 + count; id++) {
    values.push(value(id, { kind: "temporary" }));
    steps.push(kernel(`b[i] = a[i] + ${id}.0;`, [0, id], [id]));
  }
  steps.push(kernel("g[i] = a[i] + b[i] + c[i] + d[i] + e[i] + f[i];", [2, 3, 4, 5, 6, 7, 1], [1]));
  const cut = plan(values, steps, 512);
  assertEquals([cut.arenaBytes, cut.bufferBytes], [6 * 256, 512]);
  const program = await device.load({ graph: EMPTY, plan: cut });
  assertEquals(await program.launch([device.upload(ramp(), F64)])[0].read(), ramp().map((x) => 6 * x + 27));
});

withDevice("nested loops give kernels the indices of their iteration, backwards too", async (device) => {
  const outer = makeVar("t", 3), inner = makeVar("s", 4);
  const values = [value(0, { kind: "output", position: 0 })];
  const init = kernel("a[i] = 0.0;", [0], [0]);
  // A number in base 10 whose digits are the order of visits.
  const visit = kernel(
    "if (i == loops.index.x * 4u + loops.index.y) { a[i] = a[63] + 1.0; } workgroupBarrier();",
    [0],
    [0],
    [outer, inner],
  );
  const count = kernel("if (i == 63u) { a[i] = a[i] + 1.0; }", [0], [0], [outer, inner]);
  const steps: Step[] = [init, {
    kind: "loop",
    variable: outer,
    reverse: true,
    steps: [{ kind: "loop", variable: inner, reverse: false, steps: [visit, count] }],
  }];
  const program = await device.load({ graph: EMPTY, plan: plan(values, steps) });
  const [y] = program.launch([]);
  assertEquals(Array.from(await y.read()).slice(0, 13), [9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4, 0]);
});

Deno.test("flat commands have one tuple of indices for each that a kernel may read", () => {
  const outer = makeVar("t", 2), inner = makeVar("s", 3);
  const free = kernel("", [0], [0]), reads = kernel("", [0], [0], [outer]);
  const loop = (variable: Var, steps: Step[]): Step => ({ kind: "loop", variable, reverse: false, steps });
  const { sequence, tuple, tuples, steps } = flattenSteps([free, loop(outer, [loop(inner, [free]), reads])]);
  assertEquals(steps, [free, free, reads]);
  assertEquals(sequence.length, 1 + 2 * 3 + 2);
  assertEquals(Array.from(tuple), [0, 0, 0, 0, 0, 0, 0, 0, 1]);
  assertEquals(Array.from(tuples), [0, 0, 0, 0, 1, 0, 0, 0]);
  const deep = ["a", "b", "c", "d", "e"].map((name) => makeVar(name, 2));
  assertThrows(() => flattenSteps([kernel("", [0], [0], deep)]), CompileError, "5 nested scans");
});

withDevice("a steady loop of launches makes no buffer and no bind group", async (device) => {
  const program = await device.load({ graph: EMPTY, plan: affine() });
  let x: DeviceArray = device.upload(new Float32Array(64), F64);
  const step = (): void => {
    const [y] = program.launch([x]);
    x.dispose();
    x = y;
  };
  for (let i = 0; i < 4; i++) step();
  await x.read();
  const { submits, ...before } = device.stats;
  for (let i = 0; i < 200; i++) {
    // Something from the host every time, as a training loop has.
    device.upload(ramp(), F64).dispose();
    step();
    if (i % 50 === 0) {
      x.dispose();
      x = device.upload(new Float32Array(64).fill(1), F64);
    }
  }
  assertEquals((await x.read())[0], 2 ** 50); // 49 steps from 1, rounded
  const { submits: after, ...now } = device.stats;
  assertEquals(now, before);
  assert(after - submits <= 202, `${after - submits} submits`);
});

withDevice("an input given twice is two operands", async (device) => {
  const values = [
    value(0, { kind: "input", position: 0 }),
    value(1, { kind: "input", position: 1 }),
    value(2, { kind: "output", position: 0 }),
  ];
  const program = await device.load({
    graph: EMPTY,
    plan: plan(values, [kernel("c[i] = a[i] * b[i];", [0, 1, 2], [2])]),
  });
  const x = device.upload(ramp(), F64);
  for (let i = 0; i < 3; i++) assertEquals(await program.launch([x, x])[0].read(), ramp().map((v) => v * v));
});

withDevice("an array that is being read may be disposed and its memory used again", async (device) => {
  const x = device.upload(ramp(), F64);
  const reading = x.read();
  x.dispose();
  const y = device.upload(ramp(1000), F64);
  assertEquals(y.storage.id, 0, "the memory was used again");
  assertEquals(await reading, ramp());
  await assertRejects(() => x.read(), DeviceError, "it was disposed");
});

withDevice("memory is filled with NaN before it is used again when the device is asked to", async (device) => {
  device.upload(ramp(), F64).dispose();
  const program = await device.load({
    graph: EMPTY,
    plan: plan([value(0, { kind: "output", position: 0 })], [kernel("if (i == 0u) { a[i] = 1.0; }", [0], [0])]),
  });
  const y = await program.launch([])[0].read();
  assertEquals(y[0], 1);
  assert(y.slice(1).every(Number.isNaN));
});

withDevice("a profile gives a time for each kernel step", async (device) => {
  const variable = makeVar("t", 5);
  const values = [value(0, { kind: "output", position: 0 })];
  const steps: Step[] = [kernel("a[i] = 0.0;", [0], [0]), {
    kind: "loop",
    variable,
    reverse: false,
    steps: [kernel("a[i] += 1.0;", [0], [0])],
  }];
  const program = await device.load({ graph: EMPTY, plan: plan(values, steps) });
  const times = await program.profile([]);
  assertEquals(times.length, 2);
  assert(times.every((time) => time > 0), `${times}`);
});

withDevice("WGSL that the compiler refuses is quoted with line, caret and ops", async (device) => {
  const values = [value(0, { kind: "output", position: 0 })];
  const error = await assertRejects(
    () => device.load({ graph: EMPTY, plan: plan(values, [kernel("let z: f32 = 1u;", [0], [0])]) }),
    CompileError,
  );
  assertStringIncludes(error.message, "Cannot compile the kernel of test, kernel: ");
  assertStringIncludes(error.message, "  6 |   let z: f32 = 1u;\n    |       ^");
  assertStringIncludes(error.source!, "let z: f32 = 1u;");
  // The device is as good as before.
  await device.synchronize();
  const program = await device.load({ graph: EMPTY, plan: affine() });
  assertEquals((await program.launch([device.upload(ramp(), F64)])[0].read())[3], 7);
});

Deno.test("a quoted source has its neighbours and a caret under the column", () => {
  assertEquals(quoteSource("one\ntwo\nthree", 2, 3), "  1 | one\n  2 | two\n    |   ^\n  3 | three");
});

withDevice("what does not fit a program is refused", async (device) => {
  const program = await device.load({ graph: EMPTY, plan: affine() });
  assertThrows(() => program.launch([]), ShapeError, "with 0 arrays: it has 1 inputs");
  const wrong = device.upload(new Float32Array(3), { shape: [3], dtype: "f32" });
  assertThrows(
    () => program.launch([wrong]),
    ShapeError,
    "Cannot launch with f32[3] as v0: the program expects f32[64]",
  );
  assertThrows(() => program.launch([new ReferenceDevice().upload(ramp(), F64)]), DeviceError, "another device");
  assertThrows(
    () => device.upload(ramp(), { shape: [3], dtype: "f32" }),
    ShapeError,
    "Cannot upload 64 numbers as f32[3]",
  );
  const { limits } = device, huge = 2 ** 20 + 1;
  (device as { limits: DeviceLimits }).limits = { ...limits, maxTensorBytes: 2 ** 22 };
  const error = assertThrows(
    () => device.upload(new Float32Array(huge), { shape: [huge], dtype: "f32" }),
    DeviceError,
    "Cannot upload f32[1048577]: it takes 4.00 MiB and one tensor may take at most 4.00 MiB on this device; use a",
  );
  (device as { limits: DeviceLimits }).limits = limits;
  assertEquals(error.reason, "limit");
  program.dispose();
  assertThrows(
    () => program.launch([device.upload(ramp(), F64)]),
    DeviceError,
    "Cannot launch the program: it was disposed",
  );
});

withDevice("a dispatch that WebGPU refuses fails the read of its result, once", async (device) => {
  const values = [value(0, { kind: "output", position: 0 })];
  const program = await device.load({
    graph: EMPTY,
    plan: plan(values, [kernel("a[i] = 1.0;", [0], [0], [], 64 * 65536)]),
  });
  const [y] = program.launch([]);
  const error = await assertRejects(() => y.read(), DeviceError, "Cannot launch a program: ");
  assertEquals(error.reason, "validation");
  await device.synchronize();
});

for (const kind of ["webgpu", "cpu", "reference"] as const) {
  Deno.test(`${kind}: a device that was declared with using is freed at the end of its block`, async () => {
    let left: Device;
    {
      using device = await requestDevice({ kind });
      device.upload(ramp(), F64).dispose();
      left = device;
    }
    assertThrows(() => left.upload(ramp(), F64), DeviceError, "it was disposed");
    await new Promise((resolve) => setTimeout(resolve, 0));
  });
}

withDevice("a disposed device refuses everything", async (device) => {
  const program = await device.load({ graph: EMPTY, plan: affine() });
  const x = device.upload(ramp(), F64);
  device.dispose();
  assertThrows(() => device.upload(ramp(), F64), DeviceError, "it was disposed");
  assertThrows(() => program.launch([x]), DeviceError, "it was disposed");
  await assertRejects(() => x.read(), DeviceError, "it was disposed");
  await assertRejects(() => device.synchronize(), DeviceError, "it was disposed");
  await assertRejects(() => device.load({ graph: EMPTY, plan: affine() }), DeviceError, "it was disposed");
  x.dispose();
  program.dispose();
});

withDevice("a lost device says so at the next use, and a read under way fails with it", async (device) => {
  const program = await device.load({ graph: EMPTY, plan: affine() });
  const x = device.upload(ramp(), F64);
  await x.read();
  device.gpu.destroy();
  const error = await assertRejects(() => x.read(), DeviceError, "it was lost");
  assertEquals(error.reason, "lost");
  assertStringIncludes(error.message, "request a new device");
  assertThrows(() => program.launch([x]), DeviceError, "it was lost");
});

withDevice("running out of memory is thrown at the next use, with the size, once", async (device) => {
  const pop = device.gpu.popErrorScope.bind(device.gpu);
  // No software adapter runs out of memory before the machine does.
  device.gpu.popErrorScope = async () => await pop() ?? new GPUOutOfMemoryError("not enough memory left");
  const x = device.upload(new Float32Array(2 ** 20), { shape: [2 ** 20], dtype: "f32" });
  delete (device.gpu as { popErrorScope?: unknown }).popErrorScope;
  const error = await assertRejects(
    () => x.read(),
    DeviceError,
    "Cannot allocate 4.00 MiB of device memory for an array: not enough memory left",
  );
  assertEquals(error.reason, "out-of-memory");
  assertStringIncludes(error.message, "dispose of arrays");
  await device.synchronize();
});

withDevice("where calls on the queue do not block, as in browsers, fences and reads are awaited", async ({ gpu }) => {
  const global = globalThis as { Deno?: unknown };
  const runtime = global.Deno;
  delete global.Deno;
  let host: typeof import("../../kernels/devices/webgpu/host.ts");
  try {
    host = await import("../../kernels/devices/webgpu/host.ts?browser" as "../../kernels/devices/webgpu/host.ts");
    host.prepareEnvironment();
  } finally {
    global.Deno = runtime;
  }
  assertEquals(host.BLOCKING, false);
  const staging = gpu.createBuffer({
    size: 16,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    mappedAtCreation: true,
  });
  staging.unmap();
  for (let round = 1; round < 3; round++) {
    gpu.queue.writeBuffer(staging, 0, Uint32Array.of(round, 2, 3, 4));
    gpu.queue.submit([]);
    await host.fence(gpu.queue);
    const parts = await host.readStaging(staging, [{ offset: 0, sizeBytes: 4 }, { offset: 8, sizeBytes: 8 }]);
    assertEquals(parts.map((part) => [...new Uint32Array(part)]), [[round], [3, 4]]);
  }
});

Deno.test("what to do without WebGPU depends on what runs the library, and cpu is always named", () => {
  const gpu = {}, node = { platform: "linux", versions: { node: "24" } };
  const cases: readonly (readonly [Parameters<typeof placeOf>[0], RegExp])[] = [
    [
      { Deno: { build: { os: "linux" } }, process: node, navigator: { gpu } },
      /no adapter was found; install a Vulkan driver \(.*apt-get install/,
    ],
    [{ Deno: { build: { os: "darwin" } }, navigator: { gpu } }, /no adapter was found; update the graphics driver/],
    [{ Deno: { build: { os: "linux" } }, navigator: {} }, /this version of Deno has no WebGPU; .*--unstable-webgpu/],
    [{ process: node, navigator: {} }, /this version of Node has no WebGPU; .*package webgpu/],
    [{ process: node, navigator: { gpu } }, /no adapter was found; install a Vulkan driver/],
    [
      { process: { ...node, platform: "win32" }, navigator: { gpu } },
      /no adapter was found; update the graphics driver/,
    ],
    [{ Bun: {}, process: node, navigator: {} }, /this version of Bun has no WebGPU; .*package webgpu/],
    [{ navigator: {} }, /this browser has no WebGPU; take a browser that has it/],
    [{ navigator: { gpu } }, /no adapter was found; turn on hardware acceleration/],
  ];
  for (const [globals, text] of cases) {
    const place = placeOf(globals), said = unavailableText(place);
    assertMatch(said, text);
    assert(said.endsWith(`or use the device "cpu", which needs none`), said);
    assert(place.os === "linux" || !said.includes("Vulkan"), said);
    assert(place.runtime === "deno" || !said.includes("apt-get"), said);
  }
});

Deno.test("without an adapter the error says what to install", async () => {
  const { gpu } = navigator;
  Object.defineProperty(navigator, "gpu", {
    value: { requestAdapter: () => Promise.resolve(null) },
    configurable: true,
  });
  try {
    const error = await assertRejects(() => requestDevice({ kind: "webgpu" }), DeviceError, "mesa-vulkan-drivers");
    assertEquals(error.reason, "unavailable");
  } finally {
    Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  }
});

Deno.test("a number of threads that no machine has is refused before a device is opened", async () => {
  for (const threads of [0, 1.5, -1, 1025, NaN]) {
    const error = await assertRejects(() => requestDevice({ kind: "cpu", threads }), DeviceError);
    assertEquals(error.message, `Cannot open a device with ${threads} threads: it must be an integer from 1 to 1024`);
  }
});

Deno.test("the kinds of devices", async () => {
  const webgpu = await requestDevice({ kind: "webgpu" });
  assert(webgpu.limits.maxOperands >= 8);
  webgpu.dispose();
  const cpu = await requestDevice({ kind: "cpu" });
  assertEquals(cpu.info.kind, "cpu");
  cpu.dispose();
  const auto = await requestDevice({ nativeCacheDirectory: NATIVE_CACHE });
  assertEquals(auto.info.kind, webgpu.info.software ? "native" : "webgpu");
  auto.dispose();
  const reference = await requestDevice({ kind: "reference" });
  const x = reference.upload(Float64Array.of(1 / 3), { shape: [], dtype: "f32" });
  assertEquals(Array.from(await x.read()), [Math.fround(1 / 3)]);
  x.dispose();
  await assertRejects(() => x.read(), DeviceError, "disposed");
  reference.dispose();
  assertThrows(() => reference.upload(Float64Array.of(1), { shape: [], dtype: "f32" }), DeviceError, "disposed");
});
