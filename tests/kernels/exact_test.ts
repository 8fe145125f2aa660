/**
 * Gradients of extremes depend on comparing elements with what was computed from them, so on every kernel seeing one
 * rounding of the elements: held for generated operands, axes and nestings, on schedules whose kernels round otherwise
 * than each other and on devices.
 */
import { assert, assertEquals } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Graph, Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { type Rematerialization, scan } from "../../core/scan.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { compile, type Device, requestCpuDevice, requestDevice } from "../../kernels/mod.ts";
import { schedule } from "../../kernels/schedule.ts";
import * as ops from "../../ops/mod.ts";
import { integers, random } from "../numeric.ts";
import { evaluateSchedule } from "./evaluate_schedule.ts";
import { roundOtherwise } from "./round_otherwise.ts";

const {
  add,
  broadcastTo,
  exp,
  matmul,
  max,
  maximum,
  min,
  minimum,
  mul,
  reshape,
  sliceAxis,
  square,
  sub,
  sum,
  tanh,
  transpose,
} = ops;

type Operand = (x: Tensor, y: Tensor) => Tensor;
type Extreme = typeof max;

/** Computed operands, [M, N] from two of them: what kernels may compute anew, and round otherwise. */
const OPERANDS: Readonly<Record<string, Operand>> = {
  product: mul,
  "sum of products": (x, y) => add(mul(x, y), mul(y, y)),
  exponential: (x, y) => exp(mul(x, y)),
  chain: (x, y) => tanh(add(mul(x, 1.3), exp(sub(y, mul(x, x))))),
  "broadcast factor": (x, y) => mul(x, add(sliceAxis(y, 0, 0, 1), 0.3)),
  transposed: (x, y) => transpose(add(mul(transpose(x), transpose(y)), 0.1)),
  reshaped: (x, y) => reshape(transpose(mul(x, y)), x.shape),
  "behind a product": (x, y) => mul(matmul(matmul(x, transpose(y)), x), y),
  "behind a sum": (x, y) => mul(x, broadcastTo(sum(mul(x, y), { axes: 1, keepDims: true }), x.shape)),
  "concatenated": (x, y) =>
    ops.concat([sliceAxis(mul(x, y), 1, 1, x.shape[1] - 1), mul(sliceAxis(x, 1, 0, 1), 0.7)], 1),
};

/** Scalars made of extremes of an operand. */
const REDUCTIONS: Readonly<Record<string, (x: Tensor, extreme: Extreme) => Tensor>> = {
  rows: (x, extreme) => sum(square(extreme(x, { axes: 1 }))),
  columns: (x, extreme) => sum(square(extreme(x, { axes: 0 }))),
  all: (x, extreme) => square(extreme(x)),
  nested: (x, extreme) => sum(extreme(exp(sub(x, extreme(x, { axes: 1, keepDims: true }))), { axes: 0 })),
  "extreme of extremes": (x, extreme) => square(extreme(mul(extreme(x, { axes: 0 }), 1.1))),
  "beside the row's extreme": (x, extreme) =>
    sum(
      square(
        (extreme === max ? minimum : maximum)(
          x,
          mul(0.9, broadcastTo(extreme(x, { axes: 1, keepDims: true }), x.shape)),
        ),
      ),
    ),
};

const EXTREMES: Readonly<Record<string, Extreme>> = { max, min };

type Gradients = (x: Tensor, y: Tensor) => Tensor[];

/** What is differentiated: a reduction of an operand. */
interface Case {
  readonly name: string;
  readonly gradients: Gradients;
  /** Those of the gradients along a direction. */
  readonly second: Gradients;
}

const CASES: readonly Case[] = Object.entries(OPERANDS).flatMap(([of, operand], i) =>
  Object.entries(REDUCTIONS).map(([what, reduce], j): Case => {
    const [which, extreme] = Object.entries(EXTREMES)[(i + j) % 2];
    const gradients = grad((x: Tensor, y: Tensor) => reduce(operand(x, y), extreme), { argnums: [0, 1] });
    const slope = (x: Tensor, y: Tensor): Tensor =>
      gradients(x, y).map((slope, i) => sum(mul(slope, [y, x][i]))).reduce(add);
    return { name: `${which}, ${what}, ${of}`, gradients, second: grad(slope, { argnums: [0, 1] }) };
  })
);

function graphOf(fn: Gradients, [x, y]: readonly NdArray[]): Graph {
  return simplify(trace(fn, [spec(x.shape), spec(y.shape)]).graph);
}

function pairOf(shape: readonly number[], seed: number): NdArray[] {
  return [random(shape, -1, 1, seed), random(shape, -1, 1, seed + 1)];
}

function assertNear(actual: ArrayLike<number>, expected: ArrayLike<number>, label: string): void {
  const scale = Array.from(expected).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  assertEquals(actual.length, expected.length, label);
  for (let i = 0; i < expected.length; i++) {
    assert(
      Math.abs(actual[i] - expected[i]) <= 1e-4 * scale,
      `${label}: element ${i} is ${actual[i]}, should be ${expected[i]}`,
    );
  }
}

