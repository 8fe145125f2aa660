/** BABILong: stories, oracles and floors on the released files, prompts, the metric, word tokens, evaluation, errors. */
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { requestDevice } from "../../kernels/mod.ts";
import { ConfigError, defineConfig, Model, type Split, type Subject, taskFiles } from "../../titans/mod.ts";
import { babilong } from "../../titans/tasks/mod.ts";
import { type OptionRecord, resolveOptions } from "../../titans/options/option_table.ts";
import { type BabiParts, drawPrompt, examplesFor } from "../../titans/tasks/babilong/draw.ts";
import { measureLengths } from "../../titans/tasks/babilong/evaluation.ts";
import { drawStory } from "../../titans/tasks/babilong/generator.ts";
import { exampleOf, isRight, promptOf, spread } from "../../titans/tasks/babilong/prompt.ts";
import { type BabiKind, type BabiQuestion, labelPattern, readBabi } from "../../titans/tasks/babilong/story.ts";
import { BYTE_ENCODING, WordVocabulary } from "../../titans/tasks/babilong/words.ts";
import { answerOf, readPrompt } from "../../titans/tasks/babilong/world.ts";
import { Passages } from "../../titans/tasks/passages.ts";
import { SampleRandom } from "../../titans/tasks/samples.ts";
import { TINY } from "./builders.ts";
import { readData, withData } from "./data_folder.ts";
import { textFile } from "./task_cases.ts";

const KINDS = ["qa1", "qa2", "qa3", "qa4", "qa5"] as const;
const NAMES: Readonly<Record<BabiKind, string>> = {
  qa1: "single-supporting-fact",
  qa2: "two-supporting-facts",
  qa3: "three-supporting-facts",
  qa4: "two-arg-relations",
  qa5: "three-arg-relations",
};
const share = (questions: readonly BabiQuestion[], answer: (question: BabiQuestion) => string | undefined): number =>
  questions.filter((question) => answer(question) === question.answer).length / questions.length;
const storiesOf = (kind: BabiKind, count: number, density = 0): BabiQuestion[][] =>
  Array.from({ length: count }, (_, i) => drawStory({ kind, density }, new SampleRandom(1, `${kind} ${i}`)));

Deno.test("babilong: questions of the task page are answered", () => {
  assertEquals(
    answerOf("qa1", ["Mary moved to the bathroom.", "John went to the hallway."], "Where is Mary?"),
    "bathroom",
  );
  const football = [
    "Mary moved to the bathroom.",
    "Sandra journeyed to the bedroom.",
    "Mary got the football there.",
    "John went to the kitchen.",
    "Mary went back to the kitchen.",
    "Mary went back to the garden.",
  ];
  assertEquals(answerOf("qa2", football, "Where is the football?"), "garden");
  assertEquals(answerOf("qa3", football, "Where was the football before the garden?"), "kitchen");
  assertEquals(answerOf("qa3", football, "Where was the football before the kitchen?"), "bathroom");
  const north = ["The office is north of the kitchen.", "The garden is south of the kitchen."];
  assertEquals(answerOf("qa4", north, "What is north of the kitchen?"), "office");
  const west = ["The kitchen is west of the garden.", "The hallway is west of the kitchen."];
  assertEquals(answerOf("qa4", west, "What is the garden east of?"), "kitchen");
  const gifts = [
    "Fred picked up the football there.",
    "Fred gave the football to Jeff.",
    "Jeff passed the football to Bill.",
  ];
  const asked = [
    "What did Fred give to Jeff?",
    "Who gave the football?",
    "Who gave the football to Jeff?",
    "Who did Jeff give the football to?",
    "Who received the football?",
  ];
  assertEquals(asked.map((question) => answerOf("qa5", gifts, question)), ["football", "Jeff", "Fred", "Bill", "Bill"]);
  assertEquals(answerOf("qa1", ["It rained."], "Where is Mary?"), undefined);
});

