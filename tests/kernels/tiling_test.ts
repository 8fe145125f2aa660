/**
 * Attention in tiles: the same numbers as without, in the interpreter, in schedules and on devices; memory that grows
 * with the sequence's length, not with its square; and whatever needs large tensors as a whole is left alone.
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { grad } from "../../core/grad.ts";
import type { Graph, Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { isLoop, type ScanAttrs } from "../../core/loop.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { verify } from "../../core/verify.ts";
import { compile } from "../../kernels/compile.ts";
import type { Device, DeviceLimits } from "../../kernels/device.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { requestCpuDevice } from "../../kernels/devices/wasm/device.ts";
import { requestWebGpuDevice } from "../../kernels/devices/webgpu/device.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import { schedule } from "../../kernels/schedule.ts";
import { DEFAULT_TILE, type TileSize } from "../../kernels/tiling/large.ts";
import { tile } from "../../kernels/tiling/tile.ts";
import * as ops from "../../ops/mod.ts";
import { wave } from "../evaluate.ts";
import { toHost } from "../numeric.ts";
import { graphOf, kernelSteps, MAX_OPERANDS, type Program } from "./check_schedule.ts";
import { evaluatePlan } from "./evaluate_plan.ts";
import { evaluateSchedule } from "./evaluate_schedule.ts";
import { NATIVE_CACHE } from "./native_tests.ts";

const SMALL: TileSize = { elements: 12, rows: 2, recomputed: 0 };

/** The gradients of a function's sum of squares. */
function gradientsOf(fn: Program): Program {
  return grad((tensors: Tensor[]): Tensor => {
    const results = [fn(...tensors)].flat() as Tensor[];
    return results.map((result) => ops.sum(ops.square(result))).reduce((a, b) => ops.add(a, b));
  }) as unknown as Program;
}

function differentiated(fn: Program): Program {
  const gradients = gradientsOf(fn);
  return (...tensors) => (gradients as (list: Tensor[]) => unknown)(tensors);
}

/** The lengths of a graph's loops, those inside others in brackets. */
function loopsOf({ nodes }: Graph): string {
  return nodes.filter(isLoop).map(({ attrs }) => {
    const { length, body } = attrs as ScanAttrs, inner = loopsOf(body);
    return inner ? `${length}(${inner})` : `${length}`;
  }).join(" ");
}

function assertSame(actual: readonly ArrayLike<number>[], expected: readonly NdArray[], tolerance: number): void {
  expected.forEach(({ data }, output) => {
    const scale = data.reduce((most, value) => Math.max(most, Number.isFinite(value) ? Math.abs(value) : 0), 1);
    data.forEach((value, i) => {
      const got = actual[output][i], isSame = Object.is(got, value) || got === value;
      if (isSame || Math.abs(got - value) <= tolerance * scale) return;
      throw new Error(`output ${output}, element ${i} is ${got}, not ${value}`);
    });
  });
}

/** Tiles a program and holds every stage against the program without tiles. Returns the tiled graph's loops. */
function check(fn: Program, inputs: readonly NdArray[], size = SMALL): string {
  const graph = graphOf(fn, inputs), tiled = tile(graph, size), expected = interpret(graph, inputs);
  verify(tiled);
  assertSame(interpret(tiled, inputs).map(({ data }) => data), expected, 1e-12);
  const scheduled = schedule(tiled, { maxOperands: MAX_OPERANDS }), data = inputs.map((input) => input.data);
  for (const deadTerms of ["count", "skip"] as const) {
    assertSame(evaluateSchedule(scheduled, data, { deadTerms }), expected, 1e-9);
  }
  assertSame(evaluatePlan(planMemory(scheduled), data), expected, 1e-9);
  return loopsOf(tiled);
}

const attend = (options: ops.AttentionOptions = {}): Program => (q, k, v) => ops.attention(q, k, v, options);
const scoresOf = (q: Tensor, k: Tensor): Tensor => ops.matmul(q, ops.swapAxes(k, -1, -2));
const waves = (...shapes: readonly (readonly number[])[]): NdArray[] => shapes.map((shape, i) => wave(shape, i));

