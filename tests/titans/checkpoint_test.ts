import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeCheckpoint, encodeCheckpoint, requireSameModel } from "../../titans/train/checkpoint.ts";
import { completeConfig, defineConfig } from "../../titans/models/config.ts";
import { CheckpointError } from "../../titans/errors.ts";
import { Model } from "../../titans/models/model.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensors } from "../../titans/models/safetensors.ts";

const STORED: StoredTensors = {
  tensors: {
    a: { shape: [2, 3], data: Float32Array.of(1, -2, 3.5, NaN, Infinity, 1e-40) },
    "b.ü": { shape: [], data: Int32Array.of(-7) },
    empty: { shape: [0, 4], data: new Float32Array(0) },
    last: { shape: [2], data: Uint32Array.of(1, 4294967295) },
  },
  metadata: { note: "grüße", step: "12" },
};

/** A file from a header and bytes of data. */
function fileOf(header: unknown, size: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + size);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

Deno.test("tensors and metadata survive a round trip", () => {
  const bytes = encodeSafetensors(STORED);
  assertEquals(decodeSafetensors(bytes), STORED);
  assertEquals(bytes.length % 4, 0);
  // From the middle of a larger buffer, at an odd place.
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  assertEquals(decodeSafetensors(shifted.subarray(3)), STORED);
});

Deno.test("a file of the format's own definition is read", () => {
  const header = { x: { dtype: "F32", shape: [2], data_offsets: [0, 8] } };
  const bytes = fileOf(header, 8);
  new DataView(bytes.buffer).setFloat32(bytes.length - 8, 1.5, true);
  assertEquals(decodeSafetensors(bytes), {
    tensors: { x: { shape: [2], data: Float32Array.of(1.5, 0) } },
    metadata: {},
  });
});

Deno.test("a file cut short anywhere is refused in one line", () => {
  const bytes = encodeSafetensors(STORED);
  for (let length = 0; length < bytes.length; length++) {
    const error = assertThrows(() => decodeSafetensors(bytes.subarray(0, length)), CheckpointError);
    assertEquals(error.message.includes("\n"), false);
  }
});

Deno.test("damaged headers are refused with the reason", () => {
  const entry = (changes: Record<string, unknown>): Record<string, unknown> => ({
    dtype: "F32",
    shape: [2],
    data_offsets: [0, 8],
    ...changes,
  });
  const cases: [unknown, number, string][] = [
    ["{nonsense", 0, "not JSON"],
    ["[1]", 0, "not a JSON object"],
    [{ x: 3 }, 0, "not an object"],
    [{ x: entry({ dtype: "F64" }) }, 8, "known are F32, F16, BF16, I32, U32 and I8"],
    [{ x: entry({ dtype: "constructor" }) }, 8, "known are F32, F16, BF16, I32, U32 and I8"],
    [{ x: entry({ shape: [2, -1] }) }, 8, "non-negative integers"],
    [{ x: entry({ shape: "2" }) }, 8, "non-negative integers"],
    [{ x: entry({ data_offsets: [0] }) }, 8, "two non-negative integers"],
    [{ x: entry({ data_offsets: [8, 0] }) }, 8, "span -8"],
    [{ x: entry({ shape: [3] }) }, 8, "needs 12 bytes, data_offsets span 8"],
    [{ x: entry({ data_offsets: [8, 16] }) }, 8, "cut short"],
    [{ x: entry({}), y: entry({ data_offsets: [4, 12] }) }, 12, "overlap"],
    [{ x: entry({}), y: entry({ data_offsets: [12, 20] }) }, 20, "leave a gap"],
    [{ x: entry({}) }, 12, "4 bytes follow the last tensor"],
    [{ __metadata__: { step: 3 } }, 0, "not a map from text to text"],
    [{ __metadata__: null }, 0, "not a map from text to text"],
  ];
  for (const [header, size, text] of cases) {
    assertThrows(() => decodeSafetensors(fileOf(header, size)), CheckpointError, text);
  }
  const huge = new Uint8Array(16).fill(255);
  assertThrows(() => decodeSafetensors(huge), CheckpointError, "no safetensors file");
});

