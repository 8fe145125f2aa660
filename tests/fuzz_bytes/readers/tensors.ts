/** Safetensors, checkpoints and memory files. */
import { checkModelFlags, type ModelFlags } from "../../../cli/model_flags.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../../titans/train/checkpoint.ts";
import { defineConfig } from "../../../titans/models/config.ts";
import { decodeMemory, encodeMemory, fingerprint } from "../../../titans/models/memory_file.ts";
import { Model } from "../../../titans/models/model.ts";
import { namedLeaves, stepSpecs } from "../../../titans/models/decode.ts";
import { decodeSafetensors, encodeSafetensors } from "../../../titans/models/safetensors.ts";
import { letters } from "../mutate.ts";
import type { Random } from "../random.ts";
import type { ByteReader } from "../reader.ts";
import { json, jsonText } from "./json.ts";

const CONFIG = defineConfig({
  model: "lmm",
  vocabulary: 4,
  width: 4,
  blocks: 1,
  heads: 1,
  mlpHidden: 4,
  miniBatch: 4,
  convolution: 2,
  memoryExpansion: 1,
});
const MODEL = new Model(CONFIG);

const arrays = (value: number): Record<string, Float32Array> =>
  Object.fromEntries(MODEL.layout.entries.map(({ name, size }) => [name, new Float32Array(size).fill(value)]));

function checkpoint(notes: Record<string, string>): Uint8Array {
  return encodeCheckpoint({
    config: CONFIG,
    seed: 3,
    state: {
      step: 7,
      params: arrays(0.5),
      optimizer: { name: "adamW", slots: { first: arrays(0), second: arrays(0) } },
    },
    notes,
  });
}

const OWNER = { model: MODEL, weights: fingerprint(MODEL.layout.pack(arrays(0.5))) };

function isSpec(value: unknown): value is { readonly shape: readonly number[] } {
  return typeof value === "object" && value !== null && "shape" in value;
}

function memory(): Uint8Array {
  const stored = Object.fromEntries(
    namedLeaves(stepSpecs(MODEL), isSpec).map((
      { name, leaf: { shape } },
    ) => [name, { shape, data: new Float32Array(shape.reduce((size, extent) => size * extent, 1)) }]),
  );
  return encodeMemory(OWNER, {
    reading: { arrays: stored, logits: new Float32Array(4), tokensRead: 9 },
    notes: { texts: '[{"name":"a","from":0,"bytes":9}]' },
  });
}

const SMALL = [
  encodeSafetensors({ tensors: {}, metadata: {} }),
  encodeSafetensors({
    tensors: { a: { shape: [2, 3], data: new Float32Array(6) }, b: { shape: [], data: new Int32Array(1) } },
    metadata: { key: "value" },
  }),
];

/** A header of any shape before any bytes. */
function grammar(random: Random): Uint8Array {
  const entry = (): unknown => {
    const extents = Array.from(
      { length: random.below(4) },
      () => random.pick([0, 1, 2, 3, -1, 1.5, 2 ** 31, 2 ** 53, 1e200, "2", null]),
    );
    const begin = random.pick([0, 0, 0, 4, -4, 2 ** 60, 1.5]), end = random.pick([0, 4, 8, 16, 24, 2 ** 60, -1]);
    const whole = {
      dtype: random.pick(["F32", "I32", "U32", "F16", "__proto__", 5, null]),
      shape: extents,
      data_offsets: [begin, end],
    };
    return random.oneIn(5) ? json(random) : whole;
  };
  const header: Record<string, unknown> = {};
  for (let count = random.below(4); count > 0; count--) {
    const name = random.pick(["a", "b", "", "__proto__", "toString", "a\nb", "x".repeat(5000), "\u2028"]);
    Object.defineProperty(header, name, { value: entry(), enumerable: true, configurable: true });
  }
  if (random.oneIn(2)) {
    header.__metadata__ = random.oneIn(2)
      ? json(random)
      : { format: random.pick(["mneme-checkpoint-1", "mneme-memory-1", "a\nb"]), config: jsonText(random) };
  }
  const text = new TextEncoder().encode(JSON.stringify(header)),
    bytes = new Uint8Array(8 + text.length + random.below(32));
  new DataView(bytes.buffer).setBigUint64(
    0,
    BigInt(random.oneIn(6) ? random.pick([0, 1, 2 ** 31, 2 ** 53]) : text.length),
    true,
  );
  bytes.set(text, 8);
  return bytes;
}

/** A checkpoint whose configuration has some other values. */
function otherConfig(random: Random): Uint8Array {
  const { tensors, metadata } = decodeSafetensors(checkpoint({})),
    config: Record<string, unknown> = JSON.parse(metadata.config);
  for (let count = 1 + random.below(3); count > 0; count--) {
    const key = random.pick([...Object.keys(config), "other", "__proto__"]);
    const value = random.oneIn(3) ? json(random) : random.pick([
      0,
      1,
      2,
      3,
      4,
      8,
      64,
      1024,
      4096,
      65536,
      2 ** 20,
      2 ** 24,
      "lmm",
      "mac",
      "mag",
      "mal",
      "swiglu",
      true,
      false,
      -8,
    ]);
    Object.defineProperty(config, key, { value, enumerable: true, configurable: true });
  }
  return encodeSafetensors({ tensors, metadata: { ...metadata, config: JSON.stringify(config) } });
}

/** The readers. */
export const TENSOR_READERS: readonly ByteReader[] = [
  {
    name: "safetensors",
    weight: 40,
    seeds: [...SMALL, memory()],
    grammar,
    read: (bytes) => void decodeSafetensors(bytes),
  },
  {
    name: "checkpoint",
    weight: 8,
    seeds: [checkpoint({}), checkpoint({ vocabulary: "bpe:gpt2" })],
    grammar: (random) => random.oneIn(3) ? grammar(random) : otherConfig(random),
    read: (bytes) => {
      const { config } = decodeCheckpoint(bytes);
      checkModelFlags({} as ModelFlags, new Set(), config, "x");
    },
  },
  {
    name: "memory",
    weight: 12,
    seeds: [memory(), letters("")],
    grammar,
    read: (bytes) => void decodeMemory(bytes, OWNER),
  },
];