Deno.test("tiles: attention is a loop over rows of scores, inside loops over batches and heads", () => {
  const rows = [9, 2], heads = [2, 9, 2], batch = [2, 3, 8, 2];
  // Nine rows in tiles of two leave a rest, which is a loop of its own.
  assertEquals(check(attend(), waves(rows, rows, rows)), "4 1");
  assertEquals(check(attend({ causal: true }), waves(heads, heads, heads)), "2(4 1)");
  assertEquals(check(attend({ causal: true }), waves(batch, batch, batch)), "2(3(4))");
  assertEquals(check(attend(), waves(batch, [2, 3, 9, 2], [2, 3, 9, 7])), "2(3(4))");
  // No fewer rows than the products' sums have terms: each tile reads all keys.
  assertEquals(check(attend(), waves([17, 4], [17, 4], [17, 4])), "4 1");
});

Deno.test("tiles: gradients compute scores again, row by row, and sum the gradients of keys and values", () => {
  const shape = [2, 8, 2];
  assertEquals(check(differentiated(attend({ causal: true })), waves(shape, shape, shape)), "2(4) 2(4)");
  const large = { ...SMALL, recomputed: 1000 };
  assertEquals(check(differentiated(attend({ causal: true })), waves(shape, shape, shape), large), "");
});

Deno.test("tiles: what needs scores as a whole is left alone", () => {
  const inputs = waves([8, 2], [8, 2], [8, 2]);
  const weights = (q: Tensor, k: Tensor): Tensor => ops.softmax(scoresOf(q, k));
  const whole: Record<string, Program> = {
    "weights are a result": (q, k, v) => [ops.matmul(weights(q, k), v), weights(q, k)],
    "no softmax": (q, k, v) => ops.matmul(ops.gelu(scoresOf(q, k)), v),
    "no second product": (q, k) => ops.sum(weights(q, k), { axes: 1 }),
    "softmax over queries and over keys": (q, k, v) =>
      ops.matmul(ops.mul(weights(q, k), ops.softmax(scoresOf(q, k), { axis: 0 })), v),
    "cumulative scores": (q, k, v) => ops.matmul(weights(q, k), ops.matmul(ops.cumsum(weights(q, k), { axis: 0 }), v)),
    "scores compared to the last bit": differentiated((q, k, v) => [
      ops.matmul(weights(q, k), v),
      ops.max(scoresOf(q, k), { axes: 1 }),
    ]),
  };
  for (const [name, fn] of Object.entries(whole)) assertEquals(check(fn, inputs), "", name);
  // Scores that are not four times as large as queries or keys.
  assertEquals(check(attend(), waves([12, 4], [12, 4], [12, 4])), "");
});

Deno.test("tiles: rows without a visible key, infinite scores and NaN give what they give without tiles", () => {
  const inputs = waves([8, 2], [8, 2], [8, 2]), [q] = inputs;
  q.data.set([Infinity, NaN, 1e30, -Infinity], 3);
  const hidden = (value: number): Program => (q, k, v) => {
    const visible = ops.less(ops.iota([8, 8], 0), 5);
    return ops.matmul(ops.softmax(ops.where(visible, scoresOf(q, k), value)), v);
  };
  for (const value of [-Infinity, -1e30]) assertEquals(check(hidden(value), inputs), "4");
});

Deno.test("tiles: masks that depend on arguments, biases, row statistics and shared heads", () => {
  const shape = [2, 8, 2];
  const padding: Program = (q, k, v, keep) =>
    ops.matmul(ops.softmax(ops.where(ops.greater(keep, 0), scoresOf(q, k), -1e30)), v);
  assertEquals(check(padding, waves(shape, shape, shape, [2, 1, 8])), "2(4)");
  const bias: Program = (q, k, v, b) => ops.matmul(ops.softmax(ops.add(scoresOf(q, k), b)), v);
  assertEquals(check(bias, waves(shape, shape, shape, [8, 8])), "2(4)");
  const statistics: Program = (q, k, v) => {
    const scores = scoresOf(q, k);
    return [ops.matmul(ops.softmax(scores), v), ops.logSumExp(scores)];
  };
  assertEquals(check(statistics, waves(shape, shape, shape)), "2(4)");
  assertEquals(check(differentiated(statistics), waves(shape, shape, shape)), "2(4) 2(4)");
  const grouped: Program = (q, k, v) => {
    const each = (x: Tensor): Tensor => ops.broadcastTo(ops.expandDims(x, 0), [2, 8, 2]);
    return attend({ causal: true })(q, each(k), each(v));
  };
  assertEquals(check(differentiated(grouped), waves(shape, [8, 2], [8, 2])), "2(4) 2(4)");
});

