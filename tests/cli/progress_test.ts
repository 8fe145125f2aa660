import { assertEquals } from "@std/assert";
import type { StartEvent, StepEvent } from "../../cli/events.ts";
import { formatCount, formatDuration, jsonReporter, textReporter } from "../../cli/progress.ts";
import { FakeTerminal } from "./fake_terminal.ts";

const START: StartEvent = {
  event: "start",
  step: 0,
  device: "webgpu",
  version: "0.1.0",
  model: "mac",
  preset: "nano",
  parameters: 175000,
  adapter: "llvmpipe",
  data: "sotu",
  trainBytes: 9_500_000,
  heldOutBytes: 500_000,
  vocabulary: "bytes",
  bytesPerToken: 1,
  steps: 300,
  tokensPerStep: 1024,
  out: "runs/mac-nano",
};

function step(number: number): StepEvent {
  return {
    event: "step",
    step: number,
    device: "webgpu",
    loss: 2 * Math.LN2,
    bitsPerByte: 2,
    learningRate: 3e-3,
    gradientNorm: 1,
    tokensPerSecond: 2048,
  };
}

Deno.test("progress: on a terminal one line is rewritten, with loss, bits a byte, tokens a second and the time left", () => {
  const terminal = new FakeTerminal(true);
  const { report, note } = textReporter(terminal);
  report(START);
  const before = terminal.stdout.length;
  report(step(1));
  report(step(100));
  note("saved");
  assertEquals(
    terminal.stdout.slice(before),
    "\r\x1b[Kstep 1/300  loss 1.386  2.00 bits/byte  2,048 tokens/s  ETA 2m 30s" +
      "\r\x1b[Kstep 100/300  loss 1.386  2.00 bits/byte  2,048 tokens/s  ETA 1m 40s" +
      "\r\x1b[Ksaved\n",
  );
});

Deno.test("progress: the line that is rewritten is never longer than the screen is wide", () => {
  for (let columns = 1; columns <= 80; columns++) {
    const terminal = new FakeTerminal(true, columns), { report } = textReporter(terminal);
    report(START);
    const before = terminal.stdout.length;
    report(step(123));
    const shown = terminal.stdout.slice(before + "\r\x1b[K".length);
    assertEquals(shown.length < columns, true, `${columns}: ${shown}`);
    assertEquals("step 123/300  loss 1.386  2.00 bits/byte  2,048 tokens/s  ETA 1m 29s".startsWith(shown), true, shown);
  }
});

Deno.test("progress: what a terminal would obey is shown as dots there, and goes as it is into pipes", () => {
  const text = "a\x1b[31mb\x07\x0e\x9b\r\u202e\tc";
  for (const interactive of [true, false]) {
    const terminal = new FakeTerminal(interactive);
    textReporter(terminal).report({ event: "sample", step: 1, device: "cpu", prompt: "p", text });
    assertEquals(terminal.stdout, `sample:\n  p${interactive ? "a·[31mb·····\tc" : text}\n`);
  }
});

Deno.test("progress: in a log a line is written now and then, and for the last step", () => {
  const terminal = new FakeTerminal();
  let now = 0;
  const { report } = textReporter(terminal, () => now);
  report(START);
  for (let i = 1; i <= 300; i++, now += 100) report(step(i));
  const steps = terminal.stdout.split("\n").filter((line) => line.startsWith("step ")).map((line) =>
    line.split(" ")[1]
  );
  assertEquals(steps, ["1/300", "101/300", "201/300", "300/300"]);
});

Deno.test("progress: --json is one object a line on stdout, notes go to stderr", () => {
  const terminal = new FakeTerminal();
  const { report, note } = jsonReporter(terminal);
  report(START);
  report(step(1));
  note("saved");
  assertEquals(terminal.events.map(({ event, step }) => [event, step]), [["start", 0], ["step", 1]]);
  assertEquals(terminal.stderr, "saved\n");
});

Deno.test("progress: counts and durations read well", () => {
  assertEquals([0, 999, 1000, 1234567].map(formatCount), ["0", "999", "1,000", "1,234,567"]);
  assertEquals([0.4, 59, 61, 3600 + 120].map(formatDuration), ["0s", "59s", "1m 01s", "1h 02m"]);
});
