/** Attention against its definition, where lengths differ and some queries see nothing. */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import * as ops from "../../ops/mod.ts";
import { wave } from "../evaluate.ts";
import { assertClose, TOLERANCES } from "../numeric.ts";

Deno.test("attention: each query averages the keys that it sees by their weights, and all keys if it sees none", () => {
  let blind = 0, seeing = 0;
  const length = fc.integer({ min: 1, max: 9 }), part = fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined });
  const cases = fc.record({
    T: length,
    S: length,
    causal: fc.boolean(),
    window: part,
    segment: part,
    prefix: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(cases, ({ T, S, prefix: asked, ...rules }) => {
      const prefix = Math.min(asked, S), { causal, window = Infinity, segment = Infinity } = rules;
      const q = wave([T, 2], 1), k = wave([S, 2], 2), v = wave([S, 1], 3);
      const attend = (q: Tensor, k: Tensor, v: Tensor) => ops.attention(q, k, v, { ...rules, prefix, scale: 1 });
      const { graph } = trace(attend, [spec(q.shape), spec(k.shape), spec(v.shape)]);
      const [{ data }] = interpret(simplify(graph), [q, k, v]);
      const expected = Array.from({ length: T }, (_, t) => {
        const all = Array.from({ length: S }, (_, s) => s);
        const seen = all.filter((s) => {
          const p = s - prefix;
          return p < 0 ||
            !((causal && p > t) || Math.abs(p - t) >= window || Math.floor(p / segment) !== Math.floor(t / segment));
        });
        seen.length === 0 ? blind++ : seeing++;
        const score = (
          s: number,
        ) => (seen.length === 0 ? 0 : q.data[2 * t] * k.data[2 * s] + q.data[2 * t + 1] * k.data[2 * s + 1]);
        const keys = seen.length === 0 ? all : seen, weights = keys.map((s) => Math.exp(score(s)));
        return keys.reduce((sum, s, i) => sum + weights[i] * v.data[s], 0) /
          weights.reduce((sum, weight) => sum + weight, 0);
      });
      assertClose(
        data,
        Float64Array.from(expected),
        TOLERANCES.accumulation.f32,
        JSON.stringify({ T, S, prefix, ...rules }),
        [T, 1],
      );
    }),
    { numRuns: 500, seed: 3 },
  );
  assertEquals([blind > 50, seeing > 50], [true, true], `${blind} queries saw nothing, ${seeing} something`);
});
