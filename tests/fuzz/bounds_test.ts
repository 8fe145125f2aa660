/** Bounds hold what machines may do, and no more than that. */
import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { spec, trace } from "../../core/trace.ts";
import { add, exp, greater, matmul, mul, sub, sum, where } from "../../ops/mod.ts";
import { scalar } from "../evaluate.ts";
import { random as randomArray } from "../numeric.ts";
import type { Bounded } from "./bounds/bounded.ts";
import { evaluateBounded } from "./bounds/evaluate.ts";
import { DEVICE, HOST, type Precision, REORDERED } from "./bounds/precision.ts";

function bound(
  fn: (...args: Tensor[]) => Tensor,
  inputs: readonly Bounded[],
  precision: Precision,
): { value: number[]; radius: number[] } {
  const { graph } = trace((...args: Tensor[]) => [fn(...args)], inputs.map(({ shape, dtype }) => spec(shape, dtype)));
  const [{ data, radius }] = evaluateBounded(graph, inputs, precision);
  return { value: [...data], radius: [...radius ?? new Float64Array(data.length)] };
}

Deno.test("bounds: single precision, in any order of its sums and with fused multiply-adds, stays within; and comes near", () => {
  const x = randomArray([8, 31], -2, 2, 1), w = randomArray([31, 5], -2, 2, 2), fround = Math.fround;
  const { value, radius } = bound((x, w) => exp(mul(matmul(x, w), 0.25)), [x, w], DEVICE);
  let worst = 0;
  for (const order of [1, -1, 7]) {
    for (const fused of [false, true]) {
      value.forEach((right, at) => {
        const row = Math.floor(at / 5), column = at % 5;
        let total = 0;
        for (let step = 0; step < 31; step++) {
          const k = ((step * order) % 31 + 31) % 31, product = x.data[row * 31 + k] * w.data[k * 5 + column];
          total = fround(total + (fused ? product : fround(product)));
        }
        const error = Math.abs(fround(Math.exp(fround(total * 0.25))) - right);
        assert(error <= radius[at], `element ${at} is off by ${error}, the bound is ${radius[at]}`);
        worst = Math.max(worst, error / radius[at]);
      });
    }
  }
  assert(worst > 0.005, `the bound is ${1 / worst} times the worst error: it would hide faults`);
});

Deno.test("bounds: what a driver makes of (3 - 2) - 0.1 by adding the constant first lies within the bound for webgpu, and beyond that for cpu", () => {
  const fn = (a: Tensor, b: Tensor) => sub(sub(a, b), 0.1), inputs = [scalar(3), scalar(2)];
  const reordered = Math.fround(Math.fround(3 - Math.fround(0.1)) - 2), error = Math.abs(reordered - 0.9);
  assert(error <= bound(fn, inputs, REORDERED).radius[0]);
  assert(error > bound(fn, inputs, DEVICE).radius[0]);
  // Whole numbers are exact in any order.
  assertEquals(bound((a, b) => add(sub(a, b), 5), inputs, REORDERED).radius, [0]);
});

Deno.test("bounds: a comparison within its bound is undecided, what it chooses between is not", () => {
  // A tenth three times is 0.3 but for a rounding.
  const isBelow = (x: Tensor) => where(greater(sum(x), 0.3), 1, 1.5);
  const x: Bounded = { shape: [3], dtype: "f32", data: new Float64Array(3).fill(Math.fround(0.1)) };
  assertEquals(bound(isBelow, [x], DEVICE).radius, [0.5]);
  assertEquals(bound((x) => where(greater(sum(x), 0.2), 1, 1.5), [x], DEVICE).radius, [0]);
  assertEquals(bound((x) => sub(x, x), [scalar(0.1)], HOST).radius[0] < 1e-15, true);
});
