/** The executable that `deno task compile` makes, as its user meets it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { ExecutableReport } from "./executable_child.ts";
import { pack, parquetBytes } from "./data/data_files.ts";
import { someText, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

async function runExecutable(folder: string, lines: readonly (readonly string[])[]): Promise<ExecutableReport> {
  const args = wordsOf(
    "run --quiet --no-prompt --allow-read --allow-write=.scratch --allow-run --allow-net=127.0.0.1 --allow-env tests/cli/executable_child.ts",
  );
  const { success, stdout, stderr } = await new Deno.Command("deno", { args: [...args, folder, JSON.stringify(lines)] })
    .output();
  assert(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Packages that only tests, the browser page, the study and other tools use. */
const TOOLS = [
  "@arethetypeswrong/core",
  "@std/assert",
  "autocannon",
  "axe-core",
  "esbuild",
  "fast-check",
  "hyparquet-writer",
  "openai",
  "playwright-core",
  "typescript",
  "vega",
  "vega-lite",
];

Deno.test("executable: every package that commands load is inside", async () => {
  const { imports, tasks } = JSON.parse(await Deno.readTextFile("deno.json")) as {
    imports: Record<string, string>;
    tasks: { compile: { command: string } };
  };
  const words = tasks.compile.command.split(" ");
  const included = words.filter((word, i) => words[i - 1] === "--include" && word.startsWith("npm:"));
  // `npm:/name@1.0.0/` maps all of a package.
  const needed = Object.entries(imports).filter(([name]) => !TOOLS.includes(name)).map(([, target]) =>
    target.replace("npm:/", "npm:").replace(/\/$/, "")
  );
  assertEquals(included.sort(), needed.sort());
});

Deno.test("executable: the slim one is the same but for packages", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile("deno.json")) as { tasks: Record<string, { command: string }> };
  const { compile: { command: whole }, "compile:slim": { command: slim } } = tasks;
  assertEquals(slim, whole.replaceAll(/ --include npm:\S+/g, "").replace("dist/mneme", "dist/mneme-slim"));
});

Deno.test("executable: in an empty folder, without Deno, it says its version, uses all processors, trains on the built-in text, writes, and serves the page", () =>
  withFolder(async (parent) => {
    const folder = `${parent}/executable`, data = `${Deno.cwd()}/${parent}/data`, text = someText(2000);
    await Deno.mkdir(folder);
    await Deno.mkdir(data);
    await Deno.writeFile(`${data}/a.parquet`, parquetBytes([text, "two"], { codec: "SNAPPY" }));
    await Deno.writeFile(`${data}/b.csv.gz`, await pack(`id;text\r\n1;"${text}"\r\n`));
    const small = ["--batch", "2", "--eval-bytes", "512", "--sample-tokens", "8"];
    const { runs, files, page } = await runExecutable(folder, [
      ["--version"],
      ["help", "train"],
      ["info", "--device", "cpu", "--json"],
      ["generate", "--device", "cpu", "--tokens", "12", "--json"],
      ["train", "--device", "cpu", "--steps", "20", ...small, "--json"],
      ["generate", "--device", "cpu", "--tokens", "12", "--json"],
      ["train", "--resume", "--device", "cpu", "--steps", "20"],
      ["generate", "--checkpoint", "none"],
      [
        "train",
        "--steps",
        "0",
        "--data",
        `${data}/a.parquet`,
        "--data",
        `${data}/b.csv.gz`,
        "--separator",
        ";",
        "--cache",
        `${data}/cache`,
        "--seq-len",
        "16",
      ],
    ]);
    const { version } = JSON.parse(await Deno.readTextFile("deno.json"));
    const [shown, help, info, untrained, train, generate, complete, none, read] = runs;
    assertEquals(shown, { ...shown, code: 0, stdout: `mneme ${version}\n`, stderr: "" });
    assertMatch(help.stdout, /\nusage: mneme train \[flags\]\n/);
    assert(!help.stdout.includes("deno task"), help.stdout);
    const { hardwareConcurrency } = navigator;
    assertStringIncludes(
      JSON.parse(info.stdout).device.description,
      `, ${hardwareConcurrency} thread${hardwareConcurrency === 1 ? "" : "s"}`,
    );
    assertEquals(untrained.code, 0, untrained.stderr);
    assertStringIncludes(untrained.stderr, "train your own with mneme train\n");
    assertMatch(
      JSON.parse(untrained.stdout.trim().split("\n").at(-1)!).checkpoint,
      /models\/text\/model\.safetensors$/,
    );
    assertEquals([train.code, train.stderr], [0, ""]);
    const events = train.stdout.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(events.filter(({ event }) => event === "step").length, 20);
    assert(events.at(-3).bitsPerByte < events[1].bitsPerByte, "twenty steps teach it something");
    assertEquals(events.at(-1).step, 20);
    assertEquals([generate.code, JSON.parse(generate.stdout.trim().split("\n").at(-1)!).tokens], [0, 12]);
    assertEquals(complete.code, 2);
    assertMatch(
      complete.stderr,
      /^error: the run in runs\/mac-nano is complete at step 20: give more steps with --steps N\n$/,
    );
    assertEquals(none.code, 2);
    assertMatch(none.stderr, /^error: no checkpoint none: .* or train a model with mneme train\n$/);
    assertEquals([read.code, read.stderr], [0, ""]);
    assertStringIncludes(
      read.stdout,
      `read ${data}/a.parquet: 1 file, 2 records, 2 documents, 2,005 bytes\nread ${data}/b.csv.gz: 1 file, 1 record, 2,000 bytes\n`,
    );
    const run = [
      "best.safetensors",
      "checkpoint.safetensors",
      "config.json",
      "metrics.jsonl",
      "report.html",
      "sample.txt",
    ];
    assertEquals(files, run.map((name) => `runs/mac-nano/${name}`));
    assertEquals(page.filter(({ isWhole, type }) => !isWhole || type === null), []);
    const types = new Map(page.map(({ path, type }) => [path, type]));
    assertEquals(["", "main.js", "recall/worker.js", "models/recall/config.json"].map((path) => types.get(path)), [
      "text/html; charset=utf-8",
      "text/javascript; charset=utf-8",
      "text/javascript; charset=utf-8",
      "application/json",
    ]);
  }));
