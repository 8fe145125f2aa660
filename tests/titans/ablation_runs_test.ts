/** The models and the script of docs/ablations.md; tasks_test.ts has the task. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { Model } from "../../titans/mod.ts";
import { recall } from "../../titans/tasks/mod.ts";
import { withFolder } from "../cli/scratch.ts";
import { type AblationOptions, type AblationResult, type Cell, runOf, taskOf, VARIANTS } from "./ablation_runs.ts";
import { cells, runCells, table } from "./measure_ablations.ts";
import { reference, type Value } from "./runners.ts";

const TINY: AblationOptions = {
  task: { keys: 3, values: 3, pairs: 2, rounds: 1 },
  batch: 2,
  steps: 90,
  held: 3,
  config: { width: 8, mlpHidden: 8, miniBatch: 4, tile: 4 },
};

Deno.test("a memory that learns nothing answers from what is near; the full model also from what is far", async () => {
  const options = { keys: 8, values: 4, pairs: 4, rounds: 1 }, T = recall.create(options).length;
  const { tokens } = recall.create(options).batches("train", 1, 1).batch(0) as { readonly tokens: Int32Array };
  const other = tokens.slice();
  other[1] = options.keys + (tokens[1] - options.keys + 1) % options.values; // another value of the first pair
  for (const base of ["lmm", "mag"] as const) {
    for (const variant of ["full", "memory learns nothing"]) {
      const { config, frozen } = runOf({ base, variant, seed: 0 }, { ...TINY, task: options });
      const model = new Model(config), task = taskOf(options, frozen), flat = model.layout.pack(model.initialize(0));
      const answers = (flat: Tensor, tokens: Tensor): Tensor => {
        const { tokens: read, update } = task.input({ tokens, targets: tokens, mask: tokens });
        return model.forward(model.unflatten(flat), read, { update }).logits;
      };
      const logits = async (read: Int32Array): Promise<ArrayLike<number>> => {
        const row: Value = { shape: [1, T], dtype: "i32", data: read };
        return (await reference(answers, [{ shape: [model.layout.size], data: flat }, row])).data;
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
