/**
 * Outputs in the memory of donated inputs: when that is legal, that it never changes a value, and what callers see of
 * it.
 */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CompileError, DeviceError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { scan } from "../../core/scan.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { takeDonated } from "../../kernels/in_place.ts";
import {
  compile,
  type Device,
  type DeviceArray,
  requestCpuDevice,
  requestDevice,
  requestWebGpuDevice,
} from "../../kernels/mod.ts";
import type { KernelStep, Schedule, Step } from "../../kernels/plan.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import { schedule } from "../../kernels/schedule.ts";
import * as ops from "../../ops/mod.ts";
import { wave } from "../evaluate.ts";
import { evaluateSchedule } from "./evaluate_schedule.ts";

// deno-lint-ignore no-explicit-any -- any function of tensors
type Fn = (...args: any[]) => unknown;

function kernelSteps(steps: readonly Step[]): KernelStep[] {
  return steps.flatMap((step) => (step.kind === "kernel" ? [step] : kernelSteps(step.steps)));
}

/** For each output, the position of the input that it takes. */
function takesOf({ values, outputs }: Schedule): (number | undefined)[] {
  return outputs.map((id) => {
    const { storage } = values[id];
    return storage.kind === "output" ? storage.takes : undefined;
  });
}

/**
 * Donates all inputs (or those at `donated`) and checks that outputs and their bounds are those of the schedule
 * without.
 */
function donate(fn: Fn, inputs: readonly NdArray[], donated = inputs.map((_, i) => i)): Schedule {
  const graph = simplify(trace(fn, inputs.map(({ shape, dtype }) => spec(shape, dtype))).graph);
  const before = schedule(graph, { maxOperands: 8 }), after = takeDonated(before, donated);
  const data = inputs.map((input) => input.data);
  const expected = evaluateSchedule(before, data);
  assertEquals(evaluateSchedule(after, data), expected);
  interpret(graph, inputs).forEach(({ data }, output) =>
    data.forEach((value, i) =>
      assert(
        Math.abs(value - expected[output][i]) <= 1e-9 * Math.max(1, Math.abs(value)),
        `output ${output}, element ${i}`,
      )
    )
  );
  return after;
}

const X = () => wave([4, 6], 1), Y = () => wave([4, 6], 2), LONG = () => wave([2 ** 10], 1);

/** Adam without its constants: the state and a gradient that is computed from it. */
function adam(p: Tensor, m: Tensor, v: Tensor): Tensor[] {
  const g = ops.tanh(ops.add(p, m));
  const first = ops.add(ops.mul(m, 0.9), ops.mul(g, 0.1)),
    second = ops.add(ops.mul(v, 0.99), ops.mul(ops.square(g), 0.01));
  return [ops.sub(p, ops.div(first, ops.add(ops.sqrt(ops.abs(second)), 1))), first, second];
}

Deno.test("an optimiser's state is updated in place: one operand that is read and written for each array", () => {
  const inputs = [wave([64], 1), wave([64], 2), wave([64], 3)];
  const updated = donate(adam, inputs);
  assertEquals(takesOf(updated), [0, 1, 2]);
  const last = kernelSteps(updated.steps).at(-1)!;
  assertEquals(last.kernel.operands.map(({ access }) => access), ["readwrite", "readwrite", "readwrite"]);
  assertEquals(new Set(last.operands).size, last.operands.length);
  const plain = planMemory(donate(adam, inputs, []));
  assertEquals(plain.peakBytes - planMemory(updated).peakBytes, 3 * 256);
});

