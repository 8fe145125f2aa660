/**
 * Attention as a mixer: numbers known from PyTorch in f64, grouped queries against heads that are repeated, a cache that
 * is full, and a transformer in every part of the library.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { mean, square, sub } from "../../ops/mod.ts";
import {
  ConfigError,
  Decoder,
  defineConfig,
  defineOptimizer,
  generate,
  Inspector,
  MIXERS,
  Model,
  type ModelConfig,
  RandomWindows,
  Trainer,
} from "../../titans/mod.ts";
import { randn } from "../golden_layers.ts";
import { tinyModel, tokensOf } from "./builders.ts";
import { norm, reference, relativeError, type Value } from "./runners.ts";

const D = 16, T = 37, B = 2;
const { attention } = MIXERS;

/** Loss, three outputs, mean and norm of all, and norms of gradients: of x and the four projections. */
interface Golden {
  readonly loss: number;
  readonly at: readonly [number, number, number];
  readonly mean: number;
  readonly norm: number;
  readonly gradients: readonly number[];
}

/** The parameters of attention. */
interface Projections {
  readonly projection: Tensor;
  readonly out: Tensor;
}

interface Outcome {
  readonly value: Tensor;
  readonly y: Tensor;
  readonly dParams: Projections;
  readonly dx: Tensor;
}

/** From a recurrence-free form in PyTorch, f64: 2 heads of 8 channels, rotary positions of base 10,000 in halves, no biases. */
const GOLDEN: readonly (readonly [string, Record<string, string | number>, Golden])[] = [
  ["all earlier tokens", { span: "full" }, {
    loss: 1.446372734,
    at: [-5.414271271e-1, -6.334538890e-2, 3.810170935e-1],
    mean: 3.734758206e-2,
    norm: 20.96390488,
    gradients: [0.1434935197, 0.1985349598, 0.2466160100, 0.4460419047, 0.3591388325],
  }],
  ["a window of 9", { span: "window", window: 9 }, {
    loss: 1.552670875,
    at: [-5.946959679e-1, -4.037238778e-1, 3.820121006e-1],
    mean: 1.913116875e-2,
    norm: 23.55265266,
    gradients: [0.1375658199, 0.2273240148, 0.2670362322, 0.4479674160, 0.3803731495],
  }],
];

for (const [name, options, golden] of GOLDEN) {
  Deno.test(`attention: outputs, loss and gradients over ${name} are those of PyTorch`, async () => {
    const layer = attention.create({ heads: 2, keyHeads: 0, window: 64, span: "full", maxLength: 64, ...options }, {
      width: D,
      block: 0,
      blocks: 1,
    });
    const [q, k, v, o] = [101, 102, 103, 104].map((seed) => randn(D * D, 0.25, seed));
    const row = (r: number): number[] => [q, k, v].flatMap((m) => [...m.subarray(r * D, (r + 1) * D)]);
    const projection = { shape: [D, 3 * D], data: Array.from({ length: D }, (_, r) => row(r)).flat() };
    const params = { projection, out: { shape: [D, D], data: o } };
    const x: Value = { shape: [B, T, D], data: randn(B * T * D, 1, 10) };
    const target: Value = { shape: [B, T, D], data: randn(B * T * D, 1, 11) };
    // At the start of texts, and after an empty cache that is looked at.
    for (const atStart of [true, false]) {
      const fn = (params: Projections, x: Tensor, target: Tensor): Outcome => {
        const loss = (p: Projections, x: Tensor): [Tensor, Tensor] => {
          const { output } = layer.forward(p, x, { state: layer.initialState(p, B), atStart });
          return [mean(square(sub(output, target))), output];
        };
        const [[value, y], gradients] = valueAndGrad(loss, { argnums: [0, 1] })(params, x);
        const [dParams, dx] = gradients as unknown as [Projections, Tensor];
        return { value, y, dParams, dx };
      };
      const { value, y, dParams, dx } = await reference(fn, [params, x, target]);
      const part = (n: number): number =>
        norm(Array.from(dParams.projection.data).filter((_, i) => Math.floor(i % (3 * D) / D) === n));
      const actual = [
        value.data[0],
        ...[297, 891, 1183].map((i) => y.data[i]),
        Array.from(y.data).reduce((a, b) => a + b, 0) / y.data.length,
        norm(y.data),
        ...[norm(dx.data), part(0), part(1), part(2), norm(dParams.out.data)],
      ];
      const expected = [golden.loss, ...golden.at, golden.mean, golden.norm, ...golden.gradients];
      actual.forEach((value, i) => assert(relativeError([value], [expected[i]]) < 1e-8, `number ${i}: ${value}`));
    }
  });
}

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
