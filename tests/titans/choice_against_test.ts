/** Questions beside what lm-evaluation-harness logs of another model: both forms of files, pairs, and figures by hand. */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { type Answer, ConfigError, type TaskFile, taskFiles } from "../../titans/mod.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { choice } from "../../titans/tasks/choice/choice.ts";
import { harnessSamples } from "../../titans/tasks/choice/harness_samples.ts";
import { textFile } from "./task_cases.ts";

const lines = (name: string, ...records: readonly object[]) =>
  textFile(name, records.map((record) => JSON.stringify(record)).join("\n"));

const QUESTIONS = lines(
  "arc.jsonl",
  { question: "Bees?", choices: ["honey", "wax"], label: 0 },
  { question: "Cows?", choices: ["milk", "wool"], label: 0 },
  { question: "Hens?", choices: ["eggs", "silk"], label: 0 },
  { question: "Bees?", choices: ["wax", "honey"], label: 0 },
);

/** A line as version 0.4.9 writes it. */
function sample(context: string, choices: readonly string[], likelihoods: readonly number[]): object {
  const asked = choices.map((choice, i) => [`gen_args_${i}`, { arg_0: context, arg_1: ` ${choice}` }]);
  const responses = likelihoods.map((value) => [String(value), "False"]);
  return { doc_id: 0, arguments: Object.fromEntries(asked), resps: [responses], filtered_resps: responses };
}

function comparison(questions: TaskFile, ...others: readonly TaskFile[]) {
  const benchmark = choice.create({ ...defaultsOf(choice.options), data: "set" }, taskFiles({ set: [questions] }));
  return benchmark.against!(others, 100);
}

const answer = (...logLikelihoods: number[]): Answer => ({ logLikelihoods, greedy: logLikelihoods[0] === -1 });

Deno.test("against: questions are paired by what was asked, and differences have the error of their own mean", () => {
  // In another order, after a solved example, and without the question about hens.
  const others = lines(
    "samples_arc_easy_2025.jsonl",
    sample("Question: Hens?\nAnswer: eggs\n\nQuestion: Cows?\nAnswer:", ["milk", "wool"], [-9, -4]),
    sample("Question: Hens?\nAnswer: eggs\n\nQuestion: Bees?\nAnswer:", ["wax", "honey"], [-2, -6]),
    sample("Question: Hens?\nAnswer: eggs\n\nQuestion: Bees?\nAnswer:", ["honey", "wax"], [-5, -7]),
  );
  const own = [answer(-8, -4), answer(-3, -4), answer(-1, -2), answer(-3, -8)];
  const scores = comparison(QUESTIONS, others)((part) => part === "arc" ? own : []);
  const [acc, norm] = scores, bits = scores.at(-1)!;
  assertEquals(scores.map(({ name }) => name), ["arc: acc", "arc: acc_norm", "arc: acc_bytes", "arc: bitsPerByte"]);
  // This model is right about cows and wax, the other one about honey and wax.
  assertEquals([acc.value, acc.other, acc.difference.value, acc.difference.count], [2 / 3, 2 / 3, 0, 3]);
  // Differences of -1, 1 and 0 have a variance of 1.
  assertAlmostEquals(acc.difference.standardError!, Math.sqrt(1 / 3), 1e-12);
  // By character honey wins over wax for the other model alone: -5 / 5 and -7 / 3.
  assertEquals([norm.value, norm.other], [2 / 3, 2 / 3]);
  const bytes = 6 + 5 + 4;
  assertAlmostEquals(bits.value, 14 / Math.LN2 / bytes, 1e-12);
  assertAlmostEquals(bits.other, 16 / Math.LN2 / bytes, 1e-12);
  assertAlmostEquals(bits.difference.value, -2 / Math.LN2 / bytes, 1e-12);
  // One resample in 27 has cows alone, and one has honey alone: more than the 2.5% beyond each end.
  const [low, high] = bits.difference.interval!;
  assertAlmostEquals(low, -6 / 5 / Math.LN2, 1e-12);
  assertAlmostEquals(high, 3 / 6 / Math.LN2, 1e-12);
});