/** Compares all results of a function with the interpreter's, in schedules whose kernels round otherwise. */
function checkSchedule(fn: Gradients, inputs: readonly NdArray[], label: string): void {
  const graph = graphOf(fn, inputs), expected = interpret(graph, inputs);
  const scheduled = schedule(graph, { maxOperands: 8 });
  for (const seed of [1, 2]) {
    const results = evaluateSchedule(roundOtherwise(scheduled, seed), inputs.map(({ data }) => data));
    expected.forEach(({ data }, i) =>
      assertNear(results[i], data, `${label}, rounded otherwise (${seed}), result ${i}`)
    );
  }
}

async function checkDevice(device: Device, fn: Gradients, inputs: readonly NdArray[], label: string): Promise<void> {
  const expected = interpret(graphOf(fn, inputs), inputs);
  const program = await compile(device, fn, [spec(inputs[0].shape), spec(inputs[1].shape)]);
  const results = await program.run(
    ...(inputs.map(({ data }) => Float32Array.from(data)) as [Float32Array, Float32Array]),
  );
  expected.forEach(({ data }, i) => assertNear(results[i].data, data, `${label}, result ${i}`));
  program.dispose();
}

/** A loop whose carry and results go through extremes of what the body computes. */
function loopOf(rematerialize: Rematerialization): (x: Tensor, y: Tensor) => Tensor {
  return (x, y) => {
    const [last, ys] = scan(
      (carry: Tensor, row: Tensor): [Tensor, Tensor] => {
        const scores = matmul(mul(carry, y), transpose(y));
        const shifted = exp(sub(scores, max(scores, { axes: 1, keepDims: true })));
        const product = mul(carry, broadcastTo(reshape(row, [1, row.shape[0]]), carry.shape));
        const peak = max(add(product, mul(carry, carry)), { axes: 0 });
        return [sub(product, mul(0.1, max(product, { axes: 1, keepDims: true }))), add(mul(peak, row), max(shifted))];
      },
      x,
      x,
      { rematerialize },
    );
    return add(sum(square(last)), sum(square(ys)));
  };
}

const POLICIES: readonly Rematerialization[] = ["auto", "recompute", "save"];

Deno.test("gradients of extremes: kernels that round an element otherwise than each other give the interpreter's", () => {
  CASES.forEach(({ name, gradients, second }, at) => {
    checkSchedule(gradients, pairOf(at % 2 ? [5, 7] : [4, 8], at), name);
    checkSchedule(second, pairOf([4, 5], at), `${name}, second order`);
  });
  for (const rematerialize of POLICIES) {
    checkSchedule(
      grad(loopOf(rematerialize), { argnums: [0, 1] }),
      pairOf([4, 5], 7),
      `a loop that keeps ${rematerialize}`,
    );
  }
  console.log(`gradients of extremes: ${CASES.length} functions, first and second order`);
});

Deno.test("gradients of extremes: cpu gives the interpreter's, relaxed or not, on one thread and on two, with whole vectors and with rests", async () => {
  for (const options of [{ threads: 1 }, { threads: 2, relaxed: false }]) {
    const device = await requestCpuDevice(options);
    for (const [at, { name, gradients }] of CASES.entries()) {
      await checkDevice(device, gradients, pairOf(at % 2 ? [7, 5] : [9, 16], at), name);
    }
    for (const rematerialize of POLICIES) {
      await checkDevice(
        device,
        grad(loopOf(rematerialize), { argnums: [0, 1] }),
        pairOf([7, 6], 13),
        `a loop that keeps ${rematerialize}`,
      );
    }
    device.dispose();
  }
});

Deno.test("gradients of extremes: webgpu gives the interpreter's", async () => {
  const device = await requestDevice({ kind: "webgpu" });
  const together = (x: Tensor, y: Tensor): Tensor[] =>
    CASES.filter(({ name }) => name.endsWith(", sum of products")).flatMap((each) => each.gradients(x, y));
  await checkDevice(device, together, pairOf([7, 5], 17), "sums of products");
  await checkDevice(device, grad(loopOf("auto"), { argnums: [0, 1] }), pairOf([4, 5], 19), "a loop");
  device.dispose();
});

Deno.test("gradients of extremes: equal elements share alike on every device, where the operand is computed too", async () => {
  // Products of small whole numbers: many ties, and no rounding.
  const inputs = [integers([6, 5], 0, 3, "f32", 23), integers([6, 5], 0, 3, "f32", 24)];
  const fn: Gradients = (x, y) =>
    [0, 1, [0, 1]].flatMap((axes) =>
      grad((x: Tensor, y: Tensor) => sum(max(add(mul(x, y), x), { axes })), { argnums: [0, 1] })(x, y)
    );
  for (const device of [await requestCpuDevice({ threads: 2 }), await requestDevice({ kind: "webgpu" })]) {
    await checkDevice(device, fn, inputs, device.info.kind);
    device.dispose();
  }
});

Deno.test("extremes without a gradient keep no operand in memory: the kernels of softmax stay what they were", () => {
  const inputs = pairOf([8, 16], 29);
  const kernels = (fn: Gradients): number => schedule(graphOf(fn, inputs), { maxOperands: 8 }).steps.length;
  assertEquals(kernels((x, y) => [ops.softmax(mul(x, y))]), 1);
  assertEquals(kernels((x, y) => [ops.logSumExp(mul(x, y))]), 1);
});