Deno.test("a tensor called __proto__ is a tensor like any other", () => {
  const bytes = fileOf('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4);
  assertEquals(Object.keys(decodeSafetensors(bytes).tensors), ["__proto__"]);
});

Deno.test("what cannot be stored is refused", () => {
  assertThrows(
    () => encodeSafetensors({ tensors: { x: { shape: [3], data: new Float32Array(2) } }, metadata: {} }),
    CheckpointError,
    "2 elements",
  );
  assertThrows(
    () => encodeSafetensors({ tensors: { __metadata__: { shape: [], data: new Float32Array(1) } }, metadata: {} }),
    CheckpointError,
    "reserved",
  );
});

const config = defineConfig({
  vocabulary: 5,
  width: 4,
  heads: 1,
  blocks: 1,
  mlpHidden: 3,
  memoryExpansion: 1,
  miniBatch: 2,
  segment: 2,
});
const model = new Model(config);
const state = {
  step: 17,
  params: model.initialize(1),
  optimizer: { name: "adamW", slots: { first: model.initialize(2), second: model.initialize(3) } },
};

Deno.test("a checkpoint gives back configuration, seed, step, weights, moments and notes", () => {
  const checkpoint = { config, seed: 123, state, notes: { data: "sotu" } };
  assertEquals(decodeCheckpoint(encodeCheckpoint(checkpoint)), checkpoint);
  const { tensors } = decodeSafetensors(encodeCheckpoint(checkpoint));
  assertEquals(tensors["blocks.0.mac.memory.initial.0"].shape, [1, 4, 4]);
  assert("optimizer.second.head" in tensors);
  assertThrows(() => encodeCheckpoint({ ...checkpoint, notes: { step: "1" } }), CheckpointError, "reserved");
});

Deno.test("a checkpoint of another model is refused by the first option that differs; cost options may differ", () => {
  requireSameModel(config, { ...config, tile: 1, checkpoint: "save" });
  assertThrows(
    () => requireSameModel(config, { ...config, width: 8 }),
    CheckpointError,
    "its width is 8, the model asked for has 4",
  );
  assertThrows(
    () => requireSameModel(config, { ...config, model: "lmm", width: 8 }),
    CheckpointError,
    'its model is "lmm", the model asked for has "mac"',
  );
});

Deno.test("safetensors that are no whole checkpoint are refused with the reason", () => {
  const { tensors, metadata } = decodeSafetensors(encodeCheckpoint({ config, seed: 1, state }));
  const refuse = (
    change: { tensors?: StoredTensors["tensors"]; metadata?: Record<string, string> },
    text: string,
  ): void => {
    const bytes = encodeSafetensors({ tensors, metadata, ...change });
    const error = assertThrows(() => decodeCheckpoint(bytes), CheckpointError, text);
    assertEquals(error.message.includes("\n"), false);
  };
  const without = (name: string): StoredTensors["tensors"] =>
    Object.fromEntries(Object.entries(tensors).filter(([key]) => key !== name));
  refuse({ metadata: {} }, "its format is missing");
  refuse({ metadata: { ...metadata, format: "other" } }, 'its format is "other"');
  refuse({ metadata: { ...metadata, config: "{" } }, "it is no configuration in JSON");
  refuse(
    { metadata: { ...metadata, config: JSON.stringify({ ...config, heads: 3 }) } },
    "heads 3: it must divide the width",
  );
  refuse({ metadata: { ...metadata, config: "null" } }, "it is no configuration in JSON");
  refuse({ metadata: { ...metadata, step: "many" } }, 'its step is "many"');
  refuse({ metadata: { ...metadata, step: "-1" } }, "its step is -1");
  refuse({ tensors: without("head") }, "tensor head is missing");
  refuse({ tensors: without("optimizer.first.head") }, "tensor optimizer.first.head is missing");
  refuse(
    { tensors: { ...tensors, extra: { shape: [1], data: new Float32Array(1) } } },
    "tensor extra is not part of the model",
  );
  refuse(
    { tensors: { ...tensors, head: { shape: [5, 4], data: new Float32Array(20) } } },
    "tensor head has shape [5, 4], the model needs f32 [4, 5]",
  );
});

Deno.test("a checkpoint from before an option existed is read as the model that it was", () => {
  const config = defineConfig({ model: "mac", width: 8, mlpHidden: 4, blocks: 1 });
  const params = new Model(config).initialize(1);
  const file = decodeSafetensors(
    encodeCheckpoint({
      config,
      seed: 1,
      state: { step: 2, params, optimizer: { name: "adamW", slots: { first: params, second: params } } },
    }),
  );
  const { memory: _memory, gateGranularity: _gates, normalizeKeys: _normalize, window: _window, ...old } = config;
  const read = decodeCheckpoint(
    encodeSafetensors({ ...file, metadata: { ...file.metadata, config: JSON.stringify(old) } }),
  );
  assertEquals(read.config, config);
  assertEquals(read.state.params, params);
});

Deno.test("models from before there was a choice of output gates keep theirs: mac a sigmoid, the others what is the default now", () => {
  for (const model of ["lmm", "mac", "mag", "mal"] as const) {
    const { outputGate: _outputGate, ...old } = defineConfig({ model });
    assertEquals(completeConfig(old).outputGate, model === "mac" ? "sigmoid" : "silu", model);
    assertEquals(completeConfig({ ...old, outputGate: "silu" }).outputGate, "silu", model);
  }
});

Deno.test("a tensor of a stream that 0.1.0 called otherwise is read under its present name", () => {
  const config = defineConfig({ width: 8, heads: 2, mlpHidden: 8, blocks: 2, memoryQuery: "previous-segment" });
  const model = new Model(config), params = model.initialize(1);
  const queries = { shape: [1, 1, 2, 64, 4], data: new Float32Array(512) };
  const carried = {
    "blocks.0.mac.queries": queries,
    "blocks.1.mac.queries": queries,
    "blocks.1.mac.memory.x": queries,
  };
  const state = { step: 1, params, optimizer: { name: "adamW", slots: { first: params, second: params } }, carried };
  const read = decodeCheckpoint(encodeCheckpoint({ config, seed: 1, state })).state.carried!;
  assertEquals(Object.keys(read).sort(), [
    "blocks.0.mac.queries.before",
    "blocks.1.mac.memory.x",
    "blocks.1.mac.queries.before",
  ]);
});