Deno.test("against: a model beside itself differs by nothing, on words and where contexts differ", () => {
  const words = lines("lambada.jsonl", { text: "a b c" }, { text: "b b c" });
  const said = (greedy: string, value: number, context: string) => ({
    arguments: [[context, " c"]],
    resps: [[[value, greedy === "True"]]],
    filtered_resps: [[value, greedy === "True"]],
  });
  const others = lines("samples_lambada.jsonl", said("False", -4, "b b"), said("True", -1, "a b"));
  const own = [{ logLikelihoods: [-1], greedy: true }, { logLikelihoods: [-4], greedy: false }];
  const scores = comparison(words, others)(() => own);
  assertEquals(scores.map(({ name, value, other, difference }) => [name, value, other, difference.value]), [
    ["lambada: acc", 0.5, 0.5, 0],
    ["lambada: bitsPerByte", 5 / Math.LN2 / 4, 5 / Math.LN2 / 4, 0],
  ]);
  const record = { sentence: "The cup fits the box as the _ is big.", option1: "cup", option2: "box", answer: "2" };
  const contexts = ["The cup fits the box as the cup", "The cup fits the box as the box"];
  const winogrande = lines("winogrande.jsonl", record), [first, second] = contexts;
  const harness = lines("samples_winogrande.jsonl", {
    arguments: [[first, " is big."], [second, " is big."]],
    filtered_resps: [[-3, false], [-2, false]],
  });
  const [acc, bits] = comparison(winogrande, harness)(() => [answer(-2, -3)]);
  assertEquals([acc.name, acc.value, acc.other, bits.name], ["winogrande: acc", 0, 1, "winogrande: bitsPerByte"]);
});

Deno.test("against: of mutual information what was asked with its context counts", () => {
  const context = "Question: Bees?\nAnswer:";
  const file = lines("samples.jsonl", {
    arguments: [[context, " honey"], [context, " wax"], ["", " honey"], ["", " wax"]],
    filtered_resps: [[-5, false], [-7, true], [-8, false], [-9, false]],
  });
  assertEquals(harnessSamples(file), [{
    contexts: [context, context],
    continuations: [" honey", " wax"],
    logLikelihoods: [-5, -7],
    greedy: false,
  }]);
});

const FIXTURES = "tests/fixtures/lm_eval";

Deno.test("against: a folder that lm-evaluation-harness wrote is read, with its means beside the samples", async () => {
  const read = async (name: string): Promise<TaskFile> => ({
    name,
    bytes: await Deno.readFile(`${FIXTURES}/${name}`),
  });
  const means = await read("results.json"), samples = await read("samples_own_questions.jsonl");
  const { results: { own_questions: theirs } } = JSON.parse(new TextDecoder().decode(means.bytes));
  const compare = comparison(await read("questions.jsonl"), means, samples);
  // This model is right about the first two questions, the other one about the second and the fourth.
  const own = [answer(-1, -9, -9, -9), answer(-9, -1, -9, -9), ...Array(4).fill(answer(-9, -1, -9, -9))];
  own[3] = answer(-9, -1, -9);
  const [acc, norm] = compare(() => own);
  assertEquals([acc.value, acc.other, acc.difference.count], [2 / 6, theirs["acc,none"], 6]);
  assertEquals(norm.other, theirs["acc_norm,none"]);
  assertEquals(acc.difference.value, 0);
  assertAlmostEquals(acc.difference.standardError!, Math.sqrt((1 + 1) / 5 / 6), 1e-12);
  assertThrows(
    () => comparison(QUESTIONS, means),
    ConfigError,
    "Cannot compare with results.json: there are no answers",
  );
});

Deno.test("against: what cannot be compared is refused by one line", () => {
  const good = sample("Question: Bees?\nAnswer:", ["honey", "wax"], [-1, -2]);
  const refused = (message: string, file: TaskFile) => {
    const error = assertThrows(() => comparison(QUESTIONS, file), ConfigError, message);
    assertEquals(error.message.split("\n").length, 1, error.message);
  };
  refused("line 1 of s.jsonl: its arguments must be what was asked", lines("s.jsonl", { doc_id: 0 }));
  refused(
    "line 2 of s.jsonl: its arguments are no contexts with a choice each: only answers by likelihood",
    lines("s.jsonl", good, { arguments: [["Write:", { until: ["\n"] }]], filtered_resps: ["honey"] }),
  );
  refused(
    'line 1 of s.jsonl: its filtered_resps must be log-likelihoods, one is "honey"',
    lines("s.jsonl", { ...good, filtered_resps: ["honey", "wax"] }),
  );
  refused("it has 2 arguments and 1 responses", lines("s.jsonl", { ...good, filtered_resps: [["-1", "False"]] }));
  refused(
    'none of its 1 samples asks one of these questions, the first of which is "Question: Bees?\\nAnswer:"',
    lines("s.jsonl", sample("Question: Bees!\nAnswer:", ["honey", "wax"], [-1, -2])),
  );
  refused("Cannot compare with results.csv: there are no answers in it", textFile("results.csv", "a,b\n1,2\n"));
  assertThrows(
    () => comparison(QUESTIONS, lines("s.jsonl", good))(() => []),
    ConfigError,
    "Cannot compare arc: of an earlier evaluation there are figures, but no answers",
  );
});
