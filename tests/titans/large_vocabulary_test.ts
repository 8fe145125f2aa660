/**
 * Training with a vocabulary whose logits a device cannot bind: the losses of a device that can, and clear refusals.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeviceError } from "../../core/errors.ts";
import type { Device, DeviceLimits } from "../../kernels/device.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { defineConfig, defineOptimizer, Model, nextToken, Trainer } from "../../titans/mod.ts";
import { planTraining } from "../../titans/train/training_plan.ts";
import { NATIVE_CACHE } from "../kernels/native_tests.ts";
import { TINY } from "./builders.ts";

const VOCABULARY = 1000, SHAPE = { batch: 4, length: 24 };
const model = new Model(defineConfig({ ...TINY, model: "lmm", vocabulary: VOCABULARY, blocks: 1 }));
const optimizer = defineOptimizer({ learningRate: 1e-2, warmupSteps: 1, totalSteps: 9 });
const LOGIT_BYTES = 4 * VOCABULARY * SHAPE.batch * SHAPE.length, VECTOR_BYTES = 4 * model.layout.size;

/** The native device, on which one tensor may have so many bytes. */
async function limited(maxTensorBytes: number): Promise<Device> {
  const device = await requestNativeDevice({ cacheDirectory: NATIVE_CACHE, threads: 1 });
  (device as { limits: DeviceLimits }).limits = { ...device.limits, maxTensorBytes };
  return device;
}

const windowsOf = (step: number): Int32Array =>
  Int32Array.from({ length: SHAPE.batch * (SHAPE.length + 1) }, (_, i) => (i * i * 7 + step * 31) % VOCABULARY);

/** Losses of two steps and of a validation, and the bytes of the step's largest value. */
async function train(maxTensorBytes: number): Promise<{ losses: readonly number[]; largest: number }> {
  using device = await limited(maxTensorBytes);
  const trainer = await Trainer.create(device, { model, optimizer, shape: SHAPE, seed: 1 });
  const steps = await trainer.run({ batch: windowsOf }, 2), validated = await trainer.validate(windowsOf(5));
  const largest = Math.max(...trainer.program.plan!.values.map(({ sizeBytes }) => sizeBytes));
  trainer.dispose();
  return { losses: [...steps, validated].map(({ loss }) => loss), largest };
}

Deno.test("large vocabularies: logits that a device cannot bind are computed some rows at a time", async () => {
  assert(VECTOR_BYTES < LOGIT_BYTES / 2);
  const whole = await train(2 ** 30), limit = LOGIT_BYTES / 2, parts = await train(limit);
  assert(whole.largest >= LOGIT_BYTES && parts.largest <= limit);
  whole.losses.forEach((loss, i) => assert(Math.abs(parts.losses[i] / loss - 1) < 1e-6, `${parts.losses}, ${loss}`));
});

Deno.test("large vocabularies: weights that a device cannot bind are refused at once, plans list nothing else", async () => {
  const limit = VECTOR_BYTES - 4;
  using device = await limited(limit);
  const error = await assertRejects(
    () => Trainer.create(device, { model, optimizer, shape: SHAPE, seed: 1 }),
    DeviceError,
  );
  assertEquals(error.reason, "limit");
  assert(
    /^Cannot train lmm model: .* its weights are one vector of \S+ MB, and .*native; use a smaller model/.test(
      error.message,
    ),
    error.message,
  );
  const parts = { model, objective: nextToken({ masked: false }), optimizer, shape: { ...SHAPE, accumulate: 1 } };
  const tooLarge = planTraining(parts, device.limits).tooLarge.map(({ label }) => label);
  assert(tooLarge.includes("weights") && !tooLarge.includes("matmul"), tooLarge.join());
});
