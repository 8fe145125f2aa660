/**
 * Trains models or optimizers beside each other on the default text, for the tables of docs/models.md:
 *
 *     deno task compare --rates 0.003,0.01 --seeds 3 --steps 300 --parameters 200000 --convolutions same,none
 *     deno task compare --models transformer,lmm,mac --parameters 194000
 *
 * All see the same bytes in the same order. The MLPs of the models are widened or narrowed until each has about
 * `--parameters`; the learning rate of each is the one whose mean over the seeds is lowest on the first half of the
 * held-out text, and the figures are those on the second half.
 *
 * Every finished run is a line of `--out`: stop at any time, and the same command goes on where it was. With `--table`
 * it prints what is there and trains nothing.
 */
import { requestDevice } from "../../kernels/mod.ts";
import { formatDuration } from "../../cli/progress.ts";
import { stateOfTheUnion } from "../../cli/sotu.ts";
import { evenWindows, MODEL_OPTIONS, type ModelKind, RandomWindows, splitText } from "../../titans/mod.ts";
import {
  comparisonRows,
  comparisonTable,
  type ComparisonText,
  type ConvolutionChoice,
  isSameRun,
  readRuns,
  remainingRuns,
  type RunKey,
  train,
} from "./comparison_runs.ts";

const SHAPE = { batch: 8, length: 128 }, WINDOWS = 128;

/** The value of a flag. */
function flag(name: string, otherwise: string): string {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? otherwise : Deno.args[at + 1];
}

const list = (name: string, otherwise: string): string[] => flag(name, otherwise).split(",");

/** Every model by name, but for the one that is also called a Transformer. */
const EVERY = Object.keys(MODEL_OPTIONS.model.choices).filter((name) => name !== "attention").join();

const STEPS = Number(flag("steps", "300")),
  PARAMETERS = Number(flag("parameters", "0")),
  SEEDS = Number(flag("seeds", "3"));
const WANTED = list("models", EVERY).flatMap((model) =>
  list("optimizers", "adamW").flatMap((optimizer) =>
    list("convolutions", "default").flatMap((convolution) =>
      list("rates", "0.003,0.01").flatMap((rate) =>
        Array.from({ length: SEEDS }, (_, seed): RunKey => ({
          model: model as ModelKind,
          convolution: convolution as ConvolutionChoice,
          optimizer,
          rate: Number(rate),
          seed,
          steps: STEPS,
          parameters: PARAMETERS,
        }))
      )
    )
  )
);

async function defaultText(): Promise<ComparisonText> {
  const text = splitText(await stateOfTheUnion()), half = text.heldOut.length >> 1;
  return {
    shape: SHAPE,
    data: (seed) => new RandomWindows(text.train, SHAPE, seed),
    validation: evenWindows(text.heldOut.subarray(0, half), SHAPE.length, WINDOWS),
    test: evenWindows(text.heldOut.subarray(half), SHAPE.length, WINDOWS),
  };
}

const PATH = flag("out", "bench/comparison.jsonl");

async function trainRest(): Promise<void> {
  const rest = remainingRuns(WANTED, await readRuns(PATH)), text = await defaultText(), started = performance.now();
  const folder = PATH.slice(0, Math.max(0, PATH.lastIndexOf("/")));
  if (folder) await Deno.mkdir(folder, { recursive: true });
  const device = await requestDevice({ kind: flag("device", "cpu") as "cpu" });
  for (const [done, key] of rest.entries()) {
    const elapsed = (performance.now() - started) / 1000;
    const eta = done === 0 ? "" : `, ETA ${formatDuration(elapsed / done * (rest.length - done))}`;
    console.error(
      `[${done + 1}/${rest.length}] ${
        formatDuration(elapsed)
      }${eta}: ${key.model}, convolution ${key.convolution}, ${key.optimizer} ${key.rate}, seed ${key.seed}`,
    );
    const result = await train(device, key, text);
    await Deno.writeTextFile(PATH, `${JSON.stringify(result)}\n`, { append: true });
    console.error(`  validation ${result.validation.toFixed(3)}, test ${result.test.toFixed(3)} bits per byte`);
  }
  device.dispose();
}

if (!Deno.args.includes("--table")) await trainRest();
const finished = (await readRuns(PATH)).filter((run) => WANTED.some((key) => isSameRun(key, run)));
console.log(comparisonTable(comparisonRows(finished)));
