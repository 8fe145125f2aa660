/** `train --task` and `evaluate`: runs on tasks, and figures of any run. */
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { latestRun } from "../../cli/run_folder.ts";
import { FakeTerminal } from "./fake_terminal.ts";
import { runMain, someText } from "./run_main.ts";
import { withFolder } from "./scratch.ts";
import { main } from "../../main.ts";

const SMALL = ["--model", "lmm", "--width", "16", "--heads", "1", "--blocks", "1", "--batch", "4"];
const TASK = ["--task", "recall", "--task-option", "pairs=2", "--task-option", "keys=4", "--task-option", "values=4"];
const QUIET = ["--device", "cpu", "--json"];

interface Score {
  readonly name: string;
  readonly value: number;
  readonly chance?: number;
  readonly count?: number;
  readonly standardError?: number;
}

Deno.test("evaluate: a run on a task trains, goes on with its samples, and is measured with chance levels", () =>
  withFolder(async (folder) => {
    const run = `${folder}/run`, train = (...args: string[]) => runMain("train", ...QUIET, "--out", run, ...args);
    const begun = await train(...TASK, ...SMALL, "--steps", "4", "--eval-every", "2", "--eval-bytes", "64");
    assertEquals(begun.code, 0, begun.stderr);
    const [start] = begun.events, steps = begun.events.filter(({ event }) => event === "step");
    assertEquals([start.data, start.taskOptions], ["recall", { pairs: 2, rounds: 1, keys: 4, values: 4 }]);
    assert(steps.length === 4 && steps.every((step) => !("bitsPerByte" in step)));
    const validations = begun.events.filter(({ event }) => event === "validation");
    assert(
      validations.length === 2 &&
        validations.every(({ accuracy, memoryNorm }) => Number(accuracy) >= 0 && Number(memoryNorm) > 0),
    );
    assertMatch(await Deno.readTextFile(`${run}/report.html`), /Loss over steps/);
    const more = await train("--resume", "--steps", "6");
    assertEquals(more.code, 0, more.stderr);
    assertEquals(more.events.filter(({ event }) => event === "step").map(({ step }) => step), [5, 6]);
    const config = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
    assertEquals([config.task.name, config.seqLen, config.model.vocabulary], ["recall", 8, 8]);

    const measure = (...args: string[]) =>
      runMain("evaluate", "--checkpoint", run, "--samples", "8", "--batch", "4", "--device", "cpu", ...args);
    const idle = await measure("--shots", "2");
    assertEquals([idle.code, idle.stderr], [
      2,
      "error: --shots changes nothing with this task, which has no examples: leave it out\n",
    ]);
    const unpaired = await measure("--against", `${folder}/samples.jsonl`);
    assertEquals([unpaired.code, unpaired.stderr], [
      2,
      "error: --against changes nothing with this task, which has no questions to compare: leave it out\n",
    ]);
    const record = `${folder}/results.jsonl`, { code, stderr, events } = await measure("--json", "--out", record);
    assertEquals(code, 0, stderr);
    const event = events.at(-1)!;
    assertEquals(events.slice(0, -1).map(({ event, cell }) => [event, cell]), [
      ["cell", "test samples"],
      ["cell", "1 pairs"],
      ["cell", "4 pairs"],
    ]);
    assertEquals([event.event, event.task, event.sha256, event.samples], [
      "evaluation",
      "recall",
      config.data.sha256,
      8,
    ]);
    const scores = event.scores as unknown as Score[], accuracy = scores.find(({ name }) => name === "accuracy")!;
    assertEquals([accuracy.chance, accuracy.count], [0.25, 16]);
    assert(accuracy.standardError! > 0);
    // Stopped within its last part, it goes on there, and the file is the same but for the seconds.
    const lines = (await Deno.readTextFile(record)).split("\n");
    assertEquals(lines.length, 5);
    await Deno.writeTextFile(record, lines.slice(0, 2).join("\n") + "\n" + lines[2].slice(0, 40));
    const again = await measure("--json", "--out", record);
    assertEquals(again.stderr, `2 parts are known from ${record}\n`);
    assertEquals(again.events.map(({ event, cell }) => [event, cell]), [["cell", "4 pairs"], [
      "evaluation",
      undefined,
    ]]);
    assertEquals(again.events.at(-1)!.scores, event.scores);
    const whole = (text: string) =>
      text.split("\n").filter((line) => line.endsWith("}")).map((line) => ({ ...JSON.parse(line), seconds: 0 }));
    assertEquals(whole(await Deno.readTextFile(record)), whole(lines.join("\n")));
    assertEquals((await measure("--json", "--out", record)).events.map(({ event }) => event), ["evaluation"]);
    assertEquals(whole(await Deno.readTextFile(record)).length, 4, "what is complete is not appended again");
    assertEquals(scores.map(({ name }) => name).filter((name) => name.includes("pairs")), [
      "1 pairs: accuracy",
      "4 pairs: accuracy",
    ]);
    const { stdout } = await measure();
    assertMatch(
      stdout,
      /^\S+ on recall \(pairs 2, rounds 1, keys 4, values 4\)\n\nfigure +value +std. error +95% interval +chance +predictions\nloss +\d/,
    );
    const harder = await measure("--json", "--task-option", "pairs=4");
    assertEquals(harder.events.at(-1)!.taskOptions, { pairs: 4, rounds: 1, keys: 4, values: 4 });

    const refused = async (message: RegExp, ...args: string[]): Promise<void> => {
      const { code, stderr } = await runMain(...args);
      assertEquals([code, stderr.trim().split("\n").length], [2, 1], stderr);
      assertMatch(stderr, message);
    };
    const resume = ["train", "--resume", "--out", run, "--steps", "9"];
    await refused(/made with recall \(pairs 2, .*\), not recall \(pairs 1, /, ...resume, "--task-option", "pairs=1");
    await refused(/made with --task recall, not sinusoids/, ...resume, "--task", "sinusoids");
    await refused(/--data changes nothing with --task recall: leave it out/, ...resume, "--data", "x.txt");
    await refused(
      /recall takes pairs=VALUE, .*: did you mean pairs\?/,
      "train",
      "--task",
      "recall",
      "--task-option",
      "pair=3",
    );
    await refused(/"x" there: it must be an integer from 1/, "train", "--task", "recall", "--task-option", "pairs=x");
    await refused(/--task-option changes nothing with --task text/, "train", "--task-option", "pairs=1");
    await refused(
      /its features is 0, the task needs 2; train one for it/,
      "evaluate",
      "--checkpoint",
      run,
      "--task",
      "sinusoids",
    );
    await refused(/was trained on a task, not on text/, "generate", "--checkpoint", run);
    await refused(
      /--task choice needs a model of text: this one was trained on the task recall/,
      "evaluate",
      "--checkpoint",
      run,
      "--task",
      "choice",
    );
    await refused(
      /--model takes the newest run of a model: leave it out, or --checkpoint/,
      "evaluate",
      "--model",
      "lmm",
      "--checkpoint",
      run,
    );
    const noFile = await measure("--out", folder);
    assertEquals([noFile.code, noFile.stderr], [
      1,
      `error: cannot write ${folder}: it is a folder; choose another name
`,
    ]);
    await Deno.writeTextFile(
      `${run}/config.json`,
      JSON.stringify({ ...config, data: { ...config.data, sha256: "0" } }),
    );
    await refused(/trained on other samples of recall than this version makes/, ...resume);
  }));

Deno.test("evaluate: a run on text is measured on its held-out text, beside counts of token pairs", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    const run = `${folder}/run`;
    const args = [
      "--data",
      `${folder}/text.txt`,
      "--seq-len",
      "16",
      "--steps",
      "2",
      "--sample-tokens",
      "0",
      "--cache",
      folder,
    ];
    const trained = await runMain("train", ...QUIET, ...SMALL, ...args, "--eval-bytes", "96", "--out", run);
    assertEquals(trained.code, 0, trained.stderr);
    const validation = trained.events.find(({ event }) => event === "validation")!;
    const { code, stderr, events } = await runMain(
      "evaluate",
      "--checkpoint",
      run,
      "--samples",
      "6",
      "--cache",
      folder,
      ...QUIET,
    );
    assertEquals(code, 0, stderr);
    const scores = new Map((events.at(-1)!.scores as unknown as Score[]).map(({ name, value }) => [name, value]));
    for (const figure of ["loss", "bitsPerByte", "bigramBitsPerByte", "fivegramBitsPerByte", "memoryNorm"]) {
      const [measured, validated] = [scores.get(figure)!, Number(validation[figure])];
      assert(Math.abs(measured - validated) < 1e-5 * validated, `${figure}: ${measured}, in training ${validated}`);
    }
    const questions = `${folder}/questions.jsonl`, ask = ["--checkpoint", run, "--task", "choice", ...QUIET];
    await Deno.writeTextFile(
      questions,
      '{"question":"How many?","choices":["one","two two"],"label":1}\n{"question":"Who?","choices":["me","you"],"label":1}\n',
    );
    const others = `${folder}/samples_arc_easy.jsonl`;
    await Deno.writeTextFile(
      others,
      '{"arguments":[["Question: Who?\\nAnswer:"," me"],["Question: Who?\\nAnswer:"," you"]],"resps":[[[-5,false]],[[-4,false]]]}\n',
    );
    const set = ["--task-option", `data=${questions}`, "--batch", "2"];
    const asked = await runMain("evaluate", ...ask, ...set, "--against", others);
    assertEquals(asked.code, 0, asked.stderr);
    const { path, scores: paired } = asked.events.at(-1)!.against as unknown as {
      readonly path: string;
      readonly scores: readonly { readonly name: string; readonly other: number; readonly difference: Score }[];
    };
    assertEquals([path, paired.map(({ name, other, difference }) => [name, other, difference.count])], [others, [
      ["questions: acc", 1, 1],
      ["questions: acc_norm", 1, 1],
      ["questions: acc_bytes", 1, 1],
      ["questions: bitsPerByte", 4 / Math.LN2 / 4, 1],
    ]]);
    const answer = asked.events.at(-1)!, floors = answer.floors as unknown as Record<string, Score[]>;
    assertEquals((answer.scores as unknown as Score[]).map(({ name, count }) => [name, count]), [
      ["questions: acc", 2],
      ["questions: acc_norm", 2],
      ["questions: acc_bytes", 2],
      ["questions: bitsPerByte", 12],
      ["questions: margin", 2],
    ]);
    assertEquals(Object.entries(floors).map(([floor, [acc]]) => [floor, acc.value]), [
      ["shortest", 0],
      ["longest", 1],
      ["first", 0],
    ]);
    await goesOnWithinSet(folder, ask);
    const without = await runMain("evaluate", ...ask);
    assertEquals(without.stderr, "error: Cannot make the task choice without data: give its option data, a path\n");
  }));

