import { assert, assertEquals } from "@std/assert";
import { requestCpuDevice } from "../../kernels/mod.ts";
import {
  defineConfig,
  defineOptimizer,
  localCollectives,
  Model,
  Trainer,
  type TrainerOptions,
} from "../../titans/mod.ts";
import { countParameters } from "../../titans/models/model_parameters.ts";
import { PAPER_SIZES, type PaperSizeName } from "../../titans/models/paper_sizes.ts";
import { nextToken } from "../../titans/train/next_token.ts";
import { planTraining, type TrainingPlan } from "../../titans/train/training_plan.ts";
import type { ModelConfig } from "../../titans/models/config.ts";
import type { DeviceLimits } from "../../kernels/device.ts";

const ROOMY: DeviceLimits = {
  maxOperands: 64,
  maxTensorBytes: Infinity,
  maxBufferBytes: Infinity,
  alignmentBytes: 256,
  lanes: 4,
};
const ADAM_W = defineOptimizer({});

function planned(config: ModelConfig, limits = ROOMY, [batch, length] = [1, 64]): TrainingPlan {
  const model = new Model(config), shape = { batch, length, accumulate: 1 };
  return planTraining({ model, objective: nextToken({ masked: false }), optimizer: ADAM_W, shape }, limits);
}

Deno.test("sizes of the paper: models have the parameters of their names within 3%, and whole heads", () => {
  for (const [name, { parameters, width, heads }] of Object.entries(PAPER_SIZES)) {
    assertEquals(width % heads, 0, name);
    for (const model of ["lmm", "mac", "mag", "mal", "transformer", "mamba2", "samba"] as const) {
      const count = countParameters(defineConfig({ model }, name as PaperSizeName));
      assert(Math.abs(count / parameters - 1) < 0.03, `${model} ${name} has ${count} parameters`);
    }
  }
});

Deno.test("training plan: a block of the paper's 340m takes on the device what the plan says, within 5%", async () => {
  const length = 64, model = new Model(defineConfig({ model: "lmm", blocks: 1, vocabulary: 256 }, "340m"));
  using device = await requestCpuDevice();
  const plan = planned(model.config, device.limits, [1, length]);
  const trainer = await Trainer.create(device, { model, optimizer: ADAM_W, shape: { batch: 1, length }, seed: 1 });
  const [{ loss }] = await trainer.run({ batch: () => Int32Array.from({ length: length + 1 }, (_, i) => i % 7) }, 1);
  assert(Math.abs(loss - Math.log(256)) < 1, `a loss of ${loss} at the start`);
  const ratio = device.highWaterBytes / plan.totalBytes;
  assert(Math.abs(ratio - 1) < 0.05, `${device.highWaterBytes} bytes, planned ${plan.totalBytes}`);
  trainer.dispose();
});

Deno.test("training plan: memory by kind adds up, weights and moments are exact, and deep models grow by their blocks", () => {
  const [four, eight, sixteen] = [4, 8, 16].map((blocks) => planned(defineConfig({ model: "lmm", blocks })));
  for (const { memory, totalBytes, parameters, tooLarge } of [four, eight, sixteen]) {
    assertEquals(Object.values(memory).reduce((a, b) => a + b), totalBytes);
    // Vectors of parameters are padded to whole kernels' loads.
    assert(memory.weights >= 4 * parameters && memory.weights < 4 * (parameters + 1024));
    assertEquals([memory.moments, memory.gradients], [2 * memory.weights, memory.weights]);
    assert(memory.activations > 0);
    assertEquals(tooLarge, []);
  }
  for (const field of ["totalBytes", "flopsPerToken"] as const) {
    const foreseen = eight[field] + 2 * (eight[field] - four[field]);
    assert(
      Math.abs(sixteen[field] / foreseen - 1) < 0.05,
      `${field}: ${sixteen[field]}, ${foreseen} from four and eight`,
    );
  }
  assertEquals(sixteen.kernels, eight.kernels);
  // Forward and backward use each parameter but the embedding's at least six times a token.
  assert(four.flopsPerToken > 6 * (four.parameters - 256 * 64));
});

