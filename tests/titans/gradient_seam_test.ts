/** Gradient and update as two programs, with a sum over machines between them. */
import { assert, assertEquals } from "@std/assert";
import { isSpec, spec } from "../../core/trace.ts";
import { type ArrayLeaf, compile, type Device, requestDevice } from "../../kernels/mod.ts";
import { mapLeaves, type MapTree } from "../../core/tree.ts";
import type { Tensor } from "../../core/graph.ts";
import {
  addSums,
  defineConfig,
  defineOptimizer,
  gradient,
  Model,
  nextToken,
  type OptimizerConfig,
  StreamWindows,
  Trainer,
  type TrainingBatch,
  update,
} from "../../titans/mod.ts";
import { carriedSpecs } from "../../titans/train/carried.ts";
import type { StepBatch } from "../../titans/train/gradient.ts";
import { optimizerSpecs, uploadState } from "../../titans/train/optimizer_state.ts";
import { learningRateAt, stepScalars } from "../../titans/train/optimizer_config.ts";
import { trainedPoint } from "../../titans/train/update.ts";
import { TINY } from "./builders.ts";
import { relativeError } from "./runners.ts";

const model = new Model(defineConfig({ ...TINY, model: "lmm", vocabulary: 13, blocks: 1 }));
const TEXTS = [7, 60, 33, 21].map((length, i) => ({
  text: Int32Array.from({ length }, (_, t) => (t * t + i * t + 3) % 13),
}));
const SHAPE = { batch: 4, length: 8 }, STEPS = 4;

type Host = MapTree<StepBatch, Tensor, ArrayLeaf>;

/** Two machines of two rows each, whose sums are added up before both make the same update. */
async function trainApart(device: Device, config: OptimizerConfig, batches: readonly TrainingBatch[]) {
  const objective = nextToken({ masked: true }), half = { batch: 2, accumulate: 1 };
  const flat = spec([model.layout.size]), state = optimizerSpecs(model, config), states = carriedSpecs(model, half);
  const input = {
    data: { tokens: spec([1, 2, SHAPE.length + 1], "i32"), mask: spec([1, 2, SHAPE.length]) },
    carried: { state: states, fresh: spec([1, 2]) },
  };
  const sums = { gradientSum: flat, lossSum: spec([]), weight: spec([]) };
  const scalars = spec([stepScalars(config, 0).length]);
  const first = await compile(device, gradient(model, objective), [flat, input]);
  const collective = await compile(device, addSums, [sums, sums]);
  const second = await compile(device, update(config, model.layout), [state, sums, { healthy: spec([]), scalars }], {
    donate: [0, 1],
  });
  const losses: number[] = [];
  let current = uploadState(device, model, { config, params: model.layout.pack(model.initialize(3)) });
  let carried = [0, 1].map(() =>
    mapLeaves(states, isSpec, ({ shape }) => new Float32Array(shape.reduce((a, b) => a * b, 1))) as unknown
  );
  for (const [step, { tokens, mask, fresh }] of batches.entries()) {
    const part = <A extends Int32Array | Float32Array>(array: A, machine: number): A =>
      array.slice(machine * array.length / 2, (machine + 1) * array.length / 2) as A;
    const parts = [0, 1].map((machine) => {
      const begins = step === 0 ? new Float32Array(2).fill(1) : part(fresh!, machine);
      const data = { tokens: part(tokens, machine), mask: part(mask!, machine) };
      const batch = { data, carried: { state: carried[machine], fresh: begins } } as unknown as Host;
      return first.launch(trainedPoint(config, current), batch);
    });
    carried = parts.map((part) => part.carried);
    const [mine, others] = parts.map(({ gradientSum, lossSum, weight }) => ({ gradientSum, lossSum, weight }));
    const total = collective.launch(mine, others);
    const result = second.launch(current, total, { healthy: Float32Array.of(1), scalars: stepScalars(config, step) });
    current = result.state;
    losses.push((await result.report.read())[0]);
  }
  const params = model.layout.unpack(await current.params.read() as Float32Array);
  for (const program of [first, collective, second]) program.dispose();
  return { losses, params };
}

for (const kind of ["reference", "cpu"] as const) {
  Deno.test(`${kind}: gradient and update apart, on two machines with unequal padding, give the numbers of one program`, async () => {
    const device = await requestDevice({ kind }), data = new StreamWindows(TEXTS, SHAPE, 2);
    const batches = Array.from({ length: STEPS }, (_, step) => data.batch(step));
    assertEquals(new Set(batches.map(({ mask }) => mask!.reduce((a, b) => a + b, 0))).size > 1, true, "padding varies");
    for (const options of kind === "cpu" ? [{}] : [{}, { optimizer: "muon", ema: 0.9 }]) {
      const config = defineOptimizer({ learningRate: 1e-2, warmupSteps: 1, totalSteps: 9, ...options });
      const trainer = await Trainer.create(device, { model, optimizer: config, shape: SHAPE, seed: 3, stream: true });
      const together = await trainer.run(data, STEPS), { params } = await trainer.exportState();
      const apart = await trainApart(device, config, batches);
      for (const [step, { loss, learningRate }] of together.entries()) {
        assert(Math.abs(apart.losses[step] - loss) < 2e-6 * loss, `step ${step}: ${apart.losses[step]}, ${loss}`);
        assertEquals(learningRate, learningRateAt(config, step));
      }
      for (const [name, values] of Object.entries(params)) {
        assert(
          relativeError(apart.params[name], values) < 1e-4,
          `${name}: ${relativeError(apart.params[name], values)}`,
        );
      }
      trainer.dispose();
    }
    device.dispose();
  });
}

Deno.test("cpu: in one program parameters and moments take the memory of those before", async () => {
  const device = await requestDevice({ kind: "cpu" }), shape = { batch: 2, length: 32 };
  const trainer = await Trainer.create(device, {
    model: new Model(defineConfig({ ...TINY, model: "lmm", vocabulary: 13, blocks: 2 })),
    optimizer: defineOptimizer(),
    shape,
    seed: 3,
  });
  const { values, outputs } = trainer.program.plan!;
  const vectors = outputs.map((id) => values[id]).filter(({ type }) => type.shape[0] === trainer.model.layout.size);
  assertEquals(vectors.map(({ storage }) => storage.kind === "output" && storage.takes !== undefined), [
    true,
    true,
    true,
  ]);
  trainer.dispose();
  device.dispose();
});
