/**
 * The state of reading as a value: forked, exported, of one size; and the programs that read one token, an interval, or
 * many intervals.
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import {
  decodeMemory,
  Decoder,
  defineConfig,
  encodeMemory,
  fingerprint,
  Model,
  type ModelConfig,
  type ModelKind,
} from "../../titans/mod.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensors } from "../../titans/models/safetensors.ts";
import { CheckpointError } from "../../titans/errors.ts";
import { TINY } from "./builders.ts";
import { relativeError } from "./runners.ts";

const KINDS = ["lmm", "mac", "mag", "mal"] as const;
/** Options that take other ways through a decoder. */
const VARIANTS: readonly (Partial<ModelConfig> & { readonly model: ModelKind })[] = [
  { model: "lmm", gateGranularity: "layer", convolution: 0 },
  { model: "lmm", gateGranularity: "channel", strictRetrieval: true, momentum: false },
  { model: "lmm", memory: "swiglu", forgetting: false },
  { model: "mag", forgetTo: "start", alphaBias: -1 },
  { model: "lmm", forgetTo: "start", alphaBias: -1, gateGranularity: "channel" },
  { model: "mac", memoryQuery: "previous-segment" },
  { model: "mac", memoryQuery: "learned", persistentTokens: 0, memoryTokens: 3 },
  { model: "mac", outputGate: "sigmoid" },
  { model: "mag", outputGate: "sigmoid" },
  { model: "mag", persistentTokens: 0, memoryDepth: 1, miniBatch: 1, tile: 1 },
  { model: "mal", window: 1, memoryDepth: 4 },
  { model: "tttLinear", backboneGate: true, convolution: 0 },
  { model: "tttMlp", miniBatch: 1, tile: 1, baseRate: 0.5 },
];
const TOKENS = Array.from({ length: 600 }, (_, i) => (i * i + 3 * i) % 13);

function tiny(options: Partial<ModelConfig>): { model: Model; params: Float32Array } {
  const model = new Model(defineConfig({ ...TINY, vocabulary: 13, width: 16, ...options }));
  return { model, params: model.layout.pack(model.initialize(2)) };
}

async function onDevice(kind: "reference" | "cpu" | "webgpu", use: (device: Device) => Promise<void>): Promise<void> {
  const device = await requestDevice({ kind });
  try {
    await use(device);
  } finally {
    device.dispose();
  }
}

/** Logits after all of some tokens, one at a time. */
async function oneByOne(decoder: Decoder, tokens: readonly number[]): Promise<Float32Array> {
  decoder.reset();
  for (const token of tokens) await decoder.read([token]);
  return decoder.logits!;
}

for (const options of VARIANTS) {
  Deno.test(`token by token equals intervals at once: ${JSON.stringify(options)}`, () =>
    onDevice("reference", async (device) => {
      const { model, params } = tiny(options);
      const decoder = await Decoder.create(device, model, params);
      for (const length of [model.interval, 3 * model.interval, 21]) {
        const tokens = TOKENS.slice(0, length);
        const { logits, state } = await decoder.prefill(tokens);
        assert(relativeError(await oneByOne(decoder, tokens), logits) < 1e-6, `${length} tokens`);
        state.dispose();
      }
      decoder.dispose();
    }));
}

const ON_DEVICES: readonly (readonly [device: "cpu" | "webgpu", kinds: readonly ModelKind[]])[] = [["cpu", KINDS], [
  "webgpu",
  ["mac"],
]];

