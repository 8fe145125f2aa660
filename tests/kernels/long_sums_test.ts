/**
 * Sums of many terms: how accurate they are, that no driver ends them early, and that cutting them changes nothing
 * else.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { CompileError } from "../../core/errors.ts";
import { grad } from "../../core/grad.ts";
import type { Graph, Tensor } from "../../core/graph.ts";
import { makeVar } from "../../core/index_expr.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { compile, type Device, requestCpuDevice, requestDevice } from "../../kernels/mod.ts";
import type { Step } from "../../kernels/plan.ts";
import { schedule } from "../../kernels/schedule.ts";
import type { PrintTarget } from "../../kernels/devices/webgpu/print_wgsl.ts";
import { printWgsl } from "./print_wgsl.ts";
import * as ops from "../../ops/mod.ts";
import { random } from "../numeric.ts";
import { evaluateSchedule } from "./evaluate_schedule.ts";
import { Build, reduceKernel } from "./print_cases.ts";
import { Gpu, randomElements, runReference } from "./print_harness.ts";

const { argmax, cumsum, linearScan, matmul, max, mul, scatterAdd, sliceAxis, softmax, sum, where, zeros } = ops;

/** Turns that llvmpipe gives an invocation. */
const MAX_TURNS = 65535;

const SOFTWARE: PrintTarget = {
  style: "software",
  maxWorkgroupsPerDimension: 65535,
  maxInvocations: 256,
  maxWorkgroupBytes: 16384,
};

// deno-lint-ignore no-explicit-any -- any function of tensors
type Fn = (...args: any[]) => Tensor | Tensor[];

function graphOf(
  fn: Fn,
  inputs: readonly { readonly shape: readonly number[]; readonly dtype?: NdArray["dtype"] }[],
): Graph {
  return simplify(trace(fn, inputs.map(({ shape, dtype }) => spec(shape, dtype))).graph);
}

function kernelsOf(steps: readonly Step[]): Kernel[] {
  return steps.flatMap((step) => step.kind === "loop" ? kernelsOf(step.steps) : [step.kernel]);
}

/**
 * Long sums of a vector of n, each one number: along rows of its own, down columns, in products with few and with more
 * rows, and the end of running sums.
 */
function sumsOf(n: number, x: Tensor): Tensor[] {
  const row = ops.reshape(x, [1, n]),
    column = ops.reshape(x, [n, 1]),
    one = (value: Tensor): Tensor => sliceAxis(ops.reshape(value, [-1]), 0, 0, 1);
  return [
    one(sum(ops.broadcastTo(mul(row, row), [2, n]), { axes: 1 })),
    one(sum(mul(ops.broadcastTo(column, [n, 8]), ops.add(ops.iota([n, 8], 1, "f32"), 1)), { axes: 0 })),
    one(matmul(ops.broadcastTo(row, [8, n]), ops.broadcastTo(column, [n, 8]))),
    one(matmul(row, column)),
    sliceAxis(cumsum(x, { axis: 0 }), 0, n - 1, 1),
    sliceAxis(cumsum(x, { axis: 0, reverse: true }), 0, 0, 1),
  ];
}

/** The same in f64. */
function exactSums(x: Float32Array): number[] {
  let total = 0, squares = 0;
  for (const value of x) {
    total += value;
    squares += value * value;
  }
  return [squares, total, squares, squares, total, total];
}

async function worstError(device: Device, n: number, x: Float32Array): Promise<number> {
  const program = await compile(device, (x: Tensor) => sumsOf(n, x), [spec([n])]);
  const results = await program.run(x), right = exactSums(x);
  program.dispose();
  const errors = results.map(({ data }, i) => Math.abs(data[0] / right[i] - 1));
  return Math.max(...errors);
}

/** Terms that are alike are the worst: they round in one direction. The bound is what long_sums.ts says. */
const ALIKE = 5e-6, RANDOM = 1e-6;

