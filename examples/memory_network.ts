/**
 * A memory of one's own: the long-term memory of a Titans model is a network whose weights are learned while it reads.
 * This one has two branches, one of which gates the other, and is compared with the linear memory that is built in.
 *
 *     deno run examples/memory_network.ts
 */
import { requestDevice } from "@mneme/titans";
import { mul, sigmoid } from "@mneme/titans/ops";
import {
  defineConfig,
  defineOptimizer,
  lmm,
  type MemoryNetwork,
  Model,
  RandomWindows,
  Trainer,
  withNetwork,
} from "@mneme/titans/titans";

const WIDTH = 32, HEADS = 2, K = WIDTH / HEADS, STEPS = 60;

/** (x W_0) * sigmoid(x W_1): each matrix is used exactly once, and each row by itself. */
const gated: MemoryNetwork = {
  layers: [{ in: K, out: K }, { in: K, out: K }],
  gains: [],
  forward: (linear, x) => mul(linear(0, x), sigmoid(linear(1, x))),
};

const shape = { width: WIDTH, heads: HEADS, mlpHidden: 64 };
const models = {
  "linear memory": defineConfig({ ...shape, blocks: [{ mixer: "lmm", memoryDepth: 1 }] }),
  "gated memory": defineConfig({ ...shape, blocks: [{ mixer: withNetwork(lmm, gated) }] }),
};
const text = new TextEncoder().encode("She sells sea shells by the sea shore; he sees her sell them. ".repeat(60));
const window = { batch: 4, length: 32 };
const optimizer = defineOptimizer({ learningRate: 1e-2, totalSteps: STEPS, warmupSteps: 5 });

const device = await requestDevice();
for (const [name, config] of Object.entries(models)) {
  const trainer = await Trainer.create(device, { model: new Model(config), optimizer, shape: window, seed: 1 });
  const steps = await trainer.run(new RandomWindows(text, window, 1), STEPS);
  console.log(`${name}: ${steps[STEPS - 1].bitsPerByte.toFixed(2)} bits per byte`);
  trainer.dispose();
}
device.dispose();
