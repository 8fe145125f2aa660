import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CommandError, UsageError } from "../../cli/errors.ts";
import type { StepEvent, ValidationEvent } from "../../cli/events.ts";
import { latestRun, readConfig, RunFolder } from "../../cli/run_folder.ts";
import { withFolder } from "./scratch.ts";

function validation(step: number, loss: number): ValidationEvent {
  const norms = { memoryNorm: 1, surpriseNorm: 1, memoryChange: 1, innerLoss: 1, updateNorm: 1 };
  return {
    event: "validation",
    step,
    device: "reference",
    loss,
    bitsPerByte: loss,
    bigramBitsPerByte: 1,
    bytes: 1,
    ...norms,
  };
}

function event(step: number): StepEvent {
  return {
    event: "step",
    step,
    device: "reference",
    loss: 1,
    bitsPerByte: 1,
    learningRate: 1,
    gradientNorm: 1,
    tokensPerSecond: 1,
  };
}

const stepsIn = async (path: string): Promise<number[]> =>
  (await Deno.readTextFile(`${path}/metrics.jsonl`)).split("\n").filter(Boolean).map((line) => JSON.parse(line).step);

Deno.test("run folder: going on cuts the metrics back to the checkpoint, also a line that a crash cut short", () =>
  withFolder(async (root) => {
    const path = root;
    const first = await RunFolder.open(path, { seed: 1 }, { step: 0 });
    for (let step = 1; step <= 5; step++) first.log(event(step));
    await first.save(Uint8Array.of(1, 2, 3));
    first.close();
    await Deno.writeTextFile(`${path}/metrics.jsonl`, '{"step":6', { append: true });
    const second = await RunFolder.open(path, { seed: 1 }, { step: 3 });
    second.log(event(4));
    second.close();
    assertEquals(await stepsIn(path), [1, 2, 3, 4]);
    assertEquals(await Deno.readFile(second.checkpoint), Uint8Array.of(1, 2, 3));
    assertEquals(await readConfig(path), { seed: 1 });
  }));

Deno.test("run folder: a checkpoint is replaced at once, and leaves no part behind", () =>
  withFolder(async (root) => {
    const run = await RunFolder.open(root, {}, { step: 0 });
    await run.save(new Uint8Array(1000).fill(1));
    await run.save(new Uint8Array(10).fill(2));
    run.close();
    assertEquals(await Deno.readFile(run.checkpoint), new Uint8Array(10).fill(2));
    const names = [];
    for await (const { name } of Deno.readDir(root)) names.push(name);
    assertEquals(names.sort(), ["checkpoint.safetensors", "config.json", "metrics.jsonl"]);
  }));

Deno.test("run folder: the best checkpoint stays where the last one moves on, and going on knows it", () =>
  withFolder(async (root) => {
    const run = await RunFolder.open(root, {}, { step: 0 });
    run.log(validation(1, 2));
    await run.save(Uint8Array.of(1), true);
    run.log(validation(2, 3));
    await run.save(Uint8Array.of(2));
    run.close();
    assertEquals(await Deno.readFile(run.best), Uint8Array.of(1));
    assertEquals(await Deno.readFile(run.checkpoint), Uint8Array.of(2));
    const again = await RunFolder.open(root, {}, { step: 2 });
    again.close();
    assertEquals(again.history.best, { step: 1, loss: 2, bitsPerByte: 2 });
    await again.saveReport({ title: "t", status: "s", facts: [], config: {} });
    assertStringIncludes(
      await Deno.readTextFile(`${root}/report.html`),
      "The best result on held-out text is 2, at step 1.",
    );
  }));

Deno.test("run folder: what a crash spoilt among the metrics is left out, and what follows it is kept", () =>
  withFolder(async (path) => {
    const spoilt = ["", "null", "\0\0\0\0", '{"step":3,"lo', "[]", '{"event":"step"}'];
    const lines = [event(1), event(2), ...spoilt, event(3), event(4), event(5)].map((line) =>
      typeof line === "string" ? line : JSON.stringify(line)
    );
    await Deno.writeTextFile(`${path}/metrics.jsonl`, `${lines.join("\n")}\n${JSON.stringify(event(4)).slice(0, -2)}`);
    (await RunFolder.open(path, {}, { step: 4 })).close();
    assertEquals(await stepsIn(path), [1, 2, 3, 4]);
  }));

Deno.test("run folder: the newest run is found", () =>
  withFolder(async (root) => {
    await assertRejects(() => latestRun(`${root}/none`), UsageError, "there is no run");
    for (const name of ["mac-nano", "mac-nano-2"]) {
      await Deno.mkdir(`${root}/${name}`);
      (await RunFolder.open(`${root}/${name}`, {}, { step: 0 })).close();
    }
    await Deno.utime(`${root}/mac-nano/metrics.jsonl`, 1, 1);
    assertEquals(await latestRun(root), `${root}/mac-nano-2`);
  }));

Deno.test("run folder: a configuration that is no JSON is refused", () =>
  withFolder(async (root) => {
    await Deno.writeTextFile(`${root}/config.json`, "{");
    await assertRejects(() => readConfig(root), CommandError, "is not valid JSON");
  }));
