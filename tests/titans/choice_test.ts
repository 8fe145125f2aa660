/** Multiple choice: the examples worked out by hand, the formats as they are released, and data that cannot be used. */
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  asTextModel,
  type BenchmarkSubject,
  ConfigError,
  type ContinuationScore,
  type Scorer,
  type TaskFile,
  taskFiles,
} from "../../titans/mod.ts";
import { choice } from "../../titans/tasks/choice/choice.ts";
import type { Answered } from "../../titans/tasks/choice/answered.ts";
import { choiceFigures, lengthFloors } from "../../titans/tasks/choice/choice_figures.ts";
import { formatOf, FORMATS } from "../../titans/tasks/choice/formats.ts";
import { DataRecord, recordsOf } from "../../titans/tasks/records.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { textQuestions } from "../../titans/tasks/choice/text_questions.ts";
import { textFile } from "./task_cases.ts";

const decode = (tokens: ArrayLike<number>) => new TextDecoder().decode(Uint8Array.from(Array.from(tokens)));

/** A model that says of each continuation what it is asked to. */
function scorer(say: (context: string, continuation: string) => number): Scorer {
  return {
    score: (requests) =>
      Promise.resolve(
        requests.map(({ context, continuations }) =>
          continuations.map((continuation): ContinuationScore => {
            const logLikelihood = say(decode(context), decode(continuation));
            return {
              logLikelihood,
              each: new Float32Array(continuation.length),
              best: new Int32Array(continuation.length),
              greedy: logLikelihood === 0,
            };
          })
        ),
      ),
  };
}

async function figures(
  file: TaskFile,
  model: Scorer,
  options: object = {},
  { samples = 100, others = [] }: { readonly samples?: number; readonly others?: readonly TaskFile[] } = {},
): Promise<Record<string, number>> {
  const benchmark = choice.create(
    { ...defaultsOf(choice.options), data: "set", ...options },
    taskFiles({ set: [file], others }),
  );
  const subject: BenchmarkSubject = {
    text: asTextModel(model),
    samples,
    batch: 4,
    expect: () => {},
    advance: () => {},
    cell: (_, measure) => measure(),
  };
  return Object.fromEntries((await benchmark.evaluate(subject)).map(({ name, value }) => [name, value]));
}

const lines = (name: string, ...records: readonly object[]) =>
  textFile(name, records.map((record) => JSON.stringify(record)).join("\n"));
const asked = (name: string, record: Record<string, unknown>) => {
  const read = new DataRecord(record, "line 1");
  assertEquals(formatOf(read), name);
  return FORMATS[name as keyof typeof FORMATS].question(read);
};

Deno.test("choice: likelihoods are divided by characters without the space before them, or by bytes; the first wins ties", () => {
  const one = (given: Partial<Answered>): Answered => ({
    logLikelihoods: [],
    choices: [],
    scoredBytes: [],
    gold: 0,
    greedy: false,
    byContext: false,
    ...given,
  });
  const values = (answered: Answered) =>
    Object.fromEntries(choiceFigures([answered]).map(({ name, value }) => [name, value]));
  const cats = one({ logLikelihoods: [-6, -9], choices: ["a cat", "a big cat"], scoredBytes: [6, 10], gold: 0 });
  assertEquals([values(cats).acc, values(cats).acc_norm], [1, 0], "-1.2 a character against -1.0");
  // "é" is a character of two bytes: -3 and -1.5 against -2.
  const accent = one({ logLikelihoods: [-3, -2], choices: ["é", "e"], scoredBytes: [3, 2], gold: 0 });
  assertEquals([values(accent).acc_norm, values(accent).acc_bytes], [0, 1]);
  const tie = one({ logLikelihoods: [-4, -4], choices: ["ab", "cd"], scoredBytes: [3, 3], gold: 1 });
  assertEquals([values(tie).acc, values({ ...tie, gold: 0 }).acc], [0, 1]);
  assertAlmostEquals(values(cats).margin, -6 / 6 + 9 / 10);
  assertAlmostEquals(values(cats).bitsPerByte, 6 / Math.LN2 / 6);
  const floors = lengthFloors([cats, { ...cats, gold: 1 }, { ...cats, gold: 1 }]);
  assertEquals(
    [floors.shortest, floors.longest, floors.first].map(([acc]) => Math.round(3 * acc.value)),
    [1, 2, 1],
  );
  const many = Array.from({ length: 40 }, (_, i) => one({ ...cats, logLikelihoods: [-6 - i % 3, -9] }));
  const margin = choiceFigures(many).find(({ name }) => name === "margin")!, [low, high] = margin.interval!;
  assert(low < margin.value && margin.value < high && high - low < 5 * margin.standardError!);
});

