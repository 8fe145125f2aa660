import { assert, assertAlmostEquals } from "@std/assert";
import { dataParallel, pipeline } from "./simulate_pipeline.ts";

const COSTS = { forward: 1e-5, backward: 3e-5, stateBytes: 1e5, gradientBytes: 1e6 };
const LINK = { tokens: 8192, latencyUs: 50, gigabytes: 1 }, FREE = { ...LINK, latencyUs: 0, gigabytes: Infinity };

Deno.test("pipeline simulation: where messages cost nothing, ranks idle for as many parts as there are other ranks", () => {
  for (const [ranks, texts] of [[1, 1], [1, 5], [2, 1], [4, 4], [8, 3], [3, 20]]) {
    const part = LINK.tokens / ranks * (COSTS.forward + COSTS.backward);
    assertAlmostEquals(pipeline({ ranks, texts }, COSTS, FREE).seconds, (texts + ranks - 1) * part, 1e-9);
  }
});

Deno.test("pipeline simulation: a state travels both ways between ranks, and gradients around a ring", () => {
  const hop = 50e-6 + 1e5 / 1e9, ring = 2 * 3 * (50e-6 + 1e6 / 4 / 1e9);
  const { seconds } = pipeline({ ranks: 4, texts: 1 }, COSTS, LINK);
  assertAlmostEquals(seconds, LINK.tokens * 4e-5 + 2 * 3 * hop + ring, 1e-9);
  assertAlmostEquals(dataParallel(4, COSTS, LINK).seconds, LINK.tokens * 4e-5 + ring, 1e-9);
  assert(pipeline({ ranks: 4, texts: 64 }, COSTS, LINK).speed < dataParallel(4, COSTS, LINK).speed);
});