withData(
  "babilong: released files are read, solved by following their facts, and floors are those of the task page",
  async () => {
    const files = entriesOf(await readData("qa/babi-en-qa1-5.tar"));
    const questionsOf = (kind: BabiKind, part: string): BabiQuestion[] => {
      const name = `${kind}_${NAMES[kind]}_${part}.txt`;
      return readBabi({ name, bytes: files.get(name)! });
    };
    const measured = KINDS.map((kind) => {
      const test = questionsOf(kind, "test"), answers = questionsOf(kind, "train").map(({ answer }) => answer);
      const count = (label: string): number => answers.filter((answer) => answer === label).length;
      const majority = [...new Set(answers)].sort((a, b) => count(b) - count(a))[0];
      const lastLabel = ({ facts }: BabiQuestion) => facts.join(" ").match(labelPattern(kind))?.at(-1);
      const solved = share(test, ({ facts, question }) => answerOf(kind, facts, question));
      return [test.length, solved, share(test, () => majority), kind === "qa5" ? 0 : share(test, lastLabel)];
    });
    assertEquals(measured, [
      [1000, 1, 0.187, 0.527],
      [1000, 1, 0.187, 0.399],
      [1000, 1, 0.185, 0.14],
      [1000, 1, 0.171, 0.128],
      [1000, 0.998, 0.189, 0],
    ]);
  },
);

/** The regular files of a tar archive by their names without folders. */
function entriesOf(archive: Uint8Array<ArrayBuffer>): Map<string, Uint8Array<ArrayBuffer>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>(), decoder = new TextDecoder();
  const field = (at: number, length: number) => decoder.decode(archive.subarray(at, at + length)).replace(/\0.*$/s, "");
  for (let at = 0; field(at, 100) !== "";) {
    const size = parseInt(field(at + 124, 12), 8);
    files.set(field(at, 100).split("/").at(-1)!, archive.slice(at + 512, at + 512 + size));
    at += 512 + 512 * Math.ceil(size / 512);
  }
  return files;
}

Deno.test("babilong: stories that are made up can be answered, and are as long as those of the released data, or nearly", () => {
  // Facts before a question and gaps of two facts, of 300 stories.
  const found = KINDS.map((kind) => {
    const stories = storiesOf(kind, 300), all = stories.flat();
    assertEquals(share(all, ({ facts, question }) => answerOf(kind, facts, question)), 1, kind);
    const gaps = stories.flatMap((story) =>
      story.map(({ facts }, i) => facts.length - (story[i - 1]?.facts.length ?? 0))
    );
    assert(gaps.every((gap) => gap % 2 === 0 && gap > 0));
    const mean = all.reduce((sum, { facts }) => sum + facts.length, 0) / all.length;
    return [mean, gaps.filter((gap) => gap === 2).length / gaps.length];
  });
  [[6, 1], [12.7, 0.62], [24.5, 0.51], [2, 1], [34.5, 0.3]].forEach(([facts, twos], i) => {
    assertAlmostEquals(found[i][0], facts, 0.06 * facts + 0.01, KINDS[i]);
    assertAlmostEquals(found[i][1], twos, 0.05, KINDS[i]);
  });
  // Denser stories of gifts come nearer to the released ones, with 19 facts.
  const dense = storiesOf("qa5", 300, 0.7).flat();
  const mean = dense.reduce((sum, { facts }) => sum + facts.length, 0) / dense.length;
  assert(mean < 28, `${mean}`);
  const middle = storiesOf("qa4", 1000).flat().filter(({ facts, question }) => {
    const room =
      /(?:the )(\w+)/.exec(question.replace(/^What is the (\w+) .*$/, "the $1").replace(/^What is \w+ of /, ""))![1];
    return facts.every((fact) => fact.includes(room));
  }).length;
  assertAlmostEquals(middle / 1000, 0.65, 0.05);
});

Deno.test("babilong: facts keep their order among sentences, and a prompt has as many tokens as there is room for", () => {
  const random = new SampleRandom(3, "spread"), facts = ["f1", "f2", "f3"], sentences = ["a", "b", "c", "d"];
  const seen = new Set<string>();
  for (let i = 0; i < 300; i++) {
    const parts = spread(facts, sentences, random).split(" ");
    assertEquals([parts.filter((part) => part[0] === "f"), parts.filter((part) => part[0] !== "f")], [
      facts,
      sentences,
    ]);
    seen.add(parts.join(""));
  }
  assertEquals([seen.has("f1f2f3abcd"), seen.has("abcdf1f2f3")], [true, true], "also all before, and all behind");
  const sentence = "One two three four five six seven eight nine ten eleven.";
  for (const encoding of [new WordVocabulary([sentence], 20), BYTE_ENCODING]) {
    const protocol = encoding === BYTE_ENCODING ? "fewShot" : "fineTuned";
    const parts = { kind: "qa1", protocol, density: 0, passages: Passages.repeated(sentence), encoding } as const;
    for (const tokens of [1500, 2000]) {
      const { prompt, answer } = drawPrompt(parts, { tokens, random, split: "test" });
      const size = encoding.encode(`${prompt} ${answer}.`).length;
      assert(size <= tokens && size > tokens - 8, `${size} of ${tokens}`);
      const read = readPrompt("qa1", encoding.decode(encoding.encode(`${prompt} ${answer}.`)).text);
      assertEquals(answerOf("qa1", read.facts, read.question), answer);
    }
  }
});

