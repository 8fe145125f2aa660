/**
 * What compressed gradients do to training, for docs/scaling.md: nano models on 2 ranks of one process, which send f32,
 * bf16 and int8, and the mean loss of the last 20 steps: `deno task compare:compression --help`.
 */
import { choice, integer } from "../../cli/flags.ts";
import { requestDevice } from "../../kernels/mod.ts";
import {
  defineConfig,
  defineOptimizer,
  localCollectives,
  Model,
  MODEL_OPTIONS,
  type ModelKind,
  RandomWindows,
  Trainer,
} from "../../titans/mod.ts";
import { stateOfTheUnion } from "../../cli/sotu.ts";
import { integers, runTool } from "../tool.ts";

const RANKS = 2, LAST = 20, SHAPE = { batch: 8, length: 128 };

interface Measured {
  readonly model: Model;
  readonly text: Int32Array;
  readonly steps: number;
}

/** The mean loss of the last steps. */
async function lastLoss({ model, text, steps }: Measured, compress: "none" | "bf16" | "int8", seed: number) {
  using device = await requestDevice({ kind: "native", threads: 1 });
  const optimizer = defineOptimizer({ totalSteps: steps }), data = new RandomWindows(text, SHAPE, seed);
  const losses = await Promise.all(
    localCollectives(RANKS).map(async (collective) => {
      const trainer = await Trainer.create(device, { model, optimizer, shape: SHAPE, seed, collective, compress });
      const metrics = await trainer.run(data, steps);
      trainer.dispose();
      return metrics.slice(-LAST).reduce((sum, { loss }) => sum + loss, 0) / LAST;
    }),
  );
  return losses[0];
}

await runTool({
  task: "compare:compression",
  about:
    `Trains nano models on two ranks of one process that send their gradients in f32, bf16 and int8, and prints the mean
loss of the last 20 steps. Minutes on two cores.`,
  flags: {
    model: choice(Object.keys(MODEL_OPTIONS.model.choices) as ModelKind[], "the model, of size nano", "lmm"),
    steps: integer("training steps", 300, { min: LAST }),
    seeds: integers("seeds of the runs", [0, 1, 2]),
  },
  run: async ({ model: name, steps, seeds }) => {
    const model = new Model(defineConfig({ model: name }, "nano"));
    const measured = { model, text: Int32Array.from(await stateOfTheUnion()), steps };
    for (const seed of seeds) {
      const f32 = await lastLoss(measured, "none", seed);
      for (const compress of ["bf16", "int8"] as const) {
        const loss = await lastLoss(measured, compress, seed), off = 100 * (loss / f32 - 1);
        console.log(
          `${name}, seed ${seed}: f32 ${f32.toFixed(4)}, ${compress} ${loss.toFixed(4)} (${off.toFixed(2)}%)`,
        );
      }
    }
  },
});
