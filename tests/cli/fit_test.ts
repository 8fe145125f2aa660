/** Runs of `forecast` and `classify` that are stopped: how they go on, and what is refused. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { main } from "../../main.ts";
import { lettersOf } from "../../titans/tasks/dna/nucleotides.ts";
import { plantedMotif } from "../titans/dna_data.ts";
import { type FakeTerminal, LeavingTerminal } from "./fake_terminal.ts";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

/** Runs a command until it has said something so many times. */
async function stopAfter(needle: string, times: number, ...args: string[]): Promise<FakeTerminal> {
  const terminal = new LeavingTerminal(needle, times);
  assertEquals(await main(args, terminal), 141, terminal.stderr);
  return terminal;
}

async function refused(message: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await runMain(...args);
  assertEquals([code, stderr.trim().split("\n").length], [code === 1 ? 1 : 2, 1], stderr);
  assertStringIncludes(stderr, message);
}

function series(rows: number, shift = 0): string {
  return `a,b\n${
    Array.from({ length: rows }, (_, i) => `${(5 * Math.sin(i / 5)).toFixed(3)},${(i + shift) % 7}`).join("\n")
  }\n`;
}

const names = async (folder: string): Promise<string[]> =>
  (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();

Deno.test("forecast: a run that was stopped goes on to the same forecast, with the same data and flags only", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/t.csv`, series(500));
    await Deno.writeTextFile(`${folder}/other.csv`, series(500, 1));
    await Deno.writeTextFile(`${folder}/classes.csv`, `sequence,label\n${"ACGTACGT,a\nACGTACGA,b\n".repeat(20)}`);
    const whole = `${folder}/whole`, out = `${folder}/out`;
    const flags = ["--device", "cpu", "--lookback", "16", "--horizon", "4", "--epochs", "4", "--lr", "0.02"];
    const begin = ["forecast", "--data", `${folder}/t.csv`, ...flags], go = ["forecast", "--resume", "--out", out];
    assertEquals((await runMain(...begin, "--out", whole)).code, 0);
    const { stderr } = await stopAfter("epoch 2", 1, ...begin, "--out", out, "--checkpoint-every", "3");
    // The reader leaves after the second epoch of ten steps; the step that notices is the last of a round.
    assertMatch(stderr, /^stopped at step \d+; continue with: deno task forecast --resume --out \S+out\n$/);
    assertEquals(await names(out), ["checkpoint.safetensors", "config.json"]);

    await refused(`${out} already contains a run: continue it with --resume`, ...begin, "--out", out);
    await refused("was made with --horizon 4, not 5: leave --horizon out", ...go, "--horizon", "5");
    await refused("was made without --target, not a: leave --target out", ...go, "--target", "a");
    await refused("began with other data than there are now", ...go, "--data", `${folder}/other.csv`);
    await refused("has a run of forecast, not of classify", "classify", "--resume", "--out", out);
    await refused(
      "has a run of forecast, not of classify",
      "classify",
      "--data",
      `${folder}/classes.csv`,
      "--out",
      out,
    );
    await refused("has a run of forecast, not of train: continue it with", "train", "--resume", "--out", out);
    await refused("has a run of forecast, not of train", "train", "--out", out, "--data", `${folder}/t.csv`);
    await refused("has a run of forecast, not of train", "generate", "--checkpoint", out);
    const file = `${out}/checkpoint.safetensors`;
    await refused("this is a run of forecast or classify that is not complete", "generate", "--checkpoint", file);
    await refused("there is no run in", "forecast", "--resume", "--out", `${folder}/none`);
    assertEquals(await names(out), ["checkpoint.safetensors", "config.json"], "what was refused changed nothing");

    const { code, stdout, stderr: errors } = await runMain(...go, "--horizon", "4", "--device", "cpu");
    assertEquals([code, errors], [0, ""]);
    assert(!/^epoch 1:/m.test(stdout), "what was done is not done again");
    assertEquals(await names(out), ["config.json", "forecast.csv", "report.html"]);
    for (const name of ["forecast.csv", "report.html"]) {
      assertEquals(await Deno.readTextFile(`${out}/${name}`), await Deno.readTextFile(`${whole}/${name}`));
    }
    await refused("is complete: its results are there", ...go);
    assertEquals((await runMain(...begin, "--out", out)).code, 0, "the folder of a complete run is used again");
  }));

Deno.test("classify: folds that were stopped go on to the same predictions; what was trained is not trained again", () =>
  withFolder(async (folder) => {
    const rows = plantedMotif(160, 32).map(({ tokens, label }) => `${lettersOf(tokens)},${label}`),
      head = "sequence,label";
    await Deno.writeTextFile(`${folder}/t.csv`, [head, ...rows].join("\n"));
    await Deno.writeTextFile(`${folder}/other.csv`, [head, ...rows.toReversed()].join("\n"));
    const whole = `${folder}/whole`,
      out = `${folder}/out`,
      go = ["classify", "--resume", "--out", out, "--device", "cpu"];
    const flags = ["--device", "cpu", "--model", "cnn", "--folds", "2", "--batch", "8", "--epochs", "2"];
    const begin = ["classify", "--data", `${folder}/t.csv`, ...flags];
    assertEquals((await runMain(...begin, "--out", whole)).code, 0);
    // Before the second training, in the midst of it, and after the last step.
    await stopAfter("epoch 1", 1, ...begin, "--out", out);
    await stopAfter("fold 1 of 2", 1, ...go);
    assertEquals(await names(out), ["checkpoint.safetensors", "config.json"]);
    await stopAfter("fold 2: epoch 1", 1, ...go);
    assertEquals(await names(out), ["checkpoint-2.safetensors", "checkpoint.safetensors", "config.json"]);
    await refused("began with other data than there are now", ...go, "--data", `${folder}/other.csv`);
    await refused("was made with --folds 2, not 3", ...go, "--folds", "3");
    const { code, stdout } = await runMain(...go);
    assertEquals(code, 0);
    assert(!/fold 1: epoch/.test(stdout), "the first fold is only tested");
    const text = (run: string): Promise<string> => Deno.readTextFile(`${run}/predictions.csv`);
    assertEquals(await text(out), await text(whole));
    const results = async (run: string): Promise<unknown> => ({
      ...JSON.parse(await Deno.readTextFile(`${run}/results.json`)),
      seconds: 0,
    });
    assertEquals(await results(out), await results(whole));
    assertEquals(await names(out), ["config.json", "predictions.csv", "results.json"]);
  }));

Deno.test("forecast: a state that is damaged, or of a folder that another process has, is refused in one line", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/t.csv`, series(300));
    const out = `${folder}/out`, go = ["forecast", "--resume", "--out", out];
    const flags = ["--device", "cpu", "--lookback", "16", "--horizon", "4"];
    await stopAfter("epoch 1", 1, "forecast", "--data", `${folder}/t.csv`, "--out", out, ...flags);
    using lock = await Deno.open(`${out}/run.lock`, { write: true, create: true });
    await lock.lock(true);
    await refused("is open in another process", ...go);
    await lock.unlock();
    const path = `${out}/checkpoint.safetensors`, bytes = await Deno.readFile(path);
    for (const damaged of [bytes.subarray(0, bytes.length - 5), bytes.subarray(0, 3), new TextEncoder().encode("{}")]) {
      await Deno.writeFile(path, damaged);
      await refused("restore it from a backup, or start a new run with another --out", ...go);
    }
    await Deno.writeFile(path, bytes);
    await Deno.writeTextFile(`${out}/config.json`, "{}");
    await refused("config.json is no configuration of forecast", ...go);
  }));

Deno.test("fits: --patience is how many epochs bring nothing better before training ends", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/t.csv`, series(300));
    await Deno.writeTextFile(`${folder}/classes.csv`, `sequence,label\n${"ACGTACGT,a\nACGTACGA,b\n".repeat(20)}`);
    const forecast = ["forecast", "--data", `${folder}/t.csv`, "--lookback", "16", "--horizon", "4", "--lr", "0.5"];
    const classify = ["classify", "--data", `${folder}/classes.csv`, "--model", "cnn", "--lr", "0.3", "--seed", "1"];
    for (const [command, loss] of [[forecast, "mse"], [classify, "validation"]] as const) {
      for (const patience of [1, 3]) {
        const flags = ["--epochs", "40", "--patience", `${patience}`, "--device", "cpu", "--json"];
        const { events, stderr } = await runMain(...command, ...flags, "--out", `${folder}/${command[0]}-${patience}`);
        const losses = events.filter(({ event }) => event === "epoch").map((epoch) => Number(epoch[loss]));
        assert(losses.length > patience && losses.length < 40, `${losses.length} epochs: ${stderr}`);
        assertEquals(losses.length - 1 - losses.indexOf(Math.min(...losses)), patience, losses.join());
      }
    }
  }));
