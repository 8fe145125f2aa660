import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { allFinite, firstNotFinite } from "../../cli/not_finite.ts";
import { BYTE_ALPHABET } from "../../titans/tasks/text/byte_alphabet.ts";
import { classifierNetwork, loadClassifier, saveClassifier } from "../../cli/classify/classifier_file.ts";
import { CommandError } from "../../cli/errors.ts";
import { decodeCheckpoint, encodeCheckpoint, type TrainingState } from "../../titans/mod.ts";
import { type Ended, runMain, someText, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const SMALL = wordsOf(
  "--device cpu --model lmm --width 16 --blocks 1 --heads 1 --batch 1 --seq-len 16 --eval-bytes 16",
);

/** A run of a few steps in a folder with a text, and what trains it. */
async function withRun(
  fn: (train: (...more: string[]) => Promise<Ended>, run: string, folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    const run = `${folder}/run`;
    const train = (...more: string[]) =>
      runMain("train", "--data", `${folder}/text.txt`, "--out", run, "--warmup", "0", "--sample-tokens", "4", ...more);
    const { code, stderr } = await train(...SMALL, "--steps", "3", "--checkpoint-every", "1", "--eval-every", "2");
    assertEquals([code, stderr], [0, ""]);
    await fn(train, run, folder);
  });
}

/** Replaces a checkpoint by one with other numbers. */
async function spoil(file: string, change: (state: TrainingState) => void): Promise<void> {
  const checkpoint = decodeCheckpoint(await Deno.readFile(file));
  change(checkpoint.state);
  await Deno.writeFile(file, encodeCheckpoint(checkpoint));
}

function assertLine({ code, stderr }: Ended, message: RegExp): void {
  assertMatch(stderr, message);
  assertEquals([code, stderr.trim().split("\n").length], [1, 1], stderr);
}

Deno.test("not finite: NaN and infinity are found wherever they stand, and large sums are no matter", () => {
  assert(allFinite(new Float32Array(1000).fill(3e38)) && allFinite([]) && allFinite([-0, 1e-45]));
  for (const bad of [NaN, Infinity, -Infinity]) {
    for (let i = 0; i < 5; i++) assert(!allFinite(Float32Array.from({ length: 5 }, (_, j) => i === j ? bad : 1)));
  }
  const fine = { a: Float32Array.of(1), b: Float32Array.of(2) },
    bad = { a: Float32Array.of(1), b: Float32Array.of(NaN) };
  const optimizer = { name: "adamW", slots: { first: fine, second: fine } };
  const state = { step: 1, params: fine, optimizer };
  assertEquals(firstNotFinite(state), undefined);
  assertEquals(firstNotFinite({ ...state, params: bad }), "b");
  assertEquals(
    firstNotFinite({ ...state, optimizer: { ...optimizer, slots: { first: fine, second: bad } } }),
    "optimizer.second.b",
  );
  assertEquals(
    firstNotFinite({ ...state, carried: { "blocks.0": { shape: [1], data: Float32Array.of(Infinity) } } }),
    "stream.blocks.0",
  );
});

Deno.test("not finite: a state that an update broke is not kept, whatever was due: the last good one stays, and goes on", () =>
  withRun(async (train, run) => {
    const good = await Deno.readFile(`${run}/checkpoint.safetensors`),
      best = await Deno.readFile(`${run}/best.safetensors`);
    for (const lr of ["1e9", "1e20"]) {
      for (
        const due of [["--checkpoint-every", "1", "--eval-every", "0"], [
          "--checkpoint-every",
          "1",
          "--eval-every",
          "1",
        ]]
      ) {
        const ended = await train(
          "--device",
          "cpu",
          "--eval-bytes",
          "16",
          "--resume",
          "--steps",
          "9",
          "--lr",
          lr,
          ...due,
        );
        assertLine(ended, /^error: the (loss|gradient norm) .*became (NaN|-?Infinity|\S+e\+\d+) .*step [4-9]/);
        const lower = Number((Number(lr) / 10).toPrecision(3));
        assert(
          ended.stderr.endsWith(
            `: continue from step 3 with a lower rate: deno task train --resume --out ${run} --lr ${lower}\n`,
          ),
          ended.stderr,
        );
        assertEquals(await Deno.readFile(`${run}/checkpoint.safetensors`), good);
        assertEquals(await Deno.readFile(`${run}/best.safetensors`), best);
      }
    }
    const ended = await train("--device", "cpu", "--resume", "--steps", "5", "--lr", "1e-3", "--json");
    assertEquals([ended.code, ended.events[0].step], [0, 3], ended.stderr);
  }));

Deno.test("not finite: a run whose last state is broken says so, and goes on from its best one", () =>
  withRun(async (train, run) => {
    await train("--device", "cpu", "--resume", "--steps", "4", "--lr", "30", "--eval-every", "1");
    const last = decodeCheckpoint(await Deno.readFile(`${run}/checkpoint.safetensors`)),
      best = decodeCheckpoint(await Deno.readFile(`${run}/best.safetensors`));
    assert(best.state.step < last.state.step, "the high rate made it worse");
    await spoil(`${run}/checkpoint.safetensors`, ({ params }) => params.head[5] = NaN);
    const broken = await train("--device", "cpu", "--resume", "--steps", "6");
    assertLine(
      broken,
      /at step 5: the state of step 4 is broken, continue from the best state, of step \d: deno task train --resume --out \S+ --which best --lr 3\n$/,
    );
    const ended = await train(
      "--device",
      "cpu",
      "--resume",
      "--which",
      "best",
      "--steps",
      "6",
      "--lr",
      "1e-3",
      "--json",
    );
    assertEquals([ended.code, ended.events[0].step], [0, best.state.step], ended.stderr);
    await Deno.remove(`${run}/best.safetensors`);
    const none = await train("--device", "cpu", "--resume", "--which", "best", "--steps", "7");
    assertEquals([none.code, none.stderr.includes("there is no best.safetensors in")], [2, true], none.stderr);
  }));

