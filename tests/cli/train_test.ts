import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { findCheckpoint } from "../../cli/checkpoint_file.ts";
import { metricsOf, runMain, someText, spawnMain, waitFor } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

/** A run small enough for the reference device, in the folder's `run`. */
function tiny(folder: string, ...more: string[]): string[] {
  return ["train", "--out", `${folder}/run`, ...tinyFlags(folder), ...more];
}

/** Steps of wider models take long enough to be killed between two of them. */
function tinyFlags(folder: string, { width = 16 } = {}): string[] {
  const model = ["--model", "lmm", "--blocks", "1", "--width", String(width)];
  const size = ["--batch", "1", "--seq-len", "16", "--eval-bytes", "32", "--sample-tokens", "4"];
  return ["--device", "reference", "--data", `${folder}/text.txt`, ...model, ...size];
}

async function withText(fn: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    await fn(folder);
  });
}

const stepsOf = (metrics: unknown[]): number[] =>
  (metrics as { event: string; step: number }[]).filter(({ event }) => event === "step").map(({ step }) => step);

Deno.test("train: --json tells start, steps, validation, sample and done; the run folder holds all of it", () =>
  withText(async (folder) => {
    const { code, events, stderr } = await runMain(...tiny(folder, "--steps", "4", "--eval-every", "2", "--json"));
    assertEquals([code, stderr], [0, ""]);
    assertEquals(events.map(({ event, step }) => `${event} ${step}`), [
      "start 0",
      "step 1",
      "step 2",
      "validation 2",
      "step 3",
      "step 4",
      "validation 4",
      "sample 4",
      "done 4",
    ]);
    assert(events.every(({ device }) => device === "reference"));
    for (const { loss, bitsPerByte, tokensPerSecond } of events.filter(({ event }) => event === "step")) {
      assertAlmostEquals(bitsPerByte as number, loss as number / Math.LN2, 1e-6);
      assert(tokensPerSecond as number > 0);
    }
    const done = events.at(-1)!, validation = events.at(-3)!;
    assertEquals([done.bitsPerByte, done.bigramBitsPerByte, done.interrupted], [
      validation.bitsPerByte,
      validation.bigramBitsPerByte,
      false,
    ]);
    assertEquals(done.checkpoint, `${folder}/run/checkpoint.safetensors`);
    assertEquals(stepsOf(await metricsOf(`${folder}/run`)), [1, 2, 3, 4]);
    assertEquals(JSON.parse(await Deno.readTextFile(`${folder}/run/config.json`)).steps, 4);
    assertStringIncludes(await Deno.readTextFile(`${folder}/run/sample.txt`), "The ");
    const report = await Deno.readTextFile(done.report as string);
    assertStringIncludes(report, "<p>Complete: 4 of 4 steps.</p>");
    assertStringIncludes(report, "<h2>Sample</h2>");
  }));

Deno.test("train: the state at the best validation is kept, and generate takes it unless told otherwise", () =>
  withText(async (folder) => {
    await runMain(...tiny(folder, "--steps", "4", "--eval-every", "1"));
    // A rate that spoils the model.
    const { events } = await runMain(
      ...tiny(folder, "--resume", "--steps", "6", "--eval-every", "1", "--lr", "100", "--json"),
    );
    const validations = (await metricsOf(`${folder}/run`)).filter((line) =>
      (line as { event: string }).event === "validation"
    ) as {
      step: number;
      bitsPerByte: number;
    }[];
    const lowest = validations.reduce((a, b) => b.bitsPerByte < a.bitsPerByte ? b : a);
    assert(lowest.step < 6, "the last step is not the best");
    assertEquals(events.at(-1)!.best, {
      step: lowest.step,
      bitsPerByte: lowest.bitsPerByte,
      checkpoint: `${folder}/run/best.safetensors`,
    });
    const stepOf = async (which?: "best" | "last") =>
      (await findCheckpoint(`${folder}/run`, which)).checkpoint.state.step;
    assertEquals([await stepOf(), await stepOf("best"), await stepOf("last")], [lowest.step, lowest.step, 6]);
    // Folders of runs that were never validated, or older ones, have the last state only.
    await Deno.remove(`${folder}/run/best.safetensors`);
    assertEquals(await stepOf(), 6);
    const generate = ["generate", "--device", "reference", "--checkpoint", `${folder}/run`, "--tokens", "2"];
    assertEquals((await runMain(...generate)).code, 0);
    const { code, stderr } = await runMain(...generate, "--which", "best");
    assertEquals(code, 2);
    assertMatch(
      stderr,
      /^error: no checkpoint .*best\.safetensors: the run was never validated; omit --which to use its last state\n$/,
    );
  }));

