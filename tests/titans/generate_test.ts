import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { defineConfig } from "../../titans/models/config.ts";
import { ConfigError } from "../../titans/errors.ts";
import { generate } from "../../titans/models/generate.ts";
import { Model, type ModelConfig, type ModelKind } from "../../titans/mod.ts";
import { Decoder } from "../../titans/models/decoder.ts";
import { Sampler } from "../../titans/models/sampling.ts";
import { TINY } from "./builders.ts";
import { prepareReference, reference, relativeError } from "./runners.ts";

function tiny(kind: ModelKind, options: Partial<ModelConfig> = {}): Model {
  return new Model(defineConfig({ ...TINY, vocabulary: 13, ...options, model: kind }));
}

const TOKENS = Array.from({ length: 40 }, (_, i) => (i * i + 3 * i) % 13);

for (const kind of ["lmm", "mac", "mag", "mal"] as const) {
  Deno.test(`${kind}: reading in pieces gives the logits of reading at once, token by token too`, async () => {
    const device = await requestDevice({ kind: "reference" });
    const model = tiny(kind), params = model.layout.pack(model.initialize(2));
    const forward = (flat: Tensor, tokens: Tensor): Tensor => model.forward(model.unflatten(flat), tokens).logits;
    const shape = [1, TOKENS.length];
    const all = prepareReference(forward, [{ shape: [params.length], data: params }, {
      shape,
      dtype: "i32",
      data: TOKENS,
    }])([
      { shape: [params.length], data: params },
      { shape, dtype: "i32", data: TOKENS },
    ]);
    const expected = (t: number): number[] => Array.from(all.data).slice(t * 13, (t + 1) * 13);
    const decoder = await Decoder.create(device, model, params);
    for (const lengths of [[40], [1, 2, 5, 8, 9, 15], new Array(40).fill(1), [3, 4, 4, 29]]) {
      decoder.reset();
      let read = 0;
      for (const length of lengths) {
        const logits = await decoder.read(TOKENS.slice(read, read += length));
        assert(relativeError(logits, expected(read - 1)) < 1e-6, `after ${read} tokens in pieces of ${lengths}`);
      }
      assertEquals(decoder.tokensRead, 40);
    }
    await assertRejects(() => decoder.read([]), RangeError, "empty");
    await assertRejects(() => decoder.read([13]), RangeError, "token 13: tokens of this model go from 0 to 12");
    decoder.dispose();
    device.dispose();
  });
}

/** The tokens that greedy decoding writes after a prompt. */
async function writeGreedily(decoder: Decoder, prompt: number[], maxTokens: number): Promise<number[]> {
  decoder.reset();
  const tokens: number[] = [];
  for await (const token of generate(decoder, prompt, { maxTokens, temperature: 0 })) tokens.push(token);
  return tokens;
}

for (const kind of ["lmm", "mac", "mag", "mal"] as const) {
  Deno.test(`${kind}: greedy decoding with the carried state writes what the parallel form says, after prompts of any length`, async () => {
    const device = await requestDevice({ kind: "reference" });
    const model = tiny(kind), params = model.layout.pack(model.initialize(2));
    const decoder = await Decoder.create(device, model, params);
    // Mini-batches of 4, segments of 8, a window of 6.
    for (const length of [0, 1, 3, 4, 5, 7, 8, 9, 65]) {
      const prompt = Array.from({ length }, (_, i) => TOKENS[i % 40]);
      const written = await writeGreedily(decoder, prompt, 6);
      const text = [...(length === 0 ? [10] : prompt), ...written];
      const arrays = [{ shape: [params.length], data: params }, {
        shape: [1, text.length],
        dtype: "i32",
        data: text,
      }] as const;
      const { data } = await reference(
        (flat: Tensor, tokens: Tensor) => model.forward(model.unflatten(flat), tokens).logits,
        [...arrays],
      );
      written.forEach((token, n) => {
        const at = text.length - written.length + n - 1, logits = Array.from(data).slice(at * 13, (at + 1) * 13);
        assertEquals(token, logits.indexOf(Math.max(...logits)), `token ${n} after a prompt of ${length}`);
      });
    }
    decoder.dispose();
    device.dispose();
  });

  Deno.test(`cpu: ${kind}: reading token by token gives the logits of reading at once`, async () => {
    const device = await requestDevice({ kind: "cpu" });
    // Norms of four features are too badly conditioned for f32.
    const model = tiny(kind, { width: 16 }), params = model.layout.pack(model.initialize(2));
    const decoder = await Decoder.create(device, model, params);
    const once = await decoder.read(TOKENS.slice(0, 23));
    decoder.reset();
    let logits = once;
    for (const token of TOKENS.slice(0, 23)) logits = await decoder.read([token]);
    assert(relativeError(logits, once) < 1e-5);
    decoder.dispose();
    device.dispose();
  });
}