Deno.test("not finite: before the first update --lr is not blamed, and the folder is as it was found", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(24_000));
    const place = ["--data", `${folder}/text.txt`, "--out", `${folder}/run`],
      long = SMALL.map((word, i) => SMALL[i - 1] === "--seq-len" ? "1024" : word);
    const wild = ["--theta-max", "64", "--theta-bias", "9", "--memory-gain", "fast", "--mini-batch", "64"];
    const ended = await runMain("train", ...place, ...long, "--steps", "2", ...wild);
    assertLine(
      ended,
      /^error: the loss became NaN \(first bad tensor: .+\) at step 1: no update was made yet, so --lr is not the cause: start again with a smaller --theta-max than 64, a smaller --mini-batch than 64, a smaller --seq-len than 1024 or --memory-gain outer\n$/,
    );
    assertEquals(await Deno.stat(`${folder}/run`).catch(() => "gone"), "gone");
    // The way out can be gone in the same place.
    const again = await runMain("train", ...place, ...SMALL, "--steps", "1", "--sample-tokens", "0");
    assertEquals([again.code, again.stderr], [0, ""]);
  }));

Deno.test("not finite: generate, remember and the sample of train say in one line that nothing can be predicted, and write nothing", () =>
  withRun(async (_train, run, folder) => {
    const broken = `${run}/best.safetensors`, device = ["--device", "cpu", "--checkpoint", run];
    await Deno.copyFile(`${run}/checkpoint.safetensors`, broken);
    // Finite, and all that they give is not.
    await spoil(broken, ({ params }) => params.head.fill(3e38));
    for (const temperature of ["0", "0.8"]) {
      const ended = await runMain("generate", ...device, "--temperature", temperature, "--tokens", "4");
      assertLine(
        ended,
        /^error: \S+best\.safetensors: Cannot choose a token: none of 256 logits is finite; try --which last, or train with a lower --lr/,
      );
    }
    assertEquals((await runMain("generate", ...device, "--which", "last", "--tokens", "4")).code, 0);
    const text = ["--text", `${folder}/text.txt`];
    const remembered = await runMain("remember", ...device, ...text, "--memory", `${folder}/a.memory`);
    assertLine(
      remembered,
      /^error: what the model predicts is not finite in the text after byte 0: no memory was written; use another checkpoint/,
    );
    assertEquals(await Deno.stat(`${folder}/a.memory`).catch(() => "none"), "none");
    // A memory that is there stays as it was.
    assertEquals(
      (await runMain("remember", ...device, "--which", "last", ...text, "--memory", `${folder}/b.memory`)).code,
      0,
    );
    const before = await Deno.readFile(`${folder}/b.memory`);
    await spoil(`${run}/checkpoint.safetensors`, ({ params }) => params.head.fill(3e38));
    assertEquals(
      (await runMain("remember", ...device, "--which", "last", ...text, "--memory", `${folder}/b.memory`, "--continue"))
        .code,
      1,
    );
    assertEquals(await Deno.readFile(`${folder}/b.memory`), before);
  }));

Deno.test("not finite: every command that takes a checkpoint refuses broken weights, and names the other state of the run", () =>
  withRun(async (_train, run, folder) => {
    await Deno.copyFile(`${run}/checkpoint.safetensors`, `${run}/best.safetensors`);
    await spoil(`${run}/best.safetensors`, ({ params }) => params.norm[1] = Infinity);
    const text = ["--text", `${folder}/text.txt`];
    const commands = [
      ["generate"],
      ["evaluate"],
      ["inspect", ...text],
      ["remember", ...text, "--memory", `${folder}/a.memory`],
      ["export", "--hf", `${folder}/hf`],
      ["serve", "--port", "0"],
    ];
    for (const words of commands) {
      assertLine(
        await runMain(...words, "--checkpoint", run),
        /^error: \S+\/best\.safetensors: the weights are broken, norm has NaN or infinity: use the run's other state with --which last, or another checkpoint, or train again with a lower --lr\n$/,
      );
    }
    assertEquals((await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort(), ["run", "text.txt"]);
  }));

Deno.test("not finite: a classifier with broken weights is refused", () =>
  withFolder(async (folder) => {
    const alphabet = BYTE_ALPHABET,
      facts = { classes: ["a", "b"], positive: 1, alphabet, length: 16, model: "cnn" } as const;
    const network = classifierNetwork(facts), params = network.initialize(1), { name } = network.layout.entries[0];
    await saveClassifier(folder, { ...facts, network, params });
    assertEquals((await loadClassifier(folder))!.params, params);
    params[name][0] = NaN;
    await saveClassifier(folder, { ...facts, network, params });
    const { message } = await assertRejects(() => loadClassifier(folder), CommandError);
    assert(message.includes(`Cannot use classifier: ${name} has NaN or infinity: restore it from a backup`), message);
  }));
