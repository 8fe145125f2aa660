/** The cpu device: threads, fallbacks, memory and its rules. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { compile, DeviceError, grad, requestDevice, scan, ShapeError, spec, type Tensor } from "../../mod.ts";
import { add, matmul, mul, softmax, sum, tanh } from "../../ops/mod.ts";
import { type CpuDevice, type CpuOptions, requestCpuDevice } from "../../kernels/devices/wasm/device.ts";
import { findFeatures } from "../../kernels/devices/wasm/features.ts";
import { CpuMemory } from "../../kernels/devices/wasm/memory.ts";
import { Threads } from "../../kernels/devices/wasm/threads.ts";

/** A test with a device; recycled memory is filled with NaN. */
function withDevice(name: string, options: CpuOptions, fn: (device: CpuDevice) => Promise<void>): void {
  Deno.test(name, async () => {
    const device = await requestCpuDevice({ poison: true, ...options });
    try {
      await fn(device);
    } finally {
      device.dispose();
    }
  });
}

function wave(size: number, phase = 0): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => Math.sin(1.7 * i + phase));
}

/** How many launches workers are woken for while something runs. */
async function wakings(run: () => Promise<unknown>): Promise<number> {
  const notify = Atomics.notify as (words: Int32Array, index: number, most?: number) => number;
  let count = 0;
  Atomics.notify = ((words: Int32Array, index: number, most?: number) => {
    count++;
    return notify(words, index, most);
  }) as typeof Atomics.notify;
  try {
    await run();
  } finally {
    Atomics.notify = notify as typeof Atomics.notify;
  }
  return count;
}

const SIZE = 96;

/** Products, a softmax and a rolled loop, large enough for several threads. */
function network(w: Tensor, x: Tensor): Tensor {
  const [state] = scan((carry: Tensor, _: undefined) => [tanh(matmul(carry, w)), undefined], x, undefined, {
    length: 3,
  });
  return sum(mul(softmax(state), x));
}

async function gradientsOn(options: CpuOptions): Promise<{ gradient: Float32Array; threads: number }> {
  const device = await requestCpuDevice({ poison: true, ...options });
  try {
    const program = await compile(device, grad(network), [spec([SIZE, SIZE]), spec([SIZE, SIZE])]);
    let gradient: Float32Array = new Float32Array(0);
    for (let turn = 0; turn < 3; turn++) {
      gradient = (await program.run(wave(SIZE * SIZE), wave(SIZE * SIZE, 1))).data as Float32Array;
    }
    return { gradient, threads: device.threadCount };
  } finally {
    device.dispose();
  }
}

Deno.test("cpu: results do not depend on the number of threads", async () => {
  const one = await gradientsOn({ threads: 1 }),
    two = await gradientsOn({ threads: 2 }),
    five = await gradientsOn({ threads: 5 });
  if (findFeatures().shared) assertEquals([one.threads, two.threads, five.threads], [1, 2, 5]);
  assertEquals(two.gradient, one.gradient);
  assertEquals(five.gradient, one.gradient);
});

Deno.test("cpu: without shared memory, and without the relaxed multiply-add, it computes the same", async () => {
  const { gradient } = await gradientsOn({ threads: 2 });
  const alone = await gradientsOn({ threads: 2, shared: false });
  assertEquals(alone.threads, 1);
  assertEquals(alone.gradient, gradient);
  const plain = await gradientsOn({ relaxed: false });
  const scale = gradient.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  plain.gradient.forEach((value, i) =>
    assert(Math.abs(value - gradient[i]) <= 1e-4 * scale, `element ${i} is ${value}, should be ${gradient[i]}`)
  );
});

withDevice("cpu: the gradient of a rolled loop is that of the reference device", {}, async (device) => {
  const reference = await requestDevice({ kind: "reference" });
  const results = await Promise.all([device, reference].map(async (each) => {
    const program = await compile(each, grad(network), [spec([SIZE, SIZE]), spec([SIZE, SIZE])]);
    return (await program.run(wave(SIZE * SIZE), wave(SIZE * SIZE, 1))).data;
  }));
  const scale = (results[1] as Float32Array).reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  results[0].forEach((value, i) =>
    assert(Math.abs(value - results[1][i]) <= 2e-5 * scale, `element ${i} is ${value}, should be ${results[1][i]}`)
  );
  reference.dispose();
});

