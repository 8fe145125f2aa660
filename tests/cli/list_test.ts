/** `list`: what is said of runs in every state, and what is left out. */
import { assertEquals, assertMatch } from "@std/assert";
import { openLocked } from "../../cli/lock.ts";
import { main } from "../../main.ts";
import { LeavingTerminal } from "./fake_terminal.ts";
import { runMain, someText } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

Deno.test("list: runs are listed newest first with their state; damaged ones are named, other folders are not runs", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(3000));
    const asked = ["--data", `${folder}/text.txt`, "--model", "lmm", "--seq-len", "16", "--steps", "20"];
    const { stdout: config } = await runMain("train", "--print-config", ...asked);
    const step = (step: number) => JSON.stringify({ event: "step", step, loss: 3, bitsPerByte: 4.3 });
    const validation = (step: number, bitsPerByte: number) =>
      JSON.stringify({ event: "validation", step, loss: bitsPerByte * Math.LN2, bitsPerByte });
    const write = async (name: string, lines: readonly string[], date: string) => {
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.writeTextFile(`${folder}/${name}/config.json`, config);
      await Deno.writeTextFile(`${folder}/${name}/metrics.jsonl`, lines.map((line) => `${line}\n`).join(""));
      await Deno.utime(`${folder}/${name}/metrics.jsonl`, new Date(date), new Date(date));
    };
    await write("done", [step(19), validation(10, 3.25), step(20), validation(20, 3.5)], "2026-01-02T03:04:05Z");
    await write("stopped", [step(1)], "2026-01-03T00:00:00Z");
    await write("running", [], "2026-01-01T00:00:00Z");
    using _lock = (await openLocked(`${folder}/running/run.lock`))!;
    await Deno.mkdir(`${folder}/other`);
    await Deno.mkdir(`${folder}/damaged`);
    await Deno.writeTextFile(`${folder}/damaged/config.json`, "{");
    const { code, events, stderr } = await runMain("list", "--runs", folder, "--json");
    assertEquals(code, 0);
    assertMatch(stderr, /^note: .*damaged is left out: .*config\.json is not valid JSON: [^\n]*\n$/);
    assertEquals(events.map(({ path, step, steps, state }) => [path, step, steps, state]), [
      [`${folder}/stopped`, 1, 20, "stopped"],
      [`${folder}/done`, 20, 20, "complete"],
      [`${folder}/running`, 0, 20, "running"],
    ]);
    const [, done] = events, size = (name: string) => Deno.statSync(`${folder}/done/${name}`).size;
    assertEquals([done.model, done.task, done.best], ["lmm", "text", { step: 10, bitsPerByte: 3.25 }]);
    assertEquals([done.bytes, done.date], [size("config.json") + size("metrics.jsonl"), "2026-01-02T03:04:05.000Z"]);
    const { stdout } = await runMain("list", "--runs", folder);
    assertMatch(stdout, /^run +model +task +step +best validation +size +date +state\n/);
    assertMatch(stdout, /done +lmm +text +20\/20 +3\.250 bits\/byte at 10 +0\.0 MB +2026-01-02 03:04 +complete\n/);
    assertEquals((await runMain("list", "--runs", `${folder}/none`)).stdout, `there are no runs in ${folder}/none/\n`);
  }));

Deno.test("list: runs of forecast and classify have their kind, their last figures and their state", () =>
  withFolder(async (folder) => {
    const rows = Array.from({ length: 300 }, (_, i) => `${(5 * Math.sin(i / 5)).toFixed(3)},${i % 7}`).join("\n");
    await Deno.writeTextFile(`${folder}/t.csv`, `a,b\n${rows}\n`);
    await Deno.writeTextFile(`${folder}/c.csv`, `sequence,label\n${"ACGTACGT,a\nACGTACGA,b\n".repeat(20)}`);
    const runs = `${folder}/runs`, device = ["--device", "cpu"];
    const forecast = ["forecast", "--data", `${folder}/t.csv`, "--lookback", "16", "--horizon", "4", ...device];
    const done = await runMain(...forecast, "--epochs", "2", "--out", `${runs}/done`, "--json");
    const folds = ["classify", "--data", `${folder}/c.csv`, "--model", "cnn", "--folds", "2", ...device];
    const told = await runMain(...folds, "--epochs", "1", "--out", `${runs}/told`, "--json");
    const begun = new LeavingTerminal("epoch 2", 1);
    assertEquals(await main([...forecast, "--epochs", "50", "--out", `${runs}/begun`], begun), 141, begun.stderr);

    const { code, events, stderr } = await runMain("list", "--runs", runs, "--json");
    assertEquals([code, stderr], [0, ""]);
    const by = Object.fromEntries(events.map((event) => [String(event.path).slice(runs.length + 1), event]));
    const { mse, mae } = done.events.find(({ event }) => event === "test")!;
    assertEquals(
      [by.done.command, by.done.model, by.done.epoch, by.done.figures, by.done.state],
      ["forecast", "dlinear", null, { mse, mae }, "complete"],
    );
    const tests = told.events.filter(({ event }) => event === "test");
    const accuracies = tests.map(({ scores }) =>
      (scores as { name: string; value: number }[]).find(({ name }) => name === "accuracy")!.value
    );
    const { accuracy } = by.told.figures as { accuracy: number };
    assertEquals([by.told.command, by.told.state, accuracies.length], ["classify", "complete", 2]);
    assertEquals(accuracy, (accuracies[0] + accuracies[1]) / 2);
    const epochs = [...begun.stdout.matchAll(/^epoch \d+: .*validation mse (\d\.\d+)/gm)].map(([, mse]) => mse);
    const figures = by.begun.figures as { mse: number };
    assertEquals([by.begun.epoch, by.begun.epochs, by.begun.state], [2, 50, "stopped"]);
    assertEquals(figures.mse.toFixed(4), epochs.slice(0, 2).sort()[0]);

    const { stdout } = await runMain("list", "--runs", runs);
    assertMatch(stdout, /done +dlinear +forecast +test mse \d\.\d{4}, mae \d\.\d{4} .* complete\n/);
    assertMatch(stdout, /told +cnn +classify +test loss \d\.\d{4}, accuracy \d\.\d{4} .* complete\n/);
    assertMatch(stdout, /begun +dlinear +forecast +epoch 2\/50 +mse \d\.\d{4}, mae \d\.\d{4} .* stopped\n/);
    for (const [name, command] of [["done", "forecast"], ["told", "classify"], ["begun", "forecast"]]) {
      for (const reader of ["generate", "evaluate", "inspect", "export"]) {
        const more = reader === "inspect"
          ? ["--text", `${folder}/t.csv`]
          : reader === "export"
          ? ["--hf", `${folder}/x`]
          : [];
        const { code, stderr } = await runMain(reader, "--checkpoint", `${runs}/${name}`, ...more, ...device);
        assertEquals(code, 2, stderr);
        assertMatch(
          stderr,
          new RegExp(`^error: \\S*${name} has a run of ${command}, not of train: give a run of train, [^\\n]*\\n$`),
        );
      }
    }
  }));
