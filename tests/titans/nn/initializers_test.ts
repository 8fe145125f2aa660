import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import * as nn from "../../../titans/nn/mod.ts";

/** First values of a parameter. */
function values(shape: readonly number[], initializer: nn.Initializer, seed = 3): Float32Array {
  return nn.initialize({ p: new nn.Parameter(shape, initializer, false) }, seed).p.data;
}

function deviation(x: Float32Array): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length);
}

Deno.test("nn: initializers have the range and the deviation that they say", () => {
  const shape = [60, 90],
    at = (initializer: nn.InitializerFor) =>
      values(shape, typeof initializer === "function" ? initializer(shape) : initializer);
  const near = (x: Float32Array, expected: number) => assertAlmostEquals(deviation(x), expected, 0.03 * expected);
  const most = (x: Float32Array): number => x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  near(at(nn.normal(0.3)), 0.3);
  near(at(nn.uniform(0.6)), 0.6 / Math.sqrt(3));
  assert(most(at(nn.uniform(0.6))) <= 0.6 && most(at(nn.uniform(0.6))) > 0.599);
  near(at(nn.truncatedNormal(0.5)), 0.5 * 0.87962566);
  assert(most(at(nn.truncatedNormal(0.5))) <= 1 && most(at(nn.truncatedNormal(0.5))) > 0.98);
  near(at(nn.glorotNormal()), Math.sqrt(2 / 150));
  near(at(nn.glorotUniform(2)), 2 * Math.sqrt(2 / 150));
  assert(most(at(nn.glorotUniform())) <= Math.sqrt(6 / 150));
  near(at(nn.heNormal()), Math.sqrt(2 / 60));
  near(at(nn.heUniform()), Math.sqrt(2 / 60));
  near(at(nn.lecunNormal()), Math.sqrt(1 / 60));
  assertEquals([...values([2], nn.zeros()), ...values([2], nn.ones()), ...values([1], nn.constant(7))], [
    0,
    0,
    1,
    1,
    7,
  ]);
  assertEquals([...values([4], { parts: [1, 2] })], [1, 1, 2, 2]);
});

Deno.test("nn: orthogonal matrices are, whichever side is longer, one by one of a stack", () => {
  for (const shape of [[5, 5], [3, 7], [7, 3], [2, 4, 3], [1, 4], [0, 3]]) {
    const all = values(shape, nn.orthogonal(2)), [rows, columns] = shape.slice(-2), short = Math.min(rows, columns);
    for (let start = 0; start < all.length; start += rows * columns) {
      const vector = (v: number) =>
        Array.from(
          { length: Math.max(rows, columns) },
          (_, i) => all[start + (rows <= columns ? v * columns + i : i * columns + v)],
        );
      for (let a = 0; a < short; a++) {
        for (let b = 0; b < short; b++) {
          const product = vector(a).reduce((sum, x, i) => sum + x * vector(b)[i], 0);
          assertAlmostEquals(product, a === b ? 4 : 0, 1e-5, `${shape}`);
        }
      }
    }
  }
});
