/** The native device: threads, programs, memory, and what is left when they are gone. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { compile, DeviceError, grad, requestDevice, scan, spec, type Tensor } from "../../mod.ts";
import { type NativeDevice, type NativeOptions, requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { NativeMemory } from "../../kernels/devices/native/memory.ts";
import { matmul, mul, softmax, sum, tanh } from "../../ops/mod.ts";
import { NATIVE_CACHE } from "./native_tests.ts";

function open(options: NativeOptions = {}): Promise<NativeDevice> {
  return requestNativeDevice({ cacheDirectory: NATIVE_CACHE, poison: true, threads: 2, ...options });
}

function wave(size: number, phase = 0): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => Math.sin(1.7 * i + phase));
}

const SIZE = 96, SQUARE = spec([SIZE, SIZE]);

/** Products, a softmax and a rolled loop, large enough for several threads. */
function network(w: Tensor, x: Tensor): Tensor {
  const [state] = scan((carry: Tensor, _: undefined) => [tanh(matmul(carry, w)), undefined], x, undefined, {
    length: 3,
  });
  return sum(mul(softmax(state), x));
}

Deno.test("native: results do not depend on the number of threads, and are those of the reference", async () => {
  using reference = await requestDevice({ kind: "reference" });
  const exact = await compile(reference, grad(network), [SQUARE, SQUARE]);
  const wanted = (await exact.run(wave(SIZE * SIZE), wave(SIZE * SIZE, 1))).data as Float32Array;
  const results: Float32Array[] = [];
  for (const threads of [1, 2, 5]) {
    using device = await open({ threads });
    assertEquals(device.threadCount, threads);
    const program = await compile(device, grad(network), [SQUARE, SQUARE]);
    for (let turn = 0; turn < 3; turn++) {
      results.push((await program.run(wave(SIZE * SIZE), wave(SIZE * SIZE, 1))).data as Float32Array);
    }
  }
  for (const result of results) assertEquals(result, results[0]);
  const scale = wanted.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  results[0].forEach((value, i) =>
    assert(Math.abs(value - wanted[i]) <= 2e-5 * scale, `element ${i} is ${value}, should be ${wanted[i]}`)
  );
});

Deno.test("native: a launch does not wait for threads that have no core", async () => {
  const median = async (threads: number): Promise<number> => {
    using device = await open({ threads, minParallel: 0, poison: false });
    const program = await compile(
      device,
      (x: Tensor) => scan((y: Tensor, _: undefined) => [matmul(y, x), undefined], x, undefined, { length: 50 })[0],
      [SQUARE],
    );
    const x = device.upload(wave(SIZE * SIZE), SQUARE), times: number[] = [];
    for (let turn = 0; turn < 11; turn++) {
      const start = performance.now();
      program.launch(x).dispose();
      times.push(performance.now() - start);
    }
    return times.toSorted((a, b) => a - b)[5];
  };
  // Threads that all meet after each kernel take more than a hundred times as long as one.
  const one = await median(1), many = await median(32 * navigator.hardwareConcurrency);
  assert(many < 20 * one, `${many} ms on many threads, ${one} ms on one`);
});

Deno.test("native: devices share their threads, and each goes on when another is gone", async () => {
  const first = await open({ threads: 2 }), second = await open({ threads: 3 });
  const programs = await Promise.all(
    [first, second].map((device) => compile(device, (x: Tensor) => matmul(x, x), [SQUARE])),
  );
  const x = wave(SIZE * SIZE), [one, two] = await Promise.all(programs.map((program) => program.run(x)));
  assertEquals(one.data, two.data);
  first.dispose();
  assertEquals((await programs[1].run(x)).data, one.data);
  assertThrows(() => programs[0].launch(x), DeviceError, "disposed");
  second.dispose();
  using third = await open({ threads: 2 });
  const again = await compile(third, (x: Tensor) => matmul(x, x), [SQUARE]);
  assertEquals((await again.run(x)).data, one.data);
});