withDevice(
  "cpu: a softmax down columns, whole groups of four and single ones, is that of the reference device",
  {},
  async (device) => {
    const reference = await requestDevice({ kind: "reference" });
    for (const [rows, columns] of [[37, 70], [9, 256], [300, 5]]) {
      const [found, wanted] = await Promise.all([device, reference].map(async (each) => {
        const program = await compile(each, (x: Tensor) => softmax(x, { axis: 0 }), [spec([rows, columns])]);
        return (await program.run(wave(rows * columns))).data;
      }));
      found.forEach((value, i) =>
        assert(Math.abs(value - wanted[i]) <= 1e-6 * wanted[i], `element ${i} is ${value}, should be ${wanted[i]}`)
      );
    }
    reference.dispose();
  },
);

withDevice(
  "cpu: programs are loaded at the same time, and launched while others load",
  { threads: 2 },
  async (device) => {
    const make = (factor: number) => compile(device, (x: Tensor) => mul(matmul(x, x), factor), [spec([64, 64])]);
    const first = await make(1);
    const x = device.upload(wave(64 * 64), { shape: [64, 64], dtype: "f32" });
    const loading = [2, 3, 4].map(make);
    const during = first.launch(x);
    const others = await Promise.all(loading);
    const expected = await during.read();
    for (const [i, program] of others.entries()) {
      const { data } = await program.run(x);
      data.forEach((value, at) => assertEquals(value, Math.fround((i + 2) * expected[at])));
    }
    assertEquals(await first.launch(x).read(), expected);
  },
);

Deno.test("cpu: workers take part in launches of a caller who never gets messages", async () => {
  const threads = new Threads(new CpuMemory(true, false), 2, true), started = threads.start();
  // Only promises: what waits for messages or timers does not run.
  const end = performance.now() + 20_000;
  while (!threads.isServing && performance.now() < end) await Promise.resolve();
  assert(threads.isServing);
  await started;
  threads.stop();
});

Deno.test("cpu: a chain of small kernels leaves the workers alone, large ones wake them, and the bits are the same", async () => {
  if (!findFeatures().shared) return;
  // Each product of a row with a matrix is worth two threads, and none can begin before the one before has ended.
  const chain = (x: Tensor, w: Tensor): Tensor => {
    for (let i = 0; i < 60; i++) x = tanh(matmul(x, w));
    return x;
  };
  const cases = [["a row", 1, SIZE, 0], ["many rows", 512, SIZE, 1], ["one large product", 256, 256, 1]] as const;
  const devices = await Promise.all([1, 2].map((threads) => requestCpuDevice({ threads, poison: true })));
  const forced = await requestCpuDevice({ threads: 2, minParallel: 0, poison: true });
  try {
    for (const [label, rows, size, woken] of cases) {
      const fn = size > SIZE ? (x: Tensor, w: Tensor) => matmul(x, w) : chain;
      const programs = await Promise.all(
        [...devices, forced].map((device) => compile(device, fn, [spec([rows, size]), spec([size, size])])),
      );
      const run = (i: number) => programs[i].run(wave(rows * size), wave(size * size, 1));
      const expected = (await run(0)).data, counts: number[] = [];
      for (const i of [1, 2]) {
        counts.push(
          await wakings(async () => {
            for (let turn = 0; turn < 3; turn++) assertEquals((await run(i)).data, expected, label);
          }),
        );
      }
      assertEquals(counts, [3 * woken, 3], label);
    }
  } finally {
    for (const device of [...devices, forced]) device.dispose();
  }
});

Deno.test("cpu: workers start once they pay off, and results stay the same", async () => {
  const OwnWorker = Worker, { shared, processors } = findFeatures(), all = shared ? processors - 1 : 0;
  let started = 0;
  globalThis.Worker = class extends OwnWorker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      started++;
    }
  };
  const product = (carry: Tensor, _: undefined): [Tensor, undefined] => [tanh(matmul(carry, carry)), undefined];
  const chain = (length: number) => (x: Tensor) => scan(product, x, undefined, { length })[0];
  const devices = await Promise.all([requestCpuDevice(), requestCpuDevice()]);
  try {
    const small = await compile(devices[0], chain(20), [spec([64, 64])]), x = wave(64 * 64);
    const { data: expected } = await small.run(x);
    assertEquals(started, 0, "a small program that runs once needs no workers");
    const end = performance.now() + 1000 * processors;
    while (started < all && performance.now() < end) assertEquals((await small.run(x)).data, expected);
    assertEquals(started, all, "they start once launches have taken as long as starting does");
    for (let turn = 0; turn < 20; turn++) {
      assertEquals((await small.run(x)).data, expected);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await compile(devices[1], chain(1000 * Math.max(1, all)), [spec([64, 64])]);
    assertEquals(started, 2 * all, "they start before the first launch of a large program");
  } finally {
    globalThis.Worker = OwnWorker;
    for (const device of devices) device.dispose();
  }
});

