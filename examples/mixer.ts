/**
 * A mixer of one's own: what passes from token to token in a block. This one mixes each token with the one before it,
 * with a learned share per channel, and is trained below sliding-window attention.
 *
 *     deno run examples/mixer.ts
 *
 * docs/own_mixer.md explains the interface, and saves, loads and inspects a model with its own mixer.
 */
import { requestDevice } from "@mneme/titans";
import * as nn from "@mneme/titans/nn";
import { add, concat, mul, sigmoid, sliceAxis, sub, zeros } from "@mneme/titans/ops";
import {
  Decoder,
  defineConfig,
  defineLayer,
  defineMixer,
  defineOptimizer,
  generate,
  Model,
  RandomWindows,
  Trainer,
} from "@mneme/titans/titans";

const shift = defineMixer({
  name: "shift",
  summary: "each token mixed with the one before it",
  options: {},
  create(_options, { width }) {
    const out = nn.linear(width, width);
    return defineLayer({
      interval: 1,
      parameters: () => ({ share: new nn.Parameter([width], nn.zeros(), false), out: out.parameters }),
      initialState: (_params, batch) => ({ last: zeros([batch, 1, width]) }),
      forward({ share, out: weights }, x, { state }) {
        const T = x.shape[1], all = concat([state.last, x], 1); // [B, 1 + T, D]
        const before = sliceAxis(all, 1, 0, T), own = sigmoid(share); // 1/2 at first
        const mixed = add(mul(own, x), mul(sub(1, own), before));
        return { output: out.apply(weights, mixed), state: { last: sliceAxis(all, 1, T, 1) } };
      },
    });
  },
});

const blocks = [{ mixer: shift }, { mixer: "attention", span: "window", window: 8 }];
const model = new Model(defineConfig({ width: 32, heads: 2, mlpHidden: 64, blocks }));
const text = new TextEncoder().encode("A token and the one before it make a pair. ".repeat(60));
const shape = { batch: 4, length: 32 }, STEPS = 80;
const optimizer = defineOptimizer({ learningRate: 1e-2, totalSteps: STEPS, warmupSteps: 5 });

const device = await requestDevice();
const trainer = await Trainer.create(device, { model, optimizer, shape, seed: 1 });
const steps = await trainer.run(new RandomWindows(text, shape, 1), STEPS);
console.log(`${model}: ${steps[STEPS - 1].bitsPerByte.toFixed(2)} bits per byte`);

// Decoding carries the state, one token, on.
const { params } = await trainer.exportState();
const decoder = await Decoder.create(device, model, model.layout.pack(params)), bytes: number[] = [];
for await (const byte of generate(decoder, text.subarray(0, 12), { maxTokens: 31, temperature: 0 })) bytes.push(byte);
console.log(new TextDecoder().decode(Uint8Array.from(bytes)));
device.dispose();