Deno.test("an output takes an input that nobody reads any more, and the only one that it may", () => {
  assertEquals(takesOf(donate((x, y) => ops.mul(ops.add(x, y), x), [X(), Y()])), [0]);
  assertEquals(takesOf(donate((x, y) => ops.mul(ops.add(ops.flip(x, [0]), y), x), [X(), Y()])), [1]);
  // Read at other elements, but by an earlier kernel.
  assertEquals(takesOf(donate((x, y) => ops.matmul(ops.matmul(x, x), y), [wave([5, 5]), wave([5, 5], 3)])), [0]);
  // Read behind the sum of a product, as an optimiser does.
  const descent = donate((w, x, g) => ops.sub(w, ops.mul(ops.matmul(ops.transpose(x), g), 0.1)), [
    wave([8, 12]),
    wave([5, 8]),
    wave([5, 12], 2),
  ]);
  assertEquals([kernelSteps(descent.steps).map(({ kernel }) => kernel.kind), takesOf(descent)], [["contract"], [0]]);
  // Read by nobody.
  assertEquals(takesOf(donate((x, _y) => ops.flip(x, [0]), [X(), Y()])), [1]);
});

Deno.test("an output does not take an input that is read elsewhere or later, or is of another type, or is taken, or was kept", () => {
  const refused: [string, Fn, NdArray[]][] = [
    ["reversed", (x) => ops.flip(x, [0]), [LONG()]],
    ["a factor", (x, y) => ops.add(ops.matmul(x, y), x), [wave([8, 8]), wave([8, 8], 2)]],
    ["a factor that each point reads where it writes", (x, y) => ops.matmul(x, y), [wave([8, 1]), wave([1, 1], 2)]],
    ["transposed", (x) => ops.transpose(x), [wave([8, 8])]],
    ["shifted", (x) => ops.add(x, ops.concat([ops.sliceAxis(x, 0, 1, 1023), ops.sliceAxis(x, 0, 0, 1)], 0)), [LONG()]],
    ["a row of it reduced in the writing kernel", (x) => ops.softmax(x), [X()]],
    ["one element for all", (x) => ops.mul(x, ops.broadcastTo(ops.sliceAxis(x, 0, 0, 1), [1024])), [LONG()]],
    ["read by a later kernel", (x) => [ops.neg(x), ops.sum(ops.square(ops.sub(x, ops.sum(ops.neg(x)))))], [X()]],
    ["another shape", (x) => ops.reshape(ops.neg(x), [24]), [X()]],
    ["another dtype", (x) => ops.cast(x, "i32"), [X()]],
    ["empty", (x) => ops.neg(x), [wave([0, 4])]],
    [
      "read by the loop that writes",
      (x, y) =>
        scan(
          (c: Tensor, row: Tensor): [Tensor, Tensor] => [ops.tanh(c), ops.mul(ops.sum(ops.matmul(c, x)), row)],
          ops.matmul(x, x),
          y,
        )[1],
      [wave([4, 4]), wave([4, 4], 1)],
    ],
  ];
  for (const [name, fn, inputs] of refused) {
    assertEquals(takesOf(donate(fn, inputs, [0])).filter((taken) => taken !== undefined), [], name);
  }
  assertEquals(
    takesOf(donate((x) => [ops.neg(x), ops.exp(x)], [X()])).filter((taken) => taken !== undefined).length,
    1,
  );
  assertEquals(
    takesOf(donate((x, y) => [ops.neg(x), ops.neg(y)], [X(), Y()], [1])).filter((taken) => taken !== undefined),
    [1],
  );
});

/** Programs of ops that keep the shape [4, 6]: neighbours, rows, columns, products and loops. */
function randomProgram(choices: readonly (readonly [number, number, number])[], inputs: readonly Tensor[]): Tensor[] {
  const pool = [...inputs];
  const makers: ((a: Tensor, b: Tensor) => Tensor)[] = [
    (a) => ops.tanh(a),
    (a, b) => ops.add(a, b),
    (a, b) => ops.mul(a, ops.sigmoid(b)),
    (a) => ops.flip(a, [1]),
    (a) => ops.softmax(a),
    (a) => ops.sub(a, ops.mean(a, { axes: 0, keepDims: true })),
    (a, b) => ops.matmul(ops.matmul(a, ops.transpose(b)), ops.mul(a, 0.1)),
    (a, b) => ops.concat([ops.sliceAxis(a, 0, 2, 2), ops.sliceAxis(b, 0, 0, 2)], 0),
    (a, b) => ops.add(a, ops.mul(ops.sum(b), 0.1)),
    (a, b) =>
      scan(
        (c: Tensor, row: Tensor): [Tensor, Tensor] => [ops.tanh(ops.add(c, row)), ops.mul(c, row)],
        ops.mean(b, { axes: 0 }),
        a,
      )[1],
    (a) => ops.where(ops.greater(a, 0), a, ops.mul(a, 0.5)),
  ];
  for (const [op, first, second] of choices) {
    pool.push(makers[op % makers.length](pool[first % pool.length], pool[second % pool.length]));
  }
  return pool.slice(-3);
}

