/** `compare-runs`: a table, one page with every curve that loads nothing, and what cannot be compared. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runMain, someText } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

Deno.test("compare-runs: the curves of all runs are in one page, and misuse is said in one line", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(3000));
    const asked = ["--data", `${folder}/text.txt`, "--seq-len", "16", "--steps", "20"], out = `${folder}/page.html`;
    const write = async (name: string, model: string, unit: object, what: readonly string[] = asked) => {
      const { stdout } = await runMain("train", "--print-config", "--model", model, ...what);
      const events = [10, 20].flatMap((step) =>
        ["step", "validation"].map((event) => JSON.stringify({ event, step, loss: 2 + 1 / step, ...unit }))
      );
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.writeTextFile(`${folder}/${name}/config.json`, stdout);
      await Deno.writeTextFile(`${folder}/${name}/metrics.jsonl`, `${events.join("\n")}\n`);
      return `${folder}/${name}`;
    };
    const a = await write("a", "lmm", { bitsPerByte: 3.25 }), b = await write("b<i>", "mac", { bitsPerByte: 3.5 });
    const c = await write("c", "mac", {});
    const { code, stdout, stderr } = await runMain("compare-runs", a, `${b}/`, "--out", out);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /a +lmm +text +20\/20 +3\.250 bits\/byte at 20 .*\n.*b<i> +mac +text +20\/20 +3\.500 bits/);
    const page = await Deno.readTextFile(out);
    assertEquals([...page.matchAll(/<polyline class="line line[01]"/g)].length, 4);
    assertStringIncludes(page, `${folder}/a ends at 3.250. ${folder}/b&lt;i&gt; ends at 3.500.`);
    assert(!/<i>|<script|https?:/.test(page), "names are text, and nothing is loaded or run");
    const fails = async (message: RegExp, ...args: string[]) => {
      const { code, stderr } = await runMain("compare-runs", ...args, "--out", out);
      assertMatch(stderr, message);
      assertEquals([code, stderr.trim().split("\n").length], [2, 1]);
    };
    await fails(/^error: compare-runs takes two to 6 run folders, not 1: name them before the flags$/m, a);
    await fails(/^error: there is no run in .*none: give folders that deno task list shows$/m, a, `${folder}/none`);
    const table = ["--data", `${folder}/t.csv`, "--device", "cpu", "--lookback", "8", "--horizon", "2"];
    await Deno.writeTextFile(`${folder}/t.csv`, `a\n${Array.from({ length: 90 }, (_, i) => i % 7).join("\n")}\n`);
    await runMain("forecast", ...table, "--epochs", "1", "--out", `${folder}/f`);
    await fails(
      /^error: compare-runs cannot compare .*\/f: it is a run of forecast, .*; give runs of train$/m,
      a,
      `${folder}/f`,
    );
    await fails(/^error: compare-runs cannot draw .*c beside .*a: its curves are loss, not bits per byte$/m, a, c);
    const tasks = ["copying", "induction"], on = (task: string) => ["--task", task, "--steps", "20"];
    const [d, e] = await Promise.all(tasks.map((task) => write(task, "lmm", {}, on(task))));
    const beside = await runMain("compare-runs", d, e, "--out", out);
    assertEquals(beside.code, 0, beside.stderr);
    assertEquals(
      beside.stderr,
      "note: these are runs of copying, induction, whose losses cannot be compared with each other\n",
    );
  }));
