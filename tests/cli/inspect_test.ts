import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { readError, readPieces } from "../../cli/data/read_file.ts";
import { openVocabulary } from "../../cli/data/vocabulary.ts";
import { UsageError } from "../../cli/errors.ts";
import { levelOf, scaleOf } from "../../cli/strip.ts";
import { main } from "../../main.ts";
import { defineConfig, encodeCheckpoint, Model, type ModelConfig } from "../../titans/mod.ts";
import { FakeTerminal } from "./fake_terminal.ts";
import { runMain, someText } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const TEXT = `${someText(300)}café\n`;
const BYTES = new TextEncoder().encode(TEXT);

/** What a memory shows at each token. */
const QUANTITIES = [
  ...["surprise", "loss", "error", "readError", "theta", "eta", "alpha"],
  ...["updateNorm", "momentumNorm", "memoryNorm"],
];

/** A checkpoint of a model that was never trained, and a text, in a folder. */
async function prepare(
  folder: string,
  options: Partial<ModelConfig> = {},
  notes: Record<string, string> = {},
): Promise<string[]> {
  const config = defineConfig({ model: "lmm", width: 16, blocks: 2, heads: 2, mlpHidden: 16, ...options });
  const params = new Model(config).initialize(1);
  const zeros = Object.fromEntries(
    Object.entries(params).map(([name, { length }]) => [name, new Float32Array(length)]),
  );
  await Deno.writeFile(
    `${folder}/model.safetensors`,
    encodeCheckpoint({
      config,
      seed: 1,
      state: { step: 0, params, optimizer: { name: "adamW", slots: { first: zeros, second: zeros } } },
      notes,
    }),
  );
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
    const tokens = events.slice(0, -1) as Record<string, number | string | null | number[]>[],
      summary = events[events.length - 1];
    assertEquals(
      tokens.map(({ event, position, token, bytes }) => [event, position, token, bytes]),
      Array.from(BYTES, (byte, i) => ["token", i, byte, [byte]]),
    );
    assertEquals(tokens.map(({ text }) => text).join(""), TEXT);
    assertEquals(tokens.map(({ bits }) => bits === null), Array.from(BYTES, (_, i) => i === 0));
    for (const quantity of QUANTITIES) {
      const values = tokens.map((token) => token[quantity] as number);
      assert(values.every((value) => Number.isFinite(value) && value > 0), quantity);
      const { mean, min, max } = (summary.figures as Record<string, Record<string, number>>)[quantity];
      assertAlmostEquals(mean, values.reduce((total, value) => total + value, 0) / values.length, 1e-9);
      assertEquals([min, max], [Math.min(...values), Math.max(...values)]);
    }
    assertEquals([summary.event, summary.tokens, summary.by, summary.block, summary.head], [
      "summary",
      BYTES.length,
      "error",
      null,
      null,
    ]);
    assertEquals([summary.bytes, summary.vocabulary], [BYTES.length, "bytes"]);

    // Means over all memories are means of single ones.
    const one = async (block: number, head: number): Promise<number> =>
      (await runMain("inspect", ...args, "--json", "--block", `${block}`, "--head", `${head}`)).events[7]
        .surprise as number;
    const all = await Promise.all([one(0, 0), one(0, 1), one(1, 0), one(1, 1)]);
    assertAlmostEquals(tokens[7].surprise as number, all.reduce((total, value) => total + value, 0) / 4, 1e-6);
  }));

