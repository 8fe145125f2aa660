import { assert, assertEquals, assertMatch } from "@std/assert";
import { metricsOf, runMain, someText, wordsOf } from "../run_main.ts";
import { withFolder } from "../scratch.ts";

const SMALL = wordsOf("--device cpu --model lmm --batch 1 --seq-len 16 --eval-bytes 64 --sample-tokens 8 --width 32");

/** A run over two texts in another vocabulary, with pieces held out here and there. */
async function withTexts(fn: (train: (...more: string[]) => string[], folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const records = (text: string): string => text.split("\n").map((body) => JSON.stringify({ body })).join("\n");
    await Deno.writeTextFile(`${folder}/a.txt`, someText(60_000));
    await Deno.writeTextFile(`${folder}/b.jsonl`, records(someText(40_000)));
    const sources = [
      "--data",
      `${folder}/a.txt`,
      "--data",
      `${folder}/b.jsonl=2`,
      "--field",
      "body",
      "--split",
      "scattered",
      "--held-out",
      "0.2",
    ];
    await fn(
      (...more) => ["train", ...SMALL, ...sources, "--vocabulary", "bpe:gpt2", "--cache", `${folder}/cache`, ...more],
      folder,
    );
  });
}

Deno.test("train: a run over mixed texts in another vocabulary goes on to the numbers of an uninterrupted one, and writes", () =>
  withTexts(async (train, folder) => {
    const whole = await runMain(...train("--steps", "4", "--out", `${folder}/whole`, "--json"));
    assertEquals(whole.code, 0, whole.stderr);
    const [start] = whole.events, validation = whole.events.find(({ event }) => event === "validation")!;
    assertEquals([start.vocabulary, start.data], ["bpe:gpt2", `${folder}/a.txt ${folder}/b.jsonl=2`]);
    assert((start.bytesPerToken as number) > 3);
    // Bits a byte are those of the tokens that were judged; an untrained model needs about as much as a choice among
    // all of them.
    const bits = (validation.loss as number) / Math.LN2;
    assert(
      Math.abs((validation.bitsPerByte as number) - bits * tokensJudged(validation) / (validation.bytes as number)) <
        1e-9,
    );
    assert(bits > 14 && bits < Math.log2(50256) + 0.2, `${bits} bits a token`);
    assert((validation.bigramBitsPerByte as number) < (validation.bitsPerByte as number));

    assertEquals((await runMain(...train("--steps", "2", "--out", `${folder}/parts`))).code, 0);
    const config = JSON.parse(await Deno.readTextFile(`${folder}/parts/config.json`));
    assertEquals([config.data.recipe.vocabulary, config.data.recipe.split, config.model.vocabulary], [
      "bpe:gpt2",
      "scattered",
      50256,
    ]);
    // What the text is made of is not said again.
    const resumed = await runMain(
      "train",
      "--device",
      "cpu",
      "--resume",
      "--steps",
      "4",
      "--out",
      `${folder}/parts`,
      "--cache",
      `${folder}/cache`,
      "--eval-bytes",
      "64",
      "--sample-tokens",
      "0",
    );
    assertEquals(resumed.code, 0, resumed.stderr);
    const losses = (metrics: unknown[]): unknown[] =>
      metrics.map((line) => line as { event: string; loss: number }).filter(({ event }) => event === "step").map((
        { loss },
      ) => loss);
    assertEquals(losses(await metricsOf(`${folder}/parts`)).slice(2).length, 2);

    const written = await runMain(
      "generate",
      "--device",
      "cpu",
      "--checkpoint",
      `${folder}/whole`,
      "--tokens",
      "5",
      "--json",
    );
    assertEquals(written.code, 0, written.stderr);
    const done = written.events.at(-1)!;
    assertEquals([done.event, done.tokens], ["done", 5]);
    assert((done.text as string).length > 5, "tokens are several letters");
  }));

function tokensJudged({ bytes, bitsPerByte, loss }: Record<string, unknown>): number {
  return Math.round((bitsPerByte as number) * (bytes as number) / ((loss as number) / Math.LN2));
}

