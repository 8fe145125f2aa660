/** Networks that are no language models: a layer is trained, measured, continued, and diagnosed as models are. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { spec } from "../../core/trace.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { square, sub, sum } from "../../ops/mod.ts";
import type { Tensor } from "../../core/graph.ts";
import { linear } from "../../titans/nn/mod.ts";
import { defineOptimizer, LayerNetwork, type Objective, Trainer, TrainingError } from "../../titans/mod.ts";

interface Pairs extends Record<string, Tensor> {
  readonly x: Tensor;
  readonly y: Tensor;
}

/** To find the map from x to twice its sum. */
const objective: Objective<Pairs> = {
  fields: () => ({ x: spec([3]), y: spec([1]) }),
  input: ({ x }) => ({ tokens: x }),
  loss: (output, { y }) => ({ sum: sum(square(sub(output, y))), weight: sum(square(y)) }),
};

const batch = (step: number): { x: Float32Array; y: Float32Array } => {
  const x = Float32Array.from({ length: 12 }, (_, i) => Math.sin(1 + i * (step + 1)));
  return { x, y: Float32Array.from({ length: 4 }, (_, r) => 2 * (x[3 * r] + x[3 * r + 1] + x[3 * r + 2])) };
};

Deno.test("a layer as a network learns, is measured, goes on where it was, and says which parameter broke", async () => {
  const device = await requestDevice({ kind: "cpu" }), model = new LayerNetwork("plain", linear(3, 1));
  const options = {
    model,
    objective,
    optimizer: defineOptimizer({ learningRate: 0.1, warmupSteps: 0, totalSteps: 200, weightDecay: 0 }),
    shape: { batch: 4, length: 1 },
    seed: 0,
  };
  assertEquals(String(model), "plain: 4 parameters");
  const trainer = await Trainer.create(device, options), before = await trainer.validate([batch(500)]);
  await trainer.run({ batch }, 100);
  const state = await trainer.exportState();
  await trainer.run({ batch }, 100);
  const after = await trainer.validate([batch(500)]), end = await trainer.exportState();
  assert(before.loss > 0.1 && after.loss < 1e-3, `${before.loss} ${after.loss}`);
  assert(end.params.weight.every((weight) => Math.abs(weight - 2) < 0.05), String(end.params.weight));
  const resumed = await Trainer.create(device, { ...options, state });
  await resumed.run({ batch }, 100);
  assertEquals((await resumed.exportState()).params, end.params);
  const broken = { ...state, params: { ...state.params, bias: Float32Array.of(NaN) } };
  const failing = await Trainer.create(device, { ...options, state: broken });
  await assertRejects(() => failing.run({ batch }, 1), TrainingError, "first bad tensor: parameter bias");
  for (const one of [trainer, resumed, failing]) one.dispose();
  device.dispose();
});
