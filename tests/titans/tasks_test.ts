/** What holds for every task of the registry. */
import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { flatten } from "../../core/tree.ts";
import { isSpec, type Spec } from "../../core/trace.ts";
import type { Tensor } from "../../core/graph.ts";
import { type Device, type DeviceArray, requestDevice } from "../../kernels/mod.ts";
import {
  type BatchArrays,
  type BenchmarkInstance,
  ConfigError,
  defineConfig,
  defineOptimizer,
  evaluateBenchmark,
  evaluateTask,
  Model,
  splitSeed,
  type TaskInstance,
  Trainer,
  type Weighted,
} from "../../titans/mod.ts";
import { recall, sinusoids, taskOf, TASKS } from "../../titans/tasks/mod.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { TINY } from "./builders.ts";
import { instancesOf } from "./task_cases.ts";
import { reference, type Value } from "./runners.ts";

const TASK_NAMES = Object.keys(TASKS);

const isArray = (value: unknown): value is Int32Array | Float32Array => ArrayBuffer.isView(value);
const leavesOf = (data: BatchArrays) => flatten(data, isArray).leaves;

/** The batch as values, typed as the task says. */
function valuesOf(task: TaskInstance, data: BatchArrays, rows: number): Record<string, Value> {
  const fields = task.fields(task.length) as Readonly<Record<string, Spec>>;
  return Object.fromEntries(
    Object.entries(data).map(([name, array]) => {
      assert(isSpec(fields[name]) && isArray(array));
      return [name, { shape: [rows, ...fields[name].shape], dtype: fields[name].dtype, data: array }];
    }),
  );
}

for (const name of TASK_NAMES) {
  Deno.test(`task ${name}: batches are pure in step and seed, splits never meet, and rows can be made apart`, () => {
    for (const task of instancesOf(name)) {
      const train = task.batches("train", 6, 3), whole = train.batch(5);
      const parts = [train.batch(5, { first: 0, count: 2 }), train.batch(5, { first: 2, count: 4 })];
      leavesOf(whole).forEach((array, i) =>
        assertEquals([...array], parts.flatMap((part) => [...leavesOf(part)[i]]), "two machines make the rows of one")
      );
      assertEquals(task.batches("train", 6, 3).batch(5), whole);
      // Row 30 of batches of six is row 30 of batches of three.
      leavesOf(task.batches("train", 3, 3).batch(10)).forEach((array, i) =>
        assertEquals([...array], [...leavesOf(whole)[i]].slice(0, array.length))
      );
      const others = [
        train.batch(6),
        task.batches("train", 6, 4).batch(5),
        task.batches("validation", 6, 3).batch(5),
        task.batches("test", 6, 3).batch(5),
      ];
      others.forEach((other) => assertNotEquals(other, whole));
      assertEquals(task.batches("test", 6, 3).batch(5), task.batches("test", 6, 4).batch(5), "one test split for all");
      const rows = Array.from(
        { length: 40 },
        (_, row) => JSON.stringify(train.batch(0, { first: row, count: 1 })),
      );
      assertEquals(new Set(rows).size, 40, "rows differ");
    }
  });

  Deno.test(`task ${name}: loss and figures are sums with weights, and the oracle is right about all that counts`, async () => {
    for (const task of instancesOf(name)) {
      const rows = 4, data = task.batches("test", rows, 0).batch(0), values = valuesOf(task, data, rows);
      const { features = 0, outputs = 0, vocabulary = 0 } = task.requires, width = outputs || vocabulary || features;
      const measure = (output: Tensor, batch: Record<string, Tensor>): Record<string, Weighted> => ({
        loss: task.loss(output, batch),
        ...task.metrics?.(output, batch),
      });
      const means = async (output: Float32Array, batch = values, count = rows): Promise<Record<string, number[]>> => {
        const shape = [count, task.length, width];
        const figures = await reference(measure, [{ shape, data: output }, batch]);
        return Object.fromEntries(
          Object.entries(figures).map(([name, { sum, weight }]) => [name, [sum.data[0], weight.data[0]]]),
        );
      };
      const zeros = await means(new Float32Array(rows * task.length * width));
      assert(Object.values(zeros).every(([, weight]) => weight > 0 && Number.isInteger(weight)));
      // Two halves add up to the whole.
      const half = (first: number) => valuesOf(task, task.batches("test", rows, 0).batch(0, { first, count: 2 }), 2);
      const halves = await Promise.all(
        [0, 2].map((first) => means(new Float32Array(2 * task.length * width), half(first), 2)),
      );
      for (const [figure, [sum, weight]] of Object.entries(zeros)) {
        assertAlmostEquals(halves[0][figure][0] + halves[1][figure][0], sum, 1e-5 * Math.max(1, Math.abs(sum)), figure);
        assertEquals(halves[0][figure][1] + halves[1][figure][1], weight, figure);
      }
      if (taskOf(name).reads) continue;
      assert(task.oracle, "every synthetic task has an oracle");
      const best = await means(task.oracle(data));
      for (const [figure, [sum, weight]] of Object.entries(best)) {
        if (figure.startsWith("accuracy")) assertEquals(sum, weight, `${figure} of the oracle`);
      }
      const [sum, weight] = best.loss;
      assert(sum / weight < 1e-4 && sum / weight < 1e-3 * zeros.loss[0] / zeros.loss[1], `loss ${sum / weight}`);
    }
  });

  Deno.test(`task ${name}: a model reads one token per position, of the vocabulary or with the features that the task requires`, async () => {
    const [task] = instancesOf(name), data = task.batches("train", 1, 0).batch(0);
    const read = await reference((batch: Record<string, Tensor>) => task.input(batch).tokens, [
      valuesOf(task, data, 1),
    ]);
    const { vocabulary, features = 0 } = task.requires;
    assertEquals(read.shape, features > 0 ? [1, task.length, features] : [1, task.length]);
    if (vocabulary !== undefined) assert(Array.from(read.data).every((token) => token >= 0 && token < vocabulary));
  });
}

