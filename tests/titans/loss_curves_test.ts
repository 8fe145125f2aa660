/**
 * Training as a whole against PyTorch: the losses of fifty steps of two tiny language models, from the same parameters,
 * on the same text, with the same AdamW. loss_curves.py, which has the models token by token in f64, wrote the file.
 */
import { assert, assertEquals } from "@std/assert";
import { sizeOfShape } from "../../core/shape.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { defineConfig, defineOptimizer, Model, Trainer } from "../../titans/mod.ts";
import { randn } from "../golden_layers.ts";

/** A model's parameters in the order in which they are drawn, and the loss of each step before its update. */
interface Curve {
  readonly parameters: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly scale: number;
    readonly offset: number;
  }[];
  readonly losses: readonly number[];
}

const CURVES: Readonly<Record<"lmm" | "gatedDeltaNet", Curve>> = JSON.parse(
  Deno.readTextFileSync(new URL("../fixtures/loss_curves.json", import.meta.url)),
);

const V = 32, BATCH = 4, LENGTH = 32, TOLERANCE = 1e-3;

/** The windows of a step, as in loss_curves.py. */
function batch(step: number): Int32Array {
  return Int32Array.from({ length: BATCH * (LENGTH + 1) }, (_, i) => {
    const n = (61 * step + 977 * Math.floor(i / (LENGTH + 1))) % 4001 + i % (LENGTH + 1);
    return (n * n + 3 * Math.floor(n / 7)) % V;
  });
}

for (const [name, { parameters, losses }] of Object.entries(CURVES)) {
  Deno.test(`cpu: ${name}: the losses of ${losses.length} steps are those of PyTorch`, async () => {
    const model = new Model(
      defineConfig({ model: name as keyof typeof CURVES, vocabulary: V, width: 16, heads: 2, mlpHidden: 24 }),
    );
    const { entries } = model.layout;
    assertEquals(
      parameters.map(({ name, shape }) => `${name} ${shape}`).toSorted(),
      entries.map(({ name, parameter }) => `${name} ${parameter.shape}`).toSorted(),
    );
    const params = Object.fromEntries(parameters.map(({ name, shape, scale, offset }, i) => [
      name,
      randn(sizeOfShape(shape), scale, 101 + i).map((x) => x + offset),
    ]));
    const device = await requestDevice({ kind: "cpu" });
    const optimizer = defineOptimizer({ totalSteps: losses.length, warmupSteps: 10 });
    const zeros = Object.fromEntries(
      Object.entries(params).map(([name, { length }]) => [name, new Float32Array(length)]),
    );
    const state = { step: 0, params, optimizer: { name: "adamW", slots: { first: zeros, second: zeros } } };
    const shape = { batch: BATCH, length: LENGTH };
    const trainer = await Trainer.create(device, { model, optimizer, shape, seed: 0, state });
    const reports = await trainer.run({ batch }, losses.length);
    reports.forEach(({ loss }, step) =>
      assert(Math.abs(loss - losses[step]) < TOLERANCE, `step ${step}: the loss is ${loss}, not ${losses[step]}`)
    );
    trainer.dispose();
    device.dispose();
  });
}
