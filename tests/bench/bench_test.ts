/** The benchmark's own functions, and a glance at one case from command line to JSON. */
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { DEVICE_NAMES } from "../../kernels/devices/registry.ts";
import { UsageError } from "../../cli/errors.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";
import { withFolder } from "../cli/scratch.ts";
import type { AgainstRow } from "./against.ts";
import type { BusyRow } from "./busy.ts";
import { type FirstStepRow, PARTS } from "./first_step.ts";
import { type Options, readOptions } from "./flags.ts";
import { main } from "./main.ts";
import { inTurns } from "./measure.ts";
import type { Row } from "./own.ts";
import { PEER_NAMES } from "./peers/mod.ts";
import { peersTables } from "./peers_table.ts";
import { Progress } from "./progress.ts";
import { quantile, relativeError, summarize } from "./statistics.ts";
import { plot, powerLabel, spread } from "./svg.ts";
import { digits, formatTable, megabytes } from "./table.ts";

Deno.test("bench: minimum, median and 90th percentile", () => {
  assertEquals(summarize([5, 1, 4, 2, 3]), { runs: 5, minMs: 1, medianMs: 3, p90Ms: 4.6 });
  assertEquals(summarize([7]), { runs: 1, minMs: 7, medianMs: 7, p90Ms: 7 });
  assertAlmostEquals(quantile([0, 10], 0.25), 2.5, 1e-12);
  assert(Number.isNaN(quantile([], 0.5)));
});

Deno.test("bench: errors are relative to the largest magnitude, and NaN or a missing element is infinitely wrong", () => {
  assertAlmostEquals(relativeError([1, -4.5], [1, -4]), 0.125, 1e-12);
  assertEquals(relativeError([1, NaN], [1, 2]), Infinity);
  assertEquals(relativeError([1], [1, 2]), Infinity);
});

Deno.test("bench: what is compared is timed in turns, each round from another one on", async () => {
  const log: string[] = [];
  const subject = (name: string, ms: number) => ({
    time: (count: number): Promise<number> => {
      log.push(`${name}${count}`);
      return Promise.resolve(ms * count);
    },
  });
  const timings = await inTurns([subject("a", 4), subject("b", 20)], {
    rounds: 3,
    leastRounds: 3,
    turnMs: 8,
    budgetMs: 0,
  });
  assertEquals(log, ["a1", "a1", "b1", "b1", "a2", "b1", "b1", "a2", "a2", "b1"]);
  assertEquals(timings, [{ runs: 3, minMs: 4, medianMs: 4, p90Ms: 4 }, {
    runs: 3,
    minMs: 20,
    medianMs: 20,
    p90Ms: 20,
  }]);
});

Deno.test("bench: the budget ends the rounds, but not before the least number", async () => {
  const [timing] = await inTurns([{ time: (count) => Promise.resolve(count) }], {
    rounds: 9,
    leastRounds: 4,
    turnMs: 1,
    budgetMs: -1,
  });
  assertEquals(timing.runs, 4);
});

Deno.test("bench: tables align, numbers have three digits", () => {
  assertEquals(
    formatTable(["name", "ms"], [["a", "1.50"], ["long name", "12"]]),
    "name         ms\n---------  ----\na          1.50\nlong name    12\n",
  );
  assertEquals([0.1234, 1.234, 12.34, 1234.5, undefined].map(digits), ["0.123", "1.23", "12.3", "1235", ""]);
  assertEquals(megabytes(25e6), "25.0");
});

Deno.test("bench: progress counts, and guesses from the second thing on", () => {
  const lines: string[] = [];
  const progress = new Progress(2, (line) => lines.push(line));
  progress.next("first");
  progress.next("second");
  assertEquals(lines, ["[1/2] 0s: first\n", "[2/2] 0s, ETA 0s: second\n"]);
});

Deno.test("bench: a plot has its lines, ticks and names", () => {
  const svg = plot("a < b", [{
    title: "time",
    xLabel: "tokens",
    series: [{ name: "LMM", points: [[1024, 0], [2048, 3], [4096, 4]] }],
  }]);
  assert(svg.startsWith("<svg ") && svg.endsWith("</svg>\n"));
  assert(svg.includes("<title>a &#60; b</title>"));
  for (const label of ["1K", "2K", "4K", "time", "tokens", "LMM"]) assert(svg.includes(`>${label}</text>`), label);
  // Powers of two are evenly apart; y grows upwards from 0 on the axis to 4 at the top.
  assert(svg.includes('d="M56.0 256.0L230.0 94.0L404.0 40.0"'), svg);
  // Where the axis is logarithmic, equal ratios are equally far apart, from 0.2 at the bottom to 20 at the top.
  const series = [{ name: "LMM", points: [[1024, 0.2], [2048, 2], [4096, 20]] as const }];
  const ratios = plot("ratios", [{ title: "time", xLabel: "tokens", logarithmic: true, series }]);
  assert(ratios.includes('d="M56.0 256.0L230.0 148.0L404.0 40.0"'), ratios);
  for (const label of ["0.2", "0.5", "1", "2", "5", "10", "20"]) assert(ratios.includes(`>${label}</text>`), label);
  assertEquals([512, 1024, 32768, 1500].map(powerLabel), ["512", "1K", "32K", "1500"]);
});