Deno.test("train: for people, the report has progress, the bigram figure, a sample and the checkpoint's place", () =>
  withText(async (folder) => {
    const { code, stdout } = await runMain(...tiny(folder, "--steps", "2"));
    assertEquals(code, 0);
    assertMatch(stdout, /^lmm nano, [\d,]+ parameters, on reference: /);
    assertMatch(stdout, /\nstep 2\/2 {2}loss \d\.\d{3} {2}\d\.\d\d bits\/byte {2}[\d,]+ tokens\/s {2}ETA 0s\n/);
    assertMatch(
      stdout,
      /\nstep 2: held-out text \d\.\d{3} bits\/byte .*; byte-bigram baseline \d\.\d{3}, 5-gram \d\.\d{3} on the same 32 bytes\n/,
    );
    assertMatch(stdout, /\nsample:\n {2}The /);
    assertMatch(stdout, /\ndone: step 2 after \d+s; checkpoint .*checkpoint\.safetensors\n/);
    assertMatch(
      stdout,
      /\nbest on held-out text: step 2, \d\.\d{3} bits\/byte, in .*best\.safetensors; curves in .*report\.html\n$/,
    );
  }));

Deno.test("train: a run continued with more steps goes on where it stopped", () =>
  withText(async (folder) => {
    await runMain(...tiny(folder, "--steps", "2"));
    const { code, events } = await runMain(...tiny(folder, "--steps", "3", "--resume", "--json"));
    assertEquals([code, events[0].step, events[1].step], [0, 2, 3]);
    // What is written again is written as it was.
    await runMain(...tiny(folder, "--steps", "3").map((word) => word === `${folder}/run` ? `${folder}/whole` : word));
    const [resumed, whole] = await Promise.all(
      ["run", "whole"].map((run) => Deno.readTextFile(`${folder}/${run}/config.json`)),
    );
    assertEquals(resumed, whole.replace('"warmupSteps": 3', '"warmupSteps": 2'));
    assertEquals(stepsOf(await metricsOf(`${folder}/run`)), [1, 2, 3]);
  }));

/**
 * Equal but for the last digits: the reference device computes on in f64 where a checkpoint holds f32. On webgpu they
 * are equal (see device_test.ts).
 */
function assertSameMetrics(actual: unknown[], expected: unknown[]): void {
  const round = (line: unknown) =>
    JSON.stringify(line, (_key, value) => typeof value === "number" ? Number(value.toPrecision(5)) : value);
  assertEquals(actual.map(round), expected.map(round));
}

Deno.test("train: a run killed at any moment resumes to the numbers of an uninterrupted one", () =>
  withText(async (folder) => {
    const args = (
      run: string,
      ...more: string[]
    ) => [
      "train",
      "--out",
      `${folder}/${run}`,
      ...tinyFlags(folder, { width: 96 }),
      "--steps",
      "6",
      "--checkpoint-every",
      "2",
      "--json",
      ...more,
    ];
    assertEquals((await runMain(...args("whole"))).code, 0);
    const expected = await metricsOf(`${folder}/whole`);
    // Before the first checkpoint, between two, and right after one.
    for (const moment of [1, 3, 4]) {
      const run = `killed-${moment}`;
      const child = spawnMain(args(run));
      await waitFor(child, `"event":"step","step":${moment},`);
      child.kill("SIGKILL");
      await Promise.all([child.status, child.stderr.cancel()]);
      const { code, events } = await runMain(...args(run, "--resume"));
      assertEquals(code, 0);
      assert((events[0].step as number) < 6, "the run was killed before its end");
      assertSameMetrics(await metricsOf(`${folder}/${run}`), expected);
    }
  }));

for (const [signal, exitCode] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`train: ${signal} saves the run with its report, and says how to continue it`, () =>
    withText(async (folder) => {
      const child = spawnMain(tiny(folder, "--steps", "5000", "--json"));
      await waitFor(child, '"event":"step","step":2,');
      child.kill(signal);
      const [{ code }, stderr] = await Promise.all([child.status, new Response(child.stderr).text()]);
      // On a busy machine it is said that the signal was heard within a step.
      const said = stderr.replace(/^\nstopping after this step;.*\n/m, "");
      assertEquals([code, said], [exitCode, `continue with: deno task train --resume --out ${folder}/run\n`]);
      const steps = stepsOf(await metricsOf(`${folder}/run`));
      assertEquals(steps, Array.from({ length: steps.length }, (_, i) => i + 1));
      assertStringIncludes(
        await Deno.readTextFile(`${folder}/run/report.html`),
        `<p>Stopped or in progress: ${steps.length} of 5000 steps.</p>`,
      );
      const { code: resumed, events } = await runMain(
        ...tiny(folder, "--resume", "--steps", String(steps.length + 1), "--json"),
      );
      assertEquals([resumed, events[0].step], [0, steps.length]);
    }));
}