for (const [kind, models] of ON_DEVICES) {
  Deno.test(`${kind}: many intervals at once give the numbers of one after the other, and of single tokens`, () =>
    onDevice(kind, async (device) => {
      for (const name of models) {
        const { model, params } = tiny({ model: name, blocks: 1 });
        const decoder = await Decoder.create(device, model, params);
        const count = decoder.tokensAtOnce + 2 * model.interval + 3, tokens = TOKENS.slice(0, count);
        const { logits: atOnce, state } = await decoder.prefill(tokens);
        for (let at = 0; at < count; at += model.interval) await decoder.read(tokens.slice(at, at + model.interval));
        assert(relativeError(decoder.logits!, atOnce) < 1e-5, name);
        const [long, short] = [await state.export(), await decoder.state.export()];
        for (const leaf of Object.keys(long.arrays)) {
          assert(relativeError(short.arrays[leaf].data, long.arrays[leaf].data, 1e-3) < 1e-4, `${name} ${leaf}`);
        }
        const start = await decoder.prefill(tokens.slice(0, 35));
        assert(relativeError(await oneByOne(decoder, tokens.slice(0, 35)), start.logits) < 1e-5, name);
        for (const each of [state, start.state]) each.dispose();
        decoder.dispose();
      }
    }));
}

for (const kind of KINDS) {
  Deno.test(`${kind}: a state is a value: it can be read on from many times, and takes the same memory after any number of tokens`, () =>
    onDevice("reference", async (device) => {
      const { model, params } = tiny({ model: kind });
      const decoder = await Decoder.create(device, model, params);
      const { state } = await decoder.prefill(TOKENS.slice(0, 13));
      const before = await state.export();
      const left = await decoder.step(4, state),
        right = await decoder.step(5, state),
        again = await decoder.step(4, state);
      assertEquals(again.logits, left.logits);
      assert(relativeError(right.logits, left.logits) > 1e-3, "another token gives other logits");
      assertEquals(await state.export(), before);
      assertEquals([left.state.tokensRead, decoder.tokensRead], [14, 0]);
      // What was read from a state stays when the state goes.
      state.dispose();
      const further = await decoder.prefill(TOKENS.slice(14, 20), left.state);
      await assertRejects(() => decoder.step(1, state), RangeError, "disposed (after 13 tokens)");
      const whole = await decoder.prefill([...TOKENS.slice(0, 13), 4, ...TOKENS.slice(14, 20)]);
      assert(relativeError(further.logits, whole.logits) < 1e-6);
      for (const { state: other } of [left, right, further, whole]) {
        assertEquals(other.sizeBytes, decoder.start.sizeBytes);
      }
      for (const { state: other } of [left, right, again, further, whole]) other.dispose();
      decoder.dispose();
    }));

  Deno.test(`${kind}: a memory file gives the state back, at any token: going on from it is going on`, () =>
    onDevice("reference", async (device) => {
      const { model, params } = tiny({ model: kind });
      const decoder = await Decoder.create(device, model, params), owner = { model, weights: fingerprint(params) };
      for (const length of [1, 3, 8, 13]) {
        decoder.reset();
        await decoder.read(TOKENS.slice(0, length));
        const reading = await decoder.state.export(), notes = { text: "a.txt" };
        const stored = decodeMemory(encodeMemory(owner, { reading, notes }), owner);
        assertEquals([stored.reading.tokensRead, stored.notes], [length, notes]);
        assertEquals(stored.reading, reading);
        const other = await Decoder.create(device, model, params);
        other.restore(stored.reading);
        assertEquals([other.tokensRead, other.logits], [length, decoder.logits]);
        const expected = await decoder.read(TOKENS.slice(length, 30)),
          actual = await other.read(TOKENS.slice(length, 30));
        // A file holds f32, this device computes with doubles.
        assert(relativeError(actual, expected) < 1e-5);
        other.dispose();
      }
      decoder.dispose();
    }));
}

for (const kind of ["cpu", "webgpu"] as const) {
  Deno.test(`${kind}: going on from a memory file gives the same bits`, () =>
    onDevice(kind, async (device) => {
      const { model, params } = tiny({ model: "mac" });
      const decoder = await Decoder.create(device, model, params), owner = { model, weights: fingerprint(params) };
      await decoder.read(TOKENS.slice(0, 21));
      const bytes = encodeMemory(owner, { reading: await decoder.state.export(), notes: {} });
      const expected = await decoder.read(TOKENS.slice(21, 40));
      decoder.restore(decodeMemory(bytes, owner).reading);
      assertEquals(await decoder.read(TOKENS.slice(21, 40)), expected);
      decoder.dispose();
    }));
}

