/** `list`: what is said of runs in every state, and what is left out. */
import { assertEquals, assertMatch } from "@std/assert";
import { openLocked } from "../../cli/lock.ts";
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