Deno.test("choice: the formats as they are released ask the questions that lm-evaluation-harness asks", () => {
  const question = (contexts: string[], continuations: string[], gold: number) => ({ contexts, continuations, gold });
  assertEquals(
    asked("piqa", { goal: "Boil water", sol1: "Use a pot.", sol2: "Use a hat.", label: 0 }),
    question(["Question: Boil water\nAnswer:"], ["Use a pot.", "Use a hat."], 0),
  );
  const endings = ["[substeps] Cut it.  Now.", "no"];
  assertEquals(
    asked("hellaswag", {
      activity_label: "Baking",
      ctx_a: "A man [title] bakes.",
      ctx_b: "he THEN",
      endings,
      label: "1",
    }),
    question(["Baking: A man. bakes. He then"], [" Cut it. Now.", "no"], 1),
  );
  assertEquals(
    asked("winogrande", {
      sentence: "Sarah was a much better surgeon than Maria so _ always got the easier cases.",
      option1: "Sarah",
      option2: "Maria",
      answer: "2",
    }),
    question(
      ["Sarah was a much better surgeon than Maria so Sarah", "Sarah was a much better surgeon than Maria so Maria"],
      ["always got the easier cases."],
      1,
    ),
  );
  const keyed = [{ text: "honey", label: "A" }, { text: "milk", label: "B" }];
  for (
    const record of [
      { question: { stem: "What do bees make?", choices: keyed }, answerKey: "B" },
      { question: "What do bees make?", choices: { text: ["honey", "milk"], label: ["A", "B"] }, answerKey: "B" },
      { question: "What do bees make?", choices: ["honey", "milk"], label: 1 },
    ]
  ) assertEquals(asked("arc", record), question(["Question: What do bees make?\nAnswer:"], ["honey", "milk"], 1));
  assertEquals(
    asked("openbookqa", {
      question_stem: "Bees make",
      choices: { text: ["honey", "milk"], label: ["A", "B"] },
      answerKey: "A",
    }),
    question(["Bees make"], ["honey", "milk"], 0),
  );
  assertEquals(
    asked("siqa", { context: "Jo ran.", question: "Why?", answerA: "a", answerB: "b", answerC: "c", label: "3" }),
    question(["Q: Jo ran. Why?\nA:"], ["a", "b", "c"], 2),
  );
  assertEquals(
    asked("boolq", { passage: "Snow is white.", question: "is snow white", answer: true }),
    question(["Snow is white.\nQuestion: is snow white?\nAnswer:"], ["no", "yes"], 1),
  );
  assertEquals(asked("lambada", { text: "a b c" }), question(["a b"], ["c"], 0));
});

Deno.test("choice: a continuation begins with its space, contexts that differ, and an oracle that is always right", async () => {
  const seen: [string, string][] = [];
  const note = scorer((...pair) => -seen.push(pair));
  await figures(lines("arc.jsonl", { question: "Q ", choices: ["x", "é"], label: 0 }), note);
  assertEquals(seen, [["Question: Q \nAnswer:", " x"], ["Question: Q \nAnswer:", " é"]]);
  seen.length = 0;
  await figures(lines("lambada.jsonl", { text: "One two. Three four  five" }), note);
  // Spaces at the end of the context belong to the continuation; then the last sentence alone.
  assertEquals(seen, [["One two. Three four", "  five"], ["Three four", " five"]]);
  const sentences = ["a _ was right.", "so _ left", "and _ came"].map((sentence, i) => ({
    sentence,
    option1: "good",
    option2: "bad",
    answer: String(1 + i % 2),
  }));
  const oracle = (context: string) => (context.startsWith("so") === context.endsWith("bad") ? 0 : -5);
  assertEquals((await figures(lines("wino.jsonl", ...sentences), scorer(oracle)))["wino: acc"], 1);
  assertEquals("wino: acc_norm" in await figures(lines("wino.jsonl", ...sentences), scorer(oracle)), false);
  const words = await figures(
    textFile("words.txt", "x y right\nx y wrong\n"),
    scorer((_, word) => word === " right" ? 0 : -2),
  );
  assertEquals([words["words: acc"], words["words: ll"]], [0.5, -1]);
  assertAlmostEquals(words["words: perplexity"], Math.E);
});

