/** Gradients at ties, kinks and domain edges, where finite differences cannot judge. */
import { assertEquals } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import * as ops from "../../ops/mod.ts";
import { array, random } from "../numeric.ts";
import { evaluate } from "../op_suites/evaluate.ts";

const vector = (...values: number[]): NdArray => array([values.length], values);

/** The gradient of the sum of `fn` in its first argument; -0 reads as 0. */
function gradientOf(fn: (...args: Tensor[]) => Tensor, inputs: readonly NdArray[], argnums = 0): number[] {
  const [result] = evaluate(grad((...args: Tensor[]) => ops.sum(fn(...args)), { argnums }), inputs, "gradient");
  return [...result.data].map((value) => value + 0);
}

/** The gradient of the sum of the gradient: row sums of the Hessian. */
function secondOf(fn: (x: Tensor) => Tensor, x: NdArray): number[] {
  return gradientOf(grad((x: Tensor) => ops.sum(fn(x))) as (x: Tensor) => Tensor, [x]);
}

Deno.test("gradient: maximum and minimum give half to each side of a tie", () => {
  const x = vector(1, 2, 3), y = vector(2, 2, 2);
  assertEquals(gradientOf(ops.maximum, [x, y]), [0, 0.5, 1]);
  assertEquals(gradientOf(ops.maximum, [x, y], 1), [1, 0.5, 0]);
  assertEquals(gradientOf(ops.minimum, [x, y]), [1, 0.5, 0]);
  assertEquals(gradientOf(ops.minimum, [x, y], 1), [0, 0.5, 1]);
  assertEquals(gradientOf((x) => ops.maximum(x, x), [x]), [1, 1, 1]);
});

Deno.test("gradient: max and min share equally among ties", () => {
  const x = array([2, 4], [3, 1, 3, 3, -1, -1, 0, -1]);
  assertEquals(gradientOf((x) => ops.max(x, { axes: 1 }), [x]), [1 / 3, 0, 1 / 3, 1 / 3, 0, 0, 1, 0]);
  assertEquals(gradientOf((x) => ops.min(x, { axes: 1 }), [x]), [0, 1, 0, 0, 1 / 3, 1 / 3, 0, 1 / 3]);
  assertEquals(gradientOf((x) => ops.max(x), [x]), [1 / 3, 0, 1 / 3, 1 / 3, 0, 0, 0, 0]);
});

Deno.test("gradient: at kinks, relu 0, abs 0, sign 0, floor 0", () => {
  const x = vector(-1.5, 0, 2);
  assertEquals(gradientOf(ops.relu, [x]), [0, 0, 1]);
  assertEquals(gradientOf(ops.abs, [x]), [-1, 0, 1]);
  assertEquals(gradientOf(ops.sign, [x]), [0, 0, 0]);
  assertEquals(gradientOf(ops.floor, [x]), [0, 0, 0]);
});

Deno.test("gradient: relu and softplus keep NaN", () => {
  for (const fn of [ops.relu, ops.softplus]) assertEquals([...evaluate(fn, [vector(NaN)], "NaN")[0].data], [NaN]);
});

Deno.test("gradient: softplus is smooth at 0", () => {
  assertEquals(gradientOf(ops.softplus, [vector(0)]), [0.5]);
  assertEquals(secondOf(ops.softplus, vector(0)), [0.25]);
});

Deno.test("gradient: activations are finite far out", () => {
  const far = vector(-1e4, -200, 200, 1e4);
  for (
    const [name, fn] of Object.entries({
      sigmoid: ops.sigmoid,
      tanh: ops.tanh,
      softplus: ops.softplus,
      silu: ops.silu,
      gelu: ops.gelu,
      erf: ops.erf,
    })
  ) {
    assertEquals(
      [...gradientOf(fn as (x: Tensor) => Tensor, [far]), ...secondOf(fn as (x: Tensor) => Tensor, far)].filter((v) =>
        !Number.isFinite(v)
      ),
      [],
      name,
    );
  }
});

Deno.test("gradient: pow at base 0", () => {
  const zero = vector(0, 0, 0, 0), exponents = vector(0, 1, 2, 3);
  assertEquals(gradientOf(ops.pow, [zero, exponents]), [0, 1, 0, 0]);
  assertEquals(gradientOf(ops.pow, [zero, exponents], 1), [0, 0, 0, 0]);
  const squares = (x: Tensor) => ops.pow(x, ops.full([2], 2));
  assertEquals(secondOf(squares, vector(0, 3)), [2, 2]);
});

