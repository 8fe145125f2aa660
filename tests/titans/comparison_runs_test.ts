/** Comparisons: runs that are there are not repeated, and learning rates are chosen without a look at the test. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { withFolder } from "../cli/scratch.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";
import { main } from "./measure_comparison.ts";
import { comparisonReport, comparisonRows, readSpeeds } from "./comparison_table.ts";
import { isSameRun, modelOf, readRuns, remainingRuns, type RunKey, type RunResult } from "./comparison_runs.ts";

const KEY: RunKey = {
  model: "swa",
  convolution: "none",
  optimizer: "adamW",
  rate: 0.01,
  seed: 0,
  steps: 300,
  parameters: 200_000,
};

function result(key: Partial<RunKey>, validation: number, test: number): RunResult {
  const costs = { tokensPerSecond: 100, parameterCount: 200_100, plannedBytes: 3e6, stateBytes: 4e3 };
  return { ...KEY, ...key, validation, test, ...costs };
}

Deno.test("comparison: finished runs are not wanted again, and every model comes before the next seed", async () => {
  const wanted = (["swa", "gla"] as const).flatMap((model) => [0, 1].map((seed) => ({ ...KEY, model, seed })));
  const finished = [result({ model: "gla", seed: 0 }, 3, 3), result({ rate: 0.003 }, 3, 3)];
  assertEquals(remainingRuns(wanted, finished).map(({ model, seed }) => `${model} ${seed}`), [
    "swa 0",
    "swa 1",
    "gla 1",
  ]);
  assertEquals(isSameRun(KEY, { ...KEY, steps: 200 }), false);
  await withFolder(async (folder) => {
    assertEquals(await readRuns(`${folder}/none`), []);
    const [line] = finished.map((run) => JSON.stringify(run));
    await Deno.writeTextFile(`${folder}/runs`, `${line}\n${line.slice(0, 20)}`);
    assertEquals(await readRuns(`${folder}/runs`), [finished[0]]);
  });
});

Deno.test("comparison: all learning rates are tried with the first seed, and the best of them with the others", () => {
  const wanted = [0, 1].flatMap((seed) => [0.003, 0.01].map((rate) => ({ ...KEY, rate, seed })));
  const rest = (...finished: RunResult[]): string[] =>
    remainingRuns(wanted, finished).map(({ rate, seed }) => `${seed} ${rate}`);
  assertEquals(rest(), ["0 0.003", "0 0.01", "1 0.003"]);
  assertEquals(rest(result({ rate: 0.003 }, 3, 3)), ["0 0.01", "1 0.003"]);
  assertEquals(rest(result({ rate: 0.003 }, 3, 3), result({}, 2, 2)), ["1 0.01"]);
  assertEquals(rest(result({ rate: 0.003 }, 2, 2), result({}, 3, 3)), ["1 0.003"]);
});

Deno.test("comparison: the learning rate is the best on validation, and the table has the figures of the test", () => {
  const rows = comparisonRows([
    // Better on the test, but not on validation.
    result({ rate: 0.003 }, 3.1, 2.5),
    result({ rate: 0.003, seed: 1 }, 3.1, 2.5),
    result({ rate: 0.01 }, 3.0, 3.2),
    result({ rate: 0.01, seed: 1 }, 3.0, 3.4),
    // Better on validation, but not with the first seed.
    result({ rate: 0.1 }, 3.05, 2),
    result({ rate: 0.1, seed: 1 }, 2, 2),
    result({ model: "gla", convolution: "same" }, 4, 2.9),
  ]);
  assertEquals(rows.map(({ model, rate, tests }) => [model, rate, tests]), [["gla", 0.01, [2.9]], ["swa", 0.01, [
    3.2,
    3.4,
  ]]]);
  const report = comparisonReport(rows);
  assertMatch(
    report,
    /the same convolution of 4 tokens:\n\n.*\n.*\n\| `gla` \| 0.01 \| 2.900 \| one \| 200,100 \| 3.0 \| 4.0 \|/,
  );
  assertMatch(report, /no convolution:\n\n.*\n.*\n\| `swa` \| 0.01 \| 3.300 \| 2: 3.200 to 3.400 \|/);
});

Deno.test("comparison: it says where a Titans model is not first, and takes speeds of a benchmark", async () => {
  const rows = comparisonRows([
    result({ model: "lmm" }, 3, 2.8),
    result({ model: "lmm", seed: 1 }, 3, 2.9),
    result({ model: "mac" }, 3, 3),
    result({ model: "mac", seed: 1 }, 3, 3),
    result({ model: "gla" }, 3, 2.7),
    result({ model: "gla", seed: 1 }, 3, 2.81),
  ]);
  const text = comparisonReport(rows);
  assertStringIncludes(
    text,
    "`lmm` is number 2 of 3, 0.095 bits behind the first, after `gla`. The seeds overlap with those of `gla`.",
  );
  assertStringIncludes(text, "`mac` is number 3 of 3, 0.245 bits behind the first, after `gla`, `lmm`.\n");
  await withFolder(async (folder) => {
    const points = [{ model: "lmm", tokens: 512, tokensPerSecond: 1234.4 }, {
      model: "lmm",
      tokens: 2048,
      tokensPerSecond: 9,
    }];
    await Deno.writeTextFile(`${folder}/models.json`, JSON.stringify({ points }));
    const report = comparisonReport(rows, await readSpeeds(`${folder}/models.json`));
    assertMatch(report, /`lmm` \| 0.01 \| 2.850 \| 2: .* \| 200,100 \| 1,234 \| 3.0/);
  });
});

Deno.test("comparison: its command has help, and refuses what it does not know", async () => {
  const help = new FakeTerminal();
  assertEquals(await main(["--help"], help), 0);
  assertStringIncludes(help.stdout, "usage: deno task compare [flags]");
  for (
    const [args, said] of [
      [["--model", "lmm"], "unknown flag --model: did you mean --models?"],
      [["--models", "lmm,mak"], '--models cannot be "mak"'],
      [["--rates", "0.01,"], '--rates cannot be ""'],
      [["--seeds", "0"], "--seeds cannot be 0"],
    ] as const
  ) {
    const terminal = new FakeTerminal();
    assertEquals(await main(args, terminal), 2);
    assertStringIncludes(terminal.stderr, said);
  }
});

Deno.test("comparison: models have the same convolution or none, at the same size", () => {
  for (const model of ["transformer", "gla", "lmm"] as const) {
    const [same, none] = (["same", "none"] as const).map((convolution) => modelOf({ ...KEY, model, convolution }));
    const has = ({ layout }: typeof same): boolean => layout.entries.some(({ name }) => name.includes("convolution"));
    assertEquals([has(same), has(none)], [true, false], model);
    for (const { layout } of [same, none]) {
      assertEquals(Math.abs(layout.parameterCount / KEY.parameters - 1) < 0.03, true, `${model} ${layout}`);
    }
  }
});
