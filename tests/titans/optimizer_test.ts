import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { ConfigError } from "../../titans/errors.ts";
import {
  type AdamState,
  adamW,
  clipByGlobalNorm,
  defineOptimizer,
  learningRateAt,
  stepScalars,
} from "../../titans/train/optimizer.ts";
import { noise, reference, relativeError, type Value } from "./runners.ts";

Deno.test("AdamW makes the steps that its equations make by hand", async () => {
  const config = defineOptimizer({
    learningRate: 0.1,
    warmupSteps: 0,
    totalSteps: 10,
    weightDecay: 0.2,
    epsilon: 1e-3,
  });
  const P = 5, decayEnd = 3;
  const gradients = [0, 1, 2].map((step) => Float64Array.from(noise([P], step + 1).data));
  const p = Array.from(noise([P], 9).data), m = new Array(P).fill(0), v = new Array(P).fill(0);
  let state: AdamState<Value> = {
    params: { shape: [P], data: [...p] },
    first: { shape: [P], data: [...m] },
    second: { shape: [P], data: [...v] },
  };
  for (const [step, g] of gradients.entries()) {
    const update = (state: AdamState, gradient: Tensor, scalars: Tensor): AdamState =>
      adamW(state, gradient, { config, scalars, decayEnd });
    // The scalars are doubles here: what is tested is the formula.
    const scalars = [learningRateAt(config, step), 1 / (1 - 0.9 ** (step + 1)), 1 / (1 - 0.95 ** (step + 1))];
    state = await reference(update, [state, { shape: [P], data: g }, { shape: [3], data: scalars }]);
    for (let i = 0; i < P; i++) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.95 * v[i] + 0.05 * g[i] ** 2;
      const decay = i < decayEnd ? 0.2 * p[i] : 0;
      p[i] -= learningRateAt(config, step) *
        (m[i] / (1 - 0.9 ** (step + 1)) / (Math.sqrt(v[i] / (1 - 0.95 ** (step + 1))) + 1e-3) + decay);
    }
    assert(relativeError(state.params.data, p) < 1e-12);
    assert(relativeError(state.first.data, m) < 1e-12);
    assert(relativeError(state.second.data, v) < 1e-12);
  }
});

Deno.test("the first step of AdamW moves every parameter by the rate", async () => {
  const config = defineOptimizer({ weightDecay: 0, warmupSteps: 0, epsilon: 1e-12 });
  const zero = { shape: [3], data: [0, 0, 0] };
  const update = (state: AdamState, gradient: Tensor, scalars: Tensor): AdamState =>
    adamW(state, gradient, { config, scalars, decayEnd: 3 });
  const state = { params: zero, first: zero, second: zero };
  const { params } = await reference(update, [state, { shape: [3], data: [4, -0.001, 1e3] }, {
    shape: [3],
    data: stepScalars(config, 0),
  }]);
  assert(relativeError(params.data, [-3e-3, 3e-3, -3e-3]) < 1e-6);
});

Deno.test("gradients are scaled to the clip norm only when they exceed it", async () => {
  for (const [scale, expected] of [[1, [0.6, 0.8]], [0.1, [0.3, 0.4]]] as [number, number[]][]) {
    const { norm, clipped } = await reference((g: Tensor) => clipByGlobalNorm(g, 1), [{
      shape: [2],
      data: [3 * scale, 4 * scale],
    }]);
    assertAlmostEquals(norm.data[0], 5 * scale, 1e-12);
    assert(relativeError(clipped.data, expected) < 1e-12);
  }
  const { clipped } = await reference((g: Tensor) => clipByGlobalNorm(g, 0), [{ shape: [2], data: [30, 40] }]);
  assertEquals(Array.from(clipped.data), [30, 40]);
});

Deno.test("the rate rises linearly, then falls along half a cosine, then stays", () => {
  const config = defineOptimizer({ learningRate: 1, finalRate: 0.1, warmupSteps: 4, totalSteps: 12 });
  assertEquals([0, 1, 2, 3, 4].map((step) => learningRateAt(config, step)), [0.25, 0.5, 0.75, 1, 1]);
  assertAlmostEquals(learningRateAt(config, 8), 0.55, 1e-12);
  assertAlmostEquals(learningRateAt(config, 12), 0.1, 1e-12);
  assertAlmostEquals(learningRateAt(config, 1000), 0.1, 1e-12);
});

Deno.test("optimiser options that cannot be are refused by name", () => {
  assertThrows(
    () => defineOptimizer({ learningRate: -1 }),
    ConfigError,
    "learningRate -1: it must be a positive number",
  );
  assertThrows(() => defineOptimizer({ beta2: 1 }), ConfigError, "beta2 1");
  assertThrows(() => defineOptimizer({ warmupSteps: 1.5 }), ConfigError, "warmupSteps 1.5");
  assertThrows(() => defineOptimizer({ clipNorm: Number.NaN }), ConfigError, "clipNorm NaN");
});
