/**
 * Trains models or optimizers beside each other on the default text: what the tables of docs/models.md are made with.
 *
 *     NODEVICE_SELECT=1 deno run --allow-read --allow-env=NODEVICE_SELECT tests/titans/measure_comparison.ts \
 *       --models transformer,lmm,mac,mag,mal --rates 0.003,0.01 --seeds 3 --steps 300
 *
 * All see the same bytes in the same order. The MLPs of the models are widened or narrowed until each has about
 * `--parameters`; the learning rate of each is the one whose mean over the seeds is lowest on the first half of the
 * held-out text, and the figures are those on the second half.
 */
import { type Device, requestDevice } from "../../kernels/mod.ts";
import { stateOfTheUnion } from "../../cli/sotu.ts";
import {
  defineConfig,
  defineOptimizer,
  evenWindows,
  Model,
  type ModelKind,
  type OptimizerConfig,
  RandomWindows,
  splitText,
  Trainer,
} from "../../titans/mod.ts";

const SHAPE = { batch: 8, length: 128 }, WINDOWS = 128, ROUND = 25;
const TEXT = splitText(await stateOfTheUnion());
const HALF = TEXT.heldOut.length >> 1;
const VALIDATION = evenWindows(TEXT.heldOut.subarray(0, HALF), SHAPE.length, WINDOWS);
const TEST = evenWindows(TEXT.heldOut.subarray(HALF), SHAPE.length, WINDOWS);

/** What a run came to. */
interface Run {
  readonly validation: number;
  readonly test: number;
  readonly tokensPerSecond: number;
}

/** A model with about so many parameters, by the width of its MLP; as it is for 0. */
function sized(kind: ModelKind, parameters: number): Model {
  const plain = new Model(defineConfig({ model: kind }));
  if (parameters === 0) return plain;
  const { mlpHidden, width } = plain.config, blocks = plain.layers.length;
  const wider = mlpHidden + Math.round((parameters - plain.layout.parameterCount) / (3 * width * blocks));
  return new Model(defineConfig({ model: kind, mlpHidden: wider }));
}

async function train(
  device: Device,
  model: Model,
  { steps, seed, ...options }: Partial<OptimizerConfig> & { readonly steps: number; readonly seed: number },
): Promise<Run> {
  const optimizer = defineOptimizer({ ...options, totalSteps: steps });
  const trainer = await Trainer.create(device, { model, optimizer, shape: SHAPE, seed });
  const data = new RandomWindows(TEXT.train, SHAPE, seed);
  let fastest = Infinity;
  while (trainer.step < steps) {
    const count = Math.min(ROUND, steps - trainer.step), start = performance.now();
    await trainer.run(data, count);
    fastest = Math.min(fastest, (performance.now() - start) / count);
  }
  const bits = async (windows: Int32Array): Promise<number> => (await trainer.validate(windows)).bitsPerByte!;
  const run = { validation: await bits(VALIDATION), test: await bits(TEST) };
  trainer.dispose();
  return { ...run, tokensPerSecond: 1000 * trainer.tokensPerStep / fastest };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The value of a flag. */
function flag(name: string, otherwise: string): string {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? otherwise : Deno.args[at + 1];
}

const seeds = Array.from({ length: Number(flag("seeds", "3")) }, (_, seed) => seed);
const rates = flag("rates", "0.003,0.01").split(",").map(Number), steps = Number(flag("steps", "300"));
const device = await requestDevice({ kind: flag("device", "cpu") as "cpu" });
for (const kind of flag("models", "lmm").split(",") as ModelKind[]) {
  for (const optimizer of flag("optimizers", "adamW").split(",") as "adamW"[]) {
    const model = sized(kind, Number(flag("parameters", "0")));
    const byRate: { readonly rate: number; readonly runs: readonly Run[] }[] = [];
    for (const rate of rates) {
      const runs: Run[] = [];
      for (const seed of seeds) runs.push(await train(device, model, { steps, seed, optimizer, learningRate: rate }));
      byRate.push({ rate, runs });
      const figures = runs.map(({ validation, test }) => `${validation.toFixed(3)} (${test.toFixed(3)})`);
      console.error(`${kind} ${optimizer} ${rate}: validation (test) ${figures.join(", ")}`);
    }
    const { rate, runs } = byRate.reduce((best, other) =>
      mean(other.runs.map(({ validation }) => validation)) < mean(best.runs.map(({ validation }) => validation))
        ? other
        : best
    );
    const tests = runs.map(({ test }) => test), speed = Math.max(...runs.map(({ tokensPerSecond }) => tokensPerSecond));
    const spread = `${Math.min(...tests).toFixed(3)} to ${Math.max(...tests).toFixed(3)}`;
    console.log(
      `| ${kind} | ${optimizer} | ${rate} | ${mean(tests).toFixed(3)} | ${spread} | ${
        model.layout.parameterCount.toLocaleString("en")
      } | ${Math.round(speed).toLocaleString("en")} |`,
    );
  }
}
device.dispose();
