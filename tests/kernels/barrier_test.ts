import { assertEquals } from "@std/assert";
import { barrier } from "../../core/barrier.ts";
import type { Tensor } from "../../core/graph.ts";
import { add, exp, matmul, mul, sum } from "../../ops/mod.ts";
import { check, kernelSteps, numbers, type Program } from "./check_schedule.ts";

/** Of each kernel its kind and what it touches. */
function kernelsOf(fn: Program, shape: readonly number[]): string[] {
  const { steps, values } = check(fn, [numbers(shape)]);
  return kernelSteps(steps).map(({ kernel, operands }) =>
    `${kernel.kind}: ${operands.map((value) => values[value].label).join(", ")}`
  );
}

Deno.test("barrier: what is behind it is computed again, after what it waits for, which it does not read", () => {
  const twice = (wait: boolean) => (x: Tensor): Tensor[] => {
    const first = matmul(x, x), norm = sum(exp(first)), y = wait ? barrier(x, norm) : x;
    return [norm, add(matmul(y, y), mul(first, 2))];
  };
  assertEquals(kernelsOf(twice(false), [8, 8]), ["contract: [0], matmul, output 1", "row: matmul, output 0"]);
  assertEquals(kernelsOf(twice(true), [8, 8]), [
    "contract: [0], matmul",
    "row: matmul, output 0",
    "contract: [0], matmul, output 1",
  ]);
});

Deno.test("barrier: kernels over one space that read the same stay apart where one waits for the other", () => {
  const sums = (wait: boolean) => (x: Tensor): Tensor[] => {
    const first = sum(exp(x), { axes: 1 }), norm = sum(exp(first)), y = wait ? barrier(x, norm) : x;
    return [first, norm, sum(mul(y, y), { axes: 1 })];
  };
  assertEquals(kernelsOf(sums(false), [70, 9]), ["row: [0], output 0, output 2", "row: output 0, output 1"]);
  assertEquals(kernelsOf(sums(true), [70, 9]), [
    "row: [0], output 0",
    "row: output 0, output 1",
    "row: [0], output 2",
  ]);
});
