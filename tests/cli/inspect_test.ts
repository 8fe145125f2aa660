import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { main } from "../../main.ts";
import { defineConfig, encodeCheckpoint, Model, type ModelConfig, TRACE_QUANTITIES } from "../../titans/mod.ts";
import { FakeTerminal } from "./fake_terminal.ts";
import { runMain, someText } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const TEXT = `${someText(300)}café\n`;
const BYTES = new TextEncoder().encode(TEXT);

/** A checkpoint of a model that was never trained, and a text, in a folder. */
async function prepare(folder: string, options: Partial<ModelConfig> = {}): Promise<string[]> {
  const config = defineConfig({ model: "lmm", width: 16, blocks: 2, heads: 2, mlpHidden: 16, ...options });
  const params = new Model(config).initialize(1);
  const zeros = Object.fromEntries(Object.entries(params).map(([name, { length }]) => [name, new Float32Array(length)]));
  await Deno.writeFile(`${folder}/model.safetensors`, encodeCheckpoint({ config, seed: 1, state: { step: 0, params, first: zeros, second: zeros } }));
  await Deno.writeTextFile(`${folder}/text.txt`, TEXT);
  return ["--checkpoint", `${folder}/model.safetensors`, "--text", `${folder}/text.txt`, "--device", "cpu"];
}

Deno.test("inspect: elsewhere than on a terminal it draws the text with bars, a legend and a summary", () =>
  withFolder(async (folder) => {
    const { code, stdout, stderr } = await runMain("inspect", ...await prepare(folder));
    assertEquals([code, stderr], [0, ""]);
    const lines = stdout.split("\n");
    assertStringIncludes(lines[0], "mean over all blocks and heads");
    assertMatch(lines[1], /^no bar to \S+ {2}▁ to .* █ above \S+$/);
    assertEquals(lines[3].replaceAll("↵", "\n"), TEXT.slice(0, lines[3].length));
    assertMatch(lines[4], /^[ ▁▂▃▄▅▆▇█]+$/);
    assertStringIncludes(stdout, `read ${BYTES.length} bytes with ${folder}/model.safetensors on cpu`);
    for (const word of ["surprise", "loss", "error", "theta", "eta", "alpha", "update", "memory", "bits"]) {
      assertMatch(stdout, new RegExp(`^${word} +[\\d.e-]+ +[\\d.e-]+ +[\\d.e-]+ {2}\\w`, "m"));
    }
    assertMatch(stdout, /^highest surprise:\n {2}byte \d+ {2}mean \S+ {2}"/m);
  }));

Deno.test("inspect: on a terminal, or where asked, it colours; --color never draws bars", () =>
  withFolder(async (folder) => {
    const args = await prepare(folder);
    const run = async (terminal: FakeTerminal, ...more: string[]): Promise<string> => {
      assertEquals(await main(["inspect", ...args, ...more], terminal), 0);
      return terminal.stdout;
    };
    assertEquals((await run(new FakeTerminal(true))).includes("\x1b[48;5;"), !Deno.noColor);
    assertStringIncludes(await run(new FakeTerminal(false), "--color", "always"), "\x1b[48;5;");
    const plain = await run(new FakeTerminal(true), "--color", "never", "--by", "theta", "--block", "1");
    assert(!plain.includes("\x1b") && plain.startsWith("theta: step size; block 1, mean over all heads\n"), plain);
  }));

Deno.test("inspect: --json is one object a byte, then the summary of the same numbers", () =>
  withFolder(async (folder) => {
    const args = await prepare(folder);
    const { code, events } = await runMain("inspect", ...args, "--json", "--by", "error");
    assertEquals(code, 0);
    const tokens = events.slice(0, -1) as Record<string, number | string | null>[], summary = events[events.length - 1];
    assertEquals(tokens.map(({ event, position, token }) => [event, position, token]), Array.from(BYTES, (byte, i) => ["token", i, byte]));
    assertEquals(tokens.map(({ text }) => text).join(""), TEXT);
    assertEquals(tokens.map(({ bits }) => bits === null), Array.from(BYTES, (_, i) => i === 0));
    for (const quantity of TRACE_QUANTITIES) {
      const values = tokens.map((token) => token[quantity] as number);
      assert(values.every((value) => Number.isFinite(value) && value > 0), quantity);
      const { mean, min, max } = (summary.figures as Record<string, Record<string, number>>)[quantity];
      assertAlmostEquals(mean, values.reduce((total, value) => total + value, 0) / values.length, 1e-9);
      assertEquals([min, max], [Math.min(...values), Math.max(...values)]);
    }
    assertEquals([summary.event, summary.tokens, summary.by, summary.block, summary.head], ["summary", BYTES.length, "error", null, null]);

    // Means over all memories are means of single ones.
    const one = async (block: number, head: number): Promise<number> =>
      (await runMain("inspect", ...args, "--json", "--block", `${block}`, "--head", `${head}`)).events[7].surprise as number;
    const all = await Promise.all([one(0, 0), one(0, 1), one(1, 0), one(1, 1)]);
    assertAlmostEquals(tokens[7].surprise as number, all.reduce((total, value) => total + value, 0) / 4, 1e-6);
  }));

Deno.test("inspect: what cannot be done is said in one line with exit code 2", () =>
  withFolder(async (folder) => {
    const args = await prepare(folder);
    await Deno.writeTextFile(`${folder}/empty.txt`, "");
    const cases: [string[], string][] = [
      [["--block", "2"], "--block cannot be 2: the model has 2, counted from 0"],
      [["--head", "5"], "--head cannot be 5: the model has 2, counted from 0"],
      [["--by", "surprize"], "did you mean surprise?"],
    ];
    for (const [more, message] of cases) {
      const { code, stdout, stderr } = await runMain("inspect", ...args, ...more);
      assertEquals([code, stdout, stderr.trim().split("\n").length], [2, "", 1]);
      assertStringIncludes(stderr, message);
    }
    for (const [file, message] of [["empty.txt", "is empty"], ["none.txt", "none.txt"]]) {
      const { code, stdout, stderr } = await runMain("inspect", ...args.slice(0, 2), "--text", `${folder}/${file}`, "--device", "cpu");
      assertEquals([code, stdout, stderr.trim().split("\n").length], [2, "", 1]);
      assertStringIncludes(stderr, message);
    }
    assertStringIncludes((await runMain("inspect", ...args.slice(0, 2))).stderr, "--text FILE");
    const { stderr, code } = await runMain("inspect", ...await prepare(folder, { vocabulary: 300 }));
    assertEquals(code, 1);
    assertStringIncludes(stderr, "inspect reads bytes");
  }));

Deno.test("inspect: reads standard input, with reading its only permission", () =>
  withFolder(async (folder) => {
    const args = await prepare(folder);
    const command = ["run", "--no-prompt", "--allow-read", "main.ts", "inspect", ...args.slice(0, 2), "--text", "-", "--device", "cpu", "--json"];
    const child = new Deno.Command("deno", { args: command, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(BYTES);
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const events = new TextDecoder().decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
    assertEquals([events.length, events[BYTES.length].event], [BYTES.length + 1, "summary"]);
  }));
