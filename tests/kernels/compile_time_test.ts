/**
 * Compiling takes time in proportion to a program: nothing is exponential in how often parts are used again, nothing
 * recurses as deep as a chain is long.
 */
import { assert } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { costOf } from "../../kernels/cost.ts";
import { printCpuKernel } from "../../kernels/devices/wasm/print_kernel.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import { schedule } from "../../kernels/schedule.ts";
import { printWgsl } from "./print_wgsl.ts";
import type { PrintTarget } from "../../kernels/devices/webgpu/print_wgsl.ts";
import * as ops from "../../ops/mod.ts";
import { kernelSteps, type Program } from "./check_schedule.ts";

const TARGET: PrintTarget = {
  style: "software",
  maxWorkgroupsPerDimension: 65535,
  maxInvocations: 256,
  maxWorkgroupBytes: 16384,
};

/** Takes a function the whole way to the texts of both printers. Returns the number of its kernels. */
function compileToText(fn: Program, shapes: readonly (readonly number[])[]): number {
  const graph = simplify(trace(fn, shapes.map((shape) => spec(shape))).graph);
  const plan = planMemory(schedule(graph, { maxOperands: 8 }));
  const kernels = kernelSteps(plan.steps);
  for (const { kernel } of kernels) {
    costOf(kernel);
    printWgsl(kernel, TARGET);
    printCpuKernel(kernel, { relaxed: true });
  }
  return kernels.length;
}

/** A tensor after many steps, each of which uses the one before several times: 2^200 paths, 200 nodes. */
function reused(x: Tensor, step: (y: Tensor) => Tensor, steps = 200): Tensor {
  let y = x;
  for (let i = 0; i < steps; i++) y = step(y);
  return y;
}

const STEPS: Readonly<Record<string, (y: Tensor) => Tensor>> = {
  polynomial: (y) => ops.add(ops.mul(y, y), ops.mul(y, -0.5)),
  relu: (y) => ops.sub(ops.relu(y), ops.mul(y, 0.5)),
  where: (y) => ops.where(ops.greater(y, 0), ops.mul(y, 0.5), ops.neg(y)),
  extremes: (y) => ops.minimum(ops.maximum(y, ops.neg(y)), ops.mul(y, 2)),
  quotient: (y) => ops.div(y, ops.add(y, 2)),
  casts: (y) => ops.add(ops.cast(ops.cast(y, "i32"), "f32"), ops.mul(y, 0.5)),
};

/** Numbers that an index stands for, used again and again. */
const PLACES: Readonly<Record<string, (y: Tensor) => Tensor>> = {
  sum: (y) => ops.add(ops.div(y, 2), ops.div(y, 3)),
  difference: (y) => ops.sub(ops.add(y, y), y),
  quotient: (y) => ops.div(ops.add(ops.div(ops.add(y, 1), 2), y), 2),
};

const CONDITIONS: Readonly<Record<string, (c: Tensor) => Tensor>> = {
  and: (c) => ops.logicalAnd(c, ops.logicalOr(c, ops.logicalNot(c))),
  chosen: (c) => ops.where(c, ops.logicalNot(c), c),
};

Deno.test("a reused expression in the condition of a product's operand compiles in time linear in its steps", () => {
  for (const step of Object.values(STEPS)) {
    const hidden: Program = (x: Tensor) => {
      const y = reused(x, step);
      return ops.matmul(ops.where(ops.greater(y, 0), y, 0), x);
    };
    const shown: Program = (x: Tensor) => ops.where(ops.less(reused(ops.matmul(x, x), step), 1), 0, x);
    compileToText(hidden, [[4, 4]]);
    compileToText(shown, [[4, 4]]);
  }
});

Deno.test("reused places and conditions of a mask compile in time linear in their steps", () => {
  for (const step of Object.values(PLACES)) {
    compileToText(
      (x: Tensor) =>
        ops.matmul(ops.where(ops.lessEqual(reused(ops.iota(x.shape, 1), step), ops.iota(x.shape, 0)), x, 0), x),
      [[16, 16]],
    );
  }
  for (const step of Object.values(CONDITIONS)) {
    const start = (x: Tensor): Tensor => ops.lessEqual(ops.iota(x.shape, 1), ops.iota(x.shape, 0));
    compileToText((x: Tensor) => ops.matmul(ops.where(reused(start(x), step), x, 0), x), [[16, 16]]);
  }
  // As many conditions as there are steps, each on another place.
  const banded = (x: Tensor): Tensor =>
    Array.from(
      { length: 100 },
      (_, i) => ops.less(ops.mul(ops.iota(x.shape, 1), i + 1), ops.add(ops.iota(x.shape, 0), i)),
    ).reduce(ops.logicalAnd);
  compileToText((x: Tensor) => ops.matmul(ops.where(banded(x), x, 0), x), [[16, 16]]);
});

Deno.test("a deep network and its gradient are scheduled in time linear in its layers", () => {
  const depth = 400;
  const loss = (weights: readonly Tensor[], x: Tensor): Tensor => {
    const out = weights.reduce((x, w) => ops.add(x, ops.matmul(ops.gelu(ops.layerNorm(x)), w)), x);
    return ops.sum(ops.square(out));
  };
  const args = [Array.from({ length: depth }, () => spec([16, 16])), spec([32, 16])] as const;
  const { steps } = schedule(
    simplify(trace((weights: readonly Tensor[], x: Tensor) => grad(loss)(weights, x), [...args]).graph),
    { maxOperands: 8 },
  );
  // Of each layer: the norm, the product, and of the gradient two products and what lies between.
  assert(steps.length <= 5 * depth, `${steps.length} kernels`);
});
