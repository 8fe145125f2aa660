/** A study with results of every kind that a page draws. */
import { type Cell, commandsOf, remainingCells } from "../../../cli/study/cells.ts";
import { readPlan } from "../../../cli/study/plan.ts";
import type { CellResult } from "../../../cli/study/results.ts";

/** Two experiments, one of which has published values. */
export const PLAN = readPlan({
  name: "shown",
  seeds: 3,
  experiments: [
    {
      name: "language",
      title: "Language <modelling>",
      why: "Because it is small.",
      steps: 5,
      choose: { figure: "bitsPerByte", best: "lowest" },
      figures: ["bitsPerByte"],
      models: { lmm: "", mac: "", transformer: "" },
    },
    { name: "needle", title: "A needle", steps: 5, models: { lmm: "", swa: "" }, evaluate: { "": "" } },
  ],
}, "test");

const LENGTHS = [512, 1024, 2048, 4096], DEPTHS = [0, 50, 100];

function resultOf(cell: Cell): CellResult {
  const spread = cell.seed / 100, isFirst = cell.model === "lmm";
  const scores = cell.experiment === "language"
    ? [{ name: "bitsPerByte", value: { lmm: 2.7, mac: 2.8, transformer: 2.75 }[cell.model]! + spread }]
    : LENGTHS.flatMap((length) => [
      { name: `accuracy, length ${length}`, value: (isFirst ? 0.9 : 256 / length) + spread, chance: 0.1 },
      ...DEPTHS.map((depth) => ({
        name: `found, length ${length}, depth ${depth}`,
        value: isFirst ? 1 - depth / 200 : 0.2,
        chance: 0,
      })),
    ]);
  return {
    cell,
    commands: commandsOf(PLAN, cell),
    device: "cpu: a processor",
    parameters: 200_000,
    tokensPerStep: 8,
    validation: { loss: 1, bitsPerByte: 2 },
    scores,
    timing: { trainSeconds: 1, evaluateSeconds: 1, tokensPerSecond: 10 },
  };
}

/** All results of the plan. */
export function resultsOfPlan(): CellResult[] {
  const results: CellResult[] = [];
  for (let { ready } = remainingCells(PLAN, []); ready.length > 0; { ready } = remainingCells(PLAN, results)) {
    results.push(...ready.map(resultOf));
  }
  return results;
}
