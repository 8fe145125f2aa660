/** `--config` and `--print-config`: what a file says, what flags change of it, and what is refused by name. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { metricsOf, runMain, someText, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const MODEL = ["--model", "lmm", "--width", "16", "--blocks", "1", "--memory-expansion", "1", "--mini-batch", "4"];
const SIZE = ["--batch", "1", "--seq-len", "16", "--steps", "2"];
const REST = ["--device", "reference", "--eval-bytes", "64", "--sample-tokens", "0"];

Deno.test("config: a run from another's config.json is that run again, bit for bit, and flags win", () =>
  withFolder(async (folder) => {
    const text = `${folder}/text.txt`, run = `${folder}/run`, again = `${folder}/again`, file = `${run}/config.json`;
    await Deno.writeTextFile(text, someText(9000));
    const odd = wordsOf("--no-momentum --parameters 12000 --optimizer lion --beta2 0.97 --split scattered");
    const first = await runMain("train", "--data", text, "--out", run, ...odd, ...MODEL, ...SIZE, ...REST);
    assertEquals([first.code, first.stderr], [0, ""]);
    const config = JSON.parse(await Deno.readTextFile(file));
    const print = async (...flags: string[]) => {
      const { code, stdout, stderr } = await runMain("train", "--print-config", "--config", file, ...flags);
      assertEquals([code, stderr], [0, ""]);
      return JSON.parse(stdout);
    };
    assertEquals(await print(), config);
    assertEquals((await runMain("train", "--config", file, "--out", again, ...REST)).code, 0);
    assertEquals(await metricsOf(again), await metricsOf(run));

    const changed = await print("--width", "32", "--steps", "9", "--lr", "0.02", "--split", "end");
    assertEquals([changed.model.width, changed.model.momentum, changed.model.mlpHidden], [
      32,
      false,
      config.model.mlpHidden,
    ]);
    assertEquals([changed.steps, changed.optimizer.learningRate, changed.optimizer.beta2], [9, 0.02, 0.97]);
    assertEquals([changed.data.recipe.split, changed.data.recipe.sources], ["end", [text]]);
    // Another optimizer has a learning rate and options of its own.
    const { optimizer } = await print("--optimizer", "sgd");
    assertEquals(["beta2" in optimizer, optimizer.learningRate !== config.optimizer.learningRate], [false, true]);
  }));

Deno.test("config: files by hand have some of the keys; tasks and lists of blocks are among them", () =>
  withFolder(async (folder) => {
    const file = `${folder}/mine.json`;
    const print = async (config: object, ...flags: string[]) => {
      await Deno.writeTextFile(file, JSON.stringify(config));
      const { code, stdout, stderr } = await runMain("train", "--print-config", "--config", file, ...flags);
      assertEquals([code, stderr], [0, ""]);
      return JSON.parse(stdout);
    };
    const task = { name: "recall", options: { pairs: 4 } }, model = { blocks: [{ mixer: "lmm" }], width: 16, heads: 2 };
    const config = await print({ task, model, steps: 5 });
    assertEquals([config.task.options.pairs, config.model.blocks, config.steps], [4, [{ mixer: "lmm" }], 5]);
    assertEquals((await print({ task }, "--task-option", "pairs=2")).task.options.pairs, 2);
    assert((await print({ task }, "--task", "sinusoids")).task.name === "sinusoids");
  }));

Deno.test("config: unknown keys and values that cannot be are refused by name", () =>
  withFolder(async (folder) => {
    const file = `${folder}/bad.json`;
    const fails = async (config: unknown, message: RegExp, ...flags: string[]) => {
      await Deno.writeTextFile(file, typeof config === "string" ? config : JSON.stringify(config));
      const { code, stderr } = await runMain("train", "--config", file, ...flags);
      assertMatch(stderr, message);
      assertEquals([code, stderr.trim().split("\n").length], [2, 1]);
    };
    await fails({ step_count: 3 }, /bad\.json has an unknown key "step_count": leave it out$/m);
    await fails({ model: { widht: 3 } }, /bad\.json has an unknown key "widht" in model: did you mean width\?$/m);
    await fails({ optimizer: { lr: 1 } }, /has an unknown key "lr" in optimizer/);
    await fails({ data: { recipe: { source: [] } } }, /unknown key "source" in data\.recipe: did you mean sources\?$/m);
    await fails({ task: { name: "recall", option: {} } }, /unknown key "option" in task: did you mean options\?$/m);
    await fails(
      { steps: "many" },
      /^error: steps cannot be "many" in .*bad\.json: it must be an integer of at least 0$/m,
    );
    await fails(
      { model: { width: 0.5 } },
      /^error: model\.width cannot be 0\.5 in .*bad\.json: it must be an integer/m,
    );
    await fails({ optimizer: { beta1: 2 } }, /^error: optimizer\.beta1 cannot be 2 in .*bad\.json: it must be/m);
    await fails(
      { data: { recipe: { header: "no" } } },
      /^error: data\.recipe\.header cannot be "no" in .*: it must be true or/m,
    );
    await fails({ preset: "huge" }, /^error: preset cannot be "huge" in .*: it must be one of nano/m);
    await fails({ streamOrder: 1 }, /^error: streamOrder cannot be 1 in .*: this version has 2 alone$/m);
    await fails("[]", /bad\.json is no record in JSON: give a run's config\.json with --config FILE$/m);
    await fails("{", /bad\.json is not valid JSON: give a run's config\.json with --config FILE$/m);
    await fails({}, /^error: --config and --print-config are about new runs/m, "--resume");
    const small = { preset: "small", model: { width: 256 } };
    await fails(
      small,
      /^error: --preset cannot be nano with --config .*, which has the sizes of small/m,
      "--preset",
      "nano",
    );
    await Deno.remove(file);
    const { stderr } = await runMain("train", "--config", file);
    assertMatch(stderr, /bad\.json cannot be read: give a run's config\.json with --config FILE$/m);
  }));
