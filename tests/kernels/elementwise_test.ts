/** Programs of one elementwise kernel, which are scheduled without the scheduler: its schedule, and no other. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import type { Graph, Tensor } from "../../core/graph.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { schedule } from "../../kernels/schedule.ts";
import { scheduleElementwise } from "../../kernels/schedule/elementwise.ts";
import { compile, grad, requestDevice } from "../../mod.ts";
import * as ops from "../../ops/mod.ts";
import { OP_CASES } from "../op_cases.ts";
import { graphsOf } from "../op_suites/evaluate.ts";
import { scheduleText } from "./schedule_text.ts";

type Fn = (...args: Tensor[]) => unknown;

function graphOf(fn: Fn, shapes: readonly (readonly number[])[]): Graph {
  return simplify(trace(fn, shapes.map((shape) => spec(shape))).graph);
}

/** Whether a graph is one elementwise kernel; the schedule must then be the scheduler's. */
function isElementwise(graph: Graph, label: string, maxOperands = 8): boolean {
  const single = scheduleElementwise(graph, { maxOperands });
  if (single) assertEquals(scheduleText(single), scheduleText(schedule(graph, { maxOperands })), label);
  return single !== undefined;
}

/** A function applied to its own result. */
const repeated = (times: number, fn: (x: Tensor) => Tensor) => (x: Tensor) => {
  for (let i = 0; i < times; i++) x = fn(x);
  return x;
};

const ELEMENTWISE: Readonly<Record<string, readonly [fn: Fn, ...shapes: (readonly number[])[]]>> = {
  "the gradient of a sum": [grad((x: Tensor) => ops.sum(ops.tanh(x))), [3]],
  "a scalar": [(x) => ops.mul(x, x), []],
  "an input twice": [(x, y) => ops.sub(ops.mul(x, y), x), [4, 5], [4, 5]],
  "an input that is not read": [(_x, y) => ops.exp(y), [2], [3]],
  "a bias": [(x, b) => ops.add(x, b), [4, 5], [5]],
  "rows and columns": [(x, y) => ops.mul(x, y), [6, 1], [1, 7]],
  "a transpose": [(x, y) => ops.add(ops.transpose(x), y), [5, 4], [4, 5]],
  "a transpose and the same as it lies": [(x) => ops.add(ops.transpose(x), x), [4, 4]],
  "a reshape": [(x, y) => ops.add(ops.reshape(x, [3, 8]), y), [4, 6], [3, 8]],
  "a slice": [(x) => ops.neg(ops.slice(x, [1, 2], [4, 3])), [5, 9]],
  "nothing but a view": [(x) => ops.transpose(x), [3, 4]],
  "positions": [(x) => ops.mul(x, ops.cast(ops.iota([4, 5], 1), "f32")), [4, 5]],
  "nothing but numbers": [() => ops.ones([3])],
  "the longest chain of sines": [repeated(16, ops.sin), [3]],
  "the longest chain of error functions": [repeated(16, ops.erf), [300]],
  "the longest chain of powers": [repeated(16, (x) => ops.pow(x, x)), [300]],
};

for (const [name, [fn, ...shapes]] of Object.entries(ELEMENTWISE)) {
  Deno.test(`one elementwise kernel: ${name}`, () => assert(isElementwise(graphOf(fn, shapes), name)));
}

const OTHERS: Readonly<Record<string, readonly [fn: Fn, ...shapes: (readonly number[])[]]>> = {
  "an input as it is": [(x) => x, [3]],
  "a table": [(x) => ops.mul(x, ops.constant([1, 2, 3])), [3]],
  "two results": [(x) => [ops.exp(x), ops.tanh(x)], [3]],
  "nothing": [(x) => ops.exp(x), [0, 3]],
  "a sum": [(x) => ops.sum(x), [30]],
  "a view of what is computed": [(x) => ops.transpose(ops.exp(x)), [3, 4]],
  "padding": [(x) => ops.pad(x, [[1, 1]]), [3]],
  "pieces": [(x, y) => ops.concat([x, y], 0), [3], [4]],
  "what is compared to the last bit": [
    (x, y) => {
      const largest = (x: Tensor, y: Tensor): Tensor => ops.sum(ops.maximum(ops.exp(x), y));
      return grad(largest, { argnums: [0, 1] })(x, y).reduce(ops.mul);
    },
    [3],
    [3],
  ],
  "a chain too long": [repeated(17, ops.sin), [3]],
  "inputs too many": [(...all) => all.reduce((sum, x) => ops.add(sum, x)), ...new Array(8).fill([3])],
};

for (const [name, [fn, ...shapes]] of Object.entries(OTHERS)) {
  Deno.test(`more than one elementwise kernel: ${name}`, () => {
    assertEquals(scheduleElementwise(graphOf(fn, shapes), { maxOperands: 8 }), undefined);
  });
}

Deno.test("one elementwise kernel: so many operands and operations that the scheduler cuts it are left to it", () => {
  const all = (count: number): Graph =>
    graphOf((...xs) => xs.reduce((sum, x) => ops.add(sum, x)), new Array(count).fill([3]));
  assert(isElementwise(all(7), "7 inputs"));
  assert(!isElementwise(all(8), "8 inputs"));
  for (let count = 8; count < 30; count++) isElementwise(all(count), `${count} inputs`, 64);
});

Deno.test("one elementwise kernel: in the table of operations", () => {
  let found = 0;
  for (const { name, fn, inputs } of OP_CASES) {
    for (const maxOperands of [8, 64]) if (isElementwise(graphsOf(fn, inputs).simplified, name, maxOperands)) found++;
  }
  assertGreater(found, 500);
});

Deno.test("one elementwise kernel: runs on a device like any other, and donated memory is taken", async () => {
  const device = await requestDevice({ kind: "cpu", threads: 1 });
  const fn = (x: Tensor, b: Tensor) => ops.add(ops.mul(x, x), b);
  for (const donate of [[], [0]]) {
    const program = await compile(device, fn, [spec([2, 3]), spec([3])], { donate });
    const taken = program.plan!.values.some(({ storage }) => storage.kind === "output" && storage.takes === 0);
    assertEquals(taken, donate.length > 0);
    const { data } = await program.run([[1, 2, 3], [4, 5, 6]], [1, 0, -1]);
    assertEquals([...data], [2, 4, 8, 17, 25, 35]);
    program.dispose();
  }
  device.dispose();
});
