/** Programs from functions to results, on every device. */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  compile,
  type Device,
  DeviceError,
  DTypeError,
  grad,
  requestDevice,
  scan,
  ShapeError,
  spec,
  type Tensor,
} from "../../mod.ts";
import { add, argmax, cast, exp, linearScan, matmul, mul, sum, tanh } from "../../ops/mod.ts";
import { ReferenceArray } from "../../kernels/devices/reference/device.ts";
import { requestWebGpuDevice, type WebGpuDevice } from "../../kernels/devices/webgpu/device.ts";

const KINDS = ["reference", "webgpu"] as const;

/** A test on each device; recycled memory is filled with NaN. */
function onEachDevice(name: string, fn: (device: Device) => Promise<void>): void {
  for (const kind of KINDS) {
    Deno.test(`${kind}: ${name}`, async () => {
      const device = kind === "webgpu" ? await requestWebGpuDevice({ poison: true }) : await requestDevice({ kind });
      try {
        await fn(device);
      } finally {
        device.dispose();
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    });
  }
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  assertEquals(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    assertAlmostEquals(actual[i], expected[i], tolerance * Math.max(1, Math.abs(expected[i])), `element ${i}`);
  }
}

/** Numbers between -1 and 1. */
function wave(size: number, phase = 0): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => Math.sin(1.7 * i + phase));
}

onEachDevice("a Hessian-vector product as the README has it", async (device) => {
  const f = (w: Tensor, x: Tensor) => sum(tanh(matmul(x, w)));
  const hvp = (w: Tensor, x: Tensor, v: Tensor) => grad((w: Tensor) => sum(mul(grad(f)(w, x), v)))(w);
  const program = await compile(device, hvp, [spec([3, 2]), spec([4, 3]), spec([3, 2])]);
  const w = wave(6), x = wave(12, 1), v = wave(6, 2);
  const { data, shape } = await program.run(w, x, v);
  assertEquals(shape, [3, 2]);
  // d/dw of sum_ij tanh(x w)'_ij (x v)_ij: for h = x w, u = x v it is x^T (-2 tanh(h) (1 - tanh(h)^2) u).
  const expected = new Float64Array(6);
  for (let row = 0; row < 4; row++) {
    for (let column = 0; column < 2; column++) {
      let h = 0, u = 0;
      for (let k = 0; k < 3; k++) {
        h += x[row * 3 + k] * w[k * 2 + column];
        u += x[row * 3 + k] * v[k * 2 + column];
      }
      const t = Math.tanh(h);
      for (let k = 0; k < 3; k++) expected[k * 2 + column] += x[row * 3 + k] * -2 * t * (1 - t * t) * u;
    }
  }
  assertClose(data, expected);
});

onEachDevice("trees go in and come out by their places, with inferred types", async (device) => {
  const layer = (params: { w: Tensor; b: Tensor }, [x, scale]: [Tensor, Tensor]) => ({
    out: add(mul(matmul(x, params.w), scale), params.b),
    best: [argmax(params.b, { axis: 0 })],
  });
  const program = await compile(device, layer, [{ w: spec([2, 2]), b: spec([2]) }, [spec([1, 2]), spec([])]]);
  const result = await program.run({ b: [10, 20], w: Float64Array.of(1, 2, 3, 4) }, [Float32Array.of(1, 1), 2]);
  const { out, best: [best] } = result;
  assertEquals(Array.from(out.data), [18, 32]);
  assertEquals([out.shape, out.dtype], [[1, 2], "f32"]);
  assertEquals([Array.from(best.data), best.shape, best.dtype], [[1], [], "i32"]);
  // A result may be an argument.
  const again = await program.run({ b: [0, 0], w: [1, 0, 0, 1] }, [out, 1]);
  assertEquals(Array.from(again.out.data), [18, 32]);
});

onEachDevice("launch keeps arrays on the device and does not wait", async (device) => {
  const program = await compile(
    device,
    (state: { x: Tensor; n: Tensor }) => ({ x: mul(state.x, 2), n: add(state.n, 1) }),
    [{
      x: spec([5]),
      n: spec([], "i32"),
    }],
  );
  let state = program.launch({ x: [1, 2, 3, 4, 5], n: 0 });
  for (let i = 0; i < 9; i++) {
    const next = program.launch(state);
    state.x.dispose();
    state.n.dispose();
    state = next;
  }
  assertEquals([Array.from(await state.x.read()), Array.from(await state.n.read())], [[1024, 2048, 3072, 4096, 5120], [
    10,
  ]]);
});