Deno.test("train: what a run's text is made of stays as it is", () =>
  withTexts(async (train, folder) => {
    assertEquals((await runMain(...train("--steps", "1", "--out", `${folder}/run`))).code, 0);
    const resume = async (...more: string[]): Promise<string> => {
      const { code, stderr } = await runMain(
        "train",
        "--device",
        "cpu",
        "--resume",
        "--steps",
        "2",
        "--out",
        `${folder}/run`,
        "--cache",
        `${folder}/cache`,
        ...more,
      );
      assertEquals([code, stderr.trim().split("\n").length], [2, 1], stderr);
      return stderr;
    };
    assertMatch(
      await resume("--vocabulary", "bytes"),
      /was made with --vocabulary bpe:gpt2, not bytes: leave --vocabulary out, or start a new run/,
    );
    assertMatch(await resume("--held-out", "0.1"), /was made with --held-out 0\.2, not 0\.1/);
    assertMatch(await resume("--split", "end"), /was made with --split scattered, not end/);
    assertMatch(
      await resume("--data", `${folder}/a.txt`),
      /learns from .*a\.txt .*b\.jsonl=2 \(\d+ bytes\), and .*a\.txt \(60000 bytes\) is a different text/,
    );
  }));

Deno.test("train: a text from standard input is kept, so that the run goes on", () =>
  withFolder(async (folder) => {
    const run = async (input: string, ...args: string[]): Promise<string> => {
      const permissions = wordsOf(
        "--no-prompt --no-check --allow-read --allow-write=.scratch --allow-env=NODEVICE_SELECT",
      );
      const child = new Deno.Command("deno", {
        args: [
          "run",
          ...permissions,
          "main.ts",
          "train",
          ...args,
          "--cache",
          `${folder}/cache`,
          "--out",
          `${folder}/run`,
        ],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(input)).catch(() => {});
      await writer.close().catch(() => {});
      const { code, stdout, stderr } = await child.output();
      assertEquals(code, 0, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout);
    };
    const small = ["--device", "reference", "--eval-bytes", "16", "--sample-tokens", "0"];
    const text = someText(10_000);
    assertMatch(
      await run(text, ...small, "--data", "-", "--model", "lmm", "--batch", "1", "--seq-len", "16", "--steps", "1"),
      /9,500 bytes for training, 500 held out/,
    );
    assertMatch(await run("", ...small, "--resume", "--steps", "2"), /done: step 2/);
  }));

Deno.test("errors: data that cannot be used ends the command with one line", () =>
  withFolder(async (folder) => {
    const fails = async (message: RegExp, ...args: string[]): Promise<void> => {
      const { code, stderr, stdout } = await runMain(
        "train",
        ...args,
        "--out",
        `${folder}/run`,
        "--cache",
        `${folder}/cache`,
      );
      assertEquals([code, stdout, stderr.trim().split("\n").length], [2, "", 1], stderr);
      assertMatch(stderr, message);
    };
    await Deno.writeTextFile(`${folder}/a.jsonl`, '{"text":"a"}\n{"text":\n');
    await Deno.writeTextFile(`${folder}/a.csv`, "id,body\n1,a\n");
    await Deno.writeTextFile(`${folder}/a.parquet`, "no Parquet");
    await Deno.writeTextFile(`${folder}/a.txt.gz`, "no gzip");
    await fails(/^error: .*a\.jsonl line 2 is not valid JSON: /, "--data", `${folder}/a.jsonl`);
    await fails(/^error: .*a\.csv has no column text: .*\(there are id, body\)$/m, "--data", `${folder}/a.csv`);
    await fails(/^error: .*a\.parquet cannot be read as Parquet: /, "--data", `${folder}/a.parquet`);
    await fails(/^error: the data file .*a\.txt\.gz cannot be decompressed: /, "--data", `${folder}/a.txt.gz`);
    await fails(/^error: the weight of --data .*=0 must be above 0/, "--data", `${folder}/a.txt=0`);
    await fails(
      /^error: --vocabulary cannot be "bpe": it is one of bytes, bpe:gpt2, bpe:cl100k, bpe:o200k/,
      "--vocabulary",
      "bpe",
    );
    assertEquals((await Array.fromAsync(Deno.readDir(`${folder}/cache`))).length, 0);
  }));