Deno.test("gradient: pow of a negative base by a whole exponent", () => {
  assertEquals(gradientOf(ops.pow, [vector(-2, -2, -2), vector(2, 3, 0)]), [-4, 12, 0]);
});

Deno.test("gradient: where passes nothing to the side not chosen, and the safe form has no NaN", () => {
  const x = vector(-4, 0, 4);
  const isPositive = (x: Tensor) => ops.greater(x, 0);
  assertEquals(gradientOf((x) => ops.where(isPositive(x), ops.mul(x, 3), ops.mul(x, 5)), [x]), [5, 5, 3]);
  assertEquals(gradientOf((x, y) => ops.where(isPositive(x), ops.stopGradient(x), y), [x, vector(NaN, 1, NaN)], 1), [
    1,
    1,
    0,
  ]);
  const safe = (x: Tensor) => ops.where(isPositive(x), ops.sqrt(ops.where(isPositive(x), x, 1)), 0);
  assertEquals(gradientOf(safe, [x]), [0, 0, 0.25]);
});

Deno.test("gradient: stopGradient and casts through integers pass none", () => {
  const x = vector(1.5, 2.5);
  assertEquals(gradientOf((x) => ops.mul(ops.stopGradient(x), x), [x]), [1.5, 2.5]);
  assertEquals(gradientOf((x) => ops.cast(ops.cast(x, "i32"), "f32"), [x]), [0, 0]);
});

Deno.test("gradient: cumprod with zeros", () => {
  // y = x0, x0 x1, x0 x1 x2, ...; the derivative of their sum is a sum of products that leave one factor out.
  assertEquals(gradientOf((x) => ops.cumprod(x, { axis: 0 }), [vector(2, 0, 3, 5)]), [1, 2 + 6 + 30, 0, 0]);
  assertEquals(gradientOf((x) => ops.cumprod(x, { axis: 0 }), [vector(2, 0, 0, 5)]), [1, 2, 0, 0]);
  assertEquals(gradientOf((x) => ops.cumprod(x, { axis: 0, reverse: true }), [vector(5, 3, 0, 2)]), [
    0,
    0,
    2 + 6 + 30,
    1,
  ]);
  assertEquals(gradientOf((x) => ops.cumprod(x, { axis: 0 }), [vector(0, 0, 0)]), [1, 0, 0]);
});

Deno.test("gradient: dropped updates of scatterAdd get zero, not NaN", () => {
  const x = vector(1, 2, 3), numbers = array([4], [0, -1, 3, 2], "i32"), updates = vector(10, 20, 30, 40);
  const square = (x: Tensor, i: Tensor, u: Tensor) => ops.square(ops.scatterAdd(x, i, u));
  assertEquals(gradientOf(square, [x, numbers, updates], 2), [22, 0, 0, 86]);
  const unsigned = array([4], [0, 4294967295, 3, 2], "u32");
  assertEquals(gradientOf(square, [x, unsigned, updates], 2), [22, 0, 0, 86]);
});

Deno.test("gradient: gather adds up what repeated numbers get", () => {
  assertEquals(gradientOf((x, i) => ops.gather(x, i), [vector(1, 2, 3), array([4], [2, 0, 2, 2], "i32")]), [1, 0, 3]);
});

Deno.test("gradient: crossEntropy of ignored positions is zero, and none is NaN when all are", () => {
  const logits = array([2, 3], [1, 2, 3, 4, 5, 6]), all = array([2], [-1, -1], "i32");
  assertEquals(gradientOf((x, t) => ops.crossEntropy(x, t, { ignoreIndex: -1 }), [logits, all]), [0, 0, 0, 0, 0, 0]);
  const some = gradientOf((x, t) => ops.crossEntropy(x, t, { ignoreIndex: -1 }), [logits, array([2], [-1, 0], "i32")]);
  assertEquals(some.slice(0, 3), [0, 0, 0]);
  assertEquals(Math.abs(some.slice(3).reduce((sum, v) => sum + v, 0)) < 1e-15, true);
});

Deno.test("gradient: attention of a query that sees no key has neither NaN nor infinity", () => {
  // The only key stands at position 0: queries 2 and 3 do not see it through a window of 2.
  const q = random([1, 4, 2]), k = random([1, 1, 2], -1, 1, 2), v = random([1, 1, 3], -1, 1, 3);
  for (const argnums of [0, 1, 2]) {
    const result = gradientOf((q, k, v) => ops.attention(q, k, v, { causal: true, window: 2 }), [q, k, v], argnums);
    assertEquals(result.filter((value) => !Number.isFinite(value)), []);
  }
});