Deno.test("cpu: sums of many terms are accurate, whatever their number, relaxed or not", async () => {
  for (const relaxed of [true, false]) {
    const device = await requestCpuDevice({ threads: 2, relaxed });
    for (const n of [257, 1000, 4099, 16384, 16385, 16400, 65536, 65537, 1 << 20]) {
      for (const value of [0.1, 0.7]) {
        const error = await worstError(device, n, new Float32Array(n).fill(value));
        assert(error <= ALIKE, `${n} times ${value}: relative error ${error}`);
      }
      const error = await worstError(device, n, Float32Array.from(random([n], 0, 1, n).data));
      assert(error <= RANDOM, `${n} random terms: relative error ${error}`);
    }
    device.dispose();
  }
});

Deno.test("webgpu: sums of many terms are accurate", async () => {
  const device = await requestDevice({ kind: "webgpu" });
  const n = 70001;
  for (
    const [x, bound] of [[new Float32Array(n).fill(0.1), ALIKE], [
      Float32Array.from(random([n], 0, 1, n).data),
      RANDOM,
    ]] as const
  ) {
    const error = await worstError(device, n, x);
    assert(error <= bound, `${n} terms: relative error ${error}`);
  }
  device.dispose();
});

Deno.test("webgpu: loops of more turns than a software driver gives go to their end", async () => {
  const n = 70001, ones = new Float32Array(n).fill(1), device = await requestDevice({ kind: "webgpu" });
  const fn = (x: Tensor, i: Tensor): Tensor[] => [
    sliceAxis(cumsum(x, { axis: 0 }), 0, n - 1, 1),
    sliceAxis(linearScan(ops.sub(1, mul(x, 0)), mul(x, 2), { axis: 0 }), 0, n - 1, 1),
    scatterAdd(zeros([2]), i, x),
    matmul(ops.reshape(x, [1, n]), ops.reshape(x, [n, 1])),
    argmax(x, { axis: 0 }),
  ];
  const program = await compile(device, fn, [spec([n]), spec([n], "i32")]);
  ones[n - 2] = 2;
  const results = await program.run(ones, Int32Array.from({ length: n }, (_, i) => i % 2));
  assertEquals(results.map(({ data }) => [...data]).flat(), [n + 1, 2 * n + 2, (n + 1) / 2, (n + 1) / 2, n + 3, n - 2]);
  program.dispose();
  device.dispose();
});

