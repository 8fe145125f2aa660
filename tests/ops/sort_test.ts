/** Sorting rows that are too long to be sorted by counting: in f64, where shaders need not be compiled. */
import { assertEquals } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import * as ops from "../../ops/mod.ts";
import { COUNTED_EXTENT } from "../../ops/order.ts";
import { array, distinct, random } from "../numeric.ts";
import { evaluate } from "../op_suites/evaluate.ts";

const N = COUNTED_EXTENT + 9;
const x = distinct([N], -20, 20), weights = random([N], -1, 1, 2);
const order = [...x.data.keys()].sort((i, j) => x.data[i] - x.data[j]);

Deno.test("sort: the gradient of a long row returns to where each element came from, to second order", () => {
  const loss = (x: Tensor, w: Tensor) => ops.sum(ops.mul(ops.square(ops.sort(x)), w));
  const [first] = evaluate(grad(loss), [x, weights], "gradient of sort");
  const rank = new Map(order.map((place, r) => [place, r]));
  const expected = Array.from(x.data, (value, i) => 2 * value * weights.data[rank.get(i)!]);
  assertEquals([...first.data], expected);
  const [second] = evaluate(
    grad((x: Tensor, w: Tensor) => ops.sum(grad(loss)(x, w) as Tensor)),
    [x, weights],
    "second gradient of sort",
  );
  assertEquals([...second.data], Array.from(x.data, (_, i) => 2 * weights.data[rank.get(i)!]));
});

Deno.test("sort: a long row keeps the order of equal elements, and has NaN last or, for topK, first", () => {
  const values = Array.from({ length: N }, (_, i) => i % 50 === 7 ? NaN : i % 11 === 0 ? -Infinity : i % 5);
  const row = array([N], values);
  const places = (test: (value: number) => boolean) => [...values.keys()].filter((i) => test(values[i]));
  const nan = places(Number.isNaN), lowest = places((value) => value === -Infinity);
  const levels = [0, 1, 2, 3, 4].map((level) => places((value) => value === level));
  const [up, down, top] = evaluate(
    (x: Tensor) => [ops.argsort(x), ops.argsort(x, { descending: true }), ops.topK(x, N)[1]],
    [row],
    "order of a long row",
  );
  const falling = [...levels.toReversed().flat(), ...lowest];
  assertEquals([...up.data], [...lowest, ...levels.flat(), ...nan]);
  assertEquals([...down.data], [...falling, ...nan]);
  assertEquals([...top.data], [...nan, ...falling]);
});
