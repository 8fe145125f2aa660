/** The task, the models and the script of docs/ablations.md. */
import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { HostRng } from "../../titans/nn/host_rng.ts";
import { Model } from "../../titans/mod.ts";
import { withFolder } from "../cli/scratch.ts";
import { type AblationOptions, type AblationResult, answer, type Cell, runOf, VARIANTS } from "./ablation_runs.ts";
import { NOT_ASKED, recallBatch, recallLength } from "./ablation_task.ts";
import { cells, runCells, table } from "./measure_ablations.ts";
import { reference, type Value } from "./runners.ts";

const TASK = { keys: 5, values: 7, pairs: 3, rounds: 2 };
const rng = new HostRng(1, "test");
const TINY: AblationOptions = {
  task: { keys: 3, values: 3, pairs: 2, rounds: 1 },
  batch: 2,
  steps: 90,
  held: 3,
  config: { width: 8, mlpHidden: 8, miniBatch: 4, tile: 4 },
};

Deno.test("each round of the recall task tells different keys and asks each of them once, with the values of that round", () => {
  const T = recallLength(TASK), count = 50, { tokens, targets } = recallBatch(TASK, { rng, first: 0, count });
  assertEquals([tokens.length, targets.length], [count * T, count * T]);
  const orders = new Set<string>();
  for (let start = 0; start < tokens.length; start += T / TASK.rounds) {
    const told = new Map<number, number>(), asked: number[] = [];
    for (let i = 0; i < 2 * TASK.pairs; i += 2) told.set(tokens[start + i], tokens[start + i + 1]);
    assertEquals(told.size, TASK.pairs);
    for (const [key, value] of told) {
      assert(key >= 0 && key < TASK.keys && value >= TASK.keys && value < TASK.keys + TASK.values);
    }
    for (let i = 2 * TASK.pairs; i < 4 * TASK.pairs; i += 2) {
      asked.push(tokens[start + i]);
      assertEquals(tokens[start + i + 1], told.get(tokens[start + i]));
      assertEquals(targets[start + i], tokens[start + i + 1]);
    }
    assertEquals(asked.toSorted(), [...told.keys()].toSorted());
    orders.add(asked.map((key) => [...told.keys()].indexOf(key)).join());
  }
  assertEquals(orders.size, 6, "all orders of three questions");
  assertEquals(targets.filter((target) => target !== NOT_ASKED).length, count * TASK.rounds * TASK.pairs);
});

Deno.test("sequences of the recall task are a function of the seed and of their number, and keys come back with other values", () => {
  const all = recallBatch(TASK, { rng, first: 0, count: 40 }), T = recallLength(TASK);
  assertEquals(recallBatch(TASK, { rng, first: 30, count: 10 }).tokens, all.tokens.slice(30 * T));
  assertNotEquals(recallBatch(TASK, { rng: new HostRng(2, "test"), first: 0, count: 40 }).tokens, all.tokens);
  let changed = 0;
  for (let start = 0; start < all.tokens.length; start += T) {
    const told = (round: number): Map<number, number> =>
      new Map(
        Array.from(
          { length: TASK.pairs },
          (_, i) => [all.tokens[start + round * T / 2 + 2 * i], all.tokens[start + round * T / 2 + 2 * i + 1]],
        ),
      );
    const [before, after] = [told(0), told(1)];
    for (const [key, value] of after) if (before.has(key) && before.get(key) !== value) changed++;
  }
  assert(changed > 40, `${changed} keys of 40 sequences got another value`);
});

Deno.test("a memory that learns nothing answers from what is near; the full model also from what is far", async () => {
  const task = { keys: 8, values: 4, pairs: 4, rounds: 1 }, T = recallLength(task);
  const { tokens, targets } = recallBatch(task, { rng, first: 0, count: 1 });
  const other = tokens.slice();
  other[1] = task.keys + (tokens[1] - task.keys + 1) % task.values; // another value of the first pair
  for (const base of ["lmm", "mag"] as const) {
    for (const variant of ["full", "memory learns nothing"]) {
      const { config, frozen } = runOf({ base, variant, seed: 0 }, { ...TINY, task }), model = new Model(config);
      const flat = model.layout.pack(model.initialize(0));
      const answers = (flat: Tensor, tokens: Tensor, targets: Tensor): Tensor =>
        answer(model, flat, tokens, targets, frozen)[1];
      const logits = async (read: Int32Array): Promise<ArrayLike<number>> => {
        const rows = [read, targets].map((data): Value => ({ shape: [1, T], dtype: "i32", data }));
        return (await reference(answers, [{ shape: [model.layout.size], data: flat }, rows[0], rows[1]])).data;
      };
      // The convolution and the window reach three tokens back.
      const far = async (read: Int32Array): Promise<number[]> =>
        Array.from(await logits(read)).slice(5 * config.vocabulary);
      const same = JSON.stringify(await far(tokens)) === JSON.stringify(await far(other));
      assertEquals(same, frozen, `${base}, ${variant}`);
    }
  }
});

Deno.test("every variant differs from the full model, makes a model, and stands in the list of runs once a seed", () => {
  const settings = Object.entries(VARIANTS).map(([variant, { frozen, bases }]) => {
    const run = runOf({ base: bases?.[0] ?? "lmm", variant, seed: 0 }, TINY);
    return JSON.stringify([new Model(run.config).config, frozen]);
  });
  assertEquals(new Set(settings).size, settings.length);
  const list = cells(["lmm", "mag"], ["full", "linear", "no persistent tokens"], [4, 5]);
  assertEquals(list.map(({ base, variant, seed }) => `${base} ${variant} ${seed}`), [
    ...["lmm full 4", "lmm linear 4", "mag full 4", "mag linear 4", "mag no persistent tokens 4"],
    ...["lmm full 5", "lmm linear 5", "mag full 5", "mag linear 5", "mag no persistent tokens 5"],
  ]);
});

Deno.test("a run learns and measures, and is not repeated when its file is there", () =>
  withFolder(async (folder) => {
    const list: Cell[] = [{ base: "lmm", variant: "linear", seed: 3 }], said: string[] = [];
    const running = { folder, threads: 1, say: (line: string): void => void said.push(line) };
    const [{ accuracy, loss, curve, largestGradient, parameters, seconds }] = await runCells(list, TINY, running);
    assert(accuracy >= 0 && accuracy <= 1 && loss > 0 && largestGradient > 0 && parameters > 0);
    assertEquals(curve.length, 10);
    assert(curve[9] < 0.8 * curve[0], `the loss went from ${curve[0]} to ${curve[9]}`);
    assertStringIncludes(said.pop()!, "1 of 1, lmm, linear, seed 3: accuracy");
    said.length = 0;
    const again = await runCells(list, TINY, running);
    assertEquals([again[0].seconds, said.length], [seconds, 0]);
    await assertRejects(() => runCells(list, { ...TINY, steps: 3 }, running), Error, "other settings");
  }));

Deno.test("the table has a row for each variant with mean and spread over seeds", () => {
  const result = (seed: number, accuracy: number): Cell & AblationResult => ({
    ...{ base: "lmm", variant: "full", seed, accuracy, byRound: [accuracy, accuracy], loss: seed },
    ...{ curve: [1, 3], largestGradient: 1, parameters: 1, seconds: 1 },
  });
  assertStringIncludes(
    table([result(0, 0.5), result(1, 1)]),
    "| LMM | full | 75.0 | 50.0 to 100.0 | 75.0, 75.0 | 0.500 | 2.000 | 2 |",
  );
});
