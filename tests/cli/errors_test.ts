import { assert, assertEquals, assertMatch } from "@std/assert";
import { compile, requestDevice, spec } from "@mneme/titans";
import { matmul } from "@mneme/titans/ops";
import { CommandError, exitCode, formatError, UsageError } from "../../cli/errors.ts";
import { shellWord } from "../../cli/program.ts";
import { encodeSafetensors } from "../../titans/mod.ts";
import { runMain, someText, spawnMain, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

/** Runs a command line that must fail: one line on stderr, nothing on stdout. */
async function fails(code: 1 | 2, message: RegExp, ...args: string[]): Promise<void> {
  const ended = await runMain(...args);
  assertMatch(ended.stderr, message);
  assertEquals(ended.stderr.trim().split("\n").length, 1, ended.stderr);
  assert(ended.stderr.startsWith("error: "), ended.stderr);
  assertEquals(ended.code, code, ended.stderr);
}

/** A folder with a text, and a short run in it. */
async function withRun(fn: (folder: string, flags: readonly string[]) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    const flags = [
      "--device",
      "reference",
      "--data",
      `${folder}/text.txt`,
      "--batch",
      "1",
      "--seq-len",
      "16",
      "--eval-bytes",
      "16",
      "--sample-tokens",
      "0",
    ];
    const { code, stderr } = await runMain(
      "train",
      ...flags,
      "--model",
      "lmm",
      "--steps",
      "1",
      "--out",
      `${folder}/run`,
    );
    assertEquals([code, stderr], [0, ""]);
    await fn(folder, flags);
  });
}

Deno.test("errors: unknown commands and flags name the nearest known ones", async () => {
  await fails(2, /^error: unknown command trian: did you mean train\?$/m, "trian");
  await fails(2, /^error: unknown command dance: there are train, generate, ([\w-]+, )*info, plan$/m, "dance");
  await fails(2, /^error: bench is a task of a checkout, not a command: deno task bench there$/m, "bench");
  await fails(2, /^error: unknown flag --step: did you mean --steps\?$/m, "train", "--step", "3");
  await fails(
    2,
    /^error: --model cannot be "mca": it is one of lmm, mac, .*: did you mean mac\?$/m,
    "train",
    "--model",
    "mca",
  );
});