Deno.test("inspect: a token may be several letters or a part of one; letters are coloured by their tokens, and JSON has a token's id, text and bytes", () =>
  withFolder(async (folder) => {
    const vocabulary = await openVocabulary("bpe:gpt2"), text = "The memory keeps learning. 漢字 and 🎉!\n";
    const args = await prepare(folder, { vocabulary: vocabulary.size, blocks: 1, width: 8, heads: 1 }, {
      vocabulary: "bpe:gpt2",
    });
    await Deno.writeTextFile(`${folder}/text.txt`, text);
    const { code, events, stderr } = await runMain("inspect", ...args, "--json");
    assertEquals([code, stderr], [0, ""]);
    const tokens = events.slice(0, -1) as {
        position: number;
        token: number;
        bytes: number[];
        text: string;
        surprise: number;
      }[],
      summary = events.at(-1)!;
    const ids = Array.from(vocabulary.encode(text)), bytes = new TextEncoder().encode(text);
    assertEquals(tokens.map(({ position, token }) => [position, token]), ids.map((id, i) => [i, id]));
    assertEquals(tokens.flatMap((token) => token.bytes), Array.from(bytes));
    assertEquals([tokens[1].text, tokens.map((token) => token.text).join("")], [" memory", text]);
    assert(
      tokens.some(({ text, bytes }) => text === "" && bytes.length > 0),
      "a token within a letter has no text of its own",
    );
    assertEquals([summary.tokens, summary.bytes, summary.vocabulary], [ids.length, bytes.length, "bpe:gpt2"]);

    // A letter stands for its bytes, and each byte for its token.
    const values = tokens.flatMap(({ bytes, surprise }) => bytes.map(() => surprise)),
      scale = scaleOf(tokens.map(({ surprise }) => surprise));
    let at = 0;
    const bars = Array.from(text, (letter) => {
      const own = values.slice(at, at += new TextEncoder().encode(letter).length);
      return " ▁▂▃▄▅▆▇█"[levelOf(scale, own.reduce((sum, value) => sum + value, 0) / own.length)];
    });
    const drawn = await runMain("inspect", ...args);
    assertStringIncludes(drawn.stdout, `\n${text.replace("\n", "↵")}\n${bars.join("").trimEnd()}\n`);
    assertStringIncludes(
      drawn.stdout,
      `read ${ids.length} tokens (${bytes.length} bytes) with ${folder}/model.safetensors on cpu`,
    );
    // The highest passages are found by bytes of the text.
    const [, place, passage] = /^ {2}byte (\d+) {2}mean \S+ {2}"(.*)"$/m.exec(drawn.stdout)!;
    assertEquals(
      text.replace("\n", "↵").indexOf(passage),
      new TextDecoder().decode(bytes.slice(0, Number(place))).length,
    );
  }));

Deno.test("inspect and remember speak of --text where a text cannot be read, as train does of --data", () =>
  withFolder(async (folder) => {
    const args = (await prepare(folder)).filter((word) => !word.endsWith("text.txt") && word !== "--text");
    await Deno.writeTextFile(`${folder}/broken.gz`, "no gzip");
    for (const command of [["inspect"], ["remember", "--memory", `${folder}/a.memory`]]) {
      for (
        const [file, message] of [["broken.gz", "cannot be decompressed: it is not a complete gzip file"], [
          "none.txt",
          "give a file with --text FILE, or --text - for",
        ]]
      ) {
        const { code, stdout, stderr } = await runMain(...command, ...args, "--text", `${folder}/${file}`, "--json");
        assertEquals([code, stdout.includes('"token"'), stderr.trim().split("\n").length], [2, false, 1], stderr);
        assertStringIncludes(stderr, message);
        assertMatch(stderr, new RegExp(`(the|no) text ${folder}/${file}`));
        assert(!stderr.includes("data"), stderr);
      }
    }
    const said = (error: Error, flag: "--data" | "--text"): string =>
      (readError(error, "a.txt", flag) as Error).message;
    assertEquals(
      said(new Deno.errors.NotFound(), "--text"),
      "no text a.txt: give a file with --text FILE, or --text - for standard input",
    );
    assertEquals(
      said(new Deno.errors.PermissionDenied(), "--text"),
      "a.txt is not readable: grant read permission, or give another text with --text",
    );
    assertEquals(
      said(new Deno.errors.PermissionDenied(), "--data"),
      "a.txt is not readable: grant read permission, or give other data with --data",
    );
    await assertRejects(
      () => readPieces(`${folder}/none`, "--text").next(),
      UsageError,
      `no text ${folder}/none: give a file with --text FILE`,
    );
    await assertRejects(
      () => readPieces(`${folder}/none`, "--data").next(),
      UsageError,
      `no data file ${folder}/none: give a text file with --data FILE`,
    );
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
      const { code, stdout, stderr } = await runMain(
        "inspect",
        ...args.slice(0, 2),
        "--text",
        `${folder}/${file}`,
        "--device",
        "cpu",
      );
      assertEquals([code, stdout, stderr.trim().split("\n").length], [2, "", 1]);
      assertStringIncludes(stderr, message);
    }
    assertStringIncludes((await runMain("inspect", ...args.slice(0, 2))).stderr, "--text FILE");
    const { stderr, code } = await runMain("inspect", ...await prepare(folder, { vocabulary: 300 }));
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      "has a vocabulary of 300 tokens and not the 256 of bytes: inspect a model trained with deno task train",
    );
  }));

Deno.test("inspect: reads standard input, with reading its only permission", () =>
  withFolder(async (folder) => {
    const args = await prepare(folder);
    const command = [
      "run",
      "--no-prompt",
      "--allow-read",
      "main.ts",
      "inspect",
      ...args.slice(0, 2),
      "--text",
      "-",
      "--device",
      "cpu",
      "--json",
    ];
    const child = new Deno.Command("deno", { args: command, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(BYTES);
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const events = new TextDecoder().decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
    assertEquals([events.length, events[BYTES.length].event], [BYTES.length + 1, "summary"]);
  }));
