/** The playground, as somebody with Chromium meets it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { PlaygroundReport } from "./playground_checks.ts";
import { CLEAN } from "./visits/page.ts";
import { runScript } from "./run_child.ts";

Deno.test("playground: trains, shows its memory at work, saves and goes on from what it saved", async (t) => {
  const { training: report, ...page } = await runScript<PlaygroundReport>("playground_checks.ts", 600_000);

  await t.step("it asks nobody but its own server, and nothing fails in silence", () => {
    assertEquals(page.outside, []);
    assertEquals(page.problems, []);
  });

  await t.step("the page is small, and loads the code of a tab and of a device when it is used", () => {
    assert(page.gzipBytes <= 250_000, `${page.gzipBytes} bytes, gzipped`);
    const has = (path: string): boolean => page.modules.some((module) => module.startsWith(path));
    assert(has("web/page/recall/") && has("kernels/devices/wasm/"), page.modules.join());
    assert(
      !has("kernels/devices/webgpu/") && !has("titans/train/trainer.ts") && !has("web/page/lab.ts"),
      page.modules.join(),
    );
  });

  await t.step("a fact is read and recalled, and a memory that was not told it does not know it", () => {
    const { recall } = page;
    assertMatch(
      recall.opened,
      /^Asked “the key:”, the model answers Q, which is right \(\d+% on Q\)\. With a memory that has read nothing it answers ./,
    );
    assertMatch(recall.own, /the model answers 4, which is right/);
    assertMatch(recall.unlearned, /the model answers ., but 4 is right/);
    const [withMemory, without] = recall.bars.map((bar) => Number(bar.match(/^4 (?:under )?(\d+)%$/)![1]));
    assert(withMemory > 2 * without, `${withMemory}% with memory, ${without}% without`);
    assertMatch(
      recall.details[0],
      /^Byte (\d+) of \1, space: the memory moved by \d\.\d{3}, [\d.]+ times the median\.$/,
    );
    assertMatch(recall.details[1], /, “:”: the memory moved by/);
    assert(recall.colours > 100, `${recall.colours} colours in the picture of the memory`);
  });

  await t.step("the first tab refuses what is no fact, has an address to share, and fits a phone", () => {
    const { refused, shared, tabs, overflow } = page.recall;
    assertEquals(refused, "The fact must say a capital letter or a digit.");
    assertStringIncludes(shared.link, "#recall?name=my+bus&value=4&tellings=2&distance=2000");
    assertEquals([shared.name, shared.value], ["my bus", "4"]);
    assertEquals([tabs, overflow], [["Surprise", "panel-surprise"], 0]);
  });

  await t.step("keys and buttons step through the reading, and a memory is forked there", () => {
    const { steps, forked } = page.recall;
    assertEquals(steps[0], "Nothing is read yet: the memory is as training left it.");
    const places = steps.slice(1).map((said) => said.match(/^Byte (\d+) of (\d+),/)!.slice(1).map(Number));
    assertEquals(places.map(([at]) => at), [1, 33, places[2][1], places[2][1] - 1]);
    const [, kept, told] = forked[0].match(
      /^From one memory, the one answers 4 \((\d+)% on 4\), the other . \(\D*(\d+)% on 4\)\.$/,
    )!;
    assert(Number(kept) > 1.5 * Number(told), forked[0]);
    assertEquals(forked[1], `Fork after byte ${places[3][0]}`);
  });

  await t.step("any text is read: cost, surprise and gates of each character, in all views at once", () => {
    const { summaries, rows, answers, chosen, table, refusals, long } = page.surprise;
    assertMatch(summaries[0], /^Read 218 characters, \d\.\d\d bits each\. The highest cost: .* The highest surprise: /);
    assertMatch(summaries[1], /^Read 13 characters, \d+\.\d\d bits each\./);
    // The memory of the model that comes with the page has no momentum and forgets nothing.
    assertEquals(rows, ["−log₂ p cost", "|∇ℓ| surprise", "θ step size"]);
    const [first, ...again] = answers;
    assert(again.length === 3 && again.every((bits) => bits < first / 2), `the same answer costs ${answers} bits`);
    assertEquals(chosen.map(([character]) => character.trim()), ["B", ""]);
    assertEquals(chosen.map(([, , said]) => said), ["At character 206, “B”", "At character 205, space"]);
    assert(Number(chosen[0][1]) > Number(chosen[1][1]), `the chart is marked at ${chosen.map(([, x]) => x)}`);
    assertEquals(table, { rows: 13, first: "“К”", last: "“。”" });
    assertEquals(refusals, [
      "Enter a text of at least two characters.",
      "This browser stores no model: train one in the tab “Train your own”",
    ]);
    assertStringIncludes(long, "the text is longer, and the first 3000 bytes are read");
  });

  await t.step("momentum and forgetting are turned off: what that costs is drawn beside what it was", () => {
    const { offered, rows, said, lines } = page.surprise.parts;
    assertEquals(offered, [false, true]);
    const cost = "−log₂ p cost", always = ["|∇ℓ| surprise", "θ step size"], both = ["η momentum", "α forgetting"];
    assertEquals(rows, [
      [cost, ...always, ...both],
      [cost, `${cost} as trained`, ...always, both[0]],
      [cost, `${cost} as trained`, ...always],
      [cost, ...always, ...both],
    ]);
    assertEquals(lines, [2, 3, 3, 2]);
    const [whole, unforgetting, plain, again] = said.map((text) =>
      [...text.matchAll(/([\d.]+) (?:bits each|as trained)/g)].map(([, bits]) => Number(bits))
    );
    assertEquals([unforgetting[1], plain[1], ...again], [whole[0], whole[0], whole[0]]);
    assert(unforgetting[0] > 1.5 * whole[0], `a memory that learned with forgetting needs it: ${said[1]}`);
    assert(plain[0] !== unforgetting[0], `momentum does something: ${said[2]}`);
  });

  await t.step("the figures are computed in the page, and symbols of the equations say what they are", () => {
    const { costs, boxes, linear, surprises, symbols, silent } = page.works;
    assertEquals([costs[0], silent, Object.keys(boxes)], ["4096", 0, ["mac", "mag", "mal"]]);
    assertMatch(costs[1], /at the longest text: Transformer [\d.]+, window [\d.]+, LMM [\d.]+, MAC [\d.]+/);
    assert(Object.values(boxes).every((count) => count >= 10), JSON.stringify(boxes));
    // The same letter writes the same, so that what is kept doubles, to the two decimals that are said of each.
    const [written, kept, again, twice] = linear.map((label) => Number(label.match(/[\d.]+$/)![0]));
    assert(written === kept && written === again && Math.abs(twice - 2 * kept) < 0.016, `${linear}`);
    const [learned, still] = surprises;
    assert(learned[2] < learned[0] && learned[3] < learned[1], `surprise of abab: ${learned}`);
    assertEquals(still.slice(2), still.slice(0, 2), "without steps nothing is learned");
    assertMatch(symbols[0].said, /^S, the surprise with momentum/);
    assertMatch(symbols[1].said, /^p, the persistent tokens/);
    assertEquals(symbols.map(({ marked }) => marked), [["surprise"], ["persistent tokens"]]);
  });

  await t.step(
    "models are measured side by side: the state of one grows with the text, that of the other does not",
    () => {
      const { said, rows, lines, refused } = page.compare;
      assertMatch(said[0], /^Measuring .+ after \d+ tokens, about \d+ s left\.$/);
      assertMatch(said[1], /^Stopped, on cpu: /);
      assertMatch(
        said[2],
        /^Done, on cpu: .*LMM: state × 1\.0, time × [\d.]+; Transformer\+\+: state × \d+\.\d, time × /,
      );
      assertEquals(rows.map(([model, tokens]) => `${model} ${tokens}`), [
        ..."64 256 1,024".split(" ").flatMap((tokens) => [`LMM ${tokens}`, `Transformer++ ${tokens}`]),
      ]);
      const state = (model: string): number[] =>
        rows.filter(([name]) => name === model).map(([, , , state]) => Number(state.replaceAll(",", "")));
      assertEquals(new Set(state("LMM")).size, 1);
      assert(state("Transformer++")[2] > 10 * state("Transformer++")[0], `${state("Transformer++")} KiB`);
      assert(rows.every(([, , , , time]) => Number(time) > 0), "a token takes time");
      assertEquals([lines, refused], [4, "Choose at least one model."]);
    },
  );

  await t.step("axe-core finds nothing, and nothing lies beyond the edge of a phone", () => {
    for (const { look } of [page.recall, page.surprise, page.works, page.compare, report]) assertEquals(look, CLEAN);
  });

  await t.step("50 steps in a worker, on several threads: the loss falls by more than a third", () => {
    assertMatch(report.device, navigator.hardwareConcurrency > 1 ? /^cpu: .*, \d+ threads$/ : /^cpu: .*, 1 thread$/);
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

  await t.step("the keyboard moves from character to character: cost, expectation and recall of each", () => {
    assertMatch(report.details[0], /Selected: character 108, “\.”/);
    assertMatch(report.details[1], /Selected: character 107, “p”/);
    for (const detail of report.details) {
      assertMatch(detail, /surprise \d.*, step size theta \d.*, norm of the change \d/);
      assertMatch(detail, /It needed \d+\.\d\d bits; with a memory that has learned nothing, \d+\.\d\d\./);
      assertMatch(detail, /Predicted: .*%.* Without the memory: .*%/);
    }
    assertMatch(report.gates, /^Largest: theta 0\.\d+, eta 0\.\d+, alpha /);
  });

  await t.step("a checkpoint is saved and loaded, and training goes on from it", () => {
    assertEquals(report.saved.name, "mneme-mac-50.safetensors");
    assert(report.saved.sizeBytes > 100_000, `${report.saved.sizeBytes} bytes`);
    assertStringIncludes(report.saved.said, report.saved.name);
    assertStringIncludes(report.loaded, "Loaded a model at step 50.");
    assertEquals([report.continued.step, report.continued.losses.length], ["55", 5]);
    // A model that had begun anew would pay 8 bits.
    assert(report.continued.losses[0] < report.losses[0] * 2 / 3, `${report.continued.losses}`);
  });

  await t.step("training goes on with a text that was changed, and says so", () => {
    const { note, losses } = report.changedText;
    assertEquals([note, losses.length], ["The text was changed: Continue trains on the new one.", 10]);
    assert(losses[9] > losses[4] + 0.5, `a text that is new costs more: ${losses}`);
  });

  await t.step("what cannot be done is said in one line", () => {
    assertEquals(report.refusals.map((text) => text.split("\n").length), [1, 1, 1]);
    assertStringIncludes(report.refusals[0], "Cannot read safetensors");
    assertStringIncludes(report.refusals[1], "a vocabulary of 300), and this page reads bytes");
    assertStringIncludes(report.refusals[2], "it needs at least 300");
  });

  await t.step("a start that fails leaves the model that was there, and asks before it would replace it", () => {
    const { asked, error, said, changes, written } = report.failed;
    assertEquals(asked, ["Train from scratch replaces the model at step 50, which is not saved. Continue?"]);
    assertMatch(error, /^Cannot open a WebGPU device: no adapter was found; .*hardware acceleration.* "cpu"/);
    assertEquals(said, "This failed; the model at step 50 is unchanged.");
    assertEquals(changes, "Changed: size, device. This applies to Train from scratch; Continue uses mac, tiny.");
    assertMatch(written, /^Generated \d+ characters\.$/);
  });

  await t.step("a reload loses nothing: the browser stores the model, and the form shows its options", () => {
    assertMatch(report.trained, /The browser stores this model\.$/);
    assertMatch(
      report.restored.offer,
      /^Ready\. The browser stores the mac model of .*, at step 50: use Restore last model to load it\.$/,
    );
    assertStringIncludes(report.restored.said, "Loaded a model at step 50.");
    assertEquals(report.restored.chosen, ["mac", "tiny"]);
  });

  await t.step("parameters are counted without the padding between them", () => {
    const [shown, count] = report.parameters;
    assertEquals(shown, count.toLocaleString("en"));
  });

  await t.step("the text to read is the visitor's, and how much of it is read is said", () => {
    const { followed, own, size, read } = report.samples;
    assert(followed.endsWith("It ends so.") && followed.length > 300 && followed.length <= 384, followed);
    assertEquals([own.length, size], [500, "500 bytes, of which the first 384 are read."]);
    assertMatch(read, /^Read the first 384 of 500 bytes\./);
  });

  await t.step("the focus stays, nothing moves by itself, and forced colours leave the strip its colours", () => {
    assertEquals([...report.opened, report.focus], [0, "BODY", "start"]);
    assert(report.shift < 0.05, `${report.shift} of the screen moved`);
    const [strongest, strip] = report.forced;
    assert(strongest !== strip && !/rgba\(0, 0, 0, 0\)|transparent/.test(strongest), `${strongest} on ${strip}`);
  });

  await t.step("a reload while it trains loses seconds, and the time that is left is said", () => {
    assertMatch(report.plain.left, /^\d+ (s|min)$/);
    assertMatch(
      report.plain.offer,
      /^Ready\. The browser stores the lmm model of .*, at step \d+: use Restore last model/,
    );
  });

  await t.step("without shared memory it computes on one thread, and stops when asked", () => {
    assertMatch(report.plain.device, /^cpu: .*, 1 thread$/);
    assertMatch(report.plain.stopped, /^Stopped at step \d+\./);
    assertMatch(report.plain.stoppedReading, /^Stopped; the model at step \d+ is unchanged\.$/);
  });
});
