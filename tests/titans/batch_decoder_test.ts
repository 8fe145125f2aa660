/** Many texts in one program: each as if it were alone, whoever else is there. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import { Decoder, defineConfig, MIXERS, Model, type ModelConfig } from "../../titans/mod.ts";
import { TINY } from "./builders.ts";
import { relativeError } from "./runners.ts";

const V = 13, ROWS = 3;
const TEXTS = [5, 0, 18].map((length, b) => Array.from({ length }, (_, i) => (i * i + 3 * i + b) % V));

async function decoderOf(device: Device, options: Partial<ModelConfig>): Promise<Decoder> {
  const model = new Model(defineConfig({ ...TINY, vocabulary: V, width: 16, blocks: 1, ...options }));
  return await Decoder.create(device, model, model.layout.pack(model.initialize(2)));
}

/** Options of every mixer, and what takes other ways through single tokens. */
const CASES: readonly Partial<ModelConfig>[] = [
  ...Object.keys(MIXERS).map((name) => ({ model: name as ModelConfig["model"] })),
  { model: "mac", memoryQuery: "previous-segment" },
  { model: "mac", memoryQuery: "learned", persistentTokens: 0 },
  { model: "rmt", recurrentSegment: 4 },
];

for (const options of CASES) {
  Deno.test(`a batch of texts at different positions reads each as alone: ${JSON.stringify(options)}`, async () => {
    const device = await requestDevice({ kind: "reference" });
    const decoder = await decoderOf(device, options), batch = await decoder.batch(ROWS);
    const alone = await Promise.all(
      TEXTS.map((text) => text.length ? decoder.prefill(text) : { state: decoder.start }),
    );
    alone.forEach(({ state }, row) => batch.put(row, state));
    let states = alone.map(({ state }) => state);
    // Past the ends of mini-batches and segments, in every row at another token; row 1 pauses at every third.
    for (let i = 0; i < 6; i++) {
      const tokens = TEXTS.map((_, row) => row === 1 && i % 3 === 2 ? undefined : (5 * i + row) % V);
      const logits = await batch.step(tokens);
      const read = await Promise.all(
        states.map((state, row) => tokens[row] === undefined ? undefined : decoder.step(tokens[row], state)),
      );
      read.forEach((own, row) => {
        assertEquals(logits[row] === undefined, own === undefined);
        if (own) assert(relativeError(logits[row]!, own.logits) < 1e-6, `row ${row} after ${i} tokens`);
      });
      states = states.map((state, row) => read[row]?.state ?? state);
    }
    for (const [row, state] of states.entries()) {
      const [taken, own] = [await batch.take(row).export(), await state.export()];
      assertEquals(taken.tokensRead, own.tokensRead);
      for (const [name, { data }] of Object.entries(own.arrays)) {
        assert(relativeError(taken.arrays[name].data, data, 1e-6) < 1e-5, `row ${row}: ${name}`);
      }
    }
    device.dispose();
  });
}

Deno.test("cpu: what a row of a batch gives does not depend on the others, to the last bit", async () => {
  const device = await requestDevice({ kind: "cpu" });
  const decoder = await decoderOf(device, { model: "mac" }), batch = await decoder.batch(ROWS);
  const run = async (row: number, others: number): Promise<unknown> => {
    const seen: unknown[] = [];
    for (let b = 0; b < ROWS; b++) batch.put(b, decoder.start);
    for (let i = 0; i < 9; i++) {
      const tokens = Array.from(
        { length: ROWS },
        (_, b) => b === row ? i % V : others < 0 ? undefined : (i * others + b) % V,
      );
      seen.push((await batch.step(tokens))[row]);
    }
    return [seen, await batch.take(row).export()];
  };
  const alone = await run(0, -1);
  for (const [row, others] of [[0, 1], [1, 5], [2, -1], [2, 7]]) assertEquals(await run(row, others), alone);
  batch.dispose();
  decoder.dispose();
  device.dispose();
});

Deno.test("a batch refuses what it cannot read, and nothing is read then", async () => {
  const device = await requestDevice({ kind: "reference" });
  const decoder = await decoderOf(device, { model: "attention", maxLength: 4 }), batch = await decoder.batch(2);
  await assertRejects(() => decoder.batch(0), RangeError, "Cannot decode 0 texts together");
  await assertRejects(() => batch.step([1, V]), RangeError, "tokens of this model go from 0 to 12");
  await assertRejects(() => batch.step([1, 2, 3]), RangeError, "the batch has 2 rows");
  assertThrows(() => batch.put(2, decoder.start), RangeError, "its rows go from 0 to 1");
  assertEquals([batch.tokensRead(0), batch.tokensRead(1)], [0, 0]);
  for (let i = 0; i < 4; i++) await batch.step([i]);
  await assertRejects(() => batch.step([1]), RangeError, "after 4: this model's attention holds 4");
  device.dispose();
});