Deno.test("donation never changes a value of random programs, and mostly finds something to take", () => {
  let outputs = 0, taken = 0, merged = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(10), fc.nat(20), fc.nat(20)), { minLength: 1, maxLength: 9 }), (choices) => {
      const after = donate((...args: Tensor[]) => randomProgram(choices, args), [
        wave([4, 6], 1),
        wave([4, 6], 2),
        wave([4, 6], 3),
      ]);
      outputs += after.outputs.length;
      taken += takesOf(after).filter((position) => position !== undefined).length;
      merged += kernelSteps(after.steps).filter(({ kernel }) =>
        kernel.kind === "map" && kernel.operands.some(({ access }) =>
          access === "readwrite"
        )
      ).length;
    }),
    { numRuns: 200, seed: 20252 },
  );
  assert(taken > outputs / 4 && merged > 30, `${taken} of ${outputs} outputs taken, ${merged} kernels in place`);
});

const STATE = { p: spec([1000]), m: spec([1000]), v: spec([1000]) };
/** Updates p behind a product, the moments in a map. */
const update = (state: { p: Tensor; m: Tensor; v: Tensor }, x: Tensor) => {
  const square = (y: Tensor): Tensor => ops.reshape(y, [40, 25]);
  const product = ops.matmul(ops.transpose(square(x)), ops.mul(square(x), 0.01));
  const [, m, v] = adam(ops.mul(x, 0.01), state.m, state.v);
  const p = ops.add(state.p, ops.reshape(ops.matmul(ops.matmul(square(x), product), ops.mul(product, 0.01)), [1000]));
  return { state: { p, m, v }, count: ops.add(ops.sum(x), 1) };
};

