/**
 * Fine-tuning: a model learns one text, is saved, loaded, and goes on with a second text at a lower learning rate. With
 * a few steps it does better there than a new model after as many.
 *
 *     deno run examples/fine_tune.ts
 */
import { requestDevice } from "@mneme/titans";
import {
  decodeCheckpoint,
  defineConfig,
  defineOptimizer,
  encodeCheckpoint,
  Model,
  RandomWindows,
  Trainer,
  type TrainingState,
} from "@mneme/titans/titans";

const encoder = new TextEncoder();
const general = encoder.encode(
  "The red fox runs. The old dog sleeps. The red dog runs. The old fox sleeps. ".repeat(50),
);
const special = encoder.encode("The old owl sleeps. The red owl runs. ".repeat(50));
const shape = { batch: 4, length: 32 }, PRETRAINING = 80, FINE_TUNING = 10;

const device = await requestDevice();

/** Trains a model on a text. @returns What to save, and the bits per byte of the last step. */
async function train(
  text: Uint8Array,
  { model, steps, learningRate, state }: { model: Model; steps: number; learningRate: number; state?: TrainingState },
) {
  const optimizer = defineOptimizer({ learningRate, totalSteps: steps, warmupSteps: 2 });
  const trainer = await Trainer.create(device, { model, optimizer, shape, seed: 1, state });
  const metrics = await trainer.run(new RandomWindows(text, shape, 1), steps);
  const trained = await trainer.exportState();
  trainer.dispose();
  return { state: trained, bitsPerByte: metrics[steps - 1].bitsPerByte };
}

const model = new Model(defineConfig({ model: "lmm", width: 32, blocks: 1, mlpHidden: 64 }));
const pretrained = await train(general, { model, steps: PRETRAINING, learningRate: 1e-2 });
console.log(`pre-trained: ${pretrained.bitsPerByte.toFixed(2)} bits per byte`);

// A file has these bytes: Deno.writeFile, node:fs, or a download in a browser.
const file = encodeCheckpoint({ config: model.config, seed: 1, state: pretrained.state });

const { config, state } = decodeCheckpoint(file), loaded = new Model(config);
// Weights and moments are kept; the schedule starts again at step 0.
const options = { steps: FINE_TUNING, learningRate: 3e-3 };
const tuned = await train(special, { ...options, model: loaded, state: { ...state, step: 0 } });
const fresh = await train(special, { ...options, model: loaded });
console.log(`fine-tuned: ${tuned.bitsPerByte.toFixed(2)}, from scratch: ${fresh.bitsPerByte.toFixed(2)} bits per byte`);
device.dispose();