withDevice("cpu: a steady loop of launches takes no more memory", { poison: false }, async (device) => {
  const program = await compile(device, (x: Tensor) => tanh(add(matmul(x, x), 1)), [spec([32, 32])]);
  let x = program.launch(wave(32 * 32));
  for (let i = 0; i < 5; i++) x = next(x);
  const before = device.highWaterBytes;
  for (let i = 0; i < 1000; i++) x = next(x);
  assertEquals(device.highWaterBytes, before);

  function next(from: typeof x): typeof x {
    const to = program.launch(from);
    from.dispose();
    return to;
  }
});

withDevice(
  "cpu: programs share one arena, as large as the largest needs, and keep their values",
  {},
  async (device) => {
    // Three products in a row: their values in between are temporaries of n x n.
    const make = (n: number) =>
      compile(device, (x: Tensor) => matmul(matmul(matmul(x, x), softmax(x)), x), [spec([n, n])]).then((program) => ({
        n,
        program,
        x: wave(n * n),
      }));
    const bytes = (): number => device.highWaterBytes;
    const small = await make(32), expected = (await small.program.run(small.x)).data, first = bytes();
    const large = await make(128);
    await large.program.run(large.x);
    const grown = bytes();
    assert(grown - first > 3 * 4 * 128 ** 2);
    const others = await Promise.all([make(96), make(128), make(64)]);
    const results = [];
    for (const { program, x } of others) results.push(await program.run(x));
    // Only tables and constants are a program's own.
    assert(bytes() - grown < 4 * 64 ** 2, `${bytes() - grown} bytes more`);
    assertEquals(results[1].data, (await large.program.run(large.x)).data);
    assertEquals((await small.program.run(small.x)).data, expected);
    for (const { program } of [large, ...others]) program.dispose();
    assertEquals((await small.program.run(small.x)).data, expected);
    const again = await make(128);
    assertEquals((await again.program.run(again.x)).data, results[1].data);
    assertEquals((await small.program.run(small.x)).data, expected);
  },
);

withDevice("cpu: arrays of every dtype come back as they went", {}, async (device) => {
  const cases = [
    [{ shape: [3], dtype: "f32" }, Float32Array.of(1.5, -2, 1e-40)],
    [{ shape: [], dtype: "i32" }, Int32Array.of(-7)],
    [{ shape: [2, 1], dtype: "u32" }, Uint32Array.of(7, 4294967295)],
    [{ shape: [2], dtype: "bool" }, Uint32Array.of(1, 0)],
    [{ shape: [0, 4], dtype: "f32" }, new Float32Array(0)],
  ] as const;
  const arrays = cases.map(([type, data]) => device.upload(data, type));
  for (const [i, array] of arrays.entries()) assertEquals(await array.read(), cases[i][1]);
});

withDevice("cpu: misuse is refused with a reason", {}, async (device) => {
  const program = await compile(device, (x: Tensor) => mul(x, 2), [spec([4])]);
  const x = device.upload(wave(4), { shape: [4], dtype: "f32" });
  assertThrows(
    () => device.upload(wave(5), { shape: [4], dtype: "f32" }),
    ShapeError,
    "Cannot upload 5 numbers as f32[4]",
  );
  const other = await requestCpuDevice({ threads: 1 });
  const foreign = other.upload(wave(4), { shape: [4], dtype: "f32" });
  await assertRejects(() => program.run(foreign), DeviceError);
  other.dispose();
  x.dispose();
  x.dispose();
  await assertRejects(() => x.read(), DeviceError, "it was disposed");
  program.dispose();
  await assertRejects(() => program.run(wave(4)), DeviceError, "it was disposed");
  assertStringIncludes(device.info.description, "WebAssembly SIMD");
});

withDevice("cpu: profiles have a time for each kernel, loops summed", {}, async (device) => {
  const program = await compile(device, network, [spec([SIZE, SIZE]), spec([SIZE, SIZE])]);
  const explanation = await program.explain({ profile: [wave(SIZE * SIZE), wave(SIZE * SIZE, 1)] });
  assert(
    explanation.kernels.length > 0 && explanation.kernels.every(({ timeNs }) => timeNs !== undefined && timeNs >= 0),
  );
  assertEquals(program.sources.length, program.shaderCount);
});
