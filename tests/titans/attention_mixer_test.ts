/**
 * Attention as a mixer: grouped queries against heads that are repeated, a cache that is full, and a transformer in every
 * part of the library.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { requestDevice } from "../../kernels/mod.ts";
import {
  ConfigError,
  Decoder,
  defineConfig,
  defineOptimizer,
  generate,
  Inspector,
  Model,
  type ModelConfig,
  RandomWindows,
  Trainer,
} from "../../titans/mod.ts";
import { tinyModel, tokensOf } from "./builders.ts";
import { reference, relativeError, type Value } from "./runners.ts";

const TINY_TEXT = new TextEncoder().encode("Attention sees all that was. ".repeat(20));

Deno.test("attention: a transformer trains, validates, decodes and is inspected, and refuses texts longer than its cache", async () => {
  const config = defineConfig({
    model: "transformer",
    width: 16,
    heads: 4,
    keyHeads: 2,
    mlpHidden: 24,
    maxLength: 40,
  });
  const model = new Model(config), shape = { batch: 2, length: 16 }, device = await requestDevice({ kind: "cpu" });
  const optimizer = defineOptimizer({ learningRate: 1e-2, totalSteps: 20, warmupSteps: 2 });
  const trainer = await Trainer.create(device, { model, optimizer, shape, seed: 1 });
  const steps = await trainer.run(new RandomWindows(TINY_TEXT, shape, 1), 20);
  const figures = await trainer.validate(Int32Array.from(TINY_TEXT.subarray(0, 17)));
  assert(figures.bitsPerByte < steps[0].bitsPerByte - 2, `${steps[0].bitsPerByte}, ${figures.bitsPerByte}`);
  assertEquals(Object.keys(figures).filter((name) => /memory|inner|update/i.test(name)), []);
  const params = model.layout.pack((await trainer.exportState()).params);
  const decoder = await Decoder.create(device, model, params), other = await Decoder.create(device, model, params);
  // 35 tokens: 32 at once, then one after the other.
  const whole = await decoder.read(TINY_TEXT.subarray(0, 35));
  for (const byte of TINY_TEXT.subarray(0, 35)) await other.read([byte]);
  assert(relativeError(other.logits!, whole) < 1e-4);
  await assertRejects(
    () => decoder.read(TINY_TEXT.subarray(35, 41)),
    RangeError,
    "Cannot read 6 tokens after 35: this model's attention holds 40",
  );
  const write = (maxTokens: number): Promise<number[]> =>
    Array.fromAsync(generate(decoder, [], { maxTokens, temperature: 0 }));
  await assertRejects(
    () => write(7),
    ConfigError,
    "Cannot write 7 tokens after 35: this model's attention holds 40; write at most 6,",
  );
  assertEquals((await write(6)).length, 6);
  const inspector = await Inspector.create(device, model, params, { length: 16 });
  assertEquals(inspector.quantities, []);
  // A piece is no longer than a text may be.
  const longest = await Inspector.create(device, model, params);
  assertEquals(longest.length, 40);
  const bits: number[] = [];
  for await (const piece of inspector.read(TINY_TEXT.subarray(0, 20))) bits.push(...piece.bits);
  assert(bits.length === 20 && bits.slice(1).every((bit) => bit > 0));
  await assertRejects(
    async () => {
      for await (const _ of inspector.read(TINY_TEXT.subarray(0, 41)));
    },
    RangeError,
    "Cannot read more than 40 tokens",
  );
  await assertRejects(
    () => Trainer.create(device, { model, optimizer, shape, seed: 1, stream: true }),
    ConfigError,
    "Cannot stream texts of any length: this model's attention holds 40 tokens; give it a window",
  );
  device.dispose();
});

Deno.test("attention: heads that share keys are heads whose keys are the same", async () => {
  const forward = async (options: Partial<ModelConfig>, params: (model: Model) => Float64Array): Promise<Value> => {
    const { model } = tinyModel({ model: "attention", heads: 2, blocks: 1, ...options });
    const fn = (flat: Tensor, tokens: Tensor): Tensor => model.forward(model.unflatten(flat), tokens).logits;
    return await reference(fn, [{ shape: [model.layout.size], data: params(model) }, tokensOf(1, 9)]);
  };
  const shared = tinyModel({ model: "attention", heads: 2, keyHeads: 1, blocks: 1 }),
    own = Float64Array.from(shared.params.data);
  const expected = await forward({ keyHeads: 1 }, () => own);
  const repeated = (model: Model): Float64Array => {
    const arrays = { ...shared.model.layout.unpack(own) }, name = "blocks.0.attention.projection", W = 8, K = 4;
    const rows = Array.from(
      { length: W },
      (_, r) => Array.from(arrays[name].subarray(r * (W + 2 * K), (r + 1) * (W + 2 * K))),
    );
    arrays[name] = Float32Array.from(rows.flatMap((row) => {
      const [query, key, value] = [row.slice(0, W), row.slice(W, W + K), row.slice(W + K)];
      return [...query, ...key, ...key, ...value, ...value];
    }));
    return Float64Array.from(model.layout.pack(arrays));
  };
  assert(relativeError((await forward({}, repeated)).data, expected.data) < 1e-6);
});
