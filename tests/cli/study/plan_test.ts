/** Plans of studies: reading, choosing parts, scaling; and which runs follow from them. */
import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../cli/errors.ts";
import { cellName, chosenRate, commandsOf, countedCells, remainingCells } from "../../../cli/study/cells.ts";
import { totalOf } from "../../../cli/study/estimate.ts";
import { readPlan, scalePlan, seedsOf, selectPlan, splitFlags } from "../../../cli/study/plan.ts";
import { PLANS } from "../../../cli/study/plans.ts";
import type { CellResult } from "../../../cli/study/results.ts";
import { PLAN, resultOf } from "./study_cases.ts";

Deno.test("study: a plan that was written out reads as it was, the built-in ones too", () => {
  for (const plan of [PLAN, ...Object.values(PLANS)]) {
    assertEquals(readPlan(JSON.parse(JSON.stringify(plan)), "a file"), plan);
  }
});

Deno.test("study: what a plan cannot be is said in one line that names the field", () => {
  const experiment = { name: "a", steps: 1, models: { m: "" } };
  const cases: [unknown, string][] = [
    [[], "p.json must be an object"],
    [{ experiments: [] }, "p.json has no experiments"],
    [{ experiment: [] }, "p.json has an unknown field experiment: it takes name, seeds, experiments"],
    [{ experiments: {} }, "p.json: experiments must be a list"],
    [{ seeds: 0, experiments: [experiment] }, "p.json: seeds must be a whole number from 1 to 100"],
    [{ name: "../x", experiments: [experiment] }, 'p.json: name is "../x": it must be letters, digits, and . + - _'],
    [{ experiments: [experiment, experiment] }, "p.json has two experiments named a"],
    [{ experiments: [{ ...experiment, steps: 0.5 }] }, "p.json: experiments[0]: steps must be a whole number"],
    [{ experiments: [{ ...experiment, models: {} }] }, "p.json: experiments[0]: models must have at least one"],
    [{ experiments: [{ ...experiment, models: { "a/b": "" } }] }, 'p.json: experiments[0]: models is "a/b"'],
    [{ experiments: [{ ...experiment, models: { m: 1 } }] }, "p.json: experiments[0]: models: m must be a text"],
    [{ experiments: [{ ...experiment, rates: [0] }] }, "p.json: experiments[0]: rates must be numbers above 0"],
    [{ experiments: [{ ...experiment, choose: { figure: "loss", best: "low" } }] }, 'must be "lowest" or "highest"'],
    [{ experiments: [{ ...experiment, evaluate: ["--samples 1"] }] }, "evaluate must be an object of flags by name"],
  ];
  for (const [value, message] of cases) {
    const error = assertThrows(() => readPlan(value, "p.json"), UsageError, message);
    assertEquals(error.message.split("\n").length, 1);
  }
});

Deno.test("study: flags are split as a shell splits them", () => {
  assertEquals(splitFlags(` --a 'b c'  --d="e 'f'" "" g`), ["--a", "b c", "--d=e 'f'", "", "g"]);
  assertEquals(splitFlags(""), []);
  assertThrows(() => splitFlags(`--a "b`), UsageError, "a quote that does not end");
});

Deno.test("study: parts of a plan are chosen by name, and steps are scaled", () => {
  const part = selectPlan(PLAN, { only: ["a"], models: ["n"], seeds: 1 });
  assertEquals(part.experiments.map(({ name, models }) => [name, Object.keys(models)]), [["a", ["n"]]]);
  assertEquals(selectPlan(PLAN, { models: ["n"] }).experiments.map(({ name }) => name), ["a"]);
  assertThrows(() => selectPlan(PLAN, { only: ["c"] }), UsageError, '--only cannot be "c": the plan has a, b');
  assertThrows(() => selectPlan(PLAN, { models: ["o"] }), UsageError, '--models cannot be "o": the plan has m, n');
  assertThrows(() => selectPlan(PLAN, { only: ["b"], models: ["n"] }), UsageError, "leave nothing of the plan");
  assertEquals(scalePlan(PLAN, 0.26).experiments.map(({ steps }) => steps), [3, 5]);
  assertEquals(scalePlan(PLAN, 1e-9).experiments.map(({ steps }) => steps), [1, 1]);
});

Deno.test("study: learning rates are tried with one seed, the other seeds have the best", () => {
  const results: CellResult[] = [], names = () => remainingCells(PLAN, results).ready.map(cellName);
  assertEquals(names(), ["a/m/0.1/0", "a/m/0.2/0", "a/n/0.1/0", "a/n/0.2/0", "b/m/0", "b/m/1", "b/m/2"].slice(0, 5));
  assertEquals(remainingCells(PLAN, results).later, 6);
  const run = (losses: Readonly<Record<string, number | undefined>>): void => {
    for (const cell of remainingCells(PLAN, results).ready) {
      if (cellName(cell) in losses) results.push(resultOf(PLAN, cell, losses[cellName(cell)]));
    }
  };
  run({ "a/m/0.1/0": 2, "a/m/0.2/0": 1, "a/n/0.1/0": undefined });
  assertEquals(names(), ["a/m/0.2/1", "a/m/0.2/2", "a/n/0.2/0", "b/m/0"]);
  run({ "a/n/0.2/0": undefined, "b/m/0": 1 });
  // All rates of n failed: there is nothing to repeat.
  assertEquals(names(), ["a/m/0.2/1", "a/m/0.2/2", "b/m/1", "b/m/2"]);
  assertEquals(chosenRate(PLAN, { experiment: PLAN.experiments[0], model: "n" }, results), undefined);
  run({ "a/m/0.2/1": 3, "b/m/1": NaN, "b/m/2": 4 });
  assertEquals(countedCells(PLAN, results).map(cellName), ["a/m/0.2/0", "a/m/0.2/1", "b/m/0", "b/m/1", "b/m/2"]);
});

Deno.test("study: an experiment may have fewer seeds than its plan; what is chosen counts for all", () => {
  const [first, second] = PLAN.experiments, plan = { ...PLAN, experiments: [{ ...first, seeds: 1 }, second] };
  assertEquals(remainingCells(plan, []).later, 2, "those of the second experiment");
  assertEquals(totalOf(plan, {}).cells, 2 * 2 + 3);
  assertEquals(selectPlan(plan, { seeds: 2 }).experiments.map((each) => seedsOf({ ...plan, seeds: 2 }, each)), [2, 2]);
  assertEquals(selectPlan(plan, {}).experiments.map((each) => seedsOf(plan, each)), [1, 3]);
  assertThrows(
    () => readPlan({ experiments: [{ name: "a", steps: 1, models: { m: "" }, seeds: 0 }] }, "p.json"),
    UsageError,
    "p.json: experiments[0]: seeds must be a whole number from 1 to 100",
  );
});

Deno.test("study: results count for the commands that made them", () => {
  const { ready: [cell] } = remainingCells(PLAN, []), results = [resultOf(PLAN, cell, 1)];
  assertEquals(commandsOf(PLAN, cell).train, "--task x --model m --lr 0.1 --steps 10 --seed 0".split(" "));
  assertEquals(remainingCells(PLAN, results).ready.length, 4);
  const [first, ...others] = PLAN.experiments;
  const edited = { ...PLAN, experiments: [{ ...first, train: "--task y" }, ...others] };
  assertEquals(remainingCells(edited, results).ready.length, 5);
});
