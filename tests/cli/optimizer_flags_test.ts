/** Flags of optimizers and schedules, and runs that go on with theirs. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { checkOptimizerFlags, OPTIMIZER_FLAGS, optimizerOf } from "../../cli/optimizer_flags.ts";
import { decodeCheckpoint, defineOptimizer, OPTIMIZERS, optimizerTable } from "../../titans/mod.ts";
import { runMain, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const STEPS = 20;

Deno.test("optimizer flags: every option of every optimizer can be given", () => {
  const named: Readonly<Record<string, string>> = {
    learningRate: "lr",
    momentum: "optimizerMomentum",
    warmupSteps: "warmup",
    totalSteps: "",
  };
  for (const optimizer of Object.keys(OPTIMIZERS)) {
    for (const [option, { kind, default: value }] of Object.entries(optimizerTable(optimizer))) {
      const key = named[option] ?? option;
      if (key === "") continue;
      assert(Object.hasOwn(OPTIMIZER_FLAGS, key), `${option} of ${optimizer} has no flag`);
      const other = kind === "toggle" ? true : kind === "choice" ? "constant" : kind === "integer" ? 3 : 0.25;
      assert(other !== value);
      assertEquals(optimizerOf({ optimizer, [key]: other }, STEPS)[option], other, `--${key} of ${optimizer}`);
    }
  }
  assertEquals(optimizerOf({}, STEPS), defineOptimizer({ warmupSteps: 20, totalSteps: 20 }));
  assertEquals(optimizerOf({ optimizer: "lion" }, STEPS).learningRate, OPTIMIZERS.lion.learningRate);
});

Deno.test("optimizer flags: an option of another optimizer is refused, and so is another optimizer for a run that goes on", () => {
  assertThrows(
    () => optimizerOf({ optimizer: "lion", epsilon: 1e-8 }, STEPS),
    UsageError,
    "--epsilon 1e-8 changes nothing with --optimizer lion: leave it out",
  );
  const config = defineOptimizer({ optimizer: "sgd" });
  checkOptimizerFlags({ optimizer: "sgd", optimizerMomentum: 0.9, lr: 5 }, config, "runs/a");
  for (
    const [flags, text] of [
      [{ optimizer: "adamW" }, "the run in runs/a was made with --optimizer sgd, not --optimizer adamW"],
      [{ ema: 0.9 }, "was made with --ema 0, not --ema 0.9: leave --ema out"],
      [{ beta1: 0.9 }, "has no --beta1, not --beta1 0.9"],
    ] as const
  ) assertThrows(() => checkOptimizerFlags(flags, config, "runs/a"), UsageError, text);
});

Deno.test("optimizer flags: a run with muon, an average and a schedule stops and goes on, and refuses another optimizer", () =>
  withFolder(async (folder) => {
    const small = wordsOf("--model lmm --width 8 --blocks 1 --heads 1 --seq-len 16 --batch 2");
    const train = (...args: string[]) =>
      runMain("train", "--device", "cpu", "--json", "--sample-tokens", "0", "--eval-bytes", "64", ...args);
    const run = `${folder}/run`, whole = `${folder}/whole`;
    const choice = ["--optimizer", "muon", "--schedule", "warmup-stable-decay", "--ema", "0.9", "--warmup", "2"];
    const begun = await train(...small, ...choice, "--steps", "6", "--out", whole);
    assertEquals(begun.code, 0, begun.stderr);
    // The steps after the checkpoint of the first three are those of the run that was not stopped.
    const first = await train(...small, ...choice, "--steps", "6", "--checkpoint-every", "3", "--out", run);
    assertEquals(first.code, 0, first.stderr);
    const file = await Deno.readFile(`${run}/checkpoint.safetensors`), { state } = decodeCheckpoint(file);
    assertEquals([state.optimizer.name, Object.keys(state.optimizer.slots)], ["muon", ["first", "second", "iterate"]]);
    const more = await train("--resume", "--out", run, "--steps", "8", "--optimizer", "muon");
    assertEquals(more.code, 0, more.stderr);
    assertEquals(more.events.filter(({ event }) => event === "step").map(({ step }) => step), [7, 8]);
    const other = await train("--resume", "--out", run, "--steps", "9", "--optimizer", "adamW");
    assertEquals(other.code, 2);
    assertMatch(other.stderr, /^error: the run in \S+ was made with --optimizer muon, not --optimizer adamW: leave/);
    // A checkpoint of another run's optimizer, put there by hand.
    const config = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
    const changed = { ...config, optimizer: defineOptimizer({ totalSteps: 8 }) };
    await Deno.writeTextFile(`${run}/config.json`, JSON.stringify(changed));
    const foreign = await train("--resume", "--out", run, "--steps", "9");
    assertEquals(foreign.code, 2);
    assertMatch(foreign.stderr, /^error: Cannot go on with adamW from a state of muon: [^\n]+\n$/);
  }));