Deno.test("bench: names in a plot stand near the ends of their lines, and do not touch", () => {
  assertEquals(spread([200, 100, 100, 101], 40, 256), [200, 87 + 1 / 3, 100 + 1 / 3, 113 + 1 / 3]);
  assertEquals(spread([41, 40], 40, 256), [53, 40]);
  assertEquals(spread([256, 250, 230], 40, 256), [256, 243, 230]);
  assertEquals(spread([], 40, 256), []);
});

Deno.test("bench: flags", () => {
  const of = (line: string): Options => readOptions(line.split(" ").filter(Boolean));
  assertEquals([of("").mode, of("").devices, of("").json], ["own", ["auto"], "bench/results.json"]);
  assertEquals(of("--device cpu --device webgpu").devices, ["cpu", "webgpu"]);
  assertEquals(of("--device all --quick").devices, DEVICE_NAMES.filter((name) => name !== "reference"));
  assertEquals([of("--explain").job, of("--explain chunk --device=cpu").job], [undefined, "chunk"]);
  assertEquals([of("--peers").json, of("--peers").devices], ["bench/peers.json", of("--device all").devices]);
  assertEquals([of("--peers").libraries, of("--peers torch,tfjs").libraries], [PEER_NAMES, ["torch", "tfjs"]]);
  assertEquals([of("--busy 0,3").busy, of("--busy --quick").busy[0]], [[0, 3], 0]);
  assertEquals(of("--scaling --json a.json --rounds 3 --filter LMM").filter, "lmm");
  for (
    const line of [
      "--device gpu",
      "--peers numpy",
      "--peers --scaling",
      "--rounds 0",
      "--busy -1",
      "--json",
      "--filtr x",
      "matmul",
    ]
  ) {
    assertThrows(() => of(line), UsageError);
  }
});

Deno.test("bench: misuse is one line and exit code 2, and help teaches", async () => {
  const wrong = new FakeTerminal(), help = new FakeTerminal();
  assertEquals(await main(["--device", "gpu"], wrong), 2);
  const names = ["auto", ...readOptions(["--device=all"]).devices, "all"].join(", ");
  assertEquals(wrong.stderr, `error: --device cannot be "gpu": it is one of ${names}\n`);
  assertEquals(await main(["--help"], help), 0);
  assert(help.stdout.includes("deno task bench --peers") && help.stdout.includes("--rounds N"));
});

Deno.test("bench: ratios, shares of the peak and failures of peers are in the table", () => {
  const timing = { runs: 5, minMs: 2, medianMs: 3, p90Ms: 4 };
  const table = peersTables({
    contestants: [{ library: "mneme", device: "cpu", description: "mneme 1" }, {
      library: "other",
      device: "cpu",
      description: "other 2",
    }],
    missing: ["no torch"],
    jobs: [{
      job: "matmul 512",
      device: "cpu",
      expected: 1,
      flops: 2e9,
      peakGflops: 4000,
      entries: [
        { library: "mneme", description: "mneme 1", firstMs: 10, cpuMs: 2, rssBytes: 5e7, ...timing },
        { library: "other", description: "other 2", firstMs: 30, cpuMs: 6, ...timing, minMs: 5 },
        { library: "third", description: "third 3", error: "too large" },
      ],
      ratio: 2.5,
      bestPeer: "other",
      ratios: { other: 2.5 },
      scriptRatio: 2.5,
      scriptFirstRatio: 3,
    }],
  });
  for (
    const part of [
      /mneme +10\.0 +2\.00 +3\.00 +4\.00 +5 +2\.00 +1000 +25% +50\.0/,
      /other .* 6\.00 +400 +10% .*2\.50 +3\.00/,
      /multiply-adds in C +4000 +100%/,
      /failed: too large/,
      /no torch/,
      /the best in JavaScript/,
    ]
  ) {
    assertMatch(table, part);
  }
});

