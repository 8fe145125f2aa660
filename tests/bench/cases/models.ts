/** Layers, training steps and decoding. */
import type { Device } from "@mneme/titans";
import { WebGpuDevice } from "../../../kernels/mod.ts";
import {
  Decoder,
  defineConfig,
  defineOptimizer,
  Model,
  type ModelConfig,
  RandomWindows,
  Trainer,
  type TrainingShape,
} from "../../../titans/mod.ts";
import { stepScalars } from "../../../titans/train/optimizer_config.ts";
import { type Computation, load, type Loaded } from "../computation.ts";
import type { JobName } from "../contestant.ts";
import { JOBS } from "../jobs.ts";
import { ownJob } from "../own_jobs.ts";
import { tiledProduct, tilesOf } from "../yardsticks/wgsl.ts";
import type { Yardstick } from "../yardsticks/yardstick.ts";
import type { Case } from "./case.ts";
import { once } from "./kernels.ts";
import { someText } from "./some_text.ts";

/** Losses, norms and logits, after a step that divides small numbers by small numbers. */
const TOLERANCE = 1e-4;

const SIDE = 512;

/**
 * The rate that products reach: 512^3 by hand on WebGPU, and our own on the processor, where nothing by hand comes
 * near.
 */
async function productRate(device: Device): Promise<readonly Yardstick[]> {
  const shape = { batch: 1, m: SIDE, n: SIDE, k: SIDE };
  const job = ownJob("matmul 512");
  if (device instanceof WebGpuDevice) {
    const [a, b] = job.inputs.map(({ data }) => data as Float32Array);
    return tilesOf(shape).map((rows) => ({ ...tiledProduct(device, [a, b], shape, rows), read: undefined }));
  }
  const { time, dispose } = await load(device, job);
  return [{ name: "own matmul 512", flops: 2 * SIDE ** 3, time, dispose }];
}

function layer(name: JobName): Case {
  const computation = once((): Computation => ownJob(name));
  const { flops } = JOBS.find((job) => job.name === name)!;
  const training = name.endsWith("Adam");
  return {
    name,
    group: "layers",
    tolerance: training ? TOLERANCE : 1e-5,
    reads: training ? 2 : 1,
    flops,
    load: (device) => load(device, computation()),
    yardsticks: productRate,
  };
}

/** A training step of a model, as `train` runs it. */
export async function loadTrainer(device: Device, config: Partial<ModelConfig>, shape: TrainingShape): Promise<Loaded> {
  const model = new Model(defineConfig(config)), optimizer = defineOptimizer();
  const data = new RandomWindows(someText(Math.max(2 ** 16, 2 * shape.length)), shape, 0);
  const started = performance.now();
  const trainer = await Trainer.create(device, { model, shape, optimizer, seed: 0 });
  const compileMs = performance.now() - started;
  const { program } = trainer;
  const profile = (): Parameters<typeof program.run> => {
    const zeros = new Float32Array(model.layout.size);
    return [
      { params: model.layout.pack(model.initialize(0)), first: zeros, second: zeros },
      1,
      { data: { tokens: data.batch(0) } },
      stepScalars(optimizer, 0),
    ];
  };
  return {
    compileMs,
    plannedBytes: program.peakBytes,
    shaders: program.shaderCount,
    explain: async (timed) => timed ? await program.explain({ profile: profile() }) : program.explain(),
    read: async () => {
      const [{ loss, gradientNorm }] = await trainer.run(data);
      return [[loss], [gradientNorm]];
    },
    time: async (count) => {
      const start = performance.now();
      await trainer.run(data, count);
      return performance.now() - start;
    },
    dispose: () => trainer.dispose(),
  };
}

const TRAINED: TrainingShape = { batch: 8, length: 128 };

function training(model: ModelConfig["model"]): Case {
  return {
    name: `training step, ${model.toUpperCase()} nano, ${TRAINED.batch} x ${TRAINED.length} bytes`,
    group: "training",
    tolerance: TOLERANCE,
    reads: 2,
    tokens: TRAINED.batch * TRAINED.length,
    load: (device) => loadTrainer(device, { model }, TRAINED),
    yardsticks: productRate,
  };
}

/** A model that reads one token after the other, its logits read each time. */
export async function loadReader(
  device: Device,
  config: Partial<ModelConfig>,
): Promise<Loaded & { readonly decoder: Decoder }> {
  const model = new Model(defineConfig(config));
  const started = performance.now();
  const decoder = await Decoder.create(device, model, model.layout.pack(model.initialize(0)));
  const compileMs = performance.now() - started;
  let next = 0;
  const one = (): Promise<Float32Array> => decoder.read([(next++ * 37) % 251]);
  return {
    decoder,
    compileMs,
    read: async () => [await one()],
    time: async (count) => {
      const start = performance.now();
      for (let i = 0; i < count; i++) await one();
      return performance.now() - start;
    },
    dispose: () => decoder.dispose(),
  };
}

function decoding(model: ModelConfig["model"]): Case {
  return {
    name: `decoding, ${model.toUpperCase()} nano, a token`,
    group: "decoding",
    tolerance: TOLERANCE,
    // Past the first mini-batch, so that what was learned there counts.
    reads: 20,
    tokens: 1,
    load: (device) => loadReader(device, { model }),
    yardsticks: () => Promise.resolve([]),
  };
}

/** All layers and models. */
export const MODELS: readonly Case[] = [
  ...JOBS.map(({ name }) => name).filter((name) => /MLP|attention|layer,/.test(name)).map(layer),
  training("lmm"),
  training("mac"),
  decoding("lmm"),
  decoding("mac"),
];
