/**
 * Runs the examples of the README, the tutorials and the entry points' documentation, as they are written, and the
 * README's command lines, made small.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { someText } from "./cli/run_main.ts";
import { withFolder } from "./cli/scratch.ts";
import { codeBlocks, type ShellCommand, shellCommands, taskCommand } from "./markdown.ts";
import { assertPrintedAsSaid } from "./printed_as_said.ts";

const FILES = [
  "README.md",
  "docs/tutorial.md",
  "docs/library.md",
  "docs/own_mixer.md",
  "docs/own_task.md",
  "mod.ts",
  "ops/mod.ts",
  "kernels/mod.ts",
  "titans/mod.ts",
  "titans/nn/mod.ts",
  "titans/tasks/mod.ts",
];

Deno.test("readme: every example of the README, the tutorials and the entry points type-checks and runs", async () => {
  const args = ["test", "--doc", "--no-prompt", "--allow-env=NODEVICE_SELECT", ...FILES];
  const { code, stdout, stderr } = await new Deno.Command("deno", { args, env: { NO_COLOR: "1" } }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  // Deno rarely dies by a signal while it unloads a software WebGPU driver, when every example has passed and been
  // reported.
  const diedUnloading = code >= 128 && /^ok \| /m.test(output);
  assert(code === 0 || diedUnloading, output);
  const inReadme = (await Deno.readTextFile("README.md")).match(/^```ts$/gm)?.length ?? 0;
  assertEquals([...output.matchAll(/^running 1 test from .*README\.md/gm)].length, inReadme, output);
  assertMatch(output, /^ok \| [1-9]\d* passed \| 0 failed/m);
  for (const page of ["docs/tutorial.md", "docs/library.md", "docs/own_mixer.md", "docs/own_task.md"]) {
    assertPrintedAsSaid(await Deno.readTextFile(page), page, output);
  }
});

/** The texts that a reader of the README has. */
const TEXTS: Readonly<Record<string, string>> = {
  "my.txt": someText(2000),
  "books/first.txt": someText(1500),
  "books/second.md": someText(900),
  "chat.jsonl": `${JSON.stringify({ text: someText(800) })}\n`.repeat(2),
  "book.txt": someText(300),
  "speech.txt": someText(100),
  "load.csv": `date,load\n${
    Array.from({ length: 200 }, (_, hour) => {
      const stamp = new Date(Date.UTC(2024, 0, 1, hour)).toISOString().slice(0, 19).replace("T", " ");
      return `${stamp},${(10 + 5 * Math.sin(hour / 4)).toFixed(3)}\n`;
    }).join("")
  }`,
  "genome.fa": `>made for tests\n${someDna(600)}\n`,
  "promoters/yes.fa": Array.from({ length: 30 }, (_, i) => `>${i}\n${someDna(24, i)}\n`).join(""),
  "promoters/no.fa": Array.from({ length: 30 }, (_, i) => `>${i}\n${someDna(24, 100 + i)}\n`).join(""),
  "server.log": "connected to host 1\nread 20 rows\n".repeat(120),
};

/** Letters that look random. */
function someDna(length: number, seed = 0): string {
  return Array.from({ length }, (_, i) => "ACGT"[Math.floor(1e4 * Math.abs(Math.sin(seed * 131 + i + 1))) % 4]).join(
    "",
  );
}

const MODEL = ["--width", "16", "--blocks", "1", "--memory-expansion", "1", "--mini-batch", "4", "--segment", "8"];
const RUN = ["--steps", "2", "--batch", "1", "--seq-len", "16", "--eval-bytes", "16", "--sample-tokens", "2", ...MODEL];

/**
 * Flags with which a task's line takes a moment; they take the place of those on the line. A run that goes on has more
 * steps.
 */