onEachDevice("a rolled loop gives its final carry and its stacked results", async (device) => {
  const cumulative = (x: Tensor) =>
    scan((carry: Tensor, item: Tensor) => [add(carry, item), mul(carry, item)], sum(mul(x, 0)), x);
  const program = await compile(device, cumulative, [spec([6])]);
  const [total, products] = await program.run([1, 2, 3, 4, 5, 6]);
  assertEquals([Array.from(total.data), Array.from(products.data)], [[21], [0, 2, 9, 24, 50, 90]]);
});

onEachDevice("arguments that do not fit are refused by their path", async (device) => {
  const fn = (params: { w: Tensor; list: Tensor[] }, n: Tensor) =>
    mul(sum(params.w), add(cast(n, "f32"), sum(params.list[0])));
  const program = await compile(device, fn, [{ w: spec([2, 3]), list: [spec([2])] }, spec([], "i32")]);
  // deno-lint-ignore no-explicit-any -- wrong on purpose
  const run = (...args: any[]) => () => (program.run as any)(...args);
  const w = new Float32Array(6), list = [[1, 2]];
  const cases: [unknown[], new (message: string) => Error, string][] = [
    [[{ w, list }], ShapeError, "Cannot run with 1 argument: the program expects 2"],
    [
      [{ w: new Float32Array(5), list }, 1],
      ShapeError,
      "Cannot run with 5 numbers as argument 0.w: the program expects f32[2, 3], which has 6 elements",
    ],
    [[{ w, list: [] }, 1], ShapeError, "Cannot run with 0 as argument 0.list: the program expects a list of 1"],
    [[{ w }, 1], ShapeError, "Cannot run with argument 0: it lacks list"],
    [
      [{ w, list, b: 1 }, 1],
      ShapeError,
      "Cannot run with argument 0: it has b, which the program does not know; it expects list, w",
    ],
    [[w, 1], ShapeError, "Cannot run with a Float32Array as argument 0: the program expects a record with list, w"],
    [
      [{ w: new Int32Array(6), list }, 1],
      DTypeError,
      "Cannot run with a Int32Array as argument 0.w: the program expects f32, which is passed as a Float32Array",
    ],
    [[{ w, list }, 1.5], DTypeError, "Cannot run with 1.5 as argument 1[0]: the program expects i32, integers"],
    [
      [{ w, list: [["1", 2]] }, 1],
      DTypeError,
      "Cannot run with a string as argument 0.list[0][0]: the program expects f32 numbers",
    ],
    [
      [{ w: undefined, list }, 1],
      DTypeError,
      "Cannot run with undefined as argument 0.w: the program expects f32[2, 3] as a typed array",
    ],
    [[{ w: 1, list }, 1], ShapeError, "Cannot run with a number as argument 0.w"],
    [[{ w: { data: w, shape: [3, 2], dtype: "f32" }, list }, 1], ShapeError, "shapes [3, 2] and [2, 3] differ"],
  ];
  for (const [args, Class, message] of cases) {
    const error = await assertRejects(run(...args), Class);
    assertStringIncludes(error.message, message);
    assertEquals(error.message.split("\n").length, 1);
  }
  const other = await requestDevice({ kind: "reference" });
  await assertRejects(
    run({ w: other.upload(w, { shape: [2, 3], dtype: "f32" }), list }, 1),
    DeviceError,
    "argument 0.w: it lies on another device",
  );
});

onEachDevice("a disposed program refuses to run", async (device) => {
  const program = await compile(device, (x: Tensor) => mul(x, 2), [spec([2])]);
  const before = program.launch([1, 2]);
  program.dispose();
  await assertRejects(() => program.run([1, 2]), DeviceError, "it was disposed");
  assertEquals(Array.from(await before.read()), [2, 4]);
});

Deno.test("the reference device keeps doubles from launch to launch", async () => {
  const device = await requestDevice({ kind: "reference" });
  const program = await compile(device, (x: Tensor) => exp(x), [spec([1])]);
  const y = program.launch(program.launch(Float64Array.of(0.1)));
  assert(y instanceof ReferenceArray);
  assertEquals(y.f64[0], Math.exp(Math.exp(0.1)));
  assertEquals(program.explain().kernels, []);
  assertEquals(program.peakBytes, 0);
  device.dispose();
});

