/** A contestant's process as seen from outside: its answers, its errors, its end. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Contestant } from "../contestant.ts";
import { type ChildOptions, openChild } from "./child_process.ts";
import { lineOf, linesOf } from "./protocol.ts";

const FAKE = new URL("fake_child.ts", import.meta.url).href;

function open(behaviour: string, options: Partial<ChildOptions> = {}): Promise<Contestant> {
  return openChild({
    library: "fake",
    device: "cpu",
    command: "deno",
    args: ["run", "--quiet", "--no-prompt", FAKE, behaviour],
    ...options,
  });
}

Deno.test("a contestant in a process answers what it is asked, and what its library prints is not an answer", async () => {
  const contestant = await open("good");
  assertEquals([contestant.library, contestant.device, contestant.description], ["fake", "cpu", "fake 1.0, good"]);
  assertEquals([contestant.knows("matmul 256"), contestant.knows("softmax 4096 x 256")], [true, false]);
  assertEquals(await contestant.prepare("matmul 512"), { firstMs: 3, check: 1, note: "matmul 512" });
  const [first, ...none] = await contestant.run(0), [second, third] = await contestant.run(2);
  assertEquals([first.ms, none.length, second.ms, third.ms, first.cpuMs >= 0], [1, 0, 2, 3, true]);
  assertEquals(await contestant.memory(), { rssBytes: 1000, deviceBytes: 24 });
  await contestant.close();
  await contestant.close();
  await assertRejects(
    () => contestant.run(0),
    Error,
    "fake on cpu: its process has ended: prepare a job to start another",
  );
});

Deno.test("each job gets a process of its own", async () => {
  const contestant = await open("good");
  for (const job of ["matmul 256", "matmul 512"] as const) {
    // The fake counts the jobs and runs of its process.
    assertEquals((await contestant.prepare(job)).check, 1);
    assertEquals((await contestant.run(0))[0].ms, 1);
  }
  await contestant.close();
});

Deno.test("a request that fails is one line, and the contestant goes on", async () => {
  const contestant = await open("good");
  await assertRejects(
    () => contestant.prepare("matmul 1024"),
    Error,
    "fake on cpu: prepare matmul 1024: RangeError: too large",
  );
  assertEquals((await contestant.prepare("matmul 256")).firstMs, 3);
  await contestant.close();
});

Deno.test("a result that is not finite is an error, not a missing check", async () => {
  const contestant = await open("nan");
  await assertRejects(() => contestant.prepare("matmul 256"), Error, "the result of matmul 256 is NaN");
  await contestant.close();
});

Deno.test("a library that does not load is one line", async () => {
  const error = await assertRejects(() => open("refuse"), Error);
  assertEquals(error.message, "fake on cpu: open: no device here");
});

Deno.test("a process that ends says how and why, and the next job starts another", async () => {
  const contestant = await open("crash");
  await contestant.prepare("matmul 256");
  await assertRejects(
    () => contestant.run(0),
    Error,
    "fake on cpu: the process ended with code 70 at run: error: out of ideas",
  );
  assertEquals((await contestant.prepare("matmul 512")).note, "matmul 512");
  await contestant.close();
});

Deno.test("a process that does not answer is killed", async () => {
  const contestant = await open("hang", { timeoutMs: 1000 });
  await contestant.prepare("matmul 256");
  const start = performance.now();
  await assertRejects(() => contestant.run(0), Error, "fake on cpu: no answer to run in 1 s: killed");
  assert(performance.now() - start >= 999, "killed before its time");
  await contestant.close();
});

Deno.test("a program that speaks no protocol is one line", async () => {
  await assertRejects(
    () => open("", { args: ["--version"] }),
    Error,
    "fake on cpu: the process ended with code 0 at open",
  );
});

Deno.test("lines come whole from any pieces", async () => {
  const pieces = ["on", "e\ntw", "o\n\nthr", "ee"];
  const stream = ReadableStream.from(pieces).pipeThrough(new TextEncoderStream()) as ReadableStream<
    Uint8Array<ArrayBuffer>
  >;
  assertEquals(await Array.fromAsync(linesOf(stream)), ["one", "two", "", "three"]);
});

Deno.test("an error is its first line", () => {
  assertEquals(lineOf(new TypeError("wrong\nwhy")), "TypeError: wrong");
  assertEquals(lineOf("\n text "), "text");
  assertEquals(lineOf(new Error("")), "failed without a message");
});