/** Stopped within a set of questions, it goes on with the first one that was not answered, to the same figures. */
async function goesOnWithinSet(folder: string, ask: readonly string[]): Promise<void> {
  const data = `${folder}/many.jsonl`, record = `${folder}/many_record.jsonl`;
  const questions = Array.from({ length: 20 }, (_, i) => ({ question: `${i}?`, choices: ["a", "bc"], label: i % 2 }));
  await Deno.writeTextFile(data, questions.map((question) => `${JSON.stringify(question)}\n`).join(""));
  const measure = async () => {
    const args = ["--task-option", `data=${data}`, "--batch", "2", "--out", record];
    const { code, stderr, events } = await runMain("evaluate", ...ask, ...args);
    assertEquals(code, 0, stderr);
    const lines = (await Deno.readTextFile(record)).trim().split("\n");
    return { scores: events.at(-1)!.scores, printed: events.map(({ event }) => event), lines };
  };
  const whole = await measure();
  assertEquals(whole.printed, ["cell", "evaluation"], "answers are in the file alone");
  const [first, second, ...others] = whole.lines;
  assertEquals([first, second].map((line) => JSON.parse(line).from), [0, 16]);
  assertEquals(others.length, 2);
  // A first answer that is known to be another one shows that it is not asked for again.
  const known = JSON.parse(first), [{ logLikelihoods: [right, wrong] }] = known.answers;
  known.answers[0].logLikelihoods = [right - 100, wrong];
  await Deno.writeTextFile(record, `${JSON.stringify(known)}\n${second.slice(0, 50)}`);
  const other = await measure();
  assertEquals(other.lines.slice(2, 3), [second]);
  const bits = (scores: unknown) => (scores as Score[]).find(({ name }) => name.endsWith("bitsPerByte"))!;
  const { value, count } = bits(whole.scores);
  assertAlmostEquals(bits(other.scores).value, value + 100 / Math.LN2 / count!, 1e-9);
  await Deno.writeTextFile(record, `${first}\n${second.slice(0, 50)}`);
  assertEquals((await measure()).scores, whole.scores);
}

