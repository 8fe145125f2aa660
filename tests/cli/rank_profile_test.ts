/** The time of a step of ranks: what is fitted to measurements, and what is foreseen from it. */
import { assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { fitSteps, fitSums, foreseeStep, type RankProfile, readRankProfile, spreadOf } from "../../cli/rank_profile.ts";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const PROFILE: RankProfile = {
  format: "mneme-rank-profile-1",
  ranks: 4,
  model: "a model",
  parameters: 1000,
  device: "cpu: two threads",
  latency: 50e-6,
  bandwidth: 1e9,
  fixed: 0.01,
  perToken: 1e-4,
  spread: 0.002,
};

Deno.test("rank profile: the fit gives back the latency, bandwidth and steps that times were made of", () => {
  const ring = (sizeBytes: number): number => 2 * 3 * (50e-6 + sizeBytes / 4 / 1e9);
  const { latency, bandwidth } = fitSums([4, 2 ** 22].map((sizeBytes) => ({ sizeBytes, seconds: ring(sizeBytes) })), 4);
  assertAlmostEquals(latency, 50e-6, 1e-8);
  assertAlmostEquals(bandwidth, 1e9, 1e3);
  assertAlmostEquals(spreadOf(0.002 * Math.sqrt(2 * Math.log(4)), 4), 0.002, 1e-12);
  assertEquals([spreadOf(0.1, 1), spreadOf(-0.1, 2)], [0, 0]);
  assertEquals(fitSums([{ sizeBytes: 4, seconds: 1 }], 1).latency, 0);
  const { fixed, perToken } = fitSteps({ tokens: 100, seconds: 0.02 }, { tokens: 400, seconds: 0.05 });
  assertAlmostEquals(fixed, 0.01, 1e-12);
  assertAlmostEquals(perToken, 1e-4, 1e-12);
});

Deno.test("rank profile: a step computes, waits for the slowest, and sums around a ring", () => {
  const step = { tokens: 1000, gradientBytes: 4e6, gatheredBytes: 0 }, one = foreseeStep(PROFILE, 1, step);
  assertEquals([one.waiting, one.summing, one.efficiency], [0, 0, 1]);
  assertAlmostEquals(one.tokensPerSecond, 1000 / 0.11, 1e-6);
  const four = foreseeStep(PROFILE, 4, step), sharded = foreseeStep(PROFILE, 4, { ...step, gatheredBytes: 4e6 });
  assertAlmostEquals(four.summing, 6 * (50e-6 + 1e6 / 1e9), 1e-12);
  assertAlmostEquals(sharded.summing, 1.5 * four.summing, 1e-12);
  assertAlmostEquals(four.waiting, 0.002 * Math.sqrt(2 * Math.log(4)), 1e-12);
  assertAlmostEquals(four.efficiency, 0.11 / (0.11 + four.waiting + four.summing), 1e-12);
});

Deno.test("rank profile: plan prints 1, 2, 4 ... ranks and what it assumes, and refuses profiles of other models", () =>
  withFolder(async (folder) => {
    const path = `${folder}/profile.json`,
      args = "plan --preset nano --model transformer --device cpu --batch 24 --ranks 6";
    const planned = await runMain(...args.split(" "), "--json");
    const { parameters } = JSON.parse(planned.stdout);
    await Deno.writeTextFile(path, JSON.stringify({ ...PROFILE, parameters }));
    const { code, stdout } = await runMain(...args.split(" "), "--profile", path);
    assertEquals(code, 0);
    assertMatch(
      stdout,
      /\n+ranks +computing +waiting +summing +tokens\/s +efficiency\n +1 .* 100%\n +2 .*\n +4 .*\n +6 .*%\n/,
    );
    assertMatch(stdout, /Foreseen from 4 ranks on cpu.*messages that take 50\.0 us and their bytes at 1\.00 GB\/s/s);
    await Deno.writeTextFile(path, JSON.stringify(PROFILE));
    const refused = await runMain(...args.split(" "), "--profile", path);
    assertEquals(refused.code, 2);
    assertMatch(refused.stderr, /--profile is of a model, and the plan of [\d,]+ parameters: measure the model/);
    for (const text of ["{", "null", JSON.stringify({ ...PROFILE, spread: -1 })]) {
      assertThrows(() => readRankProfile(text, "p.json"), UsageError, "--profile cannot be p.json");
    }
  }));