Deno.test("bench: one case on cpu, from the command line to JSON", () =>
  withFolder(async (folder) => {
    const terminal = new FakeTerminal(), json = `${folder}/figures.json`;
    const code = await main(["--quick", "--device", "cpu", "--filter", "64x256x1024", "--json", json], terminal);
    assertEquals([code, terminal.stderr.split("\n").length], [0, 3]);
    assert(terminal.stdout.includes("kernels on cpu"), terminal.stdout);
    const { mode, machine, rows } = JSON.parse(await Deno.readTextFile(json)) as {
      mode: string;
      machine: Record<string, unknown>;
      rows: Row[];
    };
    assertEquals([mode, machine.deno, rows.length], ["own", Deno.version.deno, 1]);
    const [row] = rows;
    assertEquals([row.name, row.device, row.group, row.flops], [
      "matmul 64x256x1024",
      "cpu",
      "kernels",
      2 * 64 * 256 * 1024,
    ]);
    assert(row.error <= row.tolerance && row.minMs <= row.medianMs && row.medianMs <= row.p90Ms);
    assert(row.compileMs > 0 && row.firstMs > 0 && row.gflops! > 0 && row.share! > 0);
    assertEquals(row.yardsticks.map(({ name }) => name), ["JavaScript loops"]);
  }));

Deno.test("bench: one case against another checkout, here the same one, in two processes", () =>
  withFolder(async (folder) => {
    const terminal = new FakeTerminal(), json = `${folder}/figures.json`;
    const line = ["--quick", "--device", "cpu", "--filter", "64x256x1024", "--against", ".", "--json", json];
    assertEquals(await main(line, terminal), 0);
    const { mode, rows } = JSON.parse(await Deno.readTextFile(json)) as { mode: string; rows: AgainstRow[] };
    assertEquals([mode, rows.length, rows[0].name, rows[0].error], ["against", 1, "matmul 64x256x1024", undefined]);
    const [{ own, other, minRatio, medianRatio, compileRatio }] = rows;
    assertEquals([minRatio, medianRatio], [own!.minMs / other!.minMs, own!.medianMs / other!.medianMs]);
    assert(compileRatio! > 0 && terminal.stdout.includes("ratios above 1 are slower here"));
    const nowhere = new FakeTerminal();
    assertEquals(await main(["--against", folder], nowhere), 1);
    assert(nowhere.stderr.includes("is no checkout of this project"), nowhere.stderr);
  }));

Deno.test("bench: one thread and all, alone and beside a busy loop, which ends with the run", () =>
  withFolder(async (folder) => {
    const terminal = new FakeTerminal(), json = `${folder}/figures.json`;
    const line = ["--quick", "--device", "cpu", "--filter", "add 64K", "--busy", "0,1", "--json", json];
    assertEquals(await main(line, terminal), 0);
    const { mode, rows } = JSON.parse(await Deno.readTextFile(json)) as { mode: string; rows: BusyRow[] };
    assertEquals([mode, ...rows.map(({ name, loops }) => `${name}, ${loops}`)], ["busy", "add 64K, 0", "add 64K, 1"]);
    for (const { one, all, speedup } of rows) assertEquals(speedup, one.medianMs / all.medianMs);
    assertEquals(await main(["--busy", "--device", "webgpu"], new FakeTerminal()), 1);
  }));

Deno.test("bench: a first step, part by part, with empty and filled caches and once more", () =>
  withFolder(async (folder) => {
    const terminal = new FakeTerminal(), json = `${folder}/figures.json`;
    const line = ["--first-step", "--device", "cpu", "--filter", "lmm nano", "--rounds", "1", "--json", json];
    assertEquals(await main(line, terminal), 0);
    const { mode, rows } = JSON.parse(await Deno.readTextFile(json)) as { mode: string; rows: FirstStepRow[] };
    assertEquals([mode, ...rows.map(({ start }) => start)], [
      "first-step",
      "empty caches",
      "filled caches",
      "same process",
    ]);
    for (const [i, { parts, allMs, rounds }] of rows.entries()) {
      assertEquals([Object.keys(parts), rounds], [i < 2 ? [...PARTS] : PARTS.slice(2), 1]);
      assertAlmostEquals(Object.values(parts).reduce((sum, part) => sum + part, 0), allMs, 1e-6);
    }
    assert(terminal.stdout.includes("first training step on cpu"), terminal.stdout);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["figures.json"]);
    assertEquals(await main(["--first-step", "--device", "cpu", "--filter", "bert"], new FakeTerminal()), 1);
  }));

Deno.test("bench: a name that nothing has fails with exit code 1", async () => {
  const terminal = new FakeTerminal();
  assertEquals(await main(["--quick", "--filter", "no such thing"], terminal), 1);
  assert(terminal.stderr.includes('no benchmark has "no such thing" in its name'));
});