Deno.test("choice: examples are solved questions that are not asked, drawn with a seed for each question", async () => {
  const contexts: string[] = [], note = scorer((context) => (contexts.push(context), -1));
  const arc = (question: string, label: number) => ({ question, choices: ["no", "yes"], label });
  const asked = [arc("A?", 0), arc("B?", 1)], free = [arc("C?", 1), arc("D?", 0)];
  const file = lines("arc.jsonl", ...asked, ...free);
  const shown = async (options: object, from: Parameters<typeof figures>[3] = { samples: 2 }, data = file) => {
    contexts.length = 0;
    await figures(data, note, options, from);
    return contexts.filter((_, i) => i % 2 === 0);
  };
  // By hand: both of the questions that are left, in either order, and then the question.
  const c = "Question: C?\nAnswer: yes\n\n", d = "Question: D?\nAnswer: no\n\n", a = "Question: A?\nAnswer:";
  const [first, second] = await shown({ shots: 2 });
  assert([c + d + a, d + c + a].includes(first), first);
  assertMatch(second, /^Question: [CD]\?\nAnswer: (yes|no)\n\nQuestion: [CD]\?.*\n\nQuestion: B\?\nAnswer:$/s);
  assertEquals(await shown({ shots: 2 }), [first, second]);
  assertEquals(await shown({}), [a, "Question: B?\nAnswer:"]);
  const drawn = await Promise.resolve(shown({ shots: 1, shotSeed: 0 }));
  const seeds: string[][] = [];
  for (let shotSeed = 1; shotSeed < 8; shotSeed++) seeds.push(await shown({ shots: 1, shotSeed }));
  assert(seeds.some((other) => other[0] !== drawn[0]), "another seed draws others");
  // The questions that are asked are not examples, even where the training part has them.
  const training = { samples: 4, others: [lines("train.jsonl", ...asked, ...free, arc("E?", 1))] };
  const same = await shown({ shots: 1, examples: "others" }, training);
  assertEquals(same.map((context) => context.split("\n\n")[0]), new Array(4).fill("Question: E?\nAnswer: yes"));
  // Contexts that differ: the right one is shown. Of a word, the last sentence alone comes after the same examples.
  const wino = ["x _ y", "s _ t"].map((sentence) => ({ sentence, option1: "good", option2: "bad", answer: "2" }));
  assertEquals(await shown({ shots: 1 }, { samples: 1 }, lines("wino.jsonl", ...wino)), ["s bad t\n\nx good"]);
  await shown({ shots: 1 }, { samples: 1 }, lines("lambada.jsonl", { text: "One two. Three four" }, { text: "a b c" }));
  assertEquals(contexts, ["a b c\n\nOne two. Three", "a b c\n\nThree"]);
  const refused: [options: object, from: Parameters<typeof figures>[3], message: string][] = [
    [{ shots: 3 }, { samples: 2 }, "Cannot draw 3 examples for arc: 2 of its questions are not asked"],
    [
      { shots: 1, examples: "others" },
      { others: [lines("l.jsonl", { text: "a b" })] },
      "no questions in the format arc",
    ],
  ];
  for (const [options, from, message] of refused) {
    await assertRejects(() => shown(options, from), ConfigError, message);
  }
});

Deno.test("choice: examples about a plain text are of what is before its end", async () => {
  const sentence = (i: number) => `This is the sentence number ${i} of the whole text.`;
  const text = textFile("t.txt", Array.from({ length: 200 }, (_, i) => sentence(i)).join(" ")), contexts: string[] = [];
  const note = scorer((context) => (contexts.push(context), -1));
  await figures(text, note, { format: "text", share: 0.3, shots: 2 }, { samples: 3 });
  for (const context of contexts) {
    const [one, two, asked] = context.split("\n\n"),
      numbers = (shown: string) => [...shown.matchAll(/\d+/g)].map(Number);
    assert(Math.max(...numbers(one), ...numbers(two)) < 140 && Math.min(...numbers(asked)) >= 140, context);
    assertEquals(numbers(one).at(-1)! - numbers(one)[0], numbers(one).length - 1, "the right sentence comes next");
  }
  // Three questions of four sentences, and three of a word, each asked twice.
  assertEquals(contexts.length, 18);
});