/** A test on each device; recycled memory is filled with NaN. */
function onEachDevice(name: string, fn: (device: Device) => Promise<void>): void {
  for (const kind of ["reference", "webgpu", "cpu"] as const) {
    Deno.test(`${kind}: ${name}`, async () => {
      const make = {
        reference: () => requestDevice({ kind }),
        webgpu: () => requestWebGpuDevice({ poison: true }),
        cpu: () => requestCpuDevice({ poison: true }),
      };
      const device = await make[kind]();
      try {
        await fn(device);
      } finally {
        device.dispose();
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    });
  }
}

function numbers(phase: number): Float32Array {
  return Float32Array.from({ length: 1000 }, (_, i) => Math.sin(1.7 * i + phase));
}

function uploadState(device: Device): { p: DeviceArray; m: DeviceArray; v: DeviceArray } {
  const [p, m, v] = [1, 2, 3].map((phase) => device.upload(numbers(phase), { shape: [1000], dtype: "f32" }));
  return { p, m, v };
}

onEachDevice("a donated state goes from launch to launch with the values of one that is copied", async (device) => {
  const [copying, donating] = [
    await compile(device, update, [STATE, spec([1000])]),
    await compile(device, update, [STATE, spec([1000])], { donate: [0] }),
  ];
  let expected = copying.launch(uploadState(device), numbers(5)),
    actual = donating.launch(uploadState(device), numbers(5));
  for (let turn = 0; turn < 4; turn++) {
    expected = copying.launch(expected.state, numbers(turn));
    actual = donating.launch(actual.state, numbers(turn));
  }
  for (const name of ["p", "m", "v"] as const) {
    assertEquals(await actual.state[name].read(), await expected.state[name].read());
  }
  // A read that was asked for before a launch gives what was there before it.
  const early = actual.state.p.read(), late = donating.launch(actual.state, numbers(0)).state.p.read();
  assertEquals(await early, await expected.state.p.read());
  assertEquals(await late, await copying.launch(expected.state, numbers(0)).state.p.read());
  if (device.needsPlan) {
    assertEquals(copying.peakBytes - donating.peakBytes, 3 * 4096);
    assertEquals(copying.explain().memory.outputBytes - donating.explain().memory.outputBytes, 3 * 4000);
  }
});

onEachDevice(
  "a donated array is refused afterwards, at two places, and stays where a launch is refused",
  async (device) => {
    const program = await compile(device, update, [STATE, spec([1000])], { donate: [0] });
    const state = uploadState(device);
    const twice = assertThrows(() => program.launch({ ...state, m: state.p }, numbers(0)), DeviceError);
    assertStringIncludes(
      twice.message,
      "Cannot run with one array as argument 0.m and as argument 0.p: argument 0.m is donated",
    );
    assertThrows(() => program.launch(state, state.p), DeviceError, "argument 0.p and as argument 1");
    assertThrows(() => program.launch(state, new Float32Array(3)));
    const x = device.upload(numbers(0), { shape: [1000], dtype: "f32" });
    const result = program.launch(state, x);
    for (const array of Object.values(state)) {
      const error = await assertRejects(
        () => array.read(),
        DeviceError,
        "Cannot use the array f32[1000]: it was donated to a launch",
      );
      assertEquals([error.reason, error.message.includes("\n")], ["disposed", false]);
      array.dispose();
    }
    assertThrows(() => program.launch(state, x), DeviceError, "it was donated");
    assertEquals(await x.read(), numbers(0));
    // What was donated is the results' now, also when the old arrays are disposed of again.
    assertEquals((await program.run(result.state, x)).state.p.data.length, 1000);
    await assertRejects(() => result.state.p.read(), DeviceError, "it was donated");
  },
);

onEachDevice("host arrays may stand in donated arguments, and profiles give nothing up", async (device) => {
  const program = await compile(device, update, [STATE, spec([1000])], { donate: [0, 1] });
  const host = { p: numbers(1), m: numbers(2), v: numbers(3) };
  const first = await program.run(host, numbers(5)), state = uploadState(device);
  assertEquals(host.p, numbers(1));
  await program.explain({ profile: [state, numbers(5)] });
  assertEquals((await program.run(state, numbers(5))).state.p.data, first.state.p.data);
});

Deno.test("only arguments that there are can be donated", async () => {
  const device = await requestDevice({ kind: "reference" });
  await assertRejects(
    () => compile(device, update, [STATE, spec([1000])], { donate: [2] }),
    CompileError,
    "Cannot donate argument 2: the function has 2",
  );
  device.dispose();
});

for (const kind of ["webgpu", "cpu"] as const) {
  Deno.test(`${kind}: donated memory that no output takes is free again`, async () => {
    const device = kind === "webgpu" ? await requestWebGpuDevice() : await requestCpuDevice();
    const program = await compile(device, (x: Tensor) => ops.sum(x), [spec([2 ** 16])], { donate: [0] });
    const bytes = (): number => ("stats" in device ? device.stats.arrayBytes : device.highWaterBytes);
    const data = new Float32Array(2 ** 16).fill(1);
    const turn = async (): Promise<void> =>
      assertEquals(Array.from(await program.launch(device.upload(data, { shape: [2 ** 16], dtype: "f32" })).read()), [
        2 ** 16,
      ]);
    await turn();
    const before = bytes();
    for (let i = 0; i < 20; i++) await turn();
    assert(bytes() - before < 2 ** 16, `${bytes() - before} bytes more`);
    device.dispose();
  });
}
