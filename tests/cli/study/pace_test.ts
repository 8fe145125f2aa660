/** A study with a budget on a machine that turns out slower, or faster, than it was measured. */
import { assert, assertEquals } from "@std/assert";
import { type Cell, commandsOf } from "../../../cli/study/cells.ts";
import type { Costs } from "../../../cli/study/estimate.ts";
import { keepPace, type Pace } from "../../../cli/study/pace.ts";
import { readPlan, type StudyPlan } from "../../../cli/study/plan.ts";
import type { CellResult } from "../../../cli/study/results.ts";
import { runStudy } from "../../../cli/study/runner.ts";

const NAMES = ["a", "b", "c", "d", "e", "f"];
const PLAN = readPlan({
  seeds: 3,
  experiments: NAMES.map((name) => ({ name, steps: 200, models: { x: "--model x", y: "--model y" } })),
}, "the plan");
/** Each run takes 2 s and 50 ms or 100 ms a step: 6 experiments of 6 runs take 612 s, one after the other. */
const COSTS: Costs = Object.fromEntries(
  NAMES.map((name) => [name, { x: { fixed: 2, step: 0.05 }, y: { fixed: 2, step: 0.1 } }]),
);
const SECONDS = NAMES.length * 3 * (4 + 200 * 0.15);

const pace = (seconds: number, begun: readonly string[] = []): Pace => ({ seconds, costs: COSTS, begun });

interface Ran {
  readonly seconds: number;
  readonly results: readonly CellResult[];
  readonly plan: StudyPlan;
}

function runOf(cell: Cell, plan: StudyPlan, slower: number): CellResult {
  const { fixed, step } = COSTS[cell.experiment][cell.model];
  return {
    cell,
    commands: commandsOf(plan, cell),
    validation: { loss: 1 },
    scores: [],
    tokensPerStep: 100,
    device: "",
    timing: {
      trainSeconds: slower * (fixed + step * cell.steps),
      evaluateSeconds: 0,
      tokensPerSecond: 100 / (slower * step),
    },
  };
}

/** Runs it on a machine that is so many times slower than the costs say. */
async function ran(slower: number, jobs: number, paced = true, results: readonly CellResult[] = []): Promise<Ran> {
  let plan = PLAN;
  const all = await runStudy({
    plan,
    ...(paced
      ? { replan: (before, own, { begun }) => Promise.resolve(plan = keepPace(before, own, pace(SECONDS, begun))) }
      : {}),
    results,
    jobs,
    costs: COSTS,
    runCell: (cell, plan) => Promise.resolve(runOf(cell, plan, slower)),
    keep: () => Promise.resolve(),
    progress: () => {},
    signal: new AbortController().signal,
  });
  return { seconds: all.reduce((sum, { timing }) => sum + timing.trainSeconds, 0), results: all, plan };
}

Deno.test("study: a budget is kept within 15% where runs take twice as long as measured, or half, and never exceeded", async () => {
  for (const jobs of [1, 2]) {
    for (const slower of [0.5, 0.9, 1, 1.3, 2]) {
      const share = (await ran(slower, jobs)).seconds / SECONDS;
      assert(share > 0.85 && share <= 1, `${slower} times slower, ${jobs} jobs: ${share} of the budget`);
    }
  }
  const share = (await ran(2, 1, false)).seconds / SECONDS;
  assert(Math.abs(share - 2) < 1e-9, "without it, all is twice as long");
});

Deno.test("study: all runs of an experiment have the same steps, however fast the first ones were", async () => {
  const { results, plan } = await ran(2, 2);
  assertEquals(results.length, NAMES.length * 6);
  for (const { name, steps } of plan.experiments) {
    const found = new Set(results.filter(({ cell }) => cell.experiment === name).map(({ cell }) => cell.steps));
    assertEquals([...found], [steps], name);
  }
  assertEquals(plan.experiments[0].steps, 189, "the first aims at 95% of the time");
  assert(plan.experiments[1].steps < 90, `the second has ${plan.experiments[1].steps}`);
});

Deno.test("study: an experiment that was killed in its first run keeps its steps, as that run goes on with them", async () => {
  const asked: (readonly string[])[] = [], stop = new AbortController();
  await runStudy({
    plan: PLAN,
    begun: ["a"],
    replan: (before, _, { begun, next }) => {
      asked.push([...begun, next]);
      stop.abort();
      return Promise.resolve(before);
    },
    results: [],
    jobs: 7,
    costs: COSTS,
    runCell: (cell, plan) => Promise.resolve(runOf(cell, plan, 1)),
    keep: () => Promise.resolve(),
    progress: () => {},
    signal: stop.signal,
  });
  assertEquals(asked, [["a", "b"]], "of a nothing is asked, b is the first to begin");
});

Deno.test("study: where no time is left, experiments keep a tenth of their steps, and estimates that hold change nothing", () => {
  const stepsOf = ({ experiments }: StudyPlan): number[] => experiments.map(({ steps }) => steps);
  assertEquals(stepsOf(keepPace(PLAN, [], pace(SECONDS / 100))), NAMES.map(() => 20));
  assertEquals(keepPace(PLAN, [], pace(SECONDS / 0.95)), PLAN);
  assertEquals(stepsOf(keepPace(PLAN, [], pace(SECONDS / 100, ["a", "b"]))), [200, 200, 20, 20, 20, 20]);
});
