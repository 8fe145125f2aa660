/** Mixed precision: memory and loss of steps that store 16 bits, and the scaling of the loss in f16. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { compile } from "../../kernels/compile.ts";
import { zerosLike } from "../../ops/mod.ts";
import { requestCpuDevice, requestDevice } from "../../kernels/mod.ts";
import { decodeCheckpoint, defineConfig, defineOptimizer, encodeCheckpoint, Model, Trainer } from "../../titans/mod.ts";
import { nextToken } from "../../titans/train/next_token.ts";
import {
  checkScaling,
  firstScaling,
  GROWTH_INTERVAL,
  packScaling,
  type Precision,
  unpackScaling,
} from "../../titans/train/precision.ts";
import { stepScalars } from "../../titans/train/optimizer_config.ts";
import { planTraining } from "../../titans/train/training_plan.ts";
import type { TrainingState } from "../../titans/train/training.ts";
import { update } from "../../titans/train/update.ts";

const CONFIG = defineConfig({ model: "lmm", blocks: 1 }, "nano");
const SHAPE = { batch: 2, length: 64 }, ADAM_W = defineOptimizer({ learningRate: 0.01, warmupSteps: 0 });
const LIMITS = {
  maxOperands: 64,
  maxTensorBytes: Infinity,
  maxBufferBytes: Infinity,
  alignmentBytes: 256,
  lanes: 4,
};

/** A pure function of the step. */
const DATA = {
  batch: (step: number) =>
    Int32Array.from(
      { length: SHAPE.batch * (SHAPE.length + 1) },
      (_, i) => (i * (1 + step % 3) + (i * i + step) % 7) % 31,
    ),
};

Deno.test("precision: a step that stores 16 bits takes at most 0.6 of the memory, and the same in bf16 as in f16", () => {
  const model = new Model(CONFIG), objective = nextToken({ masked: false });
  const bytes = (precision: Precision) =>
    planTraining({
      model,
      objective,
      optimizer: ADAM_W,
      shape: { batch: 32, length: 128, accumulate: 1 },
      precision,
    }, LIMITS).totalBytes;
  const [f32, bf16, f16] = (["f32", "bf16", "f16"] as const).map(bytes);
  assert(bf16 <= 0.6 * f32, `${bf16} bytes of ${f32}`);
  assert(Math.abs(f16 - bf16) <= 2048, `${f16} bytes in f16, ${bf16} in bf16`);
});

Deno.test("precision: losses stay within 1% of f32, and a run in f16 resumes from its file to the last bit", async () => {
  using device = await requestCpuDevice({ threads: 1 });
  const model = new Model(CONFIG);
  const make = (precision: Precision, state?: TrainingState) =>
    Trainer.create(device, { model, optimizer: ADAM_W, shape: SHAPE, seed: 5, precision, state });
  const losses = async (trainer: Trainer, steps: number) => (await trainer.run(DATA, steps)).map(({ loss }) => loss);
  const plain = await make("f32"), expected = await losses(plain, 12);
  assert(expected[11] < 0.9 * expected[0], `${expected}`);
  plain.dispose();
  for (const precision of ["bf16", "f16"] as const) {
    const trainer = await make(precision), first = await losses(trainer, 6);
    const state = await trainer.exportState(), rest = await losses(trainer, 6);
    trainer.dispose();
    [...first, ...rest].forEach((loss, step) =>
      assert(Math.abs(loss / expected[step] - 1) < 0.01, `${precision}: ${loss} at step ${step}, f32 ${expected[step]}`)
    );
    if (precision === "bf16") {
      assertEquals(state.scaling, undefined);
      continue;
    }
    const stored = decodeCheckpoint(encodeCheckpoint({ config: model.config, seed: 5, state })).state;
    assertEquals(stored.scaling, { scale: 64, steps: 6, skipped: 0 });
    const resumed = await make(precision, stored);
    assertEquals(await losses(resumed, 6), rest);
    resumed.dispose();
  }
});

Deno.test("precision: an overflow is skipped and lowers the scale, good steps raise it, and at the least scale it is an error", async () => {
  using device = await requestDevice({ kind: "reference" });
  const model = new Model(CONFIG), { layout } = model, flat = spec([layout.size]);
  const optimizer = defineOptimizer({ optimizer: "sgd", learningRate: 1, momentum: 0 });
  const scalars = stepScalars(optimizer, 10);
  const step = await compile(
    device,
    (params: Tensor, gradientSum: Tensor, weight: Tensor, scaling: Tensor, healthy: Tensor, rate: Tensor) =>
      update(optimizer, layout)({ params, momentum: zerosLike(params) }, { gradientSum, lossSum: weight, weight }, {
        healthy,
        scalars: rate,
        scaling,
      }),
    [flat, flat, spec([]), spec([3]), spec([]), spec([scalars.length])],
  );
  const first = firstScaling(8192);
  const run = async (gradient: number, scaling = first, healthy = 1) => {
    const gradients = new Float32Array(layout.size).fill(gradient);
    const made = await step.run(
      new Float32Array(layout.size),
      gradients,
      Float32Array.of(2),
      packScaling(scaling),
      Float32Array.of(healthy),
      scalars,
    );
    return {
      param: made.state.params.data[0],
      healthy: made.healthy.data[0],
      scaling: unpackScaling(made.scaling!.data),
      skipped: made.report.data[3],
    };
  };
  const good = await run(2 ** 16);
  assertEquals([good.healthy, good.skipped, good.scaling], [1, 0, { ...first, steps: 1 }]);
  assert(good.param < 0);
  const bad = await run(Infinity);
  assertEquals(bad, { param: 0, healthy: 1, scaling: { scale: 0.5, steps: 0, skipped: 1 }, skipped: 1 });
  const grown = await run(1, { scale: 8, steps: GROWTH_INTERVAL - 1, skipped: 3 });
  assertEquals(grown.scaling, { scale: 16, steps: 0, skipped: 3 });
  const least = { scale: 2 ** -24, steps: 5, skipped: 3 }, ended = await run(NaN, least);
  assertEquals([ended.param, ended.healthy, ended.scaling], [0, 0, least]);
  const stopped = await run(1, least, 0);
  assertEquals([stopped.param, stopped.healthy, stopped.scaling], [0, 0, least]);
  assertThrows(() => checkScaling({ scale: 3, steps: 0, skipped: 0 }), Error, "a power of two");
});
