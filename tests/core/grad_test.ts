import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { grad, valueAndGrad, vjp } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { cast, mul, sum, tanh } from "../../ops/mod.ts";
import { evaluate, scalar, vector } from "../evaluate.ts";

const cube = (x: Tensor): Tensor => mul(mul(x, x), x);

Deno.test("grad of a cube nests to any order", () => {
  const first = grad(cube), second = grad(first), third = grad(second), fourth = grad(third);
  const results = evaluate((x: Tensor) => [cube(x), first(x), second(x), third(x), fourth(x)], [scalar(2)]);
  assertEquals(results, [[8], [12], [12], [6], [0]]);
});

Deno.test("an inner gradient's other argument carries the outer gradient", () => {
  const f = (w: Tensor, k: Tensor): Tensor => mul(mul(w, k), mul(w, k));
  const dw = (w: Tensor, k: Tensor): Tensor => grad(f)(w, k);
  const asArgument = grad((w: Tensor, k: Tensor) => dw(w, k), { argnums: 1 });
  const asClosure = (w: Tensor, k: Tensor): Tensor => grad((k: Tensor) => grad((w: Tensor) => f(w, k))(w))(k);
  assertEquals(evaluate((w: Tensor, k: Tensor) => [asArgument(w, k), asClosure(w, k)], [scalar(3), scalar(2)]), [[24], [
    24,
  ]]);
});

Deno.test("only the path through the argument counts, not the same tensor in a closure", () => {
  const slope = (x: Tensor): Tensor => grad((y: Tensor) => mul(y, x))(x);
  assertEquals(evaluate((x: Tensor) => [slope(x), grad(slope)(x)], [scalar(5)]), [[5], [1]]);
});

Deno.test("several arguments, trees and auxiliary results", () => {
  const f = (p: { a: Tensor; b: [Tensor, Tensor] }, x: Tensor): [Tensor, Tensor] => {
    const y = mul(p.a, mul(p.b[0], x));
    return [sum(y), mul(y, 2)];
  };
  const both = valueAndGrad(f, { argnums: [0, 1] });
  const results = evaluate((a: Tensor, b: Tensor, c: Tensor, x: Tensor) => {
    const [[loss, aux], [dp, dx]] = both({ a, b: [b, c] }, x) as [
      [Tensor, Tensor],
      [{ a: Tensor; b: [Tensor, Tensor] }, Tensor],
    ];
    return [loss, aux, dp.a, dp.b[0], dp.b[1], dx];
  }, [vector(1, 2), vector(3, 4), vector(5, 6), vector(7, 8)]);
  assertEquals(results, [[85], [42, 128], [21, 32], [7, 16], [0, 0], [3, 8]]);
});

Deno.test("vjp pulls a cotangent back", () => {
  const [[y], [dx]] = [
    evaluate((x: Tensor) => vjp(tanh, x)[0], [vector(0.5)]),
    evaluate((x: Tensor, g: Tensor) => vjp(tanh, x)[1](g), [vector(0.5), vector(3)]),
  ];
  assertAlmostEquals(y[0], Math.tanh(0.5), 1e-15);
  assertAlmostEquals(dx[0], 3 * (1 - Math.tanh(0.5) ** 2), 1e-15);
});

Deno.test("misuse of grad is told at the user's line", () => {
  assertThrows(
    () => evaluate((x: Tensor) => grad((x: Tensor) => mul(x, x))(x), [vector(1, 2)]),
    TypeError,
    "must be a scalar, has rank 1",
  );
  assertThrows(
    () => evaluate((x: Tensor) => grad((x: Tensor) => sum(x))(cast(x, "i32")), [vector(1, 2)]),
    TypeError,
    "only floats have gradients",
  );
  assertThrows(() => mul(1 as unknown as Tensor, 2), Error, "outside a trace");
});
