/** A task of one's own: trained, validated, evaluated, saved and loaded without touching the library. */
import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { argmax, cast, crossEntropy, equal, sliceAxis, squeeze, sum } from "../../ops/mod.ts";
import {
  decodeCheckpoint,
  defineConfig,
  defineOptimizer,
  defineTask,
  encodeCheckpoint,
  evaluateTask,
  fromSamples,
  Model,
  type TaskInstance,
  Trainer,
} from "../../titans/mod.ts";

/** Whether a sequence of bits, read whole, has more ones than zeros: the answer is due at the last token. */
const majority = defineTask({
  name: "majority",
  summary: "the commoner of two symbols, at the end of a sequence",
  options: { length: { kind: "integer", default: 9, min: 1, max: 99, help: "tokens of a sequence, an odd number" } },
  create: ({ length }): TaskInstance<{ readonly bits: Tensor; readonly answer: Tensor }> => ({
    requires: { vocabulary: 2 },
    length,
    fields: (length) => ({ bits: spec([length], "i32"), answer: spec([1], "i32") }),
    batches: fromSamples("majority", (random) => {
      const bits = Int32Array.from({ length }, () => random.integer(2));
      return { bits, answer: Int32Array.of(bits.reduce((a, b) => a + b) > length / 2 ? 1 : 0) };
    }),
    input: ({ bits }) => ({ tokens: bits }),
    loss: (output, { answer }) => ({
      sum: crossEntropy(squeeze(sliceAxis(output, 1, length - 1, 1), 1), squeeze(answer, 1), { reduction: "sum" }),
      weight: sum(cast(equal(answer, answer), "f32")),
    }),
    metrics: (output, { answer }) => {
      const said = argmax(sliceAxis(output, 1, length - 1, 1), { axis: -1 });
      return {
        accuracy: { sum: sum(cast(equal(said, answer), "f32")), weight: sum(cast(equal(answer, answer), "f32")) },
      };
    },
    chance: { accuracy: 0.5 },
  }),
});

Deno.test("a task of one's own trains, validates, evaluates, saves, loads and goes on", async () => {
  const device = await requestDevice({ kind: "cpu" }), task = majority.create({ length: 9 });
  const config = defineConfig({
    ...task.requires,
    model: "lmm",
    width: 16,
    heads: 1,
    blocks: 1,
    mlpHidden: 32,
    miniBatch: 3,
    tile: 3,
  });
  const options = {
    model: new Model(config),
    objective: task,
    optimizer: defineOptimizer({ learningRate: 1e-2, warmupSteps: 5, totalSteps: 120 }),
    shape: { batch: 16, length: 9 },
    seed: 2,
  };
  const trainer = await Trainer.create(device, options), data = task.batches("train", 16, 2);
  const metrics = await trainer.run(data, 100), valid = task.batches("validation", 16, 2);
  assert(metrics[99].loss < 0.5 * metrics[0].loss, `the loss went from ${metrics[0].loss} to ${metrics[99].loss}`);
  const held = await trainer.validate([0, 1, 2, 3].map((step) => valid.batch(step)));
  assert(held.accuracy > 0.85, `accuracy ${held.accuracy}`);
  const evaluation = { model: options.model, task, samples: 64, batch: 16 };
  const scores = await evaluateTask(device, { ...evaluation, params: trainer.params });
  const accuracy = scores.find(({ name }) => name === "accuracy")!;
  assert(accuracy.value > 0.85 && accuracy.chance === 0.5 && accuracy.count === 64);
  const notes = { task: majority.name };
  const saved = encodeCheckpoint({ config, seed: 2, state: await trainer.exportState(), notes });
  const { state, ...loaded } = decodeCheckpoint(saved);
  assertEquals([loaded.config, loaded.notes], [config, notes]);
  const again = await Trainer.create(device, { ...options, state });
  assertEquals(await evaluateTask(device, { ...evaluation, params: again.params }), scores);
  assertEquals(await again.run(data, 3), await trainer.run(data, 3));
  for (const each of [trainer, again]) each.dispose();
  device.dispose();
});