Deno.test("a memory that is damaged, or of another model, is refused in one line with the reason", () =>
  onDevice("reference", async (device) => {
    const { model, params } = tiny({ model: "mac", width: 8, blocks: 1 });
    const decoder = await Decoder.create(device, model, params), owner = { model, weights: fingerprint(params) };
    await decoder.read([1, 2, 3]);
    const reading = await decoder.state.export(), bytes = encodeMemory(owner, { reading, notes: {} });
    const refuse = (damaged: Uint8Array, text: string, by = owner): void => {
      const { message } = assertThrows(() => decodeMemory(damaged, by), CheckpointError, text);
      assertEquals(message.includes("\n"), false);
    };
    for (let length = 0; length < bytes.length; length += 97) refuse(bytes.subarray(0, length), "Cannot read");
    const stored = decodeSafetensors(bytes);
    const changed = (change: Partial<StoredTensors>): Uint8Array => encodeSafetensors({ ...stored, ...change });
    const metadata = (change: Record<string, string>): Uint8Array =>
      changed({ metadata: { ...stored.metadata, ...change } });
    const { ["blocks.0.mac.own.key"]: key, ...others } = stored.tensors;
    refuse(changed({ metadata: {} }), "its format is missing");
    refuse(metadata({ format: "mneme-checkpoint-1" }), 'its format is "mneme-checkpoint-1"');
    refuse(metadata({ config: "{" }), "its config is no JSON");
    refuse(metadata({ config: "3" }), "its config is not a record");
    for (
      const blocks of [[], [null], [{ mixer: "gpt" }], [{ mixer: { create: 1 } }], [{ mixer: "lmm", heads: 0 }], "2"]
    ) {
      refuse(
        metadata({ config: JSON.stringify({ ...model.config, blocks }) }),
        "Cannot read the config of this memory",
      );
    }
    refuse(metadata({ tokensRead: "-1" }), 'its tokensRead is "-1"');
    refuse(changed({ tensors: others }), "tensor blocks.0.mac.own.key is missing");
    refuse(changed({ tensors: { ...stored.tensors, extra: key } }), "tensor extra is not part of the model's state");
    refuse(
      changed({ tensors: { ...others, "blocks.0.mac.own.key": { shape: [2], data: new Float32Array(2) } } }),
      "has shape [2], the model needs f32 [1, 2, 8, 4]",
    );
    refuse(
      changed({ tensors: { ...stored.tensors, logits: { shape: [2], data: new Float32Array(2) } } }),
      "tensor logits has shape [2]",
    );
    refuse(bytes, "of another model, its width is 8, this model has 16", {
      ...owner,
      model: tiny({ model: "mac", blocks: 1 }).model,
    });
    const changedParams = params.slice();
    changedParams[7] += 1e-6;
    refuse(bytes, "by a model with other weights", { model, weights: fingerprint(changedParams) });
    // Options that change only the cost may differ.
    assertEquals(
      decodeMemory(bytes, { ...owner, model: new Model({ ...model.config, checkpoint: "recompute" }) }).reading,
      reading,
    );
    assertThrows(() => encodeMemory(owner, { reading, notes: { weights: "1" } }), CheckpointError, "reserved");
    assertThrows(
      () => encodeMemory(owner, { reading: { ...reading, arrays: others }, notes: {} }),
      CheckpointError,
      "own.key is missing",
    );
    assertThrows(() => decoder.importState({ ...reading, arrays: others }), RangeError, "own.key is missing");
    assertThrows(() => decoder.importState({ ...reading, tokensRead: 0.5 }), RangeError, "0.5 tokens");
    decoder.dispose();
  }));
