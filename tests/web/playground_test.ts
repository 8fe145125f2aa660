/** The playground, as somebody with Chromium meets it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { PlaygroundReport } from "./playground_checks.ts";
import { runScript } from "./run_child.ts";

Deno.test("playground: trains, shows its memory at work, saves and goes on from what it saved", async (t) => {
  const report = await runScript<PlaygroundReport>("playground_checks.ts");

  await t.step("it asks nobody but its own server, and nothing fails in silence", () => {
    assertEquals(report.outside, []);
    assertEquals(report.problems, []);
  });

  await t.step("every control and picture has a name", () => assertEquals(report.unnamed, []));

  await t.step("50 steps in a worker, on several threads: the loss falls by more than a third", () => {
    assertMatch(report.device, /^cpu: .*, \d+ threads$/);
    assertStringIncludes(report.trained, "Done at step 50.");
    const first = report.losses[0], last = report.losses.at(-1)!;
    assert(first > 7 && last < first * 2 / 3, `from ${first} to ${last}`);
  });

  await t.step("it goes on from a beginning, no longer than it was asked to", () => {
    assert(report.written.startsWith("The "), report.written);
    assert(report.written.length > 24 && report.written.length <= 64, report.written);
  });

  await t.step("the text is coloured by surprise, most where it is told to be", () => {
    const { characters, strong, classes } = report.coloured;
    assertEquals([characters, classes], [109, ["warm"]]);
    assert(strong > 0 && strong < characters, `${strong} of ${characters} characters are in full colour`);
    assertMatch(report.summary, /^Largest: .* at \d+ in “.*” \(\d+\.\d+\)/);
  });

  await t.step("the keyboard moves from byte to byte: cost, expectation and recall of each", () => {
    assertMatch(report.details[0], /Chosen: byte 108, “\.”/);
    assertMatch(report.details[1], /Chosen: byte 107, “p”/);
    for (const detail of report.details) {
      assertMatch(detail, /surprise \d/);
      assertMatch(detail, /It cost \d+\.\d\d bits; with a memory that had learned nothing, \d+\.\d\d\./);
      assertMatch(detail, /Expected: .*%.* Without the memory: .*%/);
    }
    assertMatch(report.gates, /^Largest: theta 0\.\d+, eta 0\.\d+, alpha /);
  });

  await t.step("a checkpoint is saved and loaded, and training goes on from it", () => {
    assertEquals(report.saved.name, "mneme-mac-50.safetensors");
    assert(report.saved.sizeBytes > 100_000, `${report.saved.sizeBytes} bytes`);
    assertStringIncludes(report.saved.said, report.saved.name);
    assertStringIncludes(report.loaded, "Loaded: the model stands at step 50.");
    assertEquals([report.continued.step, report.continued.losses.length], ["55", 5]);
    // A model that had begun anew would pay 8 bits.
    assert(report.continued.losses[0] < report.losses[0] * 2 / 3, `${report.continued.losses}`);
  });

  await t.step("what cannot be done is said in one line", () => {
    assertEquals(report.refusals.map((text) => text.split("\n").length), [1, 1]);
    assertStringIncludes(report.refusals[0], "Cannot read safetensors");
    assertStringIncludes(report.refusals[1], "give at least 300");
  });

  await t.step("without shared memory it computes on one thread, and stops when asked", () => {
    assertMatch(report.plain.device, /^cpu: .*, 1 thread$/);
    assertMatch(report.plain.stopped, /^Stopped at step \d+\./);
  });
});