Deno.test("tasks: sequences of recall are what their definition says", () => {
  const options = { keys: 5, values: 7, pairs: 3, rounds: 2 }, task = recall.create(options), T = task.length;
  const { tokens, targets, mask } = task.batches("train", 50, 1).batch(0) as Record<string, Int32Array>;
  const orders = new Set<string>();
  let changed = 0;
  for (let start = 0; start < tokens.length; start += T) {
    const rounds = [0, T / 2].map((round) => {
      const at = start + round, stated = new Map<number, number>(), asked: number[] = [];
      for (let i = 0; i < 2 * options.pairs; i += 2) stated.set(tokens[at + i], tokens[at + i + 1]);
      assertEquals(stated.size, options.pairs);
      for (const [key, value] of stated) assert(key < options.keys && value >= options.keys && value < 12);
      for (let i = 2 * options.pairs; i < 4 * options.pairs; i += 2) {
        asked.push(tokens[at + i]);
        assertEquals([targets[at + i], tokens[at + i + 1]], [stated.get(tokens[at + i]), stated.get(tokens[at + i])]);
        assertEquals([mask[at + i], mask[at + i + 1]], [1, 0]);
      }
      assertEquals(asked.toSorted(), [...stated.keys()].toSorted());
      orders.add(asked.map((key) => [...stated.keys()].indexOf(key)).join());
      return stated;
    });
    for (const [key, value] of rounds[1]) if (rounds[0].has(key) && rounds[0].get(key) !== value) changed++;
  }
  assertEquals(orders.size, 6, "all orders of three questions");
  assert(changed > 40, `${changed} keys of 50 sequences got another value`);
  assertThrows(() => recall.create({ ...options, pairs: 6 }), ConfigError, "pairs 6: it must be at most the keys, 5");
});

Deno.test("tasks: names that are not there, splits, and models that do not fit are refused", async () => {
  assertThrows(() => taskOf("recal"), ConfigError, "one of recall, ");
  assertEquals(new Set([splitSeed("train", 0), splitSeed("validation", 0), splitSeed("test", 0)]).size, 3);
  const device = await requestDevice({ kind: "reference" });
  const model = new Model(defineConfig({ ...TINY, vocabulary: 12 }));
  const params = device.upload(model.layout.pack(model.initialize(0)), { shape: [model.layout.size], dtype: "f32" });
  const evaluation = { model, params, samples: 1, batch: 1 };
  await assertRejects(
    () => evaluateTask(device, { ...evaluation, task: recall.create({ pairs: 2, rounds: 1, keys: 4, values: 4 }) }),
    ConfigError,
    "its vocabulary is 12, the task needs 8",
  );
  await assertRejects(
    () => evaluateTask(device, { ...evaluation, task: sinusoids.create(defaultsOf(sinusoids.options)) }),
    ConfigError,
    "its features is 0, the task needs 2",
  );
  device.dispose();
});

Deno.test("tasks: a regression on sinusoids trains clearly below the variance of its target, and is evaluated by name", async () => {
  const task = sinusoids.create({ channels: 2, length: 32, slowest: 0.2, fastest: 1.2 });
  const device = await requestDevice({ kind: "cpu" }), shape = { batch: 8, length: task.length };
  const model = new Model(defineConfig({ ...TINY, model: "lmm", ...task.requires, blocks: 1 }));
  const optimizer = defineOptimizer({ learningRate: 1e-2, warmupSteps: 10, totalSteps: 150 });
  const trainer = await Trainer.create(device, { model, objective: task, optimizer, shape, seed: 1 });
  const metrics = await trainer.run(task.batches("train", 8, 1), 150), validation = task.batches("validation", 8, 1);
  assert(!("bitsPerByte" in metrics[0]), "a squared error says nothing in bits");
  const { loss, memoryNorm } = await trainer.validate([0, 1].map((step) => validation.batch(step)));
  assert(loss < 0.2, `loss ${loss} where the variance is 1`);
  assert(memoryNorm > 0);
  const seen: number[][] = [];
  const scores = await evaluateTask(device, {
    model,
    params: trainer.params,
    task,
    samples: 20,
    batch: 8,
    progress: (done, total) => seen.push([done, total]),
  });
  const [score] = scores;
  assertEquals([score.name, score.chance, score.count], ["loss", 1, 24 * 30 * 2]);
  assert(score.value < 0.2);
  assertEquals(seen, [[8, 24], [16, 24], [24, 24]]);
  trainer.dispose();
  device.dispose();
});

Deno.test("tasks: parts of an evaluation that are ahead count from the first one on, and those that are known do not", async () => {
  const parts = { a: 4, b: 6, c: 2 }, seen: number[][] = [];
  const benchmark: BenchmarkInstance = {
    evaluate: async ({ ahead, expect, advance, cell }) => {
      ahead!(parts);
      for (const [label, count] of Object.entries(parts)) {
        await cell(label, () => {
          expect(count);
          [0, 1].forEach(() => advance(count / 2));
          return Promise.resolve([]);
        });
      }
      return [];
    },
  };
  await evaluateBenchmark({} as Device, {
    model: {} as Model,
    params: {} as DeviceArray,
    benchmark,
    samples: 1,
    batch: 1,
    progress: (done, total) => seen.push([done, total]),
    cells: { known: (label) => label === "a" ? [] : undefined, measured: () => {} },
  });
  assertEquals(seen, [[3, 8], [6, 8], [7, 8], [8, 8]]);
});
