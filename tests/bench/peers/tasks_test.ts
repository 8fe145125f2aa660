/** What the processes of peers share: the order of a task's steps, checks, and who takes part. */
import { assertEquals, assertRejects } from "@std/assert";
import type { ChildOptions } from "./child_process.ts";
import { startAll } from "./mod.ts";
import { random, servedBy, sumOfAbsoluteValues, zeros } from "./tasks.ts";

const FAKE = new URL("fake_child.ts", import.meta.url).href;

Deno.test("a task is run, checked once and released after every run", async () => {
  const steps: string[] = [];
  const log = (step: string): Promise<void> => Promise.resolve(void steps.push(step));
  const task = () => ({
    run: () => log("run"),
    check: async () => (await log("check"), 4),
    release: () => void log("release"),
  });
  const served = servedBy({
    description: "a library",
    tasks: { "matmul 256": task },
    note: "eager",
    deviceBytes: () => 12,
  });
  await assertRejects(() => served.run(), Error, "prepare a job first");
  assertEquals([served.knows("matmul 256"), served.knows("matmul 512")], [true, false]);
  const { firstMs, ...prepared } = await served.prepare("matmul 256");
  assertEquals([prepared, firstMs >= 0], [{ check: 4, note: "eager" }, true]);
  await served.run();
  assertEquals(steps, ["run", "check", "release", "run", "release"]);
  assertEquals((await served.memory()).deviceBytes, 12);
});

Deno.test("a check adds up the absolute values of all results", async () => {
  assertEquals(await sumOfAbsoluteValues([[1, -2], [-0.5]].map((values) => Promise.resolve(values))), 3.5);
});

Deno.test("data have the size of their shape, and a seed gives the same again", () => {
  const { data } = random([3, 5], 2, 7);
  assertEquals([data.length, new Set(data).size], [15, 15]);
  assertEquals(random([15], 1, 7).data.map((value) => 2 * value), data);
  assertEquals(zeros([2, 2]).data, new Float32Array(4));
});

Deno.test("a contestant that does not start is left out, with a line", async () => {
  const lines: string[] = [];
  const fake = (library: string, behaviour: string): ChildOptions => ({
    library,
    device: "cpu",
    command: "deno",
    args: ["run", "--quiet", "--no-prompt", FAKE, behaviour],
  });
  const contestants = await startAll([fake("first", "refuse"), fake("second", "good")], (line) => lines.push(line));
  assertEquals(contestants.map(({ library }) => library), ["second"]);
  assertEquals(lines, ["left out: first on cpu: open: no device here"]);
  for (const contestant of contestants) await contestant.close();
});
