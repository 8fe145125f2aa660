/** The time of a step of ranks: what is fitted to measurements, and what is foreseen from it. */
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import {
  fitSteps,
  fitSums,
  foreseeStep,
  type RankProfile,
  readRankProfile,
  relative,
  slowestOf,
} from "../../cli/rank_profile.ts";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const PROFILE: RankProfile = {
  format: "mneme-rank-profile-2",
  ranks: 4,
  ranksPerHost: 2,
  model: "a model",
  parameters: 1000,
  device: "cpu: two threads",
  latency: 50e-6,
  bandwidth: 1e9,
  fixed: 0.01,
  perToken: 1e-4,
  alone: 0.8,
  steps: [0.9, 0.9, 1, 1.2],
  shared: { tokens: 1000, gradientBytes: 4e6, seconds: 0.13 },
};

Deno.test("rank profile: the fit gives back the latency, bandwidth and steps that times were made of", () => {
  const ring = (sizeBytes: number): number => 2 * 3 * (50e-6 + sizeBytes / 4 / 1e9);
  const { latency, bandwidth } = fitSums([4, 2 ** 22].map((sizeBytes) => ({ sizeBytes, seconds: ring(sizeBytes) })), 4);
  assertAlmostEquals(latency, 50e-6, 1e-8);
  assertAlmostEquals(bandwidth, 1e9, 1e3);
  assertEquals(fitSums([{ sizeBytes: 4, seconds: 1 }], 1).latency, 0);
  const { fixed, perToken } = fitSteps({ tokens: 100, seconds: 0.02 }, { tokens: 400, seconds: 0.05 });
  assertAlmostEquals(fixed, 0.01, 1e-12);
  assertAlmostEquals(perToken, 1e-4, 1e-12);
});

Deno.test("rank profile: the fit gives back the long step, however short or long the short one was", () => {
  for (const seconds of [0.001, 0.0125, 0.02, 0.05, 0.06]) {
    const { fixed, perToken } = fitSteps({ tokens: 100, seconds }, { tokens: 400, seconds: 0.05 });
    assertAlmostEquals(fixed + 400 * perToken, 0.05, 1e-12, `${seconds} s`);
    assert(fixed >= 0 && perToken >= 0, `${seconds} s: ${fixed} and ${perToken}`);
  }
});

Deno.test("rank profile: the slowest of some steps is what all draws of the measured ones say", () => {
  const steps = [0.7, 0.9, 1, 1.4], pairs = steps.flatMap((lhs) => steps.map((rhs) => Math.max(lhs, rhs)));
  const triples = pairs.flatMap((pair) => steps.map((step) => Math.max(pair, step)));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value) / values.length;
  assertAlmostEquals(slowestOf(steps, 1), 1, 1e-12);
  assertAlmostEquals(slowestOf(steps, 2), mean(pairs), 1e-12);
  assertAlmostEquals(slowestOf(steps, 3), mean(triples), 1e-12);
  assertAlmostEquals(slowestOf(steps, 1000), 1.4, 1e-12, "no slower than the slowest that was measured");
  assertEquals(relative([6, 2, 4]), [0.5, 1, 1.5]);
});

Deno.test("rank profile: a step computes, waits for the slowest, and sums around a ring", () => {
  const step = { tokens: 1000, gradientBytes: 4e6, gatheredBytes: 0 }, one = foreseeStep(PROFILE, 1, step);
  assertEquals([one.summing, one.efficiency], [0, 1]);
  assertAlmostEquals(one.waiting, 0, 1e-12);
  assertAlmostEquals(one.computing, 0.8 * 0.11, 1e-12, "by itself");
  assertAlmostEquals(one.tokensPerSecond, 1000 / 0.088, 1e-6);
  const four = foreseeStep(PROFILE, 4, step), sharded = foreseeStep(PROFILE, 4, { ...step, gatheredBytes: 4e6 });
  assertAlmostEquals(four.computing, 0.11, 1e-12, "hosts are full");
  assertAlmostEquals(four.summing, 6 * (50e-6 + 1e6 / 1e9), 1e-12);
  assertAlmostEquals(sharded.summing, 1.5 * four.summing, 1e-12);
  assertAlmostEquals(four.waiting, 0.11 * (slowestOf(PROFILE.steps, 4) - 1), 1e-12);
  const seconds = four.computing + four.waiting + four.summing;
  assertAlmostEquals(four.tokensPerSecond, 4000 / seconds, 1e-6);
  assertAlmostEquals(four.efficiency, 0.088 / seconds, 1e-12);
  const wide = { ...PROFILE, ranksPerHost: 4 };
  const crowding = [1, 2, 3, 4, 8].map((ranks) => foreseeStep(wide, ranks, step).computing / 0.11);
  [0.8, 0.8 + 0.2 / 3, 0.8 + 0.4 / 3, 1, 1].forEach((wanted, i) => assertAlmostEquals(crowding[i], wanted, 1e-12));
});