Deno.test("tiles: in the bodies of loops, and one attention after another", () => {
  const shape = [2, 8, 2], inputs = waves(shape, shape);
  const layers: Program = (x, y) => [x, y].reduce((h, z) => attend({ causal: true })(h, ops.mul(h, z), z));
  assertEquals(check(layers, inputs), "2(4)");
  const twice: Program = (x, y) => layers(layers(x, y), y);
  assertEquals(check(differentiated(twice), inputs), "2(4) 2(4) 2(4) 2(4)");
  const rolled: Program = (x, y) => ops.sum(ops.square(scanLayers(layers, x, y)));
  assert(check(rolled, inputs).startsWith("3(2(4)"));
});

function scanLayers(layer: Program, x: Tensor, y: Tensor): Tensor {
  return ops.scan((h: Tensor, _: undefined) => [layer(h, y) as Tensor, undefined], x, undefined, { length: 3 })[0];
}

Deno.test("tiles: a kernel that stores scores and weights stores both in one layout", () => {
  const shape = [4, 256, 8], fn = differentiated(attend({ causal: true }));
  const { graph } = trace(fn, [spec(shape), spec(shape), spec(shape)]);
  const tiled = tile(simplify(graph), { elements: 2 ** 17, rows: 64, recomputed: 0 });
  const stores = kernelSteps(schedule(tiled, { maxOperands: MAX_OPERANDS }).steps).flatMap(({ kernel }) =>
    kernel.kind === "contract" && kernel.stores.length > 1 ? [kernel.stores.map(({ index }) => index.key)] : []
  );
  assertEquals(stores.length, 1);
  for (const [first, ...others] of stores) for (const other of others) assertEquals(other, first);
});

/** A program around a softmax between products, of random shape. */
const attentions = fc.record({
  lead: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  T: fc.integer({ min: 5, max: 13 }),
  S: fc.integer({ min: 5, max: 13 }),
  K: fc.integer({ min: 1, max: 2 }),
  V: fc.integer({ min: 1, max: 4 }),
  mask: fc.constantFrom("none", "causal", "window", "bias", "keys", "rows"),
  form: fc.constantFrom("weights", "hidden weights", "unnormalised", "transposed", "two values", "gated"),
  gradient: fc.boolean(),
  elements: fc.integer({ min: 2, max: 40 }),
  rows: fc.integer({ min: 1, max: 3 }),
});

type Drawn = typeof attentions extends fc.Arbitrary<infer T> ? T : never;

function programOf({ lead, T, S, K, V, mask, form, gradient }: Drawn): { fn: Program; inputs: NdArray[] } {
  const shape = [...lead, T, S], at = (axis: number): Tensor => ops.iota(shape, lead.length + axis);
  const fn: Program = (q, k, v, bias, keep) => {
    const visible = {
      none: undefined,
      bias: undefined,
      causal: ops.lessEqual(at(1), at(0)),
      window: ops.less(ops.sub(at(0), at(1)), 3),
      keys: ops.broadcastTo(ops.greater(keep, 0), shape),
      rows: ops.broadcastTo(ops.lessEqual(ops.iota([T, S], 0), T - 2), shape),
    }[mask];
    const plain = ops.mul(scoresOf(q, k), 0.5), biased = mask === "bias" ? ops.add(plain, bias) : plain;
    const scores = visible ? ops.where(visible, biased, -1e30) : biased, weights = ops.softmax(scores);
    switch (form) {
      case "weights":
        return ops.matmul(weights, v);
      case "hidden weights":
        return ops.matmul(visible ? ops.where(visible, weights, 0) : weights, v);
      case "unnormalised": {
        const powers = ops.exp(ops.minimum(scores, 3)),
          sums = ops.add(ops.sum(powers, { axes: -1, keepDims: true }), 1);
        return ops.div(ops.matmul(powers, v), sums);
      }
      case "transposed":
        return ops.matmul(ops.swapAxes(v, -1, -2), ops.swapAxes(weights, -1, -2));
      case "two values":
        return [ops.matmul(weights, v), ops.matmul(ops.square(weights), v), ops.sum(ops.square(weights), { axes: -1 })];
      case "gated":
        return ops.matmul(ops.mul(weights, ops.sigmoid(scoresOf(q, k))), v);
    }
  };
  const inputs = waves([...lead, T, K], [...lead, S, K], [...lead, S, V], [T, S], [S]);
  return { fn: gradient ? differentiated(fn) : fn, inputs };
}