Deno.test("choice: records of tables are read with their quotes, and data that cannot be used is refused by one line", async () => {
  const rows = recordsOf(textFile("a.csv", 'goal,sol1,sol2,label\r\n"say ""hi"", now","a\nb",c,1\r\n'));
  assertEquals(rows.map(({ fields, place }) => [fields, place]), [
    [{ goal: 'say "hi", now', sol1: "a\nb", sol2: "c", label: "1" }, "row 2 of a.csv"],
  ]);
  assertEquals(recordsOf(textFile("a.tsv", "goal\tsol1\nx, y\tz")).map(({ fields }) => fields), [{
    goal: "x, y",
    sol1: "z",
  }]);
  const refused = (file: TaskFile, message: string, options: object = {}) =>
    assertRejects(() => figures(file, scorer(() => -1), options), ConfigError, message);
  await refused(textFile("a.jsonl", '{"question": 1'), "Cannot use line 1 of a.jsonl: it is not valid JSON");
  await refused(
    lines("a.jsonl", { other: 1 }),
    "its fields, other, are those of no known format; give format, one of piqa,",
  );
  await refused(
    lines("a.jsonl", { goal: "x", sol1: "y", sol2: "z", label: 2 }),
    "line 1 of a.jsonl: its label must be from 0 to 1, it is 2",
  );
  await refused(lines("a.jsonl", { goal: "x", sol1: "y", label: 0 }), "its sol2 must be a text");
  await refused(
    lines("a.jsonl", { question: "is it", answer: true }),
    "it has no passage, without which BoolQ cannot be answered",
  );
  await refused(
    lines("a.jsonl", { sentence: "a b", option1: "a", option2: "b", answer: "1" }),
    "its sentence must have one _",
  );
  await refused(
    lines("a.jsonl", { question: "x", choices: { text: ["a"], label: ["A"] }, answerKey: "B" }),
    "its answerKey must be one of A",
  );
  await refused(lines("a.jsonl", { text: "word" }), "its text must end with a word after another one");
  await refused(lines("a.jsonl", { text: "two words" }), "its goal must be a text", { format: "piqa" });
  await refused(textFile("a.csv", "goal,sol1\nx\n"), "row 2 of a.csv: it has 1 fields, the header has 2");
  await refused(textFile("a.csv", 'goal,sol1\n"x,y\n'), "row 2 of a.csv: a quote is not closed");
  await refused(
    textFile("a.parquet", "x"),
    "Cannot find questions in a.parquet: files of them end in jsonl, json, csv, tsv, txt",
  );
  await refused(textFile("a.jsonl", ""), "Cannot use a.jsonl: it has no questions");
  await refused({ name: "a.jsonl", bytes: Uint8Array.of(0xff, 0xfe) }, "it is no text in UTF-8");
  assertThrows(() => choice.create(defaultsOf(choice.options)), ConfigError, "give its option data, a path");
});

/** Sentences that tell their number, of lengths that vary. */
const numbered = (count: number, more = "") =>
  Array.from({ length: count }, (_, i) => `The clerk wrote down ${"very ".repeat(i % 5)}slowly number ${i}${more}.`);

Deno.test("choice: of plain text, the right sentence is the one that comes next, and a word is asked that stands before", () => {
  const files = [textFile("a", numbered(40).join(" ")), textFile("b", numbered(40, ", said the clerk").join(" "))];
  const { "next sentence": next, "last word": last } = textQuestions(files, 1);
  assertEquals(next.length, 78, "but for the first of each file");
  const numberOf = (text: string): number => Number(/number (\d+)/.exec(text)![1]);
  for (const { contexts: [context], continuations, gold } of next) {
    const before = context.split(/(?<=\.) /).at(-1)!;
    assertEquals(numberOf(continuations[gold]), numberOf(before) + 1);
    assertEquals([continuations.length, new Set(continuations).size], [4, 4]);
    assert(context.length <= 256 && !context.includes(continuations[gold]));
  }
  const golds = new Set(next.map(({ gold }) => gold));
  assertEquals(golds.size, 4, "the right one may stand anywhere");
  // Where all lengths occur often, no choice is told by its length.
  const apart = next.map(({ continuations: c, gold }) =>
    Math.max(...c.map((one) => Math.abs(one.length - c[gold].length)))
  );
  assert(apart.reduce((a, b) => a + b) / apart.length < 8, String(apart));
  assertEquals(last.length, 39);
  for (const { contexts: [context], continuations: [word] } of last) {
    assert(word === "clerk" && context.includes("clerk") && context.endsWith("said the"));
  }
  // The end alone, beginning with a whole sentence; the first questions are spread over it.
  const end = textQuestions([textFile("a", numbered(200).join(" "))], 0.5)["next sentence"];
  const asked = end.map(({ continuations, gold }) => numberOf(continuations[gold]));
  assert(Math.min(...asked) > 95 && asked.length > 90 && asked.length < 100, String(asked.length));
  assert(Math.max(...asked.slice(0, 20)) > 170 && Math.min(...asked.slice(0, 20)) < 130);
  assertThrows(
    () => textQuestions([textFile("a", numbered(20).join(" "))], 1),
    ConfigError,
    "Cannot ask about the last 1 of a: it has 19 sentences of 24 to 160 bytes, at least 33 are needed",
  );
});

Deno.test("choice: a model that knows a text answers all questions about it", async () => {
  const text = numbered(60, ", said the clerk").join(" ");
  const knows = scorer((context, continuation) => text.includes(context + continuation) ? 0 : -continuation.length);
  const found = await figures(textFile("a", text), knows, { format: "text", share: 1 });
  assertEquals([found["next sentence: acc"], found["next sentence: acc_norm"], found["last word: acc"]], [1, 1, 1]);
});