Deno.test("errors: data that is missing, empty or too short", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/empty.txt`, "");
    await Deno.writeTextFile(`${folder}/short.txt`, "short");
    const out = ["--out", `${folder}/run`];
    await fails(
      2,
      /^error: no data file .*none\.txt: give a text file with --data FILE, or --data sotu$/m,
      "train",
      "--data",
      `${folder}/none.txt`,
      ...out,
    );
    await fails(
      2,
      /^error: the data file .*empty\.txt is empty: give a text file/m,
      "train",
      "--data",
      `${folder}/empty.txt`,
      ...out,
    );
    await fails(
      2,
      /has 5 bytes, sequences of 128 need at least 2580 .*smaller --seq-len$/m,
      "train",
      "--data",
      `${folder}/short.txt`,
      ...out,
    );
  }));

Deno.test("errors: runs that exist, do not exist, are complete, or are of another configuration", () =>
  withRun(async (folder, flags) => {
    const train = (...more: string[]) => ["train", ...flags, "--out", `${folder}/run`, ...more];
    await fails(
      2,
      /^error: .*run already contains a run: continue it with --resume, or choose another --out$/m,
      ...train(),
    );
    await fails(
      2,
      /^error: the run in .*run is complete at step 1: give more steps with --steps N$/m,
      ...train("--resume"),
    );
    await fails(
      2,
      /was made with --model lmm, not mac: leave --model out, or start a new run/,
      ...train("--resume", "--steps", "2", "--model", "mac"),
    );
    await fails(2, /was made with --preset nano, not small/, ...train("--resume", "--steps", "2", "--preset", "small"));
    await fails(
      2,
      /^error: there is no run in .*none: omit --resume to start one there$/m,
      "train",
      ...flags,
      "--resume",
      "--out",
      `${folder}/none`,
    );
    await Deno.writeTextFile(`${folder}/text.txt`, someText(5000));
    await fails(
      2,
      /learns from .*text\.txt \(4000 bytes\), and .* \(5000 bytes\) is a different text/,
      ...train("--resume", "--steps", "2"),
    );
  }));

Deno.test("errors: a checkpoint that is cut short, of another configuration, or missing", () =>
  withRun(async (folder, flags) => {
    const run = `${folder}/run`, file = `${run}/checkpoint.safetensors`;
    const resume = ["train", ...flags, "--out", run, "--resume", "--steps", "2"];
    const generate = ["generate", "--device", "reference", "--checkpoint", run, "--which", "last"];
    const config = await Deno.readTextFile(`${run}/config.json`);
    await Deno.writeTextFile(`${run}/config.json`, config.replace('"width": 64', '"width": 32'));
    await fails(1, /^error: .*its width is 64, the model asked for has 32/m, ...resume);
    await Deno.writeTextFile(`${run}/config.json`, "{}");
    await fails(1, /config\.json is not a run's configuration: restore it/, ...resume);
    await Deno.writeTextFile(`${run}/config.json`, config);
    const whole = await Deno.readFile(file);
    for (const size of [whole.length - 1, 100, 4, 0]) {
      await Deno.writeFile(file, whole.subarray(0, size));
      await fails(
        1,
        /^error: .*checkpoint\.safetensors: Cannot read .*: restore the file from a backup, or take the run's other state with --which best$/m,
        ...resume,
      );
      await fails(1, /^error: .*checkpoint\.safetensors: Cannot read /m, ...generate);
    }
    await Deno.remove(file);
    await fails(
      2,
      /^error: no checkpoint .*checkpoint\.safetensors: give a run folder, an exported model or a \.safetensors file with --checkpoint/m,
      ...generate,
    );
    await fails(2, /^error: no checkpoint .*none: /m, "generate", "--checkpoint", `${folder}/none`);
    await fails(2, /^error: --prompt cannot be empty/m, ...generate, "--prompt", "");
  }));

Deno.test("errors: a file of another tool, or a memory, given as a checkpoint: it is said what it is, and nobody is told to delete it", () =>
  withRun(async (folder) => {
    const tensors = { "model.embed": { shape: [2], data: Float32Array.of(1, 2) } },
      foreign = `${folder}/model.safetensors`,
      memory = `${folder}/a.memory`;
    const own = encodeSafetensors({ tensors, metadata: {} });
    await Deno.writeFile(foreign, own);
    const remember = [
      "remember",
      "--device",
      "reference",
      "--text",
      `${folder}/text.txt`,
      "--skip",
      "3990",
      "--memory",
    ];
    assertEquals((await runMain(...remember, memory, "--checkpoint", `${folder}/run`)).code, 0);
    for (
      const command of [["generate"], ["inspect", "--text", `${folder}/text.txt`], [...remember, `${folder}/b.memory`]]
    ) {
      const read = (file: string) => [...command, "--checkpoint", file];
      await fails(
        1,
        /model\.safetensors: .*format is missing.*: it was written by another program; give a run folder, or a checkpoint from deno task train/,
        ...read(foreign),
      );
      await fails(
        1,
        /a\.memory: .*: this is a memory file; pass it with --memory, and the checkpoint that wrote it with --checkpoint$/m,
        ...read(memory),
      );
      await fails(
        1,
        /text\.txt: Cannot read .*: restore the file from a backup, or give another one with --checkpoint$/m,
        ...read(`${folder}/text.txt`),
      );
    }
    assertEquals(await Deno.readFile(foreign), own);
  }));

Deno.test("errors: what cannot be written is named, with why, what is safe, and how to go on", () =>
  withRun(async (folder, flags) => {
    const train = (
      out: string,
      ...more: string[]
    ) => ["train", ...flags, "--model", "lmm", "--steps", "3", "--out", out, ...more];
    const text = `${folder}/text.txt`;
    await fails(2, /^error: --out cannot be empty: give a folder$/m, ...train(""));
    await fails(
      2,
      /^error: --out cannot be \S+text\.txt: that is a file, not a folder; choose another --out$/m,
      ...train(text),
    );
    await fails(
      2,
      /^error: --out cannot be \S+text\.txt\/run: a part of it is a file, not a folder; choose another --out$/m,
      ...train(`${text}/run`),
    );
    await fails(
      2,
      /^error: --out cannot be \S+: the name is too long; choose a shorter one$/m,
      ...train(`${folder}/${"x".repeat(300)}`),
    );
    const remember = [
      "remember",
      "--device",
      "reference",
      "--checkpoint",
      `${folder}/run`,
      "--text",
      text,
      "--skip",
      "3990",
      "--memory",
    ];
    await fails(2, /^error: --memory cannot be empty: give a file$/m, ...remember, "");
    await fails(
      2,
      /^error: --memory cannot be \S+text\.txt: that is a file, not a folder/m,
      ...remember,
      `${text}/a.memory`,
    );
    await fails(
      1,
      /^error: cannot write \S+: the name is too long; choose a shorter one$/m,
      ...remember,
      `${folder}/${"x".repeat(253)}`,
    );
    // Each file of a run, with a folder in its place.
    const go = ["--resume", "--checkpoint-every", "1", "--eval-every", "0"],
      step = ["--resume", "--out", `${folder}/run`];
    for (const name of ["checkpoint.safetensors.part", "metrics.jsonl.part", "report.html"]) {
      const file = `${folder}/run/${name}`, named = `${folder}/run/${name.replace(".part", "")}`;
      await Deno.remove(file).catch(() => {});
      await Deno.mkdir(`${file}/in`, { recursive: true });
      const { code, stderr } = await runMain(...train(`${folder}/run`, ...go));
      assertEquals([code, stderr.trim().split("\n").length], [1, 1], stderr);
      assert(stderr.startsWith(`error: cannot write ${named}: it is a folder; choose another name`), stderr);
      if (name !== "metrics.jsonl.part") {
        assertMatch(
          stderr,
          /; the checkpoint of step \d is safe, continue from it with: deno task train --resume --out \S+\/run\n$/,
        );
      }
      await Deno.remove(file, { recursive: true });
    }
    assertEquals((await runMain("train", ...flags, ...step, "--steps", "4")).code, 0);
  }));

Deno.test("errors: commands to copy are quoted for the shell", () => {
  const words = ["runs/a", "", "my run", "it's", "$HOME", "a;b", "`x`", "ä", "*", "~", "#a", "a\nb"];
  assertEquals(words.slice(0, 4).map(shellWord), ["runs/a", "''", "'my run'", `'it'\\''s'`]);
  for (const word of words.slice(4)) assertEquals(shellWord(word), `'${word}'`);
});

