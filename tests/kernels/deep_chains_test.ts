/**
 * Programs as long as one likes: chains are cut into kernels of bounded size, no pass recurses as deep as a program is
 * long, and values stay right.
 */
import { assert, assertEquals } from "@std/assert";
import { operandsOf } from "../../core/expr.ts";
import type { Expr } from "../../core/expr.ts";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import { scan } from "../../core/scan.ts";
import { spec } from "../../core/trace.ts";
import { storesOf } from "../../kernels/cost.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { compile, requestDevice } from "../../kernels/mod.ts";
import { schedule } from "../../kernels/schedule.ts";
import * as ops from "../../ops/mod.ts";
import { check, graphOf, kernelSteps, MAX_OPERANDS, numbers } from "./check_schedule.ts";

type Step = (x: Tensor, i: number) => Tensor;

function repeated(count: number, step: Step): (x: Tensor) => Tensor {
  return (x) => Array.from({ length: count }, (_, i) => i).reduce(step, x);
}

function gradientOf(fn: (x: Tensor) => Tensor): (x: Tensor) => Tensor {
  return grad((x: Tensor) => ops.sum(fn(x)));
}

/** Long programs of one argument, and its shape. */
const PROGRAMS: Readonly<Record<string, readonly [fn: (x: Tensor) => Tensor, shape: readonly number[]]>> = {
  "additions": [repeated(3000, (x) => ops.add(x, 1)), [2, 2]],
  "additions of a transpose": [repeated(1200, (x) => ops.add(ops.transpose(x), 1)), [2, 2]],
  "additions of a flip of a transpose": [repeated(500, (x) => ops.add(ops.flip(ops.transpose(x), 0), 1)), [3, 3]],
  "the gradient of sines": [gradientOf(repeated(400, (x) => ops.sin(x))), [2, 2]],
  "views": [repeated(3000, (x, i) => (i % 2 ? ops.flip(x, 0) : ops.transpose(x))), [3, 3]],
  "views that cut across each other": [repeated(200, (x) => ops.reshape(ops.transpose(ops.reshape(x, [3, 4])), [12])), [
    12,
  ]],
  "additions between views that cut across each other": [
    repeated(150, (x) => ops.add(ops.reshape(ops.transpose(ops.reshape(x, [3, 4])), [12]), 1)),
    [12],
  ],
  "rolls": [repeated(200, (x) => ops.concat([ops.sliceAxis(x, 0, 1, 6), ops.sliceAxis(x, 0, 0, 1)], 0)), [7]],
  "gathers": [repeated(600, (x) => ops.gather(x, ops.constant([1, 2, 0], [3], "i32"))), [3]],
  "before a masked product": [
    (x) => ops.matmul(ops.relu(repeated(1500, (y) => ops.sub(ops.relu(y), ops.mul(y, 0.5)))(x)), x),
    [2, 2],
  ],
  "behind a product": [(x) => repeated(1500, (y) => ops.add(ops.mul(y, 0.5), 1))(ops.matmul(x, x)), [2, 2]],
  "before a sum": [(x) => ops.sum(repeated(1500, (y) => ops.add(ops.mul(y, 0.5), 1))(x), { axes: 0 }), [5, 2]],
  "behind a sum": [(x) => repeated(1500, (y) => ops.add(ops.mul(y, 0.5), 1))(ops.sum(x, { axes: 0 })), [5, 2]],
  "behind a recurrence": [(x) => repeated(1500, (y) => ops.add(ops.mul(y, 0.5), 1))(ops.cumsum(x, { axis: 0 })), [
    5,
    2,
  ]],
  "sums": [repeated(60, (x) => ops.softmax(ops.mul(x, 2))), [4, 4]],
  "a sum of many": [(x) => repeated(300, (y, i) => ops.add(y, ops.tanh(ops.mul(x, i))))(x), [3]],
  "a loop's body, of views from outside": [
    (x) => {
      const body = (
        carry: Tensor,
        row: Tensor,
      ): [Tensor, Tensor] => [ops.tanh(repeated(800, (y) => ops.add(y, row))(carry)), carry];
      return scan(body, ops.zeros([3]), repeated(600, (y, i) => (i % 2 ? ops.flip(y, 0) : ops.transpose(y)))(x))[1];
    },
    [3, 3],
  ],
};

/** Distinct expressions in the stores and factors of a kernel. */
function sizeOf(kernel: Kernel): number {
  const seen = new Set<Expr>(), stack = storesOf(kernel).map(({ value }) => value);
  if (kernel.kind === "contract") stack.push(kernel.lhs, kernel.rhs);
  for (let expr = stack.pop(); expr; expr = stack.pop()) {
    if (seen.has(expr)) continue;
    seen.add(expr);
    stack.push(...operandsOf(expr));
  }
  return seen.size;
}

Deno.test("long programs are cut into kernels of bounded size and keep their values", () => {
  for (const [name, [fn, shape]] of Object.entries(PROGRAMS)) {
    const { steps } = check(fn, [numbers(shape)]);
    for (const { kernel } of kernelSteps(steps)) {
      assert(sizeOf(kernel) <= 1500, `${name}: a kernel of ${sizeOf(kernel)} expressions`);
    }
  }
});

Deno.test("twice as long a chain is twice as many kernels", () => {
  const count = (length: number): number =>
    schedule(graphOf(repeated(length, (x) => ops.add(x, 1)), [numbers([2, 2])]), { maxOperands: MAX_OPERANDS }).steps
      .length;
  assertEquals([count(100), count(10_000) * 2], [1, count(20_000)]);
});

/** What each device runs: on WebGPU chains whose kernels are alike, since each distinct one is a shader to compile. */
const RUN: Readonly<Record<"cpu" | "webgpu", readonly string[]>> = {
  cpu: [
    "additions",
    "additions of a transpose",
    "the gradient of sines",
    "views that cut across each other",
    "before a masked product",
    "behind a sum",
  ],
  webgpu: ["additions", "additions of a transpose", "views", "behind a product"],
};

for (const kind of ["cpu", "webgpu"] as const) {
  Deno.test(`${kind}: long programs compile and run`, async () => {
    using device = await requestDevice({ kind });
    for (const name of RUN[kind]) {
      const [fn, shape] = PROGRAMS[name], input = numbers(shape), [wanted] = interpret(graphOf(fn, [input]), [input]);
      using program = await compile(device, fn, [spec(shape)]);
      const { data } = await program.run(Float32Array.from(input.data));
      wanted.data.forEach((value, i) => {
        const isClose = Math.abs(value - data[i]) <= 1e-3 * Math.max(1, Math.abs(value));
        assert(isClose, `${kind}, ${name}: element ${i} is ${data[i]}, should be ${value}`);
      });
    }
  });
}
