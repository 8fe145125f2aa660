/**
 * Every task and benchmark of the registries, with options at their bounds, lists of nonsense, and files that are
 * empty,
 * damaged or of another kind: each gives data, or is refused in one line that names the option.
 */
import { assert, assertEquals } from "@std/assert";
import {
  type BenchmarkInstance,
  ConfigError,
  type FileReading,
  type TaskFacts,
  type TaskFile,
  type TaskFiles,
  type TaskInstance,
} from "../../titans/mod.ts";
import { checkValues, defaultsOf, type OptionRow, type OptionValue } from "../../titans/options/option_table.ts";
import { BENCHMARKS, TASKS } from "../../titans/tasks/mod.ts";
import { textFile } from "./task_cases.ts";

interface Made extends TaskFacts {
  create(options: object, files?: TaskFiles): TaskInstance | BenchmarkInstance;
  reading?(name: string, options: object): FileReading;
}

const ALL = { ...TASKS, ...BENCHMARKS } as unknown as Readonly<Record<string, Made>>;
/** The folder that all paths name. */
const PATH = "folder";

const rows = Array.from({ length: 2000 }, (_, i) => `${i},${Math.sin(i)}\n`).join("");
const sentence = "Hello there, this is a sentence of more than ten words in it all. ";
/** Data that can be used. */
const GOOD: Readonly<Record<string, TaskFile>> = {
  series: textFile("good.csv", `hour,x\n${rows}`),
  dna: textFile("good.fa", `>x\n${"ACGTTGCA".repeat(4000)}\n`),
  choice: textFile("good.txt", "a b c\n"),
  language: textFile("good.txt", sentence.repeat(300)),
};

const FILES = [
  ...["txt", "csv", "fa", "fq", "json", "jsonl"].flatMap((extension) => [
    textFile(`empty.${extension}`, ""),
    textFile(`zeros.${extension}`, "\0".repeat(3000)),
    { name: `odd.${extension}`, bytes: new Uint8Array(300).fill(255) },
    textFile(`quote.${extension}`, '"'),
  ]),
  textFile("header.csv", "date,x\n"),
  textFile("one.csv", "date,x\n2020-01-01,1\n"),
  textFile("same.csv", "a,a\n1,2\n3,4\n"),
  textFile("text.txt", "One. Two."),
  textFile("record.json", "{}"),
  textFile("numbers.json", "[1, 2]"),
  textFile("null.jsonl", "null\n"),
  textFile("none.jsonl", '{"question": "x", "choices": [], "label": 0}\n'),
  textFile("many.jsonl", '{"question": "x", "choices": ["a"], "label": 3}\n'),
  textFile("qa1_a_test.txt", "1 Where is Mary?\thall"),
  textFile("qa1_b_test.txt", "Mary went home."),
  textFile("short.fa", ">x\nACGT\n"),
];

const NONSENSE = ["", "x", "0", "-1", "1,,2", "1,2,x", "4x", "4x400", "9999999x1", " ", "1e9", "999999999999", "0.5"];

/** Values of an option at its bounds, and as no option has them. */
function valuesOf(row: OptionRow): readonly OptionValue[] {
  if (row.kind === "toggle") return [true, false];
  if (row.kind === "choice") return [...Object.keys(row.choices), "nothing"];
  if (row.kind === "text") return NONSENSE;
  const { min = 0, max = Infinity } = row, least = row.kind === "number" && row.aboveMin ? min + 1e-6 : min;
  return [min - 1, least, least + 1, ...(max <= 512 ? [max, max + 1] : []), NaN];
}

/** What a task keeps of a file. */
function readBy(task: Made, options: object, { name, bytes }: TaskFile): TaskFile["bytes"] {
  const reading = task.reading?.(name, options);
  reading?.add(bytes);
  return reading?.end() ?? bytes;
}

/** What is refused, and how; undefined if there is data. */
function refusal(task: Made, options: object, files: readonly TaskFile[]): Error | undefined {
  try {
    const all = { ...defaultsOf(task.options), ...options };
    checkValues(task.options, all);
    const made = task.create(all, { of: () => files.map((file) => ({ ...file, bytes: readBy(task, all, file) })) });
    if ("batches" in made) {
      for (const split of ["train", "validation", "test"] as const) made.batches(split, 2, 0).batch(0);
    }
  } catch (error) {
    return error as Error;
  }
}

Deno.test("tasks: options at their bounds and files of every other kind give data, or one line that says what is wrong", () => {
  let refused = 0;
  const odd: string[] = [];
  const check = (name: string, options: object, files: readonly TaskFile[]): void => {
    const error = refusal(ALL[name], options, files);
    if (error === undefined) return;
    refused++;
    // NaN is one of the values.
    const isClear = error instanceof ConfigError && !/[\r\n\0]|undefined|\[object/.test(error.message) &&
      error.message.length < 400;
    if (!isClear || error.field === "") {
      odd.push(`${name} ${JSON.stringify(options)} of ${files[0]?.name}: ${error}`);
    }
  };
  for (const [name, { options, reads = [] }] of Object.entries(ALL)) {
    const needs = Object.hasOwn(GOOD, name) ? { data: PATH } : {}, good = [GOOD[name] ?? GOOD.language];
    assertEquals(refusal(ALL[name], needs, good), undefined, name);
    for (const [option, row] of Object.entries(options)) {
      if (reads.includes(option)) continue;
      for (const value of valuesOf(row)) check(name, { ...needs, [option]: value }, good);
    }
    for (const option of reads) {
      const others = name === "choice"
        ? [{}, { format: "text" }, { shots: 1 }]
        : name === "needle"
        ? [{}, { haystack: "text" }]
        : [{}];
      for (const more of others) {
        check(name, { ...needs, ...more, [option]: PATH }, []);
        for (const file of FILES) check(name, { ...needs, ...more, [option]: PATH }, [file]);
      }
    }
  }
  assertEquals(odd, []);
  assert(refused > 500, `${refused} were refused`);
});
