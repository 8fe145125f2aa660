/** Ranks that train in f16: one scale of the loss for all, and a step that overflows on one rank is skipped by all. */
import { assert, assertEquals } from "@std/assert";
import { type Device, requestCpuDevice } from "../../kernels/mod.ts";
import {
  type Collective,
  defineConfig,
  defineOptimizer,
  localCollectives,
  Model,
  SOLO,
  type StepMetrics,
  Trainer,
  type TrainerOptions,
  type TrainingBatch,
  type TrainingState,
} from "../../titans/mod.ts";

const SHAPE = { batch: 4, length: 32 }, TOKENS = SHAPE.batch * SHAPE.length, LARGE = 2;
const SCALE = 2 ** 13 / TOKENS;
const OPTIONS: TrainerOptions = {
  model: new Model(defineConfig({ model: "transformer", blocks: 1, width: 32, heads: 2, maxLength: 32 }, "nano")),
  optimizer: defineOptimizer({ learningRate: 0.01, warmupSteps: 0 }),
  shape: SHAPE,
  seed: 5,
  masked: true,
  precision: "f16",
};

/** In step {@link LARGE} the last row, and so the last rank, has losses whose gradient is beyond f16. */
function batch(step: number): TrainingBatch {
  const tokens = Int32Array.from(
    { length: SHAPE.batch * (SHAPE.length + 1) },
    (_, i) => (i * (1 + step % 3) + (i * i + step) % 7) % 31,
  );
  const mask = new Float32Array(TOKENS).fill(1);
  if (step === LARGE) mask.fill(2 ** 14, TOKENS - SHAPE.length);
  return { tokens, mask };
}

interface Trained {
  readonly metrics: readonly StepMetrics[];
  readonly state: TrainingState;
}

/** Trains on every rank at the same time. */
async function trainOn(
  device: Device,
  ranks: readonly Collective[],
  steps: number,
  more: Partial<TrainerOptions> = {},
): Promise<Trained[]> {
  return await Promise.all(ranks.map(async (collective): Promise<Trained> => {
    const trainer = await Trainer.create(device, { ...OPTIONS, ...more, collective });
    try {
      const metrics = await trainer.run({ batch }, steps);
      assertEquals(await trainer.probe(batch(trainer.step)), undefined);
      return { metrics, state: await trainer.exportState() };
    } finally {
      trainer.dispose();
    }
  }));
}

function bitsOf({ params, optimizer, scaling }: TrainingState): string {
  const groups = [params, ...Object.values(optimizer.slots)];
  const bits = groups.flatMap((group) => Object.values(group).map((data) => new Uint32Array(data.slice().buffer)));
  return `${JSON.stringify(scaling)} ${bits.join()}`;
}

Deno.test("f16: a gradient that overflows on one rank makes all skip the step and halve the scale, as one process does", async () => {
  using device = await requestCpuDevice({ threads: 1 });
  const [alone] = await trainOn(device, [SOLO], 6);
  assertEquals(alone.metrics.map(({ skipped }) => skipped), [0, 0, 1, 0, 0, 0]);
  assertEquals(alone.state.scaling, { scale: SCALE / 2, steps: 3, skipped: 1 });
  const ways: readonly Partial<TrainerOptions>[] = [{}, { shard: true, compress: "int8" }, { deterministic: 4 }];
  for (const more of ways) {
    const what = JSON.stringify(more), all = await trainOn(device, localCollectives(2), 6, more);
    for (const { metrics, state } of all) {
      assertEquals(metrics, all[0].metrics, what);
      assert(bitsOf(state) === bitsOf(all[0].state), `${what}: ranks have different states`);
      assertEquals(state.scaling, alone.state.scaling, what);
      for (const [i, { loss, skipped, lossScale }] of alone.metrics.entries()) {
        assertEquals([metrics[i].skipped, metrics[i].lossScale], [skipped, lossScale], what);
        const off = Math.abs(metrics[i].loss / loss - 1);
        assert(off < 2e-3, `${what}: the loss of step ${i} is ${metrics[i].loss}, alone ${loss}`);
      }
    }
  }
  // A fixed order gives the bits of one process in f16 too.
  const [one] = await trainOn(device, [SOLO], 6, { deterministic: 4 });
  const [two] = await trainOn(device, localCollectives(2), 6, { deterministic: 4 });
  assert(bitsOf(one.state) === bitsOf(two.state), "other bits");
});

Deno.test("f16: a run goes on with another number of ranks, at the scale where it ended", async () => {
  using device = await requestCpuDevice({ threads: 1 });
  const fixed = { deterministic: 4 } as const, [whole] = await trainOn(device, [SOLO], 6, fixed);
  const [{ state }] = await trainOn(device, localCollectives(2), 4, fixed);
  assertEquals(state.scaling, { scale: SCALE / 2, steps: 1, skipped: 1 });
  const [rest] = await trainOn(device, localCollectives(4), 2, { ...fixed, state });
  assertEquals(rest.metrics, whole.metrics.slice(4));
  assert(bitsOf(rest.state) === bitsOf(whole.state), "other bits");
});