const SMALL: Readonly<Record<string, (words: readonly string[]) => readonly string[]>> = {
  train: (words) =>
    words.includes("--task")
      ? [
        "--device",
        "reference",
        "--steps",
        "1",
        "--batch",
        "1",
        "--task-option",
        "length=16",
        "--eval-bytes",
        "16",
        ...MODEL,
      ]
      : ["--device", "reference", ...RUN.with(1, words.includes("--resume") ? "3" : "2")],
  generate: () => ["--device", "reference", "--tokens", "4"],
  evaluate: () => ["--device", "reference", "--samples", "2", "--batch", "1"],
  export: () => ["--device", "reference"],
  remember: () => ["--device", "reference"],
  inspect: () => ["--device", "reference"],
  forecast: () => ["--device", "reference", "--horizon", "4", "--lookback", "8", "--model", "dlinear", "--epochs", "1"],
  classify: () => ["--device", "reference", "--epochs", "1", "--batch", "16", "--length", "8"],
  anomalies: () => ["--device", "reference", "--clean-lines", "200"],
  list: () => [],
  info: () => [],
};

/** Tasks that are looked up, but not run here. */
const NOT_RUN: Readonly<Record<string, string>> = {
  serve: "serves until it is stopped; tests/cli/serve drives what it serves",
  web: "serves until it is stopped; tests/web drives what it serves",
  npm: "writes dist/npm; tests/npm builds the same",
  bundle: "writes web/dist; tests/web builds the same",
};

Deno.test("readme: every command line of the README runs, in order, with small numbers and the permissions of its task", () =>
  withFolder(async (folder) => {
    for (const [path, text] of Object.entries(TEXTS)) {
      await Deno.mkdir(`${folder}/${path.split("/").slice(0, -1).join("/")}`, { recursive: true });
      await Deno.writeTextFile(`${folder}/${path}`, text);
    }
    const config = await Deno.readTextFile("deno.json"), readme = await Deno.readTextFile("README.md");
    const commands = codeBlocks(readme).filter(({ language }) => language === "sh").flatMap(({ text }) =>
      shellCommands(text)
    );
    const ran: string[] = [];
    for (const command of commands) {
      const { line, words: [name, ...rest] } = taskOf(command), task = taskCommand(name, config);
      assert(task !== undefined, `deno.json has no task ${name}: ${line}`);
      if (Object.hasOwn(NOT_RUN, name)) continue;
      assert(Object.hasOwn(SMALL, name), `say how the task ${name} is run here, or why it is not: ${line}`);
      await runTask(folder, task, withFlags(rest, SMALL[name](rest)));
      ran.push(name);
    }
    assertEquals([...new Set(ran)].sort(), Object.keys(SMALL).sort());
  }));

/** A line as the task that it runs: `deno task NAME ...`, also by way of npx. */
function taskOf({ line, env, words }: ShellCommand): ShellCommand {
  const [program, , version] = words,
    deno = program === "npx" && /^deno@\d+\.\d+\.\d+$/.test(version) ? words.slice(3) : words.slice(1);
  assert((program === "npx" || program === "deno") && deno[0] === "task", `only tasks are known here: ${line}`);
  return { line, env, words: deno.slice(1) };
}

/** Words with some flags, each with a value, set. */
function withFlags(words: readonly string[], flags: readonly string[]): string[] {
  const all = [...words];
  for (let i = 0; i < flags.length; i += 2) {
    const at = all.indexOf(flags[i]);
    if (at < 0) all.push(flags[i], flags[i + 1]);
    else all[at + 1] = flags[i + 1];
  }
  return all;
}

/** Runs a task in a folder that is empty of sources. */
async function runTask(
  folder: string,
  { env, words: [, ...task] }: ShellCommand,
  words: readonly string[],
): Promise<void> {
  const main = task.indexOf("main.ts"), root = Deno.cwd();
  const args = ["run", "--no-prompt", ...task.slice(1, main), `${root}/main.ts`, ...task.slice(main + 1), ...words];
  const { code, stdout, stderr } = await new Deno.Command("deno", { args, env, cwd: folder, stdin: "null" }).output();
  const texts = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  // Deno says what it downloads, which it does for the first command that needs a package; a command whose output is
  // for other programs says there how much it read.
  const said = texts[1].split("\n").filter((line) => !/Download|^\d+ of \d+ lines above/.test(line)).join("\n");
  assertEquals([code, said], [0, ""], `deno ${args.join(" ")}\n${texts.join("")}`);
}
