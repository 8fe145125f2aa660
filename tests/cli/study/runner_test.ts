/** Running a study: several runs at once, results kept, failures, stops, estimates; a run of its own commands. */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { CommandError, UsageError } from "../../../cli/errors.ts";
import { type Cell, cellName, commandsOf, remainingCells } from "../../../cli/study/cells.ts";
import { commandsIn, type Finished } from "../../../cli/child.ts";
import { costsOf, factorFor, mergeCosts, readDuration, scaleCosts, totalOf } from "../../../cli/study/estimate.ts";
import { readPlan, scalePlan } from "../../../cli/study/plan.ts";
import { probeCosts } from "../../../cli/study/probe.ts";
import { appendResult, type CellResult, readResults } from "../../../cli/study/results.ts";
import { runCell, runFolderOf } from "../../../cli/study/run_cell.ts";
import { runStudy, type StudyProgress } from "../../../cli/study/runner.ts";
import { fitBudget } from "../../../cli/study/study.ts";
import { summarize, summaryTables } from "../../../cli/study/summary.ts";
import { withFolder } from "../scratch.ts";
import { finished, PLAN, resultOf } from "./study_cases.ts";

/** A loss of a cell that depends on all of it. */
const lossOf = ({ seed, rate, model }: Cell): number => 0.1 + seed / 100 + (rate ?? 0) + (model === "n" ? 0.01 : 0);

interface Watched {
  readonly results: readonly CellResult[];
  readonly progress: readonly StudyProgress[];
  readonly atOnce: number;
}

/** Runs the plan with cells that take a moment. */
async function watched(jobs: number, results: readonly CellResult[] = []): Promise<Watched> {
  const progress: StudyProgress[] = [];
  let running = 0, atOnce = 0;
  const all = await runStudy({
    plan: PLAN,
    results,
    jobs,
    costs: {},
    runCell: async (cell) => {
      atOnce = Math.max(atOnce, ++running);
      await new Promise((resolve) => setTimeout(resolve, cell.seed % 2));
      running--;
      return resultOf(PLAN, cell, lossOf(cell));
    },
    keep: () => Promise.resolve(),
    progress: (each) => progress.push(each),
    signal: new AbortController().signal,
  });
  return { results: all, progress, atOnce };
}

const sorted = (results: readonly CellResult[]) => results.map((result) => JSON.stringify(result)).sort();

Deno.test("study: any number of jobs gives the same results, from wherever it goes on", async () => {
  const one = await watched(1), three = await watched(3), on = await watched(2, three.results.slice(0, 4));
  assertEquals([one.atOnce, three.atOnce, one.results.length], [1, 3, 11]);
  assertEquals(sorted(three.results), sorted(one.results));
  assertEquals(sorted(on.results), sorted(one.results));
  const ended = one.progress.filter(({ ended }) => ended);
  assertEquals(ended.map(({ done, total }) => [done, total]), Array.from({ length: 11 }, (_, i) => [i + 1, 11]));
  assertEquals(ended.at(-1)!.remaining, 0);
  assert(one.progress[0].remaining === undefined && ended[8].remaining! > ended[9].remaining!);
});

Deno.test("study: after an error no further run starts, and those that run are kept", async () => {
  const kept: string[] = [], started: string[] = [];
  const run = runStudy({
    plan: PLAN,
    results: [],
    jobs: 2,
    costs: {},
    runCell: async (cell) => {
      started.push(cellName(cell));
      if (started.length === 1) throw new CommandError("the disk is full");
      await new Promise((resolve) => setTimeout(resolve, 5));
      return resultOf(PLAN, cell, 1);
    },
    keep: (result) => Promise.resolve(void kept.push(cellName(result.cell))),
    progress: () => {},
    signal: new AbortController().signal,
  });
  await assertRejects(() => run, CommandError, "the disk is full");
  assertEquals([started.length, kept], [2, [started[1]]]);
});

