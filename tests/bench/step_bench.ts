/**
 * Times what a user waits for, each run awaited to its end: a matrix product, an elementwise chain, a softmax, a training step of the nano LMM, and loss and
 * gradients of the two layers with known numbers. MNEME_DEVICE names the device.
 * Every program is checked before it is timed; compiling is not part of the times.
 */
import { assert, assertAlmostEquals } from "@std/assert";
import { compile, type DeviceArray, type DeviceKind, requestDevice, spec, type Tensor, valueAndGrad } from "@mneme/titans";
import { add, gelu, matmul, mul, softmax } from "@mneme/titans/ops";
import { defineConfig, defineOptimizer, Model, RandomWindows, Trainer } from "@mneme/titans/titans";
import { chunkLayer, tokenLayer } from "../golden_layers.ts";

const device = await requestDevice({ kind: (Deno.env.get("MNEME_DEVICE") ?? "auto") as DeviceKind });
const N = 512;
const ramp = (size: number): Float32Array => Float32Array.from({ length: size }, (_, i) => (i % 97) / 97 - 0.5);
const square = device.upload(ramp(N * N), spec([N, N]));
const wide = device.upload(ramp(2 ** 20), spec([4096, 256]));

/** Times launches on arrays that lie on the device already. */
function bench(name: string, launch: () => DeviceArray): void {
  Deno.bench(`${name} on ${device.info.description}`, { group: name, warmup: 2, n: 10 }, async () => {
    launch().dispose();
    await device.synchronize();
  });
}

const product = await compile(device, matmul, [spec([N, N]), spec([N, N])]);
const { data } = await product.run(square, square);
const values = ramp(N * N);
assertAlmostEquals(data[1], Array.from({ length: N }, (_, k) => values[k] * values[k * N + 1]).reduce((sum, term) => sum + term, 0), 1e-3);
bench(`matmul ${N}`, () => product.launch(square, square));

const chain = await compile(device, (x: Tensor) => add(gelu(add(mul(x, 2), 1)), x), [spec([4096, 256])]);
bench("gelu(2x + 1) + x, 1M", () => chain.launch(wide));

const rows = await compile(device, (x: Tensor) => softmax(x), [spec([4096, 256])]);
const { data: shares } = await rows.run(wide);
assertAlmostEquals(Array.from(shares.subarray(0, 256)).reduce((sum, value) => sum + value, 0), 1, 1e-5);
bench("softmax 4096 x 256", () => rows.launch(wide));

const shape = { batch: 8, length: 128 };
const trainer = await Trainer.create(device, { model: new Model(defineConfig({ model: "lmm" })), shape, optimizer: defineOptimizer(), seed: 0 });
const text = new RandomWindows(Uint8Array.from({ length: 2 ** 16 }, (_, i) => (i * i) % 251), shape, 0);
const [{ loss }] = await trainer.run(text);
assert(loss > 4 && loss < 7, `the first loss is ${loss}`);
Deno.bench(`training step, LMM nano, 8 x 128 bytes, on ${device.info.description}`, { group: "step", warmup: 1, n: 5 }, async () => {
  await trainer.run(text);
});

for (const layer of [chunkLayer(), tokenLayer("layer, b 64, norm", { form: "matmul", checkpoint: "save" })]) {
  const params = Object.fromEntries(Object.entries(layer.parameters).map(([name, { shape, data }]) => [name, device.upload(data, spec(shape))]));
  const [x, y] = [layer.x, layer.y].map(({ shape, data }) => device.upload(data, spec(shape)));
  const specs = Object.fromEntries(Object.entries(layer.parameters).map(([name, { shape }]) => [name, spec(shape)]));
  const step = (p: Record<string, Tensor>, x: Tensor, y: Tensor): [Tensor, Record<string, Tensor>] =>
    valueAndGrad((q: Record<string, Tensor>) => layer.loss(q, x, y))(p) as [Tensor, Record<string, Tensor>];
  const program = await compile(device, step, [specs, spec(layer.x.shape), spec(layer.y.shape)]);
  const [loss] = await program.run(params, x, y);
  assertAlmostEquals(loss.data[0], layer.expected.loss, 1e-4);
  Deno.bench(`${layer.name}: loss and gradients on ${device.info.description}, ${(program.peakBytes / 1e6).toFixed(1)} MB`, { warmup: 2, n: 10 }, async () => {
    const [loss, gradients] = program.launch(params, x, y);
    await device.synchronize();
    for (const array of [loss, ...Object.values(gradients)]) array.dispose();
  });
}