Deno.test("tiles: random programs around a softmax between products keep their values", () => {
  let tiled = 0;
  fc.assert(
    fc.property(attentions, (drawn) => {
      const { fn, inputs } = programOf(drawn);
      if (check(fn, inputs, { elements: drawn.elements, rows: drawn.rows, recomputed: 0 })) tiled++;
    }),
    { numRuns: 60, seed: 7 },
  );
  assert(tiled > 25, `only ${tiled} of 60 programs have tiles`);
});

/** The loss of a model's last product, and its gradients. */
const headLoss = (options: ops.CrossEntropyOptions = {}): Program => (x, w, t) =>
  ops.crossEntropy(ops.matmul(x, w), ops.cast(ops.abs(ops.mul(t, 11)), "i32"), options);
const headGradient = (options?: ops.CrossEntropyOptions): Program => (x, w, t) =>
  grad(([x, w]: Tensor[]): Tensor => headLoss(options)(x, w, t) as Tensor)([x, w]);
const headHessian: Program = (x, w, t) =>
  grad((leaves: Tensor[]): Tensor => {
    const gradients = headGradient({ labelSmoothing: 0.1 })(leaves[0], leaves[1], t) as Tensor[];
    return gradients.map((each) => ops.sum(ops.square(each))).reduce((a, b) => ops.add(a, b));
  })([x, w]);
const headInputs = waves([2, 9, 3], [3, 12], [2, 9]);

Deno.test("tiles: cross-entropy of a product takes some rows of logits at a time, in one loop with its gradient", () => {
  const size = { elements: 36, rows: 3, recomputed: 0 };
  assertEquals(check(headLoss(), headInputs, size), "", "logits that are read once are left alone");
  for (const options of [{}, { ignoreIndex: 2 }, { labelSmoothing: 0.2 }]) {
    assertEquals(check(headGradient(options), headInputs, size), "6");
  }
});

Deno.test("tiles: products above what a tensor may have are cut for whatever uses them up", () => {
  const tiles = { ...DEFAULT_TILE, largestBytes: 12 * 6 * 4 };
  const weights = (q: Tensor, k: Tensor): Tensor => ops.softmax(scoresOf(q, k));
  const rows = waves([8, 2], [16, 2], [16, 2]), heads = waves([3, 8, 2], [3, 8, 2], [3, 8, 2]);
  const cases: readonly (readonly [string, Program, readonly NdArray[], string])[] = [
    ["a loss", headLoss(), headInputs, "6"],
    ["losses one by one", headLoss({ reduction: "none" }), headInputs, "6"],
    ["a loss and its gradients", headGradient({ ignoreIndex: 2 }), headInputs, "6"],
    ["second derivatives", headHessian, headInputs, "6 6"],
    ["sums of rows", (q, k) => ops.sum(weights(q, k), { axes: 1 }), rows, "4"],
    ["largest of rows", (q, k) => ops.argmax(scoresOf(q, k), { axis: 1 }), rows, "4"],
    ["no softmax", (q, k, v) => ops.matmul(ops.gelu(scoresOf(q, k)), v), rows, "4"],
    ["sums of columns, which take columns", (q, k) => ops.sum(ops.square(scoresOf(q, k)), { axes: 0 }), rows, "4"],
    ["several heads", attend(), heads, "3"],
    ["below it", attend(), waves([8, 2], [8, 2], [8, 2]), ""],
    ["a result", (q, k) => weights(q, k), rows, ""],
  ];
  for (const [name, fn, inputs, loops] of cases) assertEquals(check(fn, inputs, tiles), loops, name);
});

Deno.test("tiles: random programs keep their values when little fits in a tensor", () => {
  let tiled = 0;
  fc.assert(
    fc.property(attentions, (drawn) => {
      const { fn, inputs } = programOf(drawn);
      if (check(fn, inputs, { ...DEFAULT_TILE, largestBytes: 4 * drawn.elements })) tiled++;
    }),
    { numRuns: 40, seed: 8 },
  );
  assert(tiled > 25, `only ${tiled} of 40 programs have tiles`);
});