Deno.test("generation is reproducible by seed, and other seeds write other texts", async () => {
  const device = await requestDevice({ kind: "reference" });
  const model = tiny("mac"), params = model.layout.pack(model.initialize(2));
  const decoder = await Decoder.create(device, model, params);
  const write = async (options: { temperature?: number; seed?: number }): Promise<number[]> => {
    decoder.reset();
    const tokens: number[] = [];
    for await (const token of generate(decoder, [1, 2, 3], { maxTokens: 12, ...options })) tokens.push(token);
    return tokens;
  };
  const first = await write({ seed: 4 });
  assertEquals(first.length, 12);
  assertEquals(await write({ seed: 4 }), first);
  assert(String(await write({ seed: 5 })) !== String(first));
  decoder.dispose();
  device.dispose();
});

Deno.test("writing ends before a stop sequence, which is never given, and gives all else as soon as it is sure", async () => {
  const device = await requestDevice({ kind: "reference" });
  const model = tiny("lmm"), params = model.layout.pack(model.initialize(2));
  const decoder = await Decoder.create(device, model, params);
  const write = async (stop?: readonly (readonly number[])[]): Promise<number[]> => {
    decoder.reset();
    const tokens: number[] = [];
    for await (const token of generate(decoder, [1, 2, 3], { maxTokens: 20, seed: 4, stop })) tokens.push(token);
    return tokens;
  };
  const all = await write();
  /** What comes before the earliest end of a stop sequence, as a plain search finds it. */
  const expected = (stop: readonly (readonly number[])[]): number[] => {
    for (let end = 1; end <= all.length; end++) {
      for (const sequence of stop) {
        if (end >= sequence.length && String(all.slice(end - sequence.length, end)) === String(sequence)) {
          return all.slice(0, end - sequence.length);
        }
      }
    }
    return all;
  };
  const absent = [all[19], (all[19] + 1) % 13];
  const stops = [[all.slice(5, 8)], [all.slice(5, 8), all.slice(4, 6)], [all.slice(0, 1)], [all.slice(17, 20)], [
    absent,
  ], [
    [...all.slice(3, 6), 13],
    all.slice(9, 11),
  ]];
  for (const stop of stops) assertEquals(await write(stop), expected(stop), JSON.stringify(stop));
  assertEquals(await write([]), all);
  await assertRejects(() => write([[]]), ConfigError, "empty stop sequence");
  decoder.dispose();
  device.dispose();
});

Deno.test("sampling filters by top-k, top-p and min-p and follows the probabilities", () => {
  const logits = [0.5, 0.25, 0.125, 0.125].map(Math.log);
  const kept = (options: ConstructorParameters<typeof Sampler>[0]): number[] =>
    new Sampler(options).candidates(logits).map(({ token }) => token);
  assertEquals(kept({}), [0, 1, 2, 3]);
  assertEquals(kept({ topK: 2 }), [0, 1]);
  assertEquals(kept({ topP: 0.5 }), [0]);
  assertEquals(kept({ topP: 0.51 }), [0, 1]);
  assertEquals(kept({ minP: 0.4 }), [0, 1]);
  assertEquals(kept({ topK: 3, minP: 0.5 }), [0, 1]);
  const counts = [0, 0, 0, 0], sampler = new Sampler({ seed: 3 });
  for (let n = 0; n < 4000; n++) counts[sampler.choose(logits, n)]++;
  [0.5, 0.25, 0.125, 0.125].forEach((p, i) =>
    assert(Math.abs(counts[i] / 4000 - p) < 0.03, `token ${i} was drawn ${counts[i]} times`)
  );
  const cold = new Sampler({ temperature: 0.25 }).candidates(logits);
  assert(Math.abs(cold[0].probability / cold[1].probability - 16) < 1e-9);
  assertEquals(new Sampler({ temperature: 0 }).choose([1, 3, 3, 2], 0), 1);
  for (const options of [{ temperature: -1 }, { topK: 1.5 }, { topP: 0 }, { minP: 2 }, { seed: 0.5 }]) {
    assertThrows(() => new Sampler(options), ConfigError);
  }
});