Deno.test("rank profile: of ranks that were measured it foresees the step that they shared within 15%", async () => {
  // Recorded on two cores with some fifteen other processes: ranks beside each other vary much, and wait.
  const recorded = JSON.parse(await Deno.readTextFile("tests/fixtures/rank_profiles.json")) as readonly RankProfile[];
  assert(recorded.length > 1);
  for (const each of recorded) {
    const profile = readRankProfile(JSON.stringify(each), "recorded"), { ranks, shared, model, device } = profile;
    const step = foreseeStep(profile, ranks, { ...shared, gatheredBytes: 0 });
    const ratio = (step.computing + step.waiting + step.summing) / shared.seconds;
    assert(Math.abs(ratio - 1) < 0.15, `${model} on ${device}: foreseen ${ratio} of what was measured`);
  }
});

Deno.test("rank profile: plan prints 1, 2, 4 ... ranks, what it assumes and how far off it is, and refuses other profiles", () =>
  withFolder(async (folder) => {
    const path = `${folder}/profile.json`,
      args = "plan --preset nano --model transformer --device cpu --batch 24 --ranks 6";
    const planned = await runMain(...args.split(" "), "--json");
    const { parameters } = JSON.parse(planned.stdout), own = { ...PROFILE, parameters };
    const planWith = async (profile: RankProfile, ...more: string[]) => {
      await Deno.writeTextFile(path, JSON.stringify(profile));
      return await runMain(...args.split(" "), "--profile", path, ...more);
    };
    const { code, stdout } = await planWith(own);
    assertEquals(code, 0);
    assertMatch(
      stdout,
      /\n+ranks +computing +waiting +summing +tokens\/s +efficiency\n +1 .* 100%\n +2 .*\n +4 .*\n +6 .*%\n/,
    );
    assertMatch(
      stdout,
      /Foreseen from 4 ranks of cpu.*, 2 on a host.*by itself it took 0\.80 of the time.*is not known\n/s,
    );
    assertMatch(stdout, /messages that take 50\.0 us and their bytes at 1\.00 GB\/s\n/);
    assertMatch(stdout, /one of the 4 steps measured, 0\.90 to 1\.20 of their mean, and none is slower\n/);
    // 0.11 s of computing, the slowest of four, and 6 messages of 1 MB.
    assertMatch(stdout, /Of the step that those 4 ranks shared it foresees 0\.13 s, and it took 0\.13 s: \d% too/);
    const alone = await planWith({ ...own, ranks: 1, ranksPerHost: 1 }, "--bandwidth", "2", "--latency", "30");
    assertMatch(
      alone.stdout,
      /Foreseen from one rank of .*take from each other, memory bandwidth above all, is not known\n/s,
    );
    assertMatch(alone.stdout, /take 30\.0 us and their bytes at 2\.00 GB\/s, by --latency and --bandwidth: one rank/);
    const refused = await planWith(PROFILE);
    assertEquals(refused.code, 2);
    assertMatch(refused.stderr, /--profile is of a model, and the plan of [\d,]+ parameters: measure the model/);
    const { format: _, ...unnamed } = PROFILE;
    for (const found of [unnamed, { ...PROFILE, alone: -1 }, { ...PROFILE, steps: [] }, { ...PROFILE, shared: {} }]) {
      assertThrows(() => readRankProfile(JSON.stringify(found), "p.json"), UsageError, "--profile cannot be p.json");
    }
    for (const text of ["{", "null"]) {
      assertThrows(() => readRankProfile(text, "p.json"), UsageError, "it is no profile");
    }
  }));
