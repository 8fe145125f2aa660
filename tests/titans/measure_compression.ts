/**
 * What compressed gradients do to training, for docs/scaling.md: nano models on 2 ranks of one process, which send f32,
 * bf16 and int8, three seeds, and the mean loss of the last 20 steps: `deno task compare:compression [MODEL] [STEPS]
 * [SEEDS]`.
 * Minutes on two cores.
 */
import { requestDevice } from "../../kernels/mod.ts";
import { defineConfig, defineOptimizer, localCollectives, Model, RandomWindows, Trainer } from "../../titans/mod.ts";
import { stateOfTheUnion } from "../../cli/sotu.ts";

const [name = "lmm", stepCount = "300", seeds = "0,1,2"] = Deno.args, steps = Number(stepCount), RANKS = 2, LAST = 20;
const shape = { batch: 8, length: 128 };
const text = Int32Array.from(await stateOfTheUnion());
const model = new Model(defineConfig({ model: name as "lmm" }, "nano"));

/** The mean loss of the last steps. */
async function lastLoss(compress: "none" | "bf16" | "int8", seed: number): Promise<number> {
  using device = await requestDevice({ kind: "native", threads: 1 });
  const optimizer = defineOptimizer({ totalSteps: steps }), data = new RandomWindows(text, shape, seed);
  const losses = await Promise.all(
    localCollectives(RANKS).map(async (collective) => {
      const trainer = await Trainer.create(device, { model, optimizer, shape, seed, collective, compress });
      const metrics = await trainer.run(data, steps);
      trainer.dispose();
      return metrics.slice(-LAST).reduce((sum, { loss }) => sum + loss, 0) / LAST;
    }),
  );
  return losses[0];
}

for (const seed of seeds.split(",").map(Number)) {
  const f32 = await lastLoss("none", seed);
  for (const compress of ["bf16", "int8"] as const) {
    const loss = await lastLoss(compress, seed), off = 100 * (loss / f32 - 1);
    console.log(`${name}, seed ${seed}: f32 ${f32.toFixed(4)}, ${compress} ${loss.toFixed(4)} (${off.toFixed(2)}%)`);
  }
}
