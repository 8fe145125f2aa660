/**
 * What 16 bits do to training: `deno task soak:precision --help`. Finished runs are kept in .scratch/precision, and a
 * stopped one is resumed, so it can be interrupted at any time.
 */
import { CommandError } from "../../cli/errors.ts";
import { choice, integer } from "../../cli/flags.ts";
import { DEVICE_NAMES } from "../../kernels/devices/registry.ts";
import { MODEL_OPTIONS, type ModelKind } from "../../titans/mod.ts";
import { eventsOf } from "../cli/run_main.ts";
import { integers, runTool, words } from "../tool.ts";
import { StepProgress } from "./step_progress.ts";

const PRECISIONS = ["f32", "bf16", "f16"] as const;
/** The least share of f32's memory that is not enough of a saving, how far losses may be off, and of how many steps. */
const MOST_MEMORY = 0.6, MOST_OFF = 0.01, LAST = 20;

const FLAGS = {
  device: choice(DEVICE_NAMES, "where models are trained", "native"),
  model: choice(Object.keys(MODEL_OPTIONS.model.choices) as ModelKind[], "the model, of size nano", "mac"),
  steps: integer("training steps of each run", 300, { min: LAST }),
  batch: integer("sequences of 256 bytes in a step", 32, { min: 1 }),
  seeds: integers("seeds of the runs that are compared", [0, 1, 2]),
  precisions: words(
    PRECISIONS,
    "what is compared: f32, which is always trained first as the measure, bf16, f16",
    PRECISIONS,
  ),
};

interface Soak {
  readonly device: string;
  readonly model: string;
  readonly steps: number;
  readonly batch: number;
  readonly seeds: readonly number[];
  readonly precisions: readonly string[];
}

/** Which run of a soak. */
interface Run extends Pick<Soak, "device" | "model" | "steps" | "batch"> {
  readonly precision: string;
  readonly seed: number;
}

/** The folder of a run. A batch of 32 is not part of its name. */
export function runFolder({ device, model, steps, batch, precision, seed }: Run): string {
  const size = batch === 32 ? "" : `-batch-${batch}`;
  return `.scratch/precision/${device}-${model}-${steps}${size}-${precision}-${seed}`;
}

/** The losses of a run's log by step, none if there is no such run: a resumed run has some steps twice. */
async function lossesOf(folder: string): Promise<number[]> {
  const text = await Deno.readTextFile(`${folder}/metrics.jsonl`).catch(() => ""), losses: number[] = [];
  for (const line of text.split("\n").filter(Boolean)) {
    const { event, step, loss } = JSON.parse(line);
    if (event === "step") losses[step - 1] = loss;
  }
  return losses;
}

const sizeOf = (
  { model, batch }: Soak,
): string[] => ["--model", model, "--preset", "nano", "--batch", `${batch}`, "--seq-len", "256"];

/** Trains a run that is not finished, from its last checkpoint if it has one. @returns The mean of its last losses. */
async function lastLoss(soak: Soak, precision: string, seed: number, progress: StepProgress): Promise<number> {
  const { device, steps } = soak, folder = runFolder({ ...soak, precision, seed }), known = await lossesOf(folder);
  if (known.length < steps) {
    const choice = known.length > 0 ? ["--resume"] : [...sizeOf(soak), "--precision", precision, "--seed", `${seed}`];
    const run = [`--steps=${steps}`, "--eval-every=0", "--sample-tokens=0", "--eval-bytes=2048", `--out=${folder}`];
    await eventsOf(
      ["train", ...choice, ...run, "--device", device],
      (event) => progress.see(event, `${precision}, seed ${seed}`),
    );
  }
  return (await lossesOf(folder)).slice(steps - LAST, steps).reduce((sum, loss) => sum + loss, 0) / LAST;
}

/** Plans of all precisions, the first of which is f32. @returns What takes too much memory. */
async function comparePlans(soak: Soak): Promise<string[]> {
  const faults: string[] = [], planned: number[] = [];
  for (const precision of soak.precisions) {
    const size = [...sizeOf(soak), "--precision", precision, "--device", soak.device];
    const [{ totalBytes }] = await eventsOf(["plan", ...size]);
    planned.push(Number(totalBytes));
    const [bytes, ratio] = [planned.at(-1)!, planned.at(-1)! / planned[0]];
    console.log(`${soak.model} ${precision}: ${(bytes / 2 ** 20).toFixed(0)} MiB planned, ${ratio.toFixed(2)} of f32`);
    if (planned.length > 1 && ratio > MOST_MEMORY) faults.push(`${precision} takes ${ratio.toFixed(3)} of the memory`);
  }
  return faults;
}

/** Trains all. @returns What is off. */
async function compareLosses(soak: Soak): Promise<string[]> {
  const { steps, seeds, precisions } = soak, faults: string[] = [];
  const runs = seeds.flatMap((seed) => precisions.map((precision) => runFolder({ ...soak, precision, seed })));
  const known = await Promise.all(runs.map(async (run) => Math.min(steps, (await lossesOf(run)).length)));
  const progress = new StepProgress(runs.length * steps, known.reduce((sum, count) => sum + count, 0));
  for (const seed of seeds) {
    const f32 = await lastLoss(soak, "f32", seed, progress);
    for (const precision of precisions.slice(1)) {
      const loss = await lastLoss(soak, precision, seed, progress), off = loss / f32 - 1;
      console.log(`seed ${seed}: f32 ${f32.toFixed(4)}, ${precision} ${loss.toFixed(4)} (${(100 * off).toFixed(2)}%)`);
      if (!(Math.abs(off) <= MOST_OFF)) {
        faults.push(`${precision} with seed ${seed} is off by ${(100 * off).toFixed(2)}%`);
      }
    }
  }
  return faults;
}

if (import.meta.main) {
  await runTool({
    task: "soak:precision",
    about:
      `Trains nano models in f32 and in 16 bits, and fails if 16 bits are planned to take more than 0.6 of the memory, or if
the mean loss of the last 20 steps is more than 1% from that of f32 with the same seed. Runs are kept in
.scratch/precision: the same command goes on where it was stopped. An hour or more on two cores.`,
    flags: FLAGS,
    run: async (values) => {
      const soak = { ...values, precisions: ["f32", ...values.precisions.filter((precision) => precision !== "f32")] };
      const faults = [...await comparePlans(soak), ...await compareLosses(soak)];
      if (faults.length > 0) throw new CommandError(faults.join("; "));
    },
  });
}
