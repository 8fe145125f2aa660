/** Forecasters: shapes, gradients, which columns they see, what scaling does to them; their parts by hand. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { mul, sum } from "../../ops/mod.ts";
import { ConfigError, LayerNetwork } from "../../titans/mod.ts";
import { einFft } from "../../titans/models/forecasters/ein_fft.ts";
import { FORECASTER_OPTIONS, type ForecasterOptions } from "../../titans/models/forecasters/forecaster.ts";
import { movingAverage } from "../../titans/models/forecasters/linear_forecasters.ts";
import { forecasterOf, FORECASTERS } from "../../titans/models/forecasters/registry.ts";
import { patchCount, patchesOf } from "../../titans/nn/patches.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { scheduleAt } from "../../titans/train/schedules.ts";
import { reference } from "./runners.ts";

const SHAPE = { lookback: 12, horizon: 5, inputs: 3, outputs: 2 }, B = 2;
const SMALL = { width: 8, blocks: 1, heads: 2, hidden: 8, patch: 4, stride: 2, average: 3 };
const NAMES = [...Object.keys(FORECASTERS), "lmm", "simba:lmm", "mamba2"];

function networkOf(name: string, more: Partial<ForecasterOptions> = {}): LayerNetwork {
  const options = { ...defaultsOf(FORECASTER_OPTIONS), ...SMALL, ...more };
  return new LayerNetwork(name, forecasterOf(name).create(options, SHAPE));
}

const window = (of: (row: number, column: number) => number): { shape: number[]; data: Float32Array } => ({
  shape: [B, SHAPE.lookback, SHAPE.inputs],
  data: Float32Array.from({ length: B * SHAPE.lookback * SHAPE.inputs }, (_, i) => of(Math.floor(i / 3), i % 3)),
});

async function forecast(network: LayerNetwork, past: ReturnType<typeof window>): Promise<Float64Array> {
  const flat = { shape: [network.layout.size], data: network.layout.pack(network.initialize(1)) };
  const run = (flat: Tensor, past: Tensor): Tensor => network.forward(network.unflatten(flat), past).logits;
  const result = await reference(run, [flat, past]);
  assertEquals(result.shape, [B, SHAPE.horizon, SHAPE.outputs], network.name);
  return Float64Array.from(result.data);
}

const wave = (row: number, column: number): number => Math.sin(row * 0.7 + column) + 0.1 * column;

for (const name of NAMES) {
  Deno.test(`forecaster ${name}: columns see what they should, scale and place pass through, every parameter learns`, async () => {
    const network = networkOf(name), base = await forecast(network, window(wave));
    const other = await forecast(
      network,
      window((row, column) => column === 1 ? 2 * wave(row, 1) + 1 : wave(row, column)),
    );
    const isMixed = name === "itransformer";
    const apart = (lhs: Float64Array, rhs: Float64Array, column: number): number =>
      Math.max(...lhs.map((value, i) => i % 2 === column ? Math.abs(value - rhs[i]) : 0));
    // A scaled column is the same once it is standardised, but for the epsilon.
    assert(apart(base, other, 0) < (isMixed ? 1e-4 : 1e-6), `${name}: ${apart(base, other, 0)}`);
    assert(apart(base, other, 1) > 1e-3);
    const bent = await forecast(network, window((row, column) => column === 1 ? wave(row, 1) ** 3 : wave(row, column)));
    assertEquals(apart(base, bent, 0) > 1e-4, isMixed);
    const covariate = await forecast(network, window((row, column) => column === 2 ? row % 3 : wave(row, column)));
    assertEquals(apart(base, covariate, 0) > 1e-6, forecasterOf(name).readsCovariates);
    if (name !== "dlinear" && name !== "nlinear") {
      base.forEach((value, i) => {
        if (i % 2 === 1) assertAlmostEquals(other[i], 2 * value + 1, 2e-3, "standardised but for the epsilon");
      });
    }
    const flat = { shape: [network.layout.size], data: network.layout.pack(network.initialize(1)) };
    const loss = (flat: Tensor, past: Tensor): Tensor => {
      const y = network.forward(network.unflatten(flat), past).logits;
      return sum(mul(y, y));
    };
    const gradient = await reference((flat: Tensor, past: Tensor) => grad(loss)(flat, past), [flat, window(wave)]);
    for (const { name: parameter, offset, size } of network.layout.entries) {
      const own = Array.from(gradient.data).slice(offset, offset + size);
      assert(own.every(Number.isFinite), `${name} ${parameter}`);
      // Keys of attention have a bias that softmax takes out.
      if (!/key\.bias$/.test(parameter)) {
        assert(own.some((value) => value !== 0), `${name} ${parameter} learns nothing`);
      }
    }
  });
}

Deno.test("forecasters: names and patches that cannot be are refused", () => {
  assertThrows(() => forecasterOf("dliner"), ConfigError, "there are dlinear, nlinear");
  assertThrows(() => forecasterOf("simba:none"), ConfigError, "Cannot forecast with");
  assertThrows(() => networkOf("lmm", { patch: 16 }), ConfigError, "patches of 16 rows: a window has 12");
  assertThrows(() => networkOf("simba", { width: 6, heads: 1 }), ConfigError, "a multiple of 4");
});

Deno.test("forecasters: moving averages, patches and the rate that halves, by hand", async () => {
  const x = { shape: [1, 3, 1], data: Float32Array.of(1, 2, 6) };
  assertEquals(Array.from((await reference((x: Tensor) => movingAverage(x, 3), [x])).data, (v) => v.toFixed(4)), [
    "1.3333",
    "3.0000",
    "4.6667",
  ]);
  const rows = { shape: [1, 5, 1], data: Float32Array.of(1, 2, 3, 4, 5) }, shape = { patch: 2, stride: 2 };
  assertEquals([patchCount(96, { patch: 16, stride: 8 }), patchCount(5, shape)], [12, 3]);
  assertEquals(Array.from((await reference((x: Tensor) => patchesOf(x, shape), [rows])).data), [1, 2, 3, 4, 5, 5]);
  const facts = { schedule: "halving", finalRate: 0, warmupSteps: 0, totalSteps: 9, decayShare: 0, halveEvery: 3 };
  assertEquals([0, 2, 3, 5, 6].map((step) => scheduleAt(facts, step)), [1, 1, 0.5, 0.5, 0.25]);
});

Deno.test("forecasters: EinFFT is the transform, the complex MLP and the inverse", async () => {
  const N = 3, width = 8, M = 4, layer = new LayerNetwork("fft", einFft(width)), values = layer.initialize(3);
  // Larger weights than it begins with, so that shrinking is not all.
  const params = Object.fromEntries(Object.entries(values).map(([name, array]) => [name, array.map((w) => 40 * w)]));
  const x = { shape: [1, N, width], data: Float32Array.from({ length: N * width }, (_, i) => Math.sin(i * i)) };
  const flat = { shape: [layer.layout.size], data: layer.layout.pack(params) };
  const { data } = await reference((flat: Tensor, x: Tensor) => layer.forward(layer.unflatten(flat), x).logits, [
    flat,
    x,
  ]);
  const points = N * M,
    transform = (re: number[], im: number[], sign: number): [number[], number[]] => {
      const out: [number[], number[]] = [Array(points).fill(0), Array(points).fill(0)];
      for (let k = 0; k < points; k++) {
        for (let n = 0; n < points; n++) {
          const turns = Math.floor(k / M) * Math.floor(n / M) / N + (k % M) * (n % M) / M,
            angle = sign * 2 * Math.PI * turns;
          out[0][k] += (re[n] * Math.cos(angle) - im[n] * Math.sin(angle)) / Math.sqrt(points);
          out[1][k] += (re[n] * Math.sin(angle) + im[n] * Math.cos(angle)) / Math.sqrt(points);
        }
      }
      return out;
    };
  const size = width / M,
    channel = (j: number): [number[], number[]] =>
      transform(Array.from({ length: points }, (_, p) => x.data[p * size + j]), Array(points).fill(0), -1);
  let z = Array.from({ length: size }, (_, j) => channel(j));
  for (const part of ["first", "second"] as const) {
    const W = params[`${part}.weight`], b = params[`${part}.bias`];
    const weight = (c: number, m: number, i: number, j: number): number => W[((c * M + m) * size + i) * size + j];
    z = z.map((_, j) => {
      const re = Array(points).fill(0), im = Array(points).fill(0);
      for (let p = 0; p < points; p++) {
        const m = p % M;
        for (let i = 0; i < size; i++) {
          re[p] += z[i][0][p] * weight(0, m, i, j) - z[i][1][p] * weight(1, m, i, j);
          im[p] += z[i][0][p] * weight(1, m, i, j) + z[i][1][p] * weight(0, m, i, j);
        }
        const then = (value: number): number =>
          part === "first" ? Math.max(0, value) : Math.sign(value) * Math.max(0, Math.abs(value) - 0.01);
        re[p] = then(re[p] + b[m * size + j]);
        im[p] = then(im[p] + b[(M + m) * size + j]);
      }
      return [re, im];
    });
  }
  const back = z.map(([re, im]) => transform(re, im, 1)[0]);
  for (let p = 0; p < points; p++) {
    for (let j = 0; j < size; j++) assertAlmostEquals(data[p * size + j], back[j][p], 1e-5);
  }
});