/** A device on which one tensor may have so many bytes. */
async function withLimit(open: Promise<Device>, maxTensorBytes: number): Promise<Device> {
  const device = await open;
  (device as { limits: DeviceLimits }).limits = { ...device.limits, maxTensorBytes };
  return device;
}

Deno.test("tiles: a loss whose logits a device cannot bind is computed on it all the same", async () => {
  const inputs = waves([4, 16, 8], [8, 60], [4, 16]), fn = headGradient({ ignoreIndex: 2 });
  const expected = interpret(graphOf(fn, inputs), inputs);
  const devices = [
    requestCpuDevice({ threads: 2 }),
    requestNativeDevice({ cacheDirectory: NATIVE_CACHE, threads: 2 }),
    requestWebGpuDevice(),
  ];
  for (const open of devices) {
    using device = await withLimit(open, 64 * 60 * 2);
    assertSame(await resultsOn(device, fn, inputs), expected, 1e-5);
  }
});

/** A device that makes small tiles. */
async function withSmallTiles(open: Promise<Device>, size = SMALL): Promise<Device> {
  const device = await open;
  (device as { limits: DeviceLimits }).limits = { ...device.limits, tile: size };
  return device;
}

async function resultsOn(
  device: Device,
  fn: Program,
  inputs: readonly NdArray[],
): Promise<readonly ArrayLike<number>[]> {
  const program = await compile(device, fn, inputs.map(({ shape, dtype }) => spec(shape, dtype)));
  try {
    assert(program.explain().kernels.some(({ depth }) => depth > 0), "the program has no tiles");
    const results = await program.run(...inputs.map(toHost));
    return ([results].flat() as { data: ArrayLike<number> }[]).map(({ data }) => data);
  } finally {
    program.dispose();
  }
}

/** Runs a gradient of attention on devices and compares it with the interpreter; those on CPUs agree to the bit. */
async function checkOn(cpus: readonly Promise<Device>[], others: readonly Promise<Device>[] = []): Promise<void> {
  const heads = [2, 37, 8], size = { elements: 37 * 16, rows: 4, recomputed: 0 };
  const inputs = waves(heads, heads, heads), fn = differentiated(attend({ causal: true }));
  const expected = interpret(graphOf(fn, inputs), inputs), found: (readonly ArrayLike<number>[])[] = [];
  for (const open of [...cpus, ...others]) {
    using device = await withSmallTiles(open, size);
    const results = await resultsOn(device, fn, inputs);
    assertSame(results, expected, 1e-5);
    found.push(results);
  }
  for (const results of found.slice(1, cpus.length)) assertEquals(results, found[0]);
}

Deno.test("tiles: on cpu, with one thread and with two, and on webgpu", () =>
  checkOn([requestCpuDevice({ threads: 1 }), requestCpuDevice({ threads: 2 })], [requestWebGpuDevice()]));

Deno.test(
  "tiles: on native, with one thread and with two",
  () => checkOn([1, 2].map((threads) => requestNativeDevice({ cacheDirectory: NATIVE_CACHE, threads }))),
);

/** Mebibytes of the arena and of the largest value of attention over T tokens in two heads of width 64. */
function memoryOf(T: number, isGradient: boolean): { arena: number; largest: number } {
  const shape = [2, T, 64], fn = attend({ causal: true });
  const { graph } = trace(isGradient ? differentiated(fn) : fn, [spec(shape), spec(shape), spec(shape)]);
  const plan = planMemory(schedule(tile(simplify(graph)), { maxOperands: 64 }));
  assert(kernelSteps(plan.steps).length < 20);
  const largest = Math.max(...plan.values.map(({ sizeBytes }) => sizeBytes));
  return { arena: plan.arenaBytes / 2 ** 20, largest: largest / 2 ** 20 };
}

Deno.test("tiles: memory of attention grows with its length, not with the square", () => {
  // Without tiles: 64 MiB and 97 MiB for 2048 tokens, 1024 and 1540 MiB for 8192.
  assertEquals(memoryOf(2048, false), { arena: 2, largest: 1 });
  assertEquals(memoryOf(8192, false), { arena: 4, largest: 4 });
  const short = memoryOf(2048, true), long = memoryOf(8192, true);
  assert(short.arena <= 12 && short.largest <= 2, `the gradient takes ${short.arena} MiB`);
  assert(long.arena <= 32 && long.largest <= 8, `the gradient takes ${long.arena} MiB`);
});
