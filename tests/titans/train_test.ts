import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../titans/train/checkpoint.ts";
import { defineConfig } from "../../titans/models/config.ts";
import { evenWindows, RandomWindows } from "../../titans/text/windows.ts";
import { ConfigError, TrainingError } from "../../titans/errors.ts";
import { Model } from "../../titans/models/model.ts";
import { defineOptimizer } from "../../titans/train/optimizer_config.ts";
import { Trainer } from "../../titans/train/trainer.ts";
import type { TrainerOptions, TrainingState } from "../../titans/train/training.ts";
import { TINY } from "./builders.ts";
import { relativeError, testOnDevices } from "./runners.ts";

const config = defineConfig({ ...TINY, model: "mac", vocabulary: 16, blocks: 1 });
const model = new Model(config);
const shape = { batch: 2, length: 16 };
const options: TrainerOptions = {
  model,
  optimizer: defineOptimizer({ learningRate: 1e-2, warmupSteps: 2, totalSteps: 20 }),
  shape,
  seed: 1,
};
/** A text that repeats every five tokens. */
const text = Uint8Array.from({ length: 400 }, (_, i) => [3, 1, 4, 15, 9][i % 5]);
const data = new RandomWindows(text, shape, 7);

async function onReference(use: (device: Device) => Promise<void>): Promise<void> {
  const device = await requestDevice({ kind: "reference" });
  try {
    await use(device);
  } finally {
    device.dispose();
  }
}

Deno.test("training learns a repeating text, and reports step, loss, bits and rate", () =>
  onReference(async (device) => {
    const trainer = await Trainer.create(device, options);
    const windows = evenWindows(text, shape.length, 5);
    const before = await trainer.validate(windows);
    const metrics = await trainer.run(data, 20);
    const after = await trainer.validate(windows);
    assertEquals(metrics.map(({ step }) => step), Array.from({ length: 20 }, (_, i) => i));
    assert(metrics[19].loss < 0.6 * metrics[0].loss, `loss went from ${metrics[0].loss} to ${metrics[19].loss}`);
    assert(after.loss < 0.6 * before.loss);
    assert(Math.abs(after.bitsPerByte * Math.LN2 - after.loss) < 1e-12);
    assert(metrics.every(({ gradientNorm, learningRate }) => gradientNorm > 0 && learningRate > 0));
    assert(after.memoryNorm > 0 && after.surpriseNorm > 0 && after.memoryChange > 0);
    assert(after.innerLoss > 0 && after.updateNorm > 0 && after.updateNorm < after.memoryNorm);
    assertEquals(trainer.step, 20);
    assertEquals(trainer.tokensPerStep, 32);
    trainer.dispose();
  }));

for (const kind of ["reference", "cpu"] as const) {
  Deno.test(`${kind}: trying a state changes nothing of it, and finds one that an update broke`, async () => {
    const device = await requestDevice({ kind });
    for (const stream of [false, true]) {
      const tried = await Trainer.create(device, { ...options, stream }),
        left = await Trainer.create(device, { ...options, stream });
      for (let step = 0; step < 3; step++) {
        assertEquals(await tried.probe(data.batch(step)), undefined);
        assertEquals(await tried.run(data), await left.run(data));
        assertEquals(await tried.probe(data.batch(step + 1)), undefined);
        assertEquals(await tried.exportState(), await left.exportState());
      }
      tried.dispose();
      left.dispose();
    }
    const broken = await Trainer.create(device, {
      ...options,
      optimizer: defineOptimizer({ learningRate: 1e20, warmupSteps: 0, totalSteps: 9 }),
    });
    const [{ loss }] = await broken.run(data);
    assert(Number.isFinite(loss), "the loss before the update is a number");
    assert(/^(loss|gradient norm) became /.test(await broken.probe(data.batch(1)) ?? ""));
    // It is asked, not told: training finds out by itself.
    await assertRejects(() => broken.run(data), TrainingError);
    broken.dispose();
    device.dispose();
  });
}