/** Turns that the loops of a text take in one invocation, nested ones multiplied. */
function turnsOf(text: string): number {
  const bounds = new Map(
    [...text.matchAll(/let (turns\d+) = (\d+) \+ min\(id, 0\);/g)].map(([, name, count]) => [name, Number(count)]),
  );
  const numberOf = (bound: string): number => bounds.get(bound) ?? Number(bound);
  const trips: number[] = [];
  let total = 0;
  for (const line of text.split("\n").map((line) => line.trim())) {
    const loop = line.match(/^for \(var (\w+) = ([^;]+); \w+ < (.+); \w+(\+\+| \+= (\d+))\) \{$/);
    if (loop) {
      const [, , start, end, , step] = loop;
      const inBlock = end.match(/block \+ (\d+)/);
      const turns = inBlock ? Number(inBlock[1]) : Math.ceil((numberOf(end) - numberOf(start)) / Number(step ?? 1));
      assert(Number.isFinite(turns), `cannot count the turns of ${line}`);
      trips.push(turns);
      total += trips.reduce((product, count) => product * count, 1);
    } else if (line.endsWith("{")) trips.push(1);
    else if (line.startsWith("}")) trips.pop();
  }
  return total;
}

Deno.test("webgpu: no printed kernel takes more turns than a software driver gives, whatever the extents", () => {
  let most = 0, count = 0;
  const check = (name: string, fn: Fn, ...inputs: { shape: number[]; dtype?: NdArray["dtype"] }[]): void => {
    for (const kernel of kernelsOf(schedule(graphOf(fn, inputs), { maxOperands: 8 }).steps)) {
      const turns = turnsOf(printWgsl(kernel, SOFTWARE).source);
      assert(turns <= MAX_TURNS, `${name}: ${kernel.origins} takes ${turns} turns`);
      most = Math.max(most, turns);
      count++;
    }
  };
  for (const n of [65535, 65536, 65537, 70000, 262147, 1 << 20, 3 << 20]) {
    check(`cumsum of ${n}`, (x) => cumsum(x, { axis: 0 }), { shape: [n] });
    check(`reverse cumsum of ${n}`, (x) => cumsum(x, { axis: 0, reverse: true }), { shape: [n, 3] });
    check(`recurrence of ${n}`, (a, b) => linearScan(a, b, { axis: 0 }), { shape: [n, 4] }, { shape: [n, 4] });
    check(`scatter of ${n}`, (x, i, u) => scatterAdd(x, i, u), { shape: [5, 4] }, { shape: [n], dtype: "i32" }, {
      shape: [n, 4],
    });
    check(`product of ${n}`, (x, y) => matmul(x, y), { shape: [3, n] }, { shape: [n, 5] });
    check(`large product of ${n}`, (x, y) => matmul(x, y), { shape: [64, n] }, { shape: [n, 64] });
    check(`rows of ${n}`, (x) => [sum(x, { axes: 1 }), max(x, { axes: 1 }), argmax(x, { axis: 1 })], {
      shape: [64, n],
    });
    check(`columns of ${n}`, (x) => [sum(x, { axes: 0 }), max(x, { axes: 0 }), argmax(x, { axis: 0 })], {
      shape: [n, 64],
    });
    check(`softmax of ${n}`, (x) => softmax(x, { axis: 1 }), { shape: [64, n] });
    check(`softmax down ${n}`, (x) => softmax(x, { axis: 0 }), { shape: [n, 64] });
    check(
      `gradient through softmax of ${n}`,
      (x: Tensor) => grad((x: Tensor) => sum(mul(softmax(x, { axis: 0 }), x)))(x),
      { shape: [n, 64] },
    );
  }
  console.log(`long loops: ${count} kernels, at most ${most} turns`);
});

Deno.test("webgpu: a kernel whose loops a software driver would end is refused, not run", () => {
  const [kernel] = kernelsOf(
    schedule(graphOf((x, y) => matmul(x, y), [{ shape: [3, 8192] }, { shape: [8192, 5] }]), { maxOperands: 8 }).steps,
  );
  assert(kernel.kind === "contract");
  const long = { ...kernel, k: { ...kernel.k, extent: 70001 } };
  assertThrows(() => printWgsl(long, SOFTWARE), CompileError, "split the tensor");
  printWgsl(long, { ...SOFTWARE, style: "gpu" });
});

Deno.test("schedules: products cut in parts are what they were, with batch, masks and rests, and sum in f32 whatever they give", () => {
  const check = (fn: Fn, inputs: readonly NdArray[]): void => {
    const graph = graphOf(fn, inputs), expected = interpret(graph, inputs);
    const results = evaluateSchedule(schedule(graph, { maxOperands: 8 }), inputs.map(({ data }) => data));
    expected.forEach(({ data }, i) =>
      data.forEach((value, at) =>
        assert(Math.abs(results[i][at] - value) <= 1e-9 * Math.max(1, Math.abs(value)), `element ${at}`)
      )
    );
  };
  for (const k of [16384, 16385, 20000, 32771, 50000]) {
    check((x: Tensor, y: Tensor) => mul(matmul(x, y), 2), [random([2, 3, k], -1, 1, 3), random([2, k, 2], -1, 1, 4)]);
    const masked = (x: Tensor, y: Tensor): Tensor => {
      const visible = ops.less(
        ops.iota([4, k], 1, "i32"),
        mul(ops.add(ops.iota([4, k], 0, "i32"), 1), Math.floor(k / 5)),
      );
      return matmul(where(visible, x, 0), y);
    };
    check(masked, [random([4, k], -1, 1, 7), random([k, 2], -1, 1, 8)]);
  }
  const half = kernelsOf(
    schedule(
      graphOf((x, y) => matmul(x, y), [{ shape: [2, 20000], dtype: "f16" }, { shape: [20000, 2], dtype: "f16" }]),
      { maxOperands: 8 },
    ).steps,
  );
  assertEquals(half.map(({ kind, operands }) => `${kind} ${operands.map(({ dtype }) => dtype)}`), [
    "contract f16,f16,f32",
    "map f32,f16",
  ]);
});

Deno.test("long sums keep infinities and NaN, and a running sum does not depend on how much follows", async () => {
  const devices = [await requestCpuDevice({ threads: 1 }), await requestDevice({ kind: "webgpu" })];
  const n = 20000;
  for (const device of devices) {
    const program = await compile(device, (x: Tensor) => sumsOf(n, x), [spec([n])]);
    const x = Float32Array.from(random([n], 0, 1, 9).data);
    for (const [value, right] of [[Infinity, Infinity], [NaN, NaN]]) {
      x[300] = value;
      (await program.run(x)).forEach(({ data }, i) => assertEquals(data[0], right, `${device.info.kind}: result ${i}`));
    }
    program.dispose();
  }
  const [device] = devices, whole = Float32Array.from(random([40000], -1, 1, 10).data);
  const running = async (n: number) =>
    (await (await compile(device, (x: Tensor) => cumsum(x, { axis: 0 }), [spec([n])])).run(whole.slice(0, n))).data;
  const all = await running(40000);
  for (const n of [300, 1000, 17000]) assertEquals(await running(n), all.slice(0, n), `the first ${n}`);
  devices.forEach((each) => each.dispose());
});

Deno.test("long rows, columns and running sums are what they were in both styles, with teams and without", async () => {
  const gpu = await Gpu.open(), e = new Build(), [b, t] = [makeVar("b", 3), makeVar("t", 1500)];
  const running: Kernel = {
    kind: "recurrence",
    space: [b],
    time: t,
    reverse: true,
    states: [{ a: e.const(1), b: e.read([3, 1500], [b, t]) }, { a: e.const(0.5), b: e.accumulator() }],
    stores: [e.write([3, 1500], [b, t], e.b("add", e.accumulator(), e.accumulator("f32", 1)))],
    operands: e.operands,
    loops: [],
    origins: ["test"],
  };
  for (const kernel of [reduceKernel("sum", 6000, 20, 0), reduceKernel("sum", 9, 40000, 1), running]) {
    const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1)),
      wanted = runReference(kernel, data);
    for (const style of ["software", "gpu"] as const) {
      const found = await gpu.run(kernel, data, gpu.target(style), []);
      wanted.forEach((reference, operand) => {
        const scale = Array.from(reference).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
        reference.forEach((value, at) =>
          assert(Math.abs(found[operand][at] - value) <= 1e-6 * scale, `${kernel.kind} (${style}): ${operand}[${at}]`)
        );
      });
    }
  }
});

Deno.test("sums of few terms are in one block: their texts know nothing of blocks", () => {
  const texts = (n: number) =>
    kernelsOf(
      schedule(
        graphOf((x, y) => [matmul(x, y), sum(x, { axes: 1 }), cumsum(x, { axis: 1 })], [{ shape: [64, n] }, {
          shape: [n, 8],
        }]),
        { maxOperands: 8 },
      )
        .steps,
    )
      .map((kernel) => printWgsl(kernel, SOFTWARE).source);
  assertEquals(texts(256).filter((text) => text.includes("block")).length, 0);
  assertEquals(
    texts(1024).filter((text) => text.includes("block")).length,
    1,
    "products of up to 1024 terms are one block on WebGPU",
  );
  assertEquals(texts(2052).filter((text) => text.includes("block")).length, 3);
});