Deno.test("native: a process ends well while threads of a device still spin", async () => {
  const { code, signal, stderr } = await new Deno.Command("deno", {
    args: ["run", "--quiet", "--no-prompt", "--no-check", "--allow-all", "tests/kernels/native_exit_child.ts"],
  }).output();
  assertEquals({ code, signal }, { code: 0, signal: null }, new TextDecoder().decode(stderr));
});

Deno.test("native: programs that share kernels share objects, which are closed with the last of them", async () => {
  using device = await open();
  const make = (factor: number) => compile(device, (x: Tensor) => mul(matmul(x, x), factor), [SQUARE]);
  const [first, same, other] = await Promise.all([make(2), make(2), make(3)]);
  assertEquals(first.sources, same.sources);
  const open2 = device.openObjects;
  assert(open2 >= 1 && open2 <= 3, `${open2} objects`);
  const { data } = await first.run(wave(SIZE * SIZE));
  first.dispose();
  assertEquals((await same.run(wave(SIZE * SIZE))).data, data);
  same.dispose();
  other.dispose();
  assertEquals(device.openObjects, 0);
  using back = await make(2);
  assertEquals((await back.run(wave(SIZE * SIZE))).data, data);
});

Deno.test("native: a compilation reports its kernels, and one that is given up leaves nothing open", async () => {
  using device = await open();
  const seen: [number, number][] = [];
  using program = await compile(device, (x: Tensor) => softmax(matmul(x, x)), [SQUARE], {
    progress: (done, total) => seen.push([done, total]),
  });
  assertEquals(seen.at(-1), [program.shaderCount, program.shaderCount]);
  const before = device.openObjects, controller = new AbortController();
  const given = compile(device, (x: Tensor) => mul(softmax(matmul(x, x)), 7), [SQUARE], { signal: controller.signal });
  controller.abort(new Error("not needed"));
  await assertRejects(() => given, Error, "not needed");
  // What was begun ends by itself.
  for (let turn = 0; turn < 200 && device.openObjects > before; turn++) {
    await new Promise((done) => setTimeout(done, 20));
  }
  assertEquals(device.openObjects, before);
});

Deno.test("native: a steady loop of launches takes no more memory, and profiles measure every kernel", async () => {
  using device = await open({ poison: false });
  const program = await compile(device, (x: Tensor) => tanh(matmul(x, x)), [SQUARE]);
  let x = program.launch(wave(SIZE * SIZE));
  const turn = () => {
    const next = program.launch(x);
    x.dispose();
    x = next;
  };
  for (let i = 0; i < 5; i++) turn();
  const before = device.highWaterBytes;
  for (let i = 0; i < 1000; i++) turn();
  assertEquals(device.highWaterBytes, before);
  const { kernels } = await program.explain({ profile: [x] });
  assertEquals(kernels.length, program.toJSON().kernels);
  for (const { timeNs } of kernels) assert(timeNs !== undefined && timeNs > 0 && timeNs < 1e9, `${timeNs} ns`);
});

Deno.test(
  "native: memory grows in its place beyond 4 GiB, until the addresses that were set aside are full",
  async () => {
    const memory = new NativeMemory(false), { buffer } = memory;
    const first = memory.allocate(1000), far = memory.allocate(5 * 2 ** 30);
    memory.bytes(far + 5 * 2 ** 30 - 4, 4).set([1, 2, 3, 4]);
    assertEquals([first % 256, far % 256, memory.buffer === buffer], [0, 0, true]);
    assertEquals([...memory.bytes(far + 5 * 2 ** 30 - 4, 4)], [1, 2, 3, 4]);
    const small = new NativeMemory(false, 2 ** 20);
    const error = assertThrows(() => small.allocate(2 ** 21), DeviceError);
    assertEquals(error.reason, "out-of-memory");
    assertStringIncludes(error.message, 'Cannot allocate 2.00 MiB on the device "native"');
    // After a failure there is what there was.
    assertEquals(small.allocate(1000) % 256, 0);
    await Promise.resolve();
  },
);