Deno.test("errors: a loss that is no longer a number stops the run and says what to do", () =>
  withRun(async (folder, flags) => {
    const diverging = ["train", ...flags, "--model", "lmm", "--steps", "9", "--lr", "1e30", "--warmup", "0"];
    await fails(
      1,
      /^error: the loss became \S+ \(first bad tensor: .+\) at step \d: start again with a lower rate than --lr 1e\+30$/m,
      ...diverging,
      "--out",
      `${folder}/diverged`,
    );
    // After a checkpoint, the way back is shown.
    const resumed = ["train", ...flags, "--out", `${folder}/run`, "--resume", "--steps", "9", "--lr", "1e30"];
    await fails(
      1,
      /^error: the loss became \S+ \(first bad tensor: .+\) at step \d: continue from step 1 with a lower rate: deno task train --resume --out \S+ --lr 1e\+29$/m,
      ...resumed,
    );
  }));

Deno.test("errors: a tensor beyond what the device can bind is named with both sizes", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(50_000));
    const huge = ["--batch", "4096", "--seq-len", "1024", "--model", "lmm", "--device", "webgpu"];
    const message =
      /^error: Cannot place \S+ f32\[[\d, ]+\] in device memory: it takes \d+ MiB and one tensor may take at most \d+ MiB .*; use a smaller batch/m;
    await fails(1, message, "train", "--data", `${folder}/text.txt`, "--out", `${folder}/run`, ...huge);
  }));

Deno.test("errors: no adapter", async () => {
  const child = spawnMain(["info", "--device", "webgpu"], { DENO_WEBGPU_BACKEND: "none" });
  const { code, stderr } = await child.output();
  const text = new TextDecoder().decode(stderr);
  assertEquals([code, text.trim().split("\n").length], [1, 1], text);
  assertMatch(text, /^error: .*no adapter was found; install a Vulkan driver \(.*mesa-vulkan-drivers libvulkan1\)/);
});

Deno.test("errors: a place that the permissions do not cover", async () => {
  const child = spawnMain(
    wordsOf("train --data README.md --seq-len 16 --steps 1 --batch 1 --device reference --out elsewhere"),
  );
  const { code, stderr } = await child.output();
  const text = new TextDecoder().decode(stderr);
  assertEquals([code, text.trim().split("\n").length], [1, 1], text);
  assertMatch(
    text,
    /^error: .*write access to "elsewhere".* below runs\/ only; choose a path there, or run `deno run .*--allow-write=elsewhere/,
  );
});

Deno.test("errors: where Deno wants every permission, no flag with a path is offered", () => {
  const error = new Deno.errors.NotCapable('Requires all access to "/dev/run", run again with the --allow-all flag');
  assertEquals(
    formatError(error, false),
    'error: Requires all access to "/dev/run": the tasks may write below runs/ only; choose a path there',
  );
});

Deno.test("errors: shapes that do not fit are told at the argument, in one line", async () => {
  const device = await requestDevice({ kind: "reference" });
  const program = await compile(device, matmul, [spec([2, 3]), spec([3, 2])]);
  const error = await program.run(new Float32Array(6), new Float32Array(5)).then(() => undefined, (reason) => reason);
  assertEquals(
    formatError(error, false),
    "error: Cannot run with 5 numbers as argument 1: the program expects f32[3, 2], which has 6 elements",
  );
  device.dispose();
});

Deno.test("errors: a stack is shown with --verbose only", async () => {
  const { stderr } = await runMain("train", "--data", "no/such/file", "--out", ".scratch/none", "--verbose");
  assertMatch(stderr, /^error: no data file .*\n.*UsageError: .*\n +at /);
});

Deno.test("errors: misuse exits with 2, failure with 1", () => {
  assertEquals([exitCode(new UsageError("x")), exitCode(new CommandError("x")), exitCode(new TypeError("x"))], [
    2,
    1,
    1,
  ]);
  assertEquals(
    formatError(new TypeError("x is not a function\nat y"), false),
    "error: TypeError: x is not a function (add --verbose for the stack trace)",
  );
});
