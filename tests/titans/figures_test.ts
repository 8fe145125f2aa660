/** Figures and their errors, against numbers worked out by hand, and evaluations that go on where they were stopped. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { requestDevice } from "../../kernels/mod.ts";
import { defineConfig, evaluateTask, intervalOf, meanOf, Model, proportion, type Score } from "../../titans/mod.ts";
import { recall } from "../../titans/tasks/mod.ts";
import { TINY } from "./builders.ts";

Deno.test("figures: a share has the error sqrt(p (1 - p) / n) and Wilson's interval, a mean the deviation over sqrt(n)", () => {
  const half = proportion("accuracy", 50, 100);
  assertEquals([half.name, half.value, half.count, half.standardError], ["accuracy", 0.5, 100, 0.05]);
  // Wilson's interval of 50 of 100: 0.5 -+ 1.96 sqrt(0.25 / 100 + 1.96^2 / 40000) / (1 + 1.96^2 / 100).
  const [low, high] = intervalOf(half)!;
  assertAlmostEquals(low, 0.40383, 1e-5);
  assertAlmostEquals(high, 0.59617, 1e-5);
  const none = intervalOf(proportion("accuracy", 0, 10))!;
  assertAlmostEquals(none[0], 0, 1e-12);
  assertAlmostEquals(none[1], 0.27753, 1e-5);
  // Deviation of 1, 2, 3, 6 is sqrt(14 / 3) = 2.160, over sqrt(4).
  const mean = meanOf("bits", [1, 2, 3, 6]);
  assertEquals([mean.value, mean.count], [3, 4]);
  assertAlmostEquals(mean.standardError!, 1.0801, 1e-4);
  assertAlmostEquals(intervalOf(mean)![1], 3 + 1.959964 * 1.0801, 1e-3);
  assertEquals(intervalOf({ name: "loss", value: 1 }), undefined);
  assertEquals("standardError" in meanOf("bits", [1]), false);
});

Deno.test("figures: an evaluation that was stopped goes on with the cells that it lacks, to the same figures", async () => {
  const device = await requestDevice({ kind: "cpu" });
  const task = recall.create({ pairs: 2, rounds: 1, keys: 4, values: 4 });
  const model = new Model(defineConfig({ ...TINY, model: "lmm", vocabulary: 8, blocks: 1 }));
  const params = device.upload(model.layout.pack(model.initialize(0)), { shape: [model.layout.size], dtype: "f32" });
  const kept = new Map<string, readonly Score[]>();
  const evaluate = (most: number) => {
    const progress: [number, number][] = [];
    const scores = evaluateTask(device, {
      model,
      params,
      task,
      samples: 8,
      batch: 4,
      cells: { known: (cell) => kept.get(cell), measured: (cell, scores) => void kept.set(cell, scores) },
      progress: (done, total) => {
        progress.push([done, total]);
        if (progress.length === most) throw new Error("stopped");
      },
    });
    return { scores, progress };
  };
  await assertRejects(() => evaluate(5).scores, Error, "stopped");
  assertEquals([...kept.keys()], ["test samples", "1 pairs"]);
  const { scores, progress } = evaluate(Infinity), all = await scores;
  assertEquals(progress, [[4, 8], [8, 8]], "only the cell of four pairs is measured");
  kept.clear();
  assertEquals(await evaluate(Infinity).scores, all);
  const accuracy = all.find(({ name }) => name === "accuracy")!;
  assert(
    accuracy.standardError! > 0 && accuracy.interval![0] < accuracy.value && accuracy.value < accuracy.interval![1],
  );
  device.dispose();
});
