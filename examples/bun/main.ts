// Trains a model that is nothing but a memory, and lets it write.
import { requestDevice } from "@mneme/titans";
import { Decoder, defineConfig, defineOptimizer, generate, Model, RandomWindows, Trainer } from "@mneme/titans/titans";

const text = new TextEncoder().encode("The memory keeps learning while it reads. ".repeat(100));
const shape = { batch: 2, length: 32 };
const model = new Model(defineConfig({ model: "lmm", width: 32, blocks: 1, mlpHidden: 64 }));
const optimizer = defineOptimizer({ learningRate: 1e-2, totalSteps: 40, warmupSteps: 5 });

const device = await requestDevice();
const trainer = await Trainer.create(device, { model, optimizer, shape, seed: 1 });
const metrics = await trainer.run(new RandomWindows(text, shape, 1), 40);
console.log(`${device.info.description}: ${metrics[39].bitsPerByte.toFixed(2)} bits per byte`);

const { params } = await trainer.exportState();
const decoder = await Decoder.create(device, model, model.layout.pack(params));
const bytes: number[] = [];
for await (const byte of generate(decoder, new TextEncoder().encode("The "), { maxTokens: 34, temperature: 0 })) {
  bytes.push(byte);
}
console.log(new TextDecoder().decode(Uint8Array.from(bytes)));
device.dispose();