Deno.test("babilong: prompts in both protocols, and the rule by which an output is right", () => {
  assertEquals(
    promptOf({ protocol: "fineTuned", kind: "qa1" }, "Mary moved.", "Where is Mary?"),
    "Mary moved.\nWhere is Mary? Answer:",
  );
  const shown = promptOf({ protocol: "fewShot", kind: "qa5" }, "Mary moved.", "Who gave the milk?");
  assertMatch(shown, /<example>\n.*\nAnswer: Charlie\n<\/example>/);
  assertMatch(shown, /\n\n<context>\nMary moved\.\n<\/context>\n\nQuestion: Who gave the milk\?\nAnswer:$/);
  const question = "Where was the milk before the kitchen?",
    right = (output: string, answer = "garden") => isRight("qa3", { question, answer }, output);
  assertEquals(
    [
      "the milk was in the garden before the kitchen.",
      "garden or office",
      "Garden. Not the office",
      "kitchen",
      " garden <context> office",
    ].map((output) => right(output)),
    [true, false, true, false, true],
  );
  assert(isRight("qa5", { question: "Who gave the milk?", answer: "Mary" }, " mary ."));
});

Deno.test("babilong: examples are the two that are written, then stories of the training part, which are not asked", () => {
  const create = (options: OptionRecord) =>
    babilong.create(
      resolveOptions("b", babilong.options, { protocol: "fewShot", length: 8192, shortest: 4096, ...options }),
    );
  const shown = (options: OptionRecord, split: Split = "test") => {
    const { tokens } = create(options).batches(split, 1, 0).batch(0);
    return new TextDecoder().decode(Uint8Array.from((tokens as Int32Array).filter((token) => token > 0)));
  };
  const examplesIn = (text: string) =>
    [...text.matchAll(/<example>\n(.*?)\n<\/example>/gs)].map(([, example]) => example);
  // Whatever the length, there is room for a story.
  for (const question of KINDS) {
    for (const shots of [0, 2, 6]) {
      assertEquals(examplesIn(shown({ question, shots, shortest: 64, length: 256 })).length, shots);
    }
  }
  const [none, two, four] = [0, 2, 4].map((shots) => shown({ shots }));
  assertEquals([none, two, four].map((text) => examplesIn(text).length), [0, 2, 4]);
  assertEquals(two, shown({}));
  assertMatch(none, /by the facts alone\.[^\n]*\n\nAnswer in this form: .*\n\n<context>\n/);
  assertEquals(examplesIn(four).slice(0, 2), examplesIn(two));
  for (const example of examplesIn(four).slice(2)) {
    const [, facts, question, said] = /^(.*\.) (Where is \w+\?)\nAnswer: (.*)$/.exec(example)!;
    const read = readPrompt("qa1", `${facts}\n${question}`), answer = answerOf("qa1", read.facts, read.question);
    assertEquals(said, `The most recent location of ${question.slice(9, -1)} is ${answer}.`);
  }
  assert(examplesIn(shown({ shots: 4, shotSeed: 1 }))[3] !== examplesIn(four)[3]);
  const story = {
    facts: ["Mary took the milk."],
    question: "Where was the milk before the kitchen?",
    answer: "garden",
  };
  assertEquals(exampleOf("qa3", story)[1], "Before the kitchen the milk was in the garden.");
  assertEquals(exampleOf("qa2", { ...story, question: "Where is the milk?" })[1], "The milk is in the garden.");
  assertEquals(exampleOf("qa5", { ...story, question: "Who gave the milk?", answer: "Bill" })[1], "Bill");
  // qa4 has few stories: some that are drawn are examples, and drawn again.
  const examples = examplesFor({ kind: "qa4", density: 0 }, { shots: 64, seed: 0 }),
    texts = examples.map(([text]) => text);
  const parts = {
    kind: "qa4",
    protocol: "fewShot",
    examples,
    density: 0,
    passages: Passages.repeated("No."),
    encoding: BYTE_ENCODING,
  } as const;
  const asked = (given: BabiParts) =>
    Array.from({ length: 60 }, (_, i) => {
      const { prompt } = drawPrompt(given, { tokens: 0, random: new SampleRandom(1, `asked ${i}`), split: "test" });
      const read = readPrompt("qa4", prompt);
      return `${read.facts.join(" ")} ${read.question}`;
    });
  assert(asked({ ...parts, examples: [] }).some((text) => texts.includes(text)), "they would be met");
  assert(!asked(parts).some((text) => texts.includes(text)));
});