Deno.test("study: results are lines; half of one that a killed process left is dropped, the last of a cell counts", () =>
  withFolder(async (folder) => {
    const path = `${folder}/results.jsonl`, [cell, other] = remainingCells(PLAN, []).ready;
    assertEquals(await readResults(path), []);
    await appendResult(path, resultOf(PLAN, cell, undefined));
    await Deno.writeTextFile(path, '{"cell": {"experi', { append: true });
    await appendResult(path, resultOf(PLAN, other, 2));
    await appendResult(path, resultOf(PLAN, cell, 3));
    assertEquals(await readResults(path), [resultOf(PLAN, cell, 3), resultOf(PLAN, other, 2)]);
    assertEquals((await Deno.readTextFile(path)).split("\n").length, 4);
    await Deno.writeTextFile(path, "{}\n", { append: true });
    await assertRejects(() => readResults(path), CommandError, "line 4 is no result of a study; remove it");
  }));

Deno.test("study: costs of cells give the time of a plan, and the steps that a time allows", async () => {
  const { results } = await watched(1), costs = costsOf(results);
  // A step of 50 tokens at 50 tokens/s is a second; 3 seconds of training and 2 of evaluation are not steps.
  assertEquals(costs.a.m, { fixed: 5, step: 1 });
  const total = totalOf(PLAN, costs), seconds = 8 * (5 + 10) + 3 * (5 + 20);
  assertEquals([total.cells, total.fixed + total.steps, total.unknown], [11, seconds, []]);
  const factor = factorFor(seconds * 2, total)!, scaled = totalOf(scalePlan(PLAN, factor), costs);
  assertAlmostEquals(scaled.fixed + scaled.steps, seconds * 2, 11);
  assertEquals([factorFor(total.fixed, total), totalOf(PLAN, {}).unknown], [undefined, ["a", "b"]]);
  assertEquals(scaleCosts(costs, { fixed: 3, step: 2 }).b.m, { fixed: 15, step: 2 });
  assertEquals(["2h", "1h30m", "45s", "1.5h", "", "2", "h", "-1h"].map(readDuration), [
    7200,
    5400,
    45,
    5400,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("study: every model is measured, and a budget holds, to 15% and where models cost tenfold", () =>
  withFolder(async (folder) => {
    // Each command takes its time by a clock of our own: start, steps, evaluation.
    const plan = readPlan({
      name: "timed",
      seeds: 2,
      experiments: [
        {
          name: "a",
          steps: 100,
          train: "",
          models: { fast: "--model fast", slow: "--model slow" },
          evaluate: { "": "" },
        },
        { name: "b", steps: 40, rates: [0.1, 0.2], train: "", models: { slow: "--model slow" } },
      ],
    }, "test");
    let now = 0;
    const calls: string[] = [], clock = performance.now;
    const run = (args: readonly string[]): Promise<Finished> => {
      const after = (flag: string): string => args[args.indexOf(flag) + 1];
      calls.push(args[0]);
      if (args[0] === "evaluate") return Promise.resolve((now += 7000, finished({ event: "evaluation", scores: [] })));
      const isSlow = after("--model") === "slow", steps = Number(after("--steps")), step = isSlow ? 1 : 0.1;
      Deno.mkdirSync(after("--out"), { recursive: true });
      // The first step compiles.
      now += 1000 * ((isSlow ? 3 : 2) + steps * step);
      return Promise.resolve(
        finished({ event: "start", tokensPerStep: 50 }, { event: "validation", loss: 1 }, {
          event: "done",
          tokensPerSecond: 50 / step,
        }),
      );
    };
    const place = { folder, device: [], run, signal: new AbortController().signal };
    performance.now = () => now;
    try {
      const progress: string[] = [];
      const costs = await probeCosts(plan, place, {
        jobs: 1,
        evaluates: true,
        progress: (done, total) => progress.push(`${done}/${total}`),
      });
      assertEquals([progress, calls.length], [["1/3", "2/3", "3/3"], 5]);
      const round = (value: number) => Math.round(1e6 * value) / 1e6;
      assertEquals([round(costs.a.fast.step), round(costs.a.slow.step)], [0.1, 1]);
      assertEquals([round(costs.a.fast.fixed), round(costs.a.slow.fixed), round(costs.b.slow.fixed)], [9, 10, 3]);
      const budget = { text: "10m", seconds: 600 }, spent = now / 1000, said: string[] = [];
      const fitted = fitBudget(plan, { costs, budget, spent, jobs: 1, say: (line) => said.push(line) });
      assertMatch(said[0], /^7 runs, about \d+m \d+s; steps times \d\.\d+ for 10m$/);
      const results = await runStudy({
        plan: fitted,
        results: [],
        jobs: 1,
        costs,
        runCell: (cell) => runCell(cell, commandsOf(fitted, cell), place),
        keep: () => Promise.resolve(),
        progress: () => {},
        signal: place.signal,
      });
      assertEquals(results.length, 7);
      assert(Math.abs(now / 1000 / 600 - 1) < 0.02, `${now / 1000} s of 600`);
      const short = { costs, budget: { text: "1m", seconds: 60 }, spent, jobs: 1, say: () => {} };
      assertThrows(
        () => fitBudget(plan, short),
        UsageError,
        "--budget cannot be 1m: starting, compiling and evaluating 7",
      );
    } finally {
      performance.now = clock;
    }
    // Without a budget evaluations are not run; what a result says goes before.
    calls.length = 0;
    const quick = await probeCosts(plan, place, { jobs: 2, evaluates: false });
    assertEquals(calls, ["train", "train", "train"]);
    const merged = mergeCosts(quick, { a: { slow: { fixed: 1, step: 2 } } });
    assertEquals([merged.a.slow.step, merged.a.fast, merged.b], [2, quick.a.fast, quick.b]);
    // A command that cannot be ends it.
    const misused = { ...place, run: () => Promise.resolve({ code: 2, events: [], error: "unknown flag --x" }) };
    const misuse = () => probeCosts(plan, misused, { jobs: 2, evaluates: true });
    await assertRejects(misuse, CommandError, "of the plan: train: unknown flag --x");
  }));

Deno.test("study: a cell is trained and evaluated by commands, and goes on with a checkpoint", () =>
  withFolder(async (folder) => {
    const cell: Cell = { experiment: "b", model: "m", rate: null, seed: 1, steps: 20 }, calls: string[][] = [];
    const place = (run: (args: readonly string[]) => Finished) => ({
      folder,
      device: ["--device", "cpu"],
      run: (args: readonly string[]) => Promise.resolve((calls.push([...args]), run(args))),
      signal: new AbortController().signal,
    });
    const well = place(([command]) =>
      command === "evaluate"
        ? finished({ event: "cell", cell: "a", scores: [{ name: "part", value: 1 }] }, {
          event: "evaluation",
          scores: [{ name: "accuracy", value: 0.5 }],
        })
        : finished({ event: "start", parameters: 7, tokensPerStep: 3 }, { event: "validation", step: 20, loss: 2 }, {
          event: "done",
          tokensPerSecond: 9,
        })
    );
    const run = await runFolderOf(cell, commandsOf(PLAN, cell), well);
    // What was left of the cell with fewer steps, and before folders had names that say so.
    const fewer = { ...commandsOf(PLAN, cell), train: ["--steps", "10"] };
    const stale = [await runFolderOf(cell, fewer, well), `${folder}/cells/b_m_1`], other = `${folder}/cells/b_m_10`;
    for (const path of [run, ...stale, other]) {
      await Deno.mkdir(path, { recursive: true });
      if (path !== run) await Deno.writeTextFile(`${path}/checkpoint.safetensors`, "");
    }
    const result = await runCell(cell, commandsOf(PLAN, cell), well);
    assertEquals([result.validation, result.parameters, result.timing.tokensPerSecond], [{ loss: 2 }, 7, 9]);
    assertEquals(result.scores.map(({ name }) => name), ["accuracy", "far: accuracy"]);
    assertMatch(
      calls[0].join(" "),
      /^train --out \S+ --json --device cpu --model m --steps 20 --seed 1 --eval-every 0/,
    );
    assertEquals(calls[1].slice(-4), ["--device", "cpu", "--samples", "8"]);
    assertEquals((await Array.fromAsync(Deno.readDir(`${folder}/cells`))).map(({ name }) => name), ["b_m_10"]);
    const threads = { ...well, device: ["--device", "cpu", "--threads", "1"] },
      native = { ...well, device: ["--device", "native"] };
    assertEquals(await runFolderOf(cell, commandsOf(PLAN, cell), threads), run, "figures do not depend on threads");
    assertNotEquals(await runFolderOf(cell, commandsOf(PLAN, cell), native), run);

    await Deno.mkdir(run, { recursive: true });
    await Deno.writeTextFile(`${run}/checkpoint.safetensors`, "");
    const failing = place(() => ({ code: 1, events: [], error: "a loss that is no number" }));
    const failed = await runCell(cell, commandsOf(PLAN, cell), failing);
    assertEquals([failed.error, failed.scores, calls.at(-1)!.at(-1)], ["a loss that is no number", [], "--resume"]);
    await Deno.mkdir(run, { recursive: true });
    await Deno.writeTextFile(`${run}/checkpoint.safetensors`, "");
    const complete = place(([command, ...args]) =>
      args.includes("--resume")
        ? { code: 2, events: [], error: `the run in ${run} is complete at step 20: give more steps with --steps N` }
        : command === "evaluate"
        ? finished({ event: "evaluation", scores: [] })
        : (Deno.mkdirSync(run), finished({ event: "validation", step: 20, loss: 2 }))
    );
    assertEquals((await runCell(cell, commandsOf(PLAN, cell), complete)).validation, { loss: 2 });

    let lost = 0;
    await Deno.mkdir(run, { recursive: true });
    const flaky = place(([command]) =>
      ++lost % 2 === 1
        ? { code: 137, events: [], error: "", isLost: true }
        : command === "train"
        ? finished({ event: "validation", step: 1, loss: 3 })
        : finished()
    );
    assertEquals(
      (await runCell(cell, commandsOf(PLAN, cell), flaky)).validation,
      { loss: 3 },
      "a lost process is started again",
    );
    lost = 0;
    const gone = place(() => ({ code: 255, events: [], error: `lost ${++lost}`, isLost: true }));
    assertEquals([(await runCell(cell, commandsOf(PLAN, cell), gone)).error, lost], ["lost 3", 3]);
    const stopped = place(() => ({ code: 143, events: [], error: "", isStopped: true }));
    const stop = await assertRejects(() => runCell(cell, commandsOf(PLAN, cell), stopped), CommandError);
    assertEquals(stop.message, "b/m/1 was stopped: the same command goes on");
    const misused = place(() => ({ code: 2, events: [], error: "unknown flag --x" }));
    const misuse = await assertRejects(() => runCell(cell, commandsOf(PLAN, cell), misused), CommandError);
    assertEquals(misuse.message, "cannot run b/m/1 of the plan: train: unknown flag --x");
  }));

Deno.test("study: figures are means over seeds with their range, and what failed is said", async () => {
  const { results } = await watched(1),
    failing = { ...results.at(-1)!.cell, model: "n", experiment: "a", rate: 0.2, seed: 0 };
  const others = results.filter(({ cell }) => !(cell.model === "n" && cell.rate === 0.2));
  const all = [...others, resultOf(PLAN, { ...failing, steps: 10 }, undefined)];
  const [{ models: [m, n] }] = summarize(PLAN, all);
  assertEquals([m.rate, m.parameters, m.figures.accuracy.count], [0.1, 1000, 3]);
  assertAlmostEquals(m.figures.accuracy.mean, 0.79);
  assertAlmostEquals(m.figures.accuracy.min, 0.78);
  assertEquals(m.commands, ["deno task train --task x --model m --lr 0.1 --steps 10 --seed 0"]);
  assertEquals([n.rate, n.errors], [0.1, ["it went wrong"]]);
  const text = summaryTables(summarize(PLAN, all));
  assertMatch(text, /^\| m +\| 1,000 +\| 0\.1 +\| 3 +\| 0\.79 \(0\.78 to 0\.8\) +\|$/m);
  assertMatch(text, /^n failed: it went wrong$/m);
});

Deno.test("study: a launcher is given the command of each run, and a run that is killed is known to be lost", () =>
  withFolder(async (folder) => {
    const signal = new AbortController().signal, said = `${folder}/said`;
    const launch = (script: string) =>
      commandsIn(folder, ["bash", "-c", script, "launcher"])(["list", "--json"], signal);
    const run = await launch(`echo "$@" > ${said}; exec "$@"`);
    assertEquals([run.code, run.isLost, run.error], [0, false, ""]);
    assertMatch(await Deno.readTextFile(said), /^deno run .* main\.ts list --json\n$/);
    for (const death of ["kill -9 $$", "exit 137", "exit 255"]) assertEquals((await launch(death)).isLost, true, death);
  }));
