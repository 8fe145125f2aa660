import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type PlanReport, stepTime } from "../../cli/plan_report.ts";
import { runMain } from "./run_main.ts";

Deno.test("plan: the paper's 340m on cpu, whole: parameters, memory, arithmetic, steps, days, and that it does not fit", async () => {
  const args = ["plan", "--preset", "340m", "--model", "lmm", "--device", "cpu", "--tokens-per-second", "1000"];
  const { code, stdout, stderr } = await runMain(...args);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^model +lmm 340m: 34\d,\d{3},\d{3} parameters\n +24 blocks of width 1,024, 16 heads/);
  assertMatch(stdout, /\narithmetic +2\.\d\d GFLOPs per token/);
  assertMatch(stdout, /\ntraining +15,000,000,000 tokens: 14,648,438 steps\ntime +174 days at 1,000 tokens\/s\n/);
  assertMatch(stdout, /\nweights +1,360 +#{6,10}\noptimizer moments +2,7\d\d +#{12,18}\n/);
  assertMatch(stdout, /\ntotal +\d,\d{3}\n\ndoes not fit: cpu has at most 4,295 MB of memory\nuse a smaller model/);
});

Deno.test("plan: --json has the same numbers, of one rank", async () => {
  const args = ["plan", "--preset", "nano", "--device", "cpu", "--batch", "4", "--seq-len", "64", "--tokens", "1e6"];
  const [whole, one] = await Promise.all([[], ["--ranks", "4"]].map(async (more) => {
    const { code, stdout } = await runMain(...args, ...more, "--json");
    assertEquals(code, 0);
    return JSON.parse(stdout);
  }));
  assertEquals([whole.tokensPerStep, one.tokensPerStep, one.ranks, one.shape.batch], [256, 64, 4, 1]);
  assertEquals([whole.memory.weights, whole.training.tokens], [one.memory.weights, 1e6]);
  assert(one.memory.activations < whole.memory.activations / 2);
  assertEquals(whole.tooLarge, []);
});

Deno.test("plan: summing gradients around a ring takes 2 (R - 1) messages of a share of them", () => {
  const report = {
    ranks: 4,
    shard: false,
    compress: "none",
    tokensPerStep: 1000,
    memory: { weights: 4e6 },
    training: { tokensPerSecond: 2000, bandwidth: 1, latency: 100 },
  } as unknown as PlanReport;
  const time = stepTime(report)!;
  assertEquals([time.trafficBytes, time.computeSeconds], [6e6, 0.5]);
  assertAlmostEquals(time.sumSeconds, 6 * 100e-6 + 6e6 / 1e9, 1e-12);
  assertAlmostEquals(time.efficiency, 0.5 / 0.5066, 1e-9);
  assertEquals(stepTime({ ...report, shard: true })!.trafficBytes, 9e6, "and a share of the new weights");
  assertEquals(stepTime({ ...report, compress: "bf16" })!.trafficBytes, 3e6);
  assertEquals(stepTime({ ...report, compress: "int8" })!.trafficBytes, 6e6 * (1 + 4 / 256) / 4);
  assertEquals(stepTime({ ...report, training: { latency: 100 } }), undefined);
});

Deno.test("plan: what cannot be planned is refused in one line", async () => {
  const cases: [string[], string][] = [
    [
      ["--device", "reference"],
      "--device cannot be reference: it interprets and plans nothing; use cpu, native or webgpu",
    ],
    [
      ["--device", "cpu", "--batch", "3", "--ranks", "2"],
      "--ranks cannot be 2: every rank takes as many rows, and --batch is 3",
    ],
    [
      ["--preset", "340"],
      '--preset cannot be "340": it is one of nano, small, 170m, 340m, 400m, 760m, 1.3b: did you mean 340m?',
    ],
    [["--device", "cpu", "--model", "lmm", "--width", "1000"], "--heads cannot be 16"],
    [["--tokens-per-second", "0"], "--tokens-per-second cannot be 0"],
  ];
  for (const [args, text] of cases) {
    const { code, stderr } = await runMain("plan", ...args);
    assertEquals([code, stderr.trimEnd().split("\n").length], [2, 1], stderr);
    assertStringIncludes(stderr, `error: ${text}`);
  }
});