Deno.test("evaluate: progress is shown on a terminal, and a checkpoint without a run folder needs a task", () =>
  withFolder(async (folder) => {
    const run = `${folder}/run`;
    const trained = await runMain("train", ...QUIET, ...TASK, ...SMALL, "--steps", "1", "--out", run);
    assertEquals(trained.code, 0, trained.stderr);
    const screen = new FakeTerminal(true, 80);
    const code = await main([
      "evaluate",
      "--checkpoint",
      run,
      "--device",
      "reference",
      "--samples",
      "4",
      "--batch",
      "1",
    ], screen);
    assertEquals(code, 0);
    assertMatch(screen.stderr, /1 of 4 sequences +ETA \d+s/);
    const other = await runMain("evaluate", "--checkpoint", `${run}/checkpoint.safetensors`, "--task", "text");
    assertEquals(other.code, 2);
    assertMatch(other.stderr, /is no run folder, which would say what text is held out/);
  }));

Deno.test("evaluate: --model takes the newest run of a model", () =>
  withFolder(async (folder) => {
    const put = async (name: string, model: string, at: number) => {
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.writeTextFile(`${folder}/${name}/config.json`, JSON.stringify({ model: { model } }));
      await Deno.writeTextFile(`${folder}/${name}/metrics.jsonl`, "");
      await Deno.utime(`${folder}/${name}/metrics.jsonl`, at, at);
    };
    await put("a", "mac", 1000);
    await put("b", "lmm", 3000);
    await put("c", "mac", 2000);
    assertEquals(await latestRun(folder, "mac"), `${folder}/c`);
    assertEquals(await latestRun(folder), `${folder}/b`);
    await assertRejects(() => latestRun(folder, "mal"), UsageError, "no run of mal in");
  }));
