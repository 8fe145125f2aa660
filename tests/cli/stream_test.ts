/** `train --stream`: memory that is carried from step to step, through documents. */
import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { openCorpus } from "../../cli/data/corpus.ts";
import { CHECKPOINT_FILE, readConfig } from "../../cli/run_folder.ts";
import { checkRunConfig, recipeOf } from "../../cli/run_config.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { decodeCheckpoint, evenStreams, Model, Trainer } from "../../titans/mod.ts";
import { decodeSafetensors } from "../../titans/models/safetensors.ts";
import { metricsOf, runMain, someText, spawnMain, waitFor, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const SIZE = wordsOf("--model mac --width 16 --blocks 1 --mini-batch 4 --segment 8 --batch 2 --seq-len 16");
const FEW = ["--sample-tokens", "0", "--warmup", "0", "--device", "cpu", "--json"];

/** A folder of three documents and a file of records, the latter twice as heavy, and the flags of runs over them. */
async function withTexts(
  fn: (folder: string, args: (run: string, ...more: string[]) => string[]) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/books`);
    for (const [i, bytes] of [300, 40, 700].entries()) {
      await Deno.writeTextFile(`${folder}/books/${i}.txt`, someText(bytes));
    }
    const records = Array.from({ length: 30 }, (_, i) => `${JSON.stringify({ text: someText(10 + 7 * i % 90) })}\n`)
      .join("");
    await Deno.writeTextFile(`${folder}/chat.jsonl`, records);
    const data = [
      "--data",
      `${folder}/books`,
      "--data",
      `${folder}/chat.jsonl=2`,
      "--held-out",
      "0.3",
      "--cache",
      `${folder}/cache`,
    ];
    await fn(folder, (run, ...more) => ["train", ...data, "--out", `${folder}/${run}`, ...SIZE, ...FEW, ...more]);
  });
}

Deno.test("train --stream: a run over weighted texts that was killed resumes to the same numbers, memory included", () =>
  withTexts(async (folder, common) => {
    const args = (run: string, ...more: string[]): string[] =>
      common(run, "--steps", "7", "--checkpoint-every", "3", "--eval-every", "3", "--eval-bytes", "320", ...more);
    const whole = await runMain(...args("whole", "--stream", "100"));
    // What was read of the texts is said on standard error.
    assertEquals([whole.code, whole.stderr.replace(/^read .*\n/gm, "")], [0, ""]);
    const child = spawnMain(args("resumed", "--stream", "100"));
    await waitFor(child, '"event":"step","step":5,');
    child.kill("SIGKILL");
    await Promise.all([child.status, child.stderr.cancel()]);
    const resumed = await runMain(...args("resumed", "--resume"));
    assertEquals([resumed.code, resumed.events[0].step], [0, 3]);
    assertEquals(await metricsOf(`${folder}/resumed`), await metricsOf(`${folder}/whole`));
    const { tensors } = decodeSafetensors(await Deno.readFile(`${folder}/whole/checkpoint.safetensors`));
    assertEquals(tensors["stream.blocks.0.mac.memory.memory.weights.0"].shape, [1, 2, 2, 8, 32]);
    const config = JSON.parse(await Deno.readTextFile(`${folder}/whole/config.json`));
    assertEquals([config.stream, config.data.documents], [100, 33]);
    const anew = await runMain(...args("anew"));
    assert(
      JSON.stringify(anew.events.slice(1, 7).map(({ loss }) => loss)) !==
        JSON.stringify(whole.events.slice(1, 7).map(({ loss }) => loss)),
    );
    assertEquals(JSON.parse(await Deno.readTextFile(`${folder}/anew/config.json`)).data.documents, undefined);

    const refused = async (message: RegExp, ...more: string[]): Promise<void> => {
      const { code, stderr } = await runMain(...more), said = stderr.replace(/^read .*\n/gm, "");
      assertEquals([code, said.trim().split("\n").length], [2, 1], stderr);
      assertMatch(said, message);
    };
    await refused(/was made with --stream 100, not 50/, ...args("whole", "--resume", "--stream", "50"));
    await refused(
      /^error: Cannot stream with windows of 12 tokens: the length must be a multiple of 8/m,
      ...args("odd", "--stream", "100").map((word) => word === "16" ? "12" : word),
    );
    const others = common("whole", "--resume", "--steps", "9").map((word) =>
      word.endsWith("=2") ? word.replace("=2", "=3") : word
    );
    await refused(/weights its texts 1 to 2, not 1 to 3: omit --data, or start a new run/, ...others);
    // The same bytes in other documents are another text, and so is an order that is gone.
    await Deno.writeTextFile(
      `${folder}/books/1.txt`,
      `${someText(300).slice(0, 40)}\n\n${await Deno.readTextFile(`${folder}/books/2.txt`)}`,
    );
    await Deno.remove(`${folder}/books/2.txt`);
    await refused(
      /is a different text: give the same text with --data/,
      ...common("whole", "--resume", "--steps", "9"),
    );
    const { streamOrder: _, ...old } = config;
    await Deno.writeTextFile(`${folder}/whole/config.json`, JSON.stringify(old));
    await refused(
      /streams its text in an order that this version no longer supports: start a new run with another --out/,
      ...common("whole", "--resume", "--steps", "9"),
    );
  }));

Deno.test("train --stream: a validation reads held-out documents with one memory each, and counts of pairs are judged on the same bytes", () =>
  withTexts(async (folder, args) => {
    const { code, events, stderr } = await runMain(
      ...args("run", "--stream", "100", "--eval-bytes", "100000", "--steps", "2"),
    );
    assertEquals(code, 0, stderr);
    const told = events.find(({ event }) => event === "validation") as Record<string, number>;
    const config = checkRunConfig(await readConfig(`${folder}/run`), folder);
    using corpus = await openCorpus(recipeOf(config), { ...config, cache: `${folder}/cache`, documents: true });
    const { config: own, state } = decodeCheckpoint(await Deno.readFile(`${folder}/run/${CHECKPOINT_FILE}`));
    const device = await requestDevice({ kind: "cpu" });
    try {
      // Windows that take in any document, one a row: nothing is carried, and nothing begins within a document.
      const length = 104, batches = evenStreams(corpus.heldOut, { batch: 50, length }, 1e6, { longest: 100 });
      const trainer = await Trainer.create(device, {
        model: new Model(own),
        optimizer: config.optimizer,
        shape: { batch: 1, length },
        seed: 0,
        state,
        stream: false,
      });
      const { loss, innerLoss } = await trainer.validate(batches);
      assertAlmostEquals(told.loss, loss, 1e-5);
      assertAlmostEquals(told.innerLoss, innerLoss, 1e-5);
      assertEquals(
        told.bytes,
        batches.reduce((sum, { mask }) => sum + mask!.reduce((total, value) => total + value, 0), 0),
      );
      assertAlmostEquals(told.bitsPerByte, told.loss / Math.LN2, 1e-9);
      assert(told.bigramBitsPerByte > 1 && told.bigramBitsPerByte < 8);
      trainer.dispose();
    } finally {
      device.dispose();
    }
  }));