Deno.test("babilong: words are those of bAbI and the most frequent of a background", () => {
  const vocabulary = new WordVocabulary(["The nation, the nation and a people.", "A people, and no rain."], 3);
  assertEquals(vocabulary.size - new WordVocabulary([], 0).size, 3);
  const text = vocabulary.decode(
    vocabulary.encode("Mary went back to the Kitchen. No people; a nation and rain Answer: milk"),
  );
  assertEquals(text.text, "mary went back to the kitchen . <unk> <unk> <unk> a nation and <unk> answer : milk");
  assertEquals(text.end, 16);
  const all = storiesOf("qa5", 20).flat().concat(storiesOf("qa3", 20).flat(), storiesOf("qa4", 20).flat());
  for (const { facts, question, answer } of all) {
    assert(!new WordVocabulary([], 0).encode(`${facts.join(" ")} ${question} ${answer}.`).includes(0));
  }
});

Deno.test("babilong: accuracy by length, of stories and of released questions; what a model cannot read is left out", async () => {
  const device = await requestDevice({ kind: "cpu" }), encoding = new WordVocabulary([], 0);
  const model = new Model(defineConfig({ ...TINY, model: "attention", vocabulary: encoding.size, maxLength: 200 }));
  const params = device.upload(model.layout.pack(model.initialize(3)), { shape: [model.layout.size], dtype: "f32" });
  const cells: string[] = [];
  const subject: Subject = {
    device,
    model,
    params,
    samples: 3,
    batch: 2,
    expect: () => {},
    advance: () => {},
    cell: (label, measure) => (cells.push(label), measure()),
    measure: () => Promise.resolve([]),
  };
  const real = storiesOf("qa4", 5).flat();
  const parts = {
    kind: "qa4",
    protocol: "fineTuned",
    density: 0,
    passages: Passages.repeated("One two three."),
    encoding,
  } as const;
  const scores = await measureLengths(subject, { parts, lengths: [0, 100, 300], real, chance: 1 / 6 });
  assertEquals(cells, ["length 0", "released, length 0", "length 100", "released, length 100"]);
  assertEquals(
    scores.map(({ name, count, chance }) => [name, count, chance]),
    cells.map((cell) => [`accuracy, ${cell}`, 3, 1 / 6]),
  );
  device.dispose();
});

Deno.test("babilong: options and files that cannot be are refused in one line", () => {
  const refused = (options: OptionRecord, message: string, files: Parameters<typeof taskFiles>[0] = {}) =>
    assertThrows(
      () =>
        babilong.create(resolveOptions("b", babilong.options, options), taskFiles(files)).batches("test", 1, 0).batch(
          0,
        ),
      ConfigError,
      message,
    );
  refused({ shortest: 300 }, "Cannot use shortest 300: it must be at most length, 256");
  refused(
    { question: "qa3", shortest: 32, length: 32 },
    "Cannot draw questions of qa3 of at most 32 tokens: their facts are longer",
  );
  refused({ background: "b" }, "Cannot scatter facts over b: it has too few sentences of 10 words", {
    b: [textFile("b", "Too short.")],
  });
  refused({ data: "d" }, "Cannot find the test questions of qa1 in d: it has no file qa1_*test*", {
    d: [textFile("qa2_test.txt", "")],
  });
  const line = "it must be a number and a fact, or a question with its answer behind a tab";
  for (const text of ["Mary moved.", "1 Where is Mary?", "1 Mary moved.\tgarden\t1", "1 Where is Mary?\tgarden\t"]) {
    refused({ data: "d" }, `Cannot read line 1 of qa1_test.txt: ${line}`, { d: [textFile("qa1_test.txt", text)] });
  }
  refused({ testLengths: "0,1k" }, `"1k" must be an integer from 0 to`);
});
