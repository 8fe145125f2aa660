/** Needles in haystacks: templates and haystacks done by hand, the metric, the grid of an evaluation, and errors. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { requestDevice } from "../../kernels/mod.ts";
import { ConfigError, defineConfig, Model, type Score, type Subject, taskFiles } from "../../titans/mod.ts";
import { needle } from "../../titans/tasks/mod.ts";
import { type OptionRecord, resolveOptions } from "../../titans/options/option_table.ts";
import { contains, measureGrid } from "../../titans/tasks/needle/grid.ts";
import { DEPTHS, findNeedle, isFree, leastBytes, needleSample, NOISE } from "../../titans/tasks/needle/prompt.ts";
import { KEY_WORDS } from "../../titans/tasks/needle/words.ts";
import { passageOf, Passages, sentencesOf } from "../../titans/tasks/passages.ts";
import { SampleRandom } from "../../titans/tasks/samples.ts";
import { TINY } from "./builders.ts";
import { textFile } from "./task_cases.ts";

const noise = Passages.repeated(NOISE);
const short = { template: "short", haystack: "noise", value: "digits7", words: KEY_WORDS, passages: noise } as const;
const make = (options: OptionRecord, files?: Parameters<typeof taskFiles>[0]) =>
  needle.create(resolveOptions("needle", needle.options, options), files && taskFiles(files));

Deno.test("passages: sentences end before a capital, a digit or a quote, and passages are whole words", () => {
  const text = `It was 3.5 miles.  "Why?" he asked. No. 7 came (late.) Then\nnothing... and so on! 'Yes.' End`;
  assertEquals(sentencesOf(text), [
    "It was 3.5 miles.",
    `"Why?" he asked.`,
    "No.",
    "7 came (late.)",
    "Then nothing... and so on!",
    "'Yes.'",
    "End",
  ]);
  assertEquals(passageOf(["Aa bb.", "Cc dd ee."], 12), ["Aa bb.", "Cc dd"]);
  assertEquals(passageOf(["Aa bb.", "Cc dd ee."], 8), ["Aa bb."]);
  assertEquals(passageOf(["é b"], 2), ["é"]);
  // Of ten files or more, each is in one part; of fewer, sentences are.
  const files = Array.from({ length: 10 }, (_, i) => textFile(`${i}`, `A${i} one. A${i} two.`));
  const parts = Passages.of(files);
  assertEquals([parts.count("train"), parts.count("validation"), parts.count("test")], [16, 2, 2]);
  assertEquals(
    passageOf(parts.from("test", new SampleRandom(0, "a")), 30).join(" ").match(/A\d/g)!.every((a) => a === "A9"),
    true,
  );
});

Deno.test("needle: lines of noise, and where the needle stands among them", () => {
  // Two lines fit; at depth 50 the needle is the second of three, at depth 0 the first.
  const bytes = leastBytes(short) + 2 * (NOISE.length + 1);
  const linesAt = (depth: number) => {
    const { prompt, value } = needleSample(short, { bytes, depth, random: new SampleRandom(1, "x"), split: "test" });
    assertMatch(value, /^[1-9]\d{6}$/);
    return prompt.split("\n");
  };
  const middle = linesAt(50), first = linesAt(0), last = linesAt(100);
  assertEquals([middle[0], middle.length], ["Remember the magic number.", 5]);
  assertEquals([middle[1], middle[3]], [NOISE, NOISE]);
  assertMatch(middle[2], /^The magic number for [a-z]+-[a-z]+ is: \d{7}\.$/);
  assertMatch(middle[4], /^What is the magic number for ([a-z]+-[a-z]+)\? The magic number for \1 is:$/);
  assert(first[1].startsWith("The magic") && last[3].startsWith("The magic"));
});

Deno.test("needle: in text it stands after floor(S x depth / 100) sentences, in RULER's words", () => {
  const parts = {
    ...short,
    template: "ruler",
    haystack: "text",
    value: "uuid",
    words: { first: ["loud"], second: ["cat"] },
    passages: new Passages({
      train: [],
      validation: [],
      test: ["One is here.", "Two is here!", "Three, is it?", "Four is it."],
    }),
  } as const;
  const { prompt, value } = needleSample(parts, {
    bytes: leastBytes(parts) + 52,
    depth: 51,
    random: new SampleRandom(8, "y"),
    split: "test",
  });
  assertMatch(value, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const [before, text, question] = prompt.split("\n"), key = /uuid for (\S+) mentioned/.exec(question)![1];
  assertEquals(
    before,
    "A special magic uuid is hidden within the following text. Make sure to memorize it. I will quiz you about the uuid afterwards.",
  );
  const statement = `One of the special magic uuids for ${key} is: ${value}.`, around = text.split(` ${statement} `);
  assertEquals(
    question,
    `What is the special magic uuid for ${key} mentioned in the provided text? The special magic uuid for ${key} mentioned in the provided text is`,
  );
  // Four sentences at depth 51: floor(2.04) = 2 before the needle.
  assertEquals(around.map((side) => sentencesOf(side).length), [2, 2]);
  assertEquals([DEPTHS.length, DEPTHS[0], DEPTHS[1], DEPTHS[39]], [40, 0, 3, 100]);
});

Deno.test("needle: a value counts where it is contained, and the free characters of a UUID are 30", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  assertEquals([" 1234567.", "12345678", "1234 567"].map((text) => contains(bytes(text), "1234567")), [
    true,
    true,
    false,
  ]);
  assert(contains(bytes("Is AB-c"), "ab-C"));
  assertEquals(Array.from({ length: 36 }, (_, i) => isFree("uuid", i)).filter(Boolean).length, 30);
});

Deno.test("needle: a reader of the prompt finds the value, in all templates and values", () => {
  for (const template of ["short", "ruler"] as const) {
    for (const value of ["letter", "digits3", "digits7", "uuid"] as const) {
      const parts = { ...short, template, value };
      for (let i = 0; i < 5; i++) {
        const sample = needleSample(parts, { bytes: 900, random: new SampleRandom(2, `${i}`), split: "train" });
        const found = findNeedle(`${sample.prompt} ${sample.value}.`);
        assertEquals([found?.value, found?.end], [sample.value, sample.prompt.length]);
        assert(sample.prompt.length + sample.value.length + 2 <= 900);
      }
    }
  }
});

Deno.test("needle: training rows ask for the value and its stop, or for every byte; tests for its characters", () => {
  const masked = (options: OptionRecord, split: "train" | "test") => {
    const task = make({ value: "digits3", length: 256, ...options });
    const { tokens, targets, mask } = task.batches(split, 30, 0).batch(0) as Record<string, Int32Array>;
    return Array.from({ length: 30 }, (_, row) => {
      const at = Array.from({ length: 256 }, (_, t) => row * 256 + t).filter((t) => mask[t] > 0);
      const end = tokens.subarray(row * 256, row * 256 + 256).findLastIndex((token) => token !== 0) + 1;
      return { said: String.fromCharCode(...at.map((t) => targets[t])), end };
    });
  };
  for (const { said } of masked({ textRows: 0 }, "train")) assertMatch(said, /^ \d{3}\.$/);
  for (const { said, end } of masked({ textRows: 1 }, "train")) assertEquals(said.length, end);
  for (const { said } of masked({}, "test")) assertMatch(said, /^\d{3}$/);
  const both = masked({ textRows: 0.5 }, "train").filter(({ said }) => said.length > 5).length;
  assert(both > 6 && both < 24, `${both} of 30`);
});

Deno.test("needle: the evaluation is a grid of lengths and depths; what a model cannot read is left out", async () => {
  const device = await requestDevice({ kind: "cpu" });
  const model = new Model(defineConfig({ ...TINY, model: "attention", vocabulary: 256, maxLength: 300 }));
  const params = device.upload(model.layout.pack(model.initialize(3)), { shape: [model.layout.size], dtype: "f32" });
  let expected = 0, advanced = 0;
  const cells: string[] = [];
  const subject: Subject = {
    device,
    model,
    params,
    samples: 6,
    batch: 2,
    expect: (samples) => void (expected += samples),
    advance: (samples) => void (advanced += samples),
    cell: (label, measure) => (cells.push(label), measure()),
    measure: () => Promise.resolve([]),
  };
  const scores = await measureGrid(subject, { parts: short, lengths: [256, 512], depths: 3, chance: 0.1 });
  assertEquals(cells, ["length 256, depth 0", "length 256, depth 50", "length 256, depth 100"]);
  assertEquals([expected, advanced], [6, 6]);
  assertEquals(
    scores.map(({ name, count }: Score) => [name, count]),
    [
      ["exactMatch, length 256", 6],
      ["accuracy, length 256", 42],
      ...cells.flatMap((cell) => [
        [`exactMatch, ${cell}`, 2],
        [`accuracy, ${cell}`, 14],
      ]),
    ],
  );
  const right = scores.slice(3).filter((_, i) => i % 2 === 0).reduce((sum, { value }) => sum + value * 14, 0);
  assertEquals(Math.round(scores[1].value * 42), Math.round(right));
  assert(scores.every(({ value }) => value >= 0 && value < 0.6));
  // A letter that is written after others is not found: it has to come at once.
  const letters = await measureGrid(subject, {
    parts: { ...short, value: "letter" },
    lengths: [256],
    depths: 2,
    chance: 1 / 26,
  });
  assertEquals(letters.length, 6);
  for (const at of [0, 2, 4]) assert(letters[at].value <= letters[at + 1].value);
  device.dispose();
});

Deno.test("needle: options and files that cannot be are refused in one line", () => {
  const refused = (options: OptionRecord, message: string, files?: Parameters<typeof taskFiles>[0]) =>
    assertThrows(() => make(options, files), ConfigError, message);
  refused({ haystack: "text" }, "Cannot make the task needle without data: give its option data, a path");
  refused({ haystack: "text", data: "a" }, "Cannot hide anything in a: it has too few sentences", {
    a: [textFile("a", "One. Two.")],
  });
  refused(
    { shortest: 100 },
    "Cannot use shortest 100: it must be from 160, the bytes of a needle and its question, to length, 512",
  );
  refused({ value: "uuid" }, "Cannot use shortest 192: it must be from 222");
  refused({ testLengths: "100" }, `"100" must be an integer from 160 to`);
  refused({ words: "w" }, `Cannot use the words of w.txt: "two words" is not one; give a file with one word per line`, {
    w: [textFile("w.txt", "one\ntwo words\n")],
  });
  refused({ words: "w" }, "it has no words", { w: [textFile("w.txt", "\n")] });
  refused({ words: "w" }, "Cannot use words of 3 files", { w: ["a", "b", "c"].map((name) => textFile(name, "one\n")) });
  const own = make({ words: "w", length: 256 }, { w: [textFile("a", "loud\n"), textFile("b", "cat\ndog\n")] });
  const { tokens } = own.batches("test", 1, 0).batch(0) as Record<string, Int32Array>;
  assertMatch(String.fromCharCode(...tokens), /letter for loud-(?:cat|dog) is: [A-Z]\./);
});