Deno.test("a resumed run, through a checkpoint, gives the numbers of an uninterrupted one", () =>
  onReference(async (device) => {
    const whole = await Trainer.create(device, options);
    const expected = await whole.run(data, 6);
    const first = await Trainer.create(device, options);
    const begun = await first.run(data, 3);
    const bytes = encodeCheckpoint({ config, seed: 1, state: await first.exportState() });
    const { state } = decodeCheckpoint(bytes);
    const second = await Trainer.create(device, { ...options, state });
    const rest = await second.run(data, 3);
    // A checkpoint holds f32, this device computes with doubles.
    [...begun, ...rest].forEach((metrics, i) => {
      assertEquals(metrics.step, i);
      assert(
        Math.abs(metrics.loss - expected[i].loss) < 1e-6,
        `step ${i}: loss ${metrics.loss}, uninterrupted ${expected[i].loss}`,
      );
    });
    for (const trainer of [whole, first, second]) trainer.dispose();
  }));

Deno.test("gradients accumulated over batches are those of one large batch", () =>
  onReference(async (device) => {
    const tokens = new RandomWindows(text, { batch: 4, length: 16 }, 3).batch(0);
    const large = await Trainer.create(device, { ...options, shape: { batch: 4, length: 16 } });
    const small = await Trainer.create(device, { ...options, shape: { batch: 2, length: 16, accumulate: 2 } });
    const [one] = await large.run({ batch: () => tokens }), [two] = await small.run({ batch: () => tokens });
    assert(Math.abs(one.loss - two.loss) < 1e-6);
    assert(Math.abs(one.gradientNorm - two.gradientNorm) < 1e-6);
    const [a, b] = await Promise.all([large.exportState(), small.exportState()]);
    for (const [name, values] of Object.entries(a.params)) assert(relativeError(b.params[name], values) < 1e-5, name);
    large.dispose();
    small.dispose();
  }));

Deno.test("a loss that is not a number stops training, names the step, and keeps the last good state", () =>
  onReference(async (device) => {
    const trainer = await Trainer.create(device, options);
    await trainer.run(data, 2);
    const good = await trainer.exportState();
    // A token outside the vocabulary has no embedding: NaN.
    const bad = Int32Array.from(data.batch(2), (token, i) => (i === 5 ? 99 : token));
    trainer.launch(bad);
    trainer.launch(data.batch(3));
    const error = await assertRejects(
      () => trainer.flush(),
      TrainingError,
      "Training stopped at step 2: the loss became NaN",
    );
    assertEquals(error.step, 2);
    assertEquals(error.message.includes("\n"), false);
    const kept: TrainingState = await trainer.exportState();
    assertEquals(kept, good);
    assertThrows(() => trainer.launch(data.batch(2)), TrainingError, "step 2");
    trainer.dispose();
  }));

Deno.test("validation counts each window once, however many there are", () =>
  onReference(async (device) => {
    const trainer = await Trainer.create(device, options);
    const windows = evenWindows(text, shape.length, 5), width = shape.length + 1;
    const one = async (i: number): Promise<number> =>
      (await trainer.validate(windows.slice(i * width, (i + 1) * width))).loss;
    const losses = [await one(0), await one(1), await one(2)];
    const { loss } = await trainer.validate(windows.slice(0, 3 * width));
    assert(Math.abs(loss - (losses[0] + losses[1] + losses[2]) / 3) < 1e-6);
    await assertRejects(() => trainer.validate(windows.slice(1)), ConfigError, "windows of 17 tokens");
    trainer.dispose();
  }));

Deno.test("a training shape that cannot be is refused", () =>
  onReference(async (device) => {
    await assertRejects(
      () => Trainer.create(device, { ...options, shape: { batch: 0, length: 16 } }),
      ConfigError,
      "batch 0",
    );
  }));

testOnDevices(
  "training learns, a resumed run repeats the numbers of an uninterrupted one exactly, and NaN is caught",
  async ({ device }) => {
    const whole = await Trainer.create(device, options);
    const expected = await whole.run(data, 20);
    assert(expected[19].loss < 0.6 * expected[0].loss, `loss went from ${expected[0].loss} to ${expected[19].loss}`);
    const first = await Trainer.create(device, options);
    await first.run(data, 7);
    const { state } = decodeCheckpoint(encodeCheckpoint({ config, seed: 1, state: await first.exportState() }));
    const second = await Trainer.create(device, { ...options, state });
    assertEquals(await second.run(data, 5), expected.slice(7, 12));
    const good = await second.exportState();
    second.launch(Int32Array.from(data.batch(12), (token, i) => (i === 5 ? 99 : token)));
    second.launch(data.batch(13));
    await assertRejects(() => second.flush(), TrainingError, "Training stopped at step 12");
    assertEquals(await second.exportState(), good);
    for (const trainer of [whole, first, second]) trainer.dispose();
  },
);
