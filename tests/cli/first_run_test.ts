/**
 * The first run on a machine: with an empty package cache and without a network, commands on files that are here work
 * all the same. So they download no package that they do not use, test tools least of all.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { someText, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command with a package cache of its own, from which alone packages come. */
async function runCached(cache: string, line: string): Promise<Ran> {
  const permissions = ["--no-prompt", "--allow-read", "--allow-write=.scratch", "--allow-env=NODEVICE_SELECT"];
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--cached-only", "--no-check", ...permissions, "main.ts", ...wordsOf(line)],
    stdin: "null",
    env: { DENO_DIR: await Deno.realPath(cache), NO_COLOR: "1" },
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test("first run: commands on files load no package, and say which one the default text is in", () =>
  withFolder(async (folder) => {
    const cache = `${folder}/deno`, run = `${folder}/run`;
    await Deno.mkdir(cache);
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    const rows = Array.from({ length: 80 }, (_, i) => `${i % 7}`).join("\n");
    await Deno.writeTextFile(`${folder}/table.csv`, `a\n${rows}\n`);
    const size = "--device reference --steps 1 --batch 1 --seq-len 8 --eval-bytes 8 --sample-tokens 0";
    const lines = [
      `train --model lmm --preset nano --width 8 --heads 2 ${size} --data ${folder}/text.txt --cache ${folder}/cache --out ${run}`,
      `generate --checkpoint ${run} --device reference --tokens 1 --prompt a`,
      `forecast --data ${folder}/table.csv --device reference --lookback 8 --horizon 2 --epochs 1 --out ${folder}/f`,
      `list --runs ${folder}`,
      "help train",
    ];
    for (const line of lines) {
      const { code, stderr } = await runCached(cache, line);
      assertEquals(code, 0, `${line}: ${stderr}`);
      assert(!/Download/.test(stderr), `${line}: ${stderr}`);
    }
    const packages = await Array.fromAsync(Deno.readDir(`${cache}/npm`)).catch(() => []);
    for (const { name } of packages) {
      assertEquals(await Array.fromAsync(Deno.readDir(`${cache}/npm/${name}`)), [], "nothing came from a registry");
    }
    const { code, stderr } = await runCached(cache, "train --steps 0");
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: cannot load the default text \(npm package @stdlib\/datasets-sotu\): connect [^\n]+\n$/,
    );
  }));

Deno.test("first run: what a task prints on standard output is the command's alone", () =>
  withFolder(async (folder) => {
    const { code, stdout } = await new Deno.Command("deno", {
      args: ["task", "list", "--runs", folder],
      stdin: "null",
      env: { NO_COLOR: "1" },
    }).output();
    assertEquals([code, new TextDecoder().decode(stdout)], [0, `there are no runs in ${folder}/\n`]);
  }));
