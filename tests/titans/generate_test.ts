import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { defineConfig } from "../../titans/config.ts";
import { ConfigError } from "../../titans/errors.ts";
import { generate, Reader } from "../../titans/generate.ts";
import { Model, type ModelKind } from "../../titans/mod.ts";
import { Sampler } from "../../titans/sampling.ts";
import { prepareReference, relativeError } from "./runners.ts";

function tiny(kind: ModelKind): Model {
  return new Model(
    defineConfig({ model: kind, vocabulary: 13, width: 8, blocks: 2, mlpHidden: 12, memoryExpansion: 2, miniBatch: 4, segment: 8, persistentTokens: 2 }),
  );
}

const TOKENS = Array.from({ length: 40 }, (_, i) => (i * i + 3 * i) % 13);

for (const kind of ["lmm", "mac"] as const) {
  Deno.test(`${kind}: reading in pieces gives the logits of reading at once, token by token too`, async () => {
    const device = await requestDevice({ kind: "reference" });
    const model = tiny(kind), params = model.layout.pack(model.initialize(2));
    const forward = (flat: Tensor, tokens: Tensor): Tensor => model.forward(model.unflatten(flat), tokens).logits;
    const shape = [1, TOKENS.length];
    const all = prepareReference(forward, [{ shape: [params.length], data: params }, { shape, dtype: "i32", data: TOKENS }])([
      { shape: [params.length], data: params },
      { shape, dtype: "i32", data: TOKENS },
    ]);
    const expected = (t: number): number[] => Array.from(all.data).slice(t * 13, (t + 1) * 13);
    const reader = await Reader.create(device, model, params);
    for (const lengths of [[40], [1, 2, 5, 8, 9, 15], new Array(40).fill(1), [3, 4, 4, 29]]) {
      reader.reset();
      let read = 0;
      for (const length of lengths) {
        const logits = await reader.read(TOKENS.slice(read, read += length));
        assert(relativeError(logits, expected(read - 1)) < 1e-6, `after ${read} tokens in pieces of ${lengths}`);
      }
      assertEquals(reader.tokensRead, 40);
    }
    await assertRejects(() => reader.read([]), RangeError, "empty");
    await assertRejects(() => reader.read([13]), RangeError, "token 13: tokens of this model go from 0 to 12");
    reader.dispose();
    device.dispose();
  });
}

Deno.test("generation is reproducible by seed, greedy at temperature 0, and works from prompts of any length", async () => {
  const device = await requestDevice({ kind: "reference" });
  const model = tiny("mac"), params = model.layout.pack(model.initialize(2));
  const reader = await Reader.create(device, model, params);
  const write = async (prompt: number[], options: { temperature?: number; seed?: number }): Promise<number[]> => {
    reader.reset();
    const tokens: number[] = [];
    for await (const token of generate(reader, prompt, { maxTokens: 12, ...options })) tokens.push(token);
    return tokens;
  };
  const first = await write([1, 2, 3], { seed: 4 });
  assertEquals(first.length, 12);
  assertEquals(await write([1, 2, 3], { seed: 4 }), first);
  assert(String(await write([1, 2, 3], { seed: 5 })) !== String(first));
  for (const length of [0, 1, 3, 4, 5, 7, 8, 9, 17]) {
    const prompt = TOKENS.slice(0, length);
    const greedy = await write(prompt, { temperature: 0 });
    // The same without the carried state: every token from a fresh reading of everything before.
    const text = length === 0 ? [10] : [...prompt];
    for (const token of greedy.slice(0, 4)) {
      reader.reset();
      const logits = await reader.read(text);
      assertEquals(token, logits.indexOf(Math.max(...logits)), `prompt of ${length}`);
      text.push(token);
    }
  }
  reader.dispose();
  device.dispose();
});

Deno.test("sampling filters by top-k, top-p and min-p and follows the probabilities", () => {
  const logits = [0.5, 0.25, 0.125, 0.125].map(Math.log);
  const kept = (options: ConstructorParameters<typeof Sampler>[0]): number[] => new Sampler(options).candidates(logits).map(({ token }) => token);
  assertEquals(kept({}), [0, 1, 2, 3]);
  assertEquals(kept({ topK: 2 }), [0, 1]);
  assertEquals(kept({ topP: 0.5 }), [0]);
  assertEquals(kept({ topP: 0.51 }), [0, 1]);
  assertEquals(kept({ minP: 0.4 }), [0, 1]);
  assertEquals(kept({ topK: 3, minP: 0.5 }), [0, 1]);
  const counts = [0, 0, 0, 0], sampler = new Sampler({ seed: 3 });
  for (let n = 0; n < 4000; n++) counts[sampler.choose(logits, n)]++;
  [0.5, 0.25, 0.125, 0.125].forEach((p, i) => assert(Math.abs(counts[i] / 4000 - p) < 0.03, `token ${i} was drawn ${counts[i]} times`));
  const cold = new Sampler({ temperature: 0.25 }).candidates(logits);
  assert(Math.abs(cold[0].probability / cold[1].probability - 16) < 1e-9);
  assertEquals(new Sampler({ temperature: 0 }).choose([1, 3, 3, 2], 0), 1);
  for (const options of [{ temperature: -1 }, { topK: 1.5 }, { topP: 0 }, { minP: 2 }, { seed: 0.5 }]) assertThrows(() => new Sampler(options), ConfigError);
});
