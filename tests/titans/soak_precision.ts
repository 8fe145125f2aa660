/**
 * What 16 bits do to training: nano models at batch 32 for 300 steps in f32, bf16 and f16, three seeds. Checks that the
 * planned memory is at most 0.6 of f32, and that the mean loss of the last 20 steps is within 1% of f32 with the same
 * seed: `deno task soak:precision [DEVICE] [MODEL] [STEPS] [SEEDS]`. Finished runs are kept in .scratch/precision, and a
 * stopped one is resumed, so it can be interrupted at any time. An hour or more on two cores, so no part of
 * `deno task test`.
 */
import { main } from "../../main.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";

const [device = "native", model = "mac", steps = "300", seeds = "0,1,2"] = Deno.args;
const PRECISIONS = ["f32", "bf16", "f16"], LAST = 20;
const SIZE = ["--model", model, "--preset", "nano", "--batch", "32", "--seq-len", "256"];

/** The events of a command. @throws {Error} if it fails. */
async function eventsOf(...args: string[]): Promise<Record<string, unknown>[]> {
  const terminal = new FakeTerminal(), code = await main([...args, "--device", device, "--json"], terminal);
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${terminal.stderr}`);
  return terminal.events;
}

/** The losses of a run's log by step: a resumed run has some steps twice. */
async function lossesOf(folder: string): Promise<number[]> {
  const lines = (await Deno.readTextFile(`${folder}/metrics.jsonl`)).trim().split("\n");
  const losses: number[] = [];
  for (const line of lines) {
    const { event, step, loss } = JSON.parse(line);
    if (event === "step") losses[step - 1] = loss;
  }
  return losses;
}

/** The mean loss of the last steps of a run, which begins, goes on or is there already. */
async function lastLoss(precision: string, seed: string): Promise<number> {
  const folder = `.scratch/precision/${device}-${model}-${steps}-${precision}-${seed}`;
  const known = await lossesOf(folder).catch((): number[] => []);
  if (known.length < Number(steps)) {
    const begun = known.length > 0, run = ["--steps", steps, "--eval-every", "0", "--sample-tokens", "0"];
    const choice = begun ? ["--resume"] : [...SIZE, "--precision", precision, "--seed", seed];
    await eventsOf("train", ...choice, ...run, "--eval-bytes", "2048", "--out", folder);
  }
  return (await lossesOf(folder)).slice(-LAST).reduce((sum, loss) => sum + loss, 0) / LAST;
}

const faults: string[] = [];
const planned = await Promise.all(PRECISIONS.map(async (precision) => {
  const [{ totalBytes }] = await eventsOf("plan", ...SIZE, "--precision", precision);
  return Number(totalBytes);
}));
PRECISIONS.forEach((precision, at) => {
  const ratio = planned[at] / planned[0];
  console.log(`${model} ${precision}: ${(planned[at] / 2 ** 20).toFixed(0)} MiB planned, ${ratio.toFixed(2)} of f32`);
  if (at > 0 && ratio > 0.6) faults.push(`${precision} takes ${ratio.toFixed(3)} of the memory`);
});
for (const seed of seeds.split(",")) {
  const f32 = await lastLoss("f32", seed);
  for (const precision of PRECISIONS.slice(1)) {
    const loss = await lastLoss(precision, seed), off = loss / f32 - 1;
    console.log(`seed ${seed}: f32 ${f32.toFixed(4)}, ${precision} ${loss.toFixed(4)} (${(100 * off).toFixed(2)}%)`);
    if (!(Math.abs(off) <= 0.01)) faults.push(`${precision} with seed ${seed} is off by ${(100 * off).toFixed(2)}%`);
  }
}
if (faults.length > 0) throw new Error(faults.join("; "));
