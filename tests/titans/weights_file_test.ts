/** Weights files: in f32 bit for bit, in int8 to within half a step, and refused where they are of something else. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  CheckpointError,
  decodeWeights,
  defineConfig,
  encodeSafetensors,
  encodeWeights,
  Model,
} from "../../titans/mod.ts";
import { dequantizeTensors, quantizeTensors } from "../../titans/models/quantize.ts";
import { decodeSafetensors } from "../../titans/models/safetensors.ts";

const model = new Model(defineConfig({ model: "mac", width: 32, heads: 2, blocks: 1, mlpHidden: 48, vocabulary: 31 }));
const params = model.layout.initialize(3);

Deno.test("weights file: f32 comes back bit for bit, and has nothing but the parameters", () => {
  const bytes = encodeWeights(model, params);
  assertEquals(decodeWeights(bytes, model), params);
  const { tensors, metadata } = decodeSafetensors(bytes);
  assertEquals(Object.keys(tensors), model.layout.entries.map(({ name }) => name));
  assertEquals(metadata, { format: "mneme-weights-1" });
});

Deno.test("weights file: int8 is a quarter of the size and within half a step of every weight", () => {
  const plain = encodeWeights(model, params), bytes = encodeWeights(model, params, { quantize: "int8" });
  assert(bytes.length < 0.4 * plain.length, `${bytes.length} of ${plain.length} bytes`);
  const { tensors } = decodeSafetensors(bytes), read = decodeWeights(bytes, model);
  let quantized = 0;
  for (const { name, parameter: { shape } } of model.layout.entries) {
    const { data } = tensors[name];
    if (!(data instanceof Int8Array)) {
      assertEquals(read[name], params[name]);
      continue;
    }
    quantized++;
    assertEquals(tensors[name].shape, shape);
    const step = Math.max(...(tensors[`${name}.scale`].data as Float32Array));
    for (let i = 0; i < read[name].length; i++) assertAlmostEquals(read[name][i], params[name][i], 0.5001 * step);
  }
  assert(quantized >= 8, `${quantized} matrices are quantized`);
  assertEquals(encodeWeights(model, read, { quantize: "int8" }), bytes, "what was quantized once stays as it is");
});

Deno.test("quantize: an axis shares a scale if that loses less, and zeros, extremes and small tensors survive", () => {
  const byRow = Float32Array.from({ length: 16 * 16 }, (_, i) => Math.sin(7 * i) * 10 ** (Math.floor(i / 16) % 5));
  const byColumn = Float32Array.from(byRow, (_, i) => byRow[i % 16 * 16 + Math.floor(i / 16)]);
  const tensors = {
    byRow: { shape: [16, 16], data: byRow },
    byColumn: { shape: [16, 16], data: byColumn },
    stacked: { shape: [2, 16, 3], data: Float32Array.from({ length: 96 }, (_, i) => Math.sin(i)) },
    zeros: { shape: [16, 2], data: new Float32Array(32) },
    denormal: { shape: [1, 16], data: new Float32Array(16).fill(1.4e-45) },
    vector: { shape: [64], data: new Float32Array(64).fill(1 / 3) },
    narrow: { shape: [15, 15], data: new Float32Array(225).fill(1 / 3) },
    counts: { shape: [16, 16], data: new Int32Array(256) },
  };
  const small = quantizeTensors(tensors), read = dequantizeTensors(small);
  assertEquals(small["byRow.scale"].shape, [16, 1]);
  assertEquals(small["byColumn.scale"].shape, [1, 16]);
  assertEquals(small["stacked.scale"].shape, [2, 1, 3]);
  assertEquals(Object.keys(read), Object.keys(tensors));
  for (const name of ["zeros", "vector", "narrow", "counts"] as const) assertEquals(read[name], tensors[name]);
  for (let i = 0; i < 256; i++) {
    assertAlmostEquals(read.byRow.data[i], byRow[i], 0.51 / 127 * 10 ** (Math.floor(i / 16) % 5));
  }
  assert(read.denormal.data.every((value) => Math.abs(value) < 1e-43));
  const nan = { w: { shape: [16, 1], data: new Float32Array(16).fill(NaN) } };
  assertThrows(() => quantizeTensors(nan), CheckpointError, "Cannot quantize tensor w: element 0 is NaN");
});

Deno.test("weights file: what is missing, of another shape, too much or of another format is named", () => {
  const { tensors, metadata } = decodeSafetensors(encodeWeights(model, params, { quantize: "int8" }));
  const refused = (change: Record<string, unknown>, message: string, format = metadata) => {
    const entries = Object.entries({ ...tensors, ...change }).filter(([, tensor]) => tensor !== undefined);
    const bytes = encodeSafetensors({ tensors: Object.fromEntries(entries) as typeof tensors, metadata: format });
    assertThrows(() => decodeWeights(bytes, model), CheckpointError, message);
  };
  const scalar = { shape: [1], data: Float32Array.of(1) };
  refused({ norm: undefined }, "Cannot read weights: tensor norm is missing");
  refused({ norm: scalar }, "Cannot read weights: tensor norm has shape [1], the model needs f32 [32]");
  refused({ more: scalar }, "Cannot read weights: tensor more is not part of the model");
  refused({ "head.scale": undefined }, "Cannot read tensor head: it is of int8, and head.scale is missing");
  refused({ "head.scale": scalar }, "head.scale is no f32 of a shape that fits [32, 31]");
  refused({}, 'Cannot read weights: their format is missing, expected "mneme-weights-1"', {});
});