Deno.test("a function's errors come at compile time", async () => {
  const device = await requestDevice({ kind: "reference" });
  await assertRejects(() => compile(device, (x: Tensor) => matmul(x, x), [spec([2, 3])]), ShapeError);
  assertThrows(() => mul(1 as unknown as Tensor, 2), Error);
  device.dispose();
});

async function withWebGpu(fn: (device: WebGpuDevice) => Promise<void>): Promise<void> {
  const device = await requestWebGpuDevice();
  try {
    await fn(device);
  } finally {
    device.dispose();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

Deno.test("explain gives kernels, work, memory and measured times", () =>
  withWebGpu(async (device) => {
    const program = await compile(device, (x: Tensor, w: Tensor) => sum(tanh(matmul(x, w))), [
      spec([64, 32]),
      spec([32, 48]),
    ]);
    const plain = program.explain();
    assertEquals(plain.totals.timeNs, undefined);
    const explanation = await program.explain({ profile: [wave(64 * 32), wave(32 * 48)] });
    const { kernels, totals, memory } = explanation;
    assertEquals(totals.kernels, kernels.length);
    assertEquals(totals.shaders, program.shaderCount);
    assertEquals(program.sources.length, program.shaderCount);
    const product = kernels.find(({ kind }) => kind === "contract");
    assert(product && product.flops >= 2 * 64 * 32 * 48 && product.flops < 3 * 64 * 32 * 48, `${product?.flops}`);
    assert(product.bytes >= 4 * (64 * 32 + 32 * 48));
    assert(kernels.every(({ timeNs }) => timeNs! > 0));
    assertEquals(memory.peakBytes, program.peakBytes);
    assert(memory.peakBytes >= 4 * (64 * 32 + 32 * 48 + 1));
    const text = String(explanation);
    assertMatch(text, /#\s+kind\s+ops\s+runs\s+MFLOP\s+MiB\s+shader\s+ms\s+GFLOP\/s\s+GB\/s\n/);
    const peak = { gflops: 50, gbPerSecond: 20 };
    const against = await program.explain({ profile: [wave(64 * 32), wave(32 * 48)], peak });
    let boundNs = 0;
    for (const { flops, bytes, timeNs, rooflineShare } of against.kernels) {
      const leastNs = Math.max(flops / peak.gflops, bytes / peak.gbPerSecond);
      assertAlmostEquals(rooflineShare!, leastNs / timeNs!, 1e-12);
      boundNs += leastNs;
    }
    assertAlmostEquals(against.totals.rooflineShare!, boundNs / against.totals.timeNs!, 1e-12);
    assertMatch(String(against), /GB\/s\s+of roof\n/);
    assertMatch(text, /memory: peak .* MiB = arena/);
  }));

Deno.test("work is counted from what a kernel computes, reads and writes", () =>
  withWebGpu(async (device) => {
    const n = 4096;
    const explain = async (fn: (x: Tensor, y: Tensor) => Tensor) =>
      (await compile(device, fn, [spec([n]), spec([n])])).explain();
    const map = await explain((x, y) => add(mul(x, y), x));
    assertEquals([map.totals.kernels, map.totals.flops, map.totals.bytes], [1, 2 * n, 4 * 3 * n]);
    const row = await explain((x, y) => sum(mul(x, y)));
    assertEquals(row.totals.kernels, 1);
    assert(row.totals.flops >= 2 * n && row.totals.flops <= 2 * n + 2, `${row.totals.flops}`);
    assertEquals(row.totals.bytes, 4 * (2 * n + 1));
  }));

Deno.test("a map over 20 million elements needs more than 65535 workgroups a dimension", () =>
  withWebGpu(async (device) => {
    const size = 20_000_003;
    const program = await compile(device, (x: Tensor) => add(mul(x, 2), 1), [spec([size])]);
    const { data } = await program.run(Float32Array.from({ length: size }, (_, i) => i % 1000));
    for (let i = 0; i < size; i++) if (data[i] !== 2 * (i % 1000) + 1) throw new Error(`element ${i} is ${data[i]}`);
  }));

Deno.test("a tensor beyond the device's largest buffer is refused before anything is allocated", () =>
  withWebGpu(async (device) => {
    const rows = Math.floor(device.limits.maxTensorBytes / 4096) + 1;
    const error = await assertRejects(
      () => compile(device, (x: Tensor) => add(x, 1), [spec([rows, 1024])]),
      DeviceError,
    );
    assertEquals(error.reason, "limit");
    assertMatch(error.message, new RegExp(`f32\\[${rows}, 1024\\].* one tensor may (take|have) at most \\d+ `));
  }));

Deno.test("a training loop makes no buffer and no bind group once it runs", () =>
  withWebGpu(async (device) => {
    const loss = (params: { w: Tensor; b: Tensor }, x: Tensor) => sum(tanh(add(matmul(x, params.w), params.b)));
    const step = (params: { w: Tensor; b: Tensor }, x: Tensor) => {
      const g = grad(loss)(params, x);
      return {
        params: { w: add(params.w, mul(g.w, -0.01)), b: add(params.b, mul(g.b, -0.01)) },
        loss: loss(params, x),
      };
    };
    const program = await compile(device, step, [{ w: spec([8, 8]), b: spec([8]) }, spec([4, 8])]);
    let params: Parameters<typeof program.launch>[0] = { w: wave(64), b: wave(8) };
    const train = async (steps: number) => {
      for (let i = 0; i < steps; i++) {
        const next = program.launch(params, wave(32, i));
        for (const array of [params.w, params.b]) if (typeof array === "object" && "dispose" in array) array.dispose();
        params = next.params;
        if (i % 10 === 0) await next.loss.read();
        next.loss.dispose();
      }
    };
    await train(20);
    const { submits: _, ...before } = device.stats;
    await train(300);
    const { submits: __, ...after } = device.stats;
    assertEquals(after, before);
  }));

onEachDevice("a dozen recurrences in one walk through time, each over the one before", async (device) => {
  const sums = (x: Tensor): Tensor[] => {
    const all = [x];
    for (let i = 0; i < 12; i++) all.push(linearScan(0.5, all[i], { axis: 0 }));
    return all.slice(1);
  };
  const program = await compile(device, sums, [spec([3, 5])]);
  let expected = Float64Array.from(wave(15));
  for (const { data } of await program.run(wave(15))) {
    expected = expected.map((_, i, before) => before[i] + 0.5 * (before[i - 5] ?? 0) + 0.25 * (before[i - 10] ?? 0));
    assertClose(data, expected);
  }
});

Deno.test("compiling tells how long each phase took, in their order", async () => {
  const passes = ["trace", "simplify"], all = [...passes, "schedule", "plan", "print", "compile", "start"];
  for (const [kind, expected] of [["reference", passes], ["cpu", all], ["webgpu", all]] as const) {
    using device = await requestDevice({ kind });
    const told: string[] = [];
    const phase = (name: string, milliseconds: number): void => {
      told.push(name);
      assert(milliseconds >= 0);
    };
    using _program = await compile(device, (x: Tensor) => exp(x), [spec([5])], { phase });
    assertEquals(told, expected, kind);
  }
});

Deno.test("compiling for WebGPU tells of each distinct kernel, and can be ended", async () => {
  using device = await requestDevice({ kind: "webgpu" });
  const fn = (x: Tensor): Tensor => sum(exp(mul(x, sum(x))));
  const told: [number, number][] = [];
  using program = await compile(device, fn, [spec([5])], { progress: (done, total) => told.push([done, total]) });
  assertEquals(told, Array.from({ length: program.shaderCount }, (_, i) => [i + 1, program.shaderCount]));
  const reason = new Error("no longer wanted");
  await assertRejects(
    () => compile(device, fn, [spec([5])], { signal: AbortSignal.abort(reason) }),
    Error,
    reason.message,
  );
  // In the middle: as soon as the first kernel is there, and nothing is heard of the others.
  const heard: number[] = [],
    controller = new AbortController(),
    other = (x: Tensor): Tensor => sum(exp(mul(x, sum(exp(mul(x, sum(x)))))));
  const progress = (done: number): void => {
    heard.push(done);
    controller.abort(reason);
  };
  await assertRejects(
    () => compile(device, other, [spec([6])], { signal: controller.signal, progress }),
    Error,
    reason.message,
  );
  const { data } = await program.run([0, 0, 0, 0, 0]);
  assertEquals([data[0], heard], [5, [1]]);
});