Deno.test("training plan: tensors above a device's limit are listed", () => {
  const { tooLarge } = planned(defineConfig({ model: "lmm" }), { ...ROOMY, maxTensorBytes: 2 ** 19 });
  const size = new Model(defineConfig({ model: "lmm" })).layout.size;
  assert(
    tooLarge.some(({ label, type, sizeBytes }) =>
      label === "weights" && type === `f32[${size}]` && sizeBytes === 4 * size
    ),
  );
  assert(tooLarge.some(({ label }) => label === "moments: first"));
  assert(tooLarge.every(({ sizeBytes }) => sizeBytes > 2 ** 19));
  const parts = { model: new Model(defineConfig({ model: "lmm" })), objective: nextToken({ masked: false }) };
  const shape = { batch: 1, length: 64, accumulate: 1 }, limits = { ...ROOMY, maxTensorBytes: 2 ** 19 };
  const shared = planTraining({ ...parts, optimizer: ADAM_W, shape }, limits, { ranks: 2, shard: false }).tooLarge;
  const labels = shared.map(({ label }) => label);
  assertEquals(labels.filter((label) => /^(weights|moments|sums|gradients)/.test(label)).sort(), [
    "gradients",
    "moments: first",
    "moments: second",
    "sums of gradients",
    "weights",
  ]);
  assert(!labels.some((label) => /^\[|^output/.test(label)), labels.join());
});

/** What training on some ranks takes on the device of the first. */
async function measured(options: TrainerOptions, ranks: number): Promise<number> {
  const tokens = Int32Array.from({ length: options.shape.batch * (options.shape.length + 1) }, (_, i) => i % 7);
  const peaks = await Promise.all(
    localCollectives(ranks).map(async (collective) => {
      using device = await requestCpuDevice({ threads: 1 });
      const trainer = await Trainer.create(device, { ...options, collective });
      await trainer.run({ batch: () => tokens }, 2);
      trainer.dispose();
      return device.highWaterBytes;
    }),
  );
  return peaks[0];
}

Deno.test("training plan: a rank takes more or less than one process with its rows as the plan says", async () => {
  const length = 64, model = new Model(defineConfig({ model: "transformer", blocks: 1 }, "nano"));
  using device = await requestCpuDevice({ threads: 1 });
  const parts = { model, objective: nextToken({ masked: false }), optimizer: ADAM_W };
  const shape = { batch: 4, length, accumulate: 1 }, one = planTraining({ ...parts, shape }, device.limits);
  // Kernels pack operands in memory of their own, which is no part of a plan: the same for the same rows.
  const alone = await measured({ model, optimizer: ADAM_W, shape, seed: 1 }, 1);
  for (const shard of [false, true]) {
    const plan = planTraining({ ...parts, shape }, device.limits, { ranks: 2, shard });
    const taken = await measured({ model, optimizer: ADAM_W, shape: { ...shape, batch: 8 }, seed: 1, shard }, 2);
    const off = taken - alone - (plan.totalBytes - one.totalBytes), vector = plan.memory.weights;
    // Where the allocator finds the place of the gradient's sums free again, those of the update take it.
    assert(
      off < 0.02 * taken && off > -vector - 0.02 * taken,
      `${taken} bytes, alone ${alone}; planned ${plan.totalBytes}, alone ${one.totalBytes}`,
    );
    assertEquals([plan.tokensPerStep, Object.values(plan.memory).reduce((a, b) => a + b)], [
      4 * length,
      plan.totalBytes,
    ]);
    // Each rank has whole kernels' loads, so not exactly half.
    assert(Math.abs(plan.memory.moments / plan.memory.weights - (shard ? 1 : 2)) < 0.01);
  }
});
