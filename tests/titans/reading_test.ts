/** Scoring and writing in batches: the numbers of a decoder that reads each text alone, and a model whose answers are known. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import {
  BatchReader,
  Decoder,
  defineConfig,
  Model,
  type ModelConfig,
  SamplingError,
  type ScoreRequest,
} from "../../titans/mod.ts";
import { TINY } from "./builders.ts";

const V = 13;
const text = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, i) => (i * i + seed * i + seed) % V);

function upload(device: Device, model: Model, params: Float32Array) {
  return device.upload(params, { shape: [model.layout.size], dtype: "f32" });
}

/** ln p of each token of a continuation, by a decoder that reads one text. */
async function alone(decoder: Decoder, { context, continuations }: ScoreRequest): Promise<number[][]> {
  const all: number[][] = [];
  for (const continuation of continuations) {
    decoder.reset();
    let logits = await decoder.read(context.length === 0 ? [10] : context);
    all.push([]);
    for (let i = 0; i < continuation.length; i++) {
      const top = Math.max(...logits), total = logits.reduce((sum, x) => sum + Math.exp(x - top), 0);
      all.at(-1)!.push(logits[continuation[i]] - top - Math.log(total));
      if (i + 1 < continuation.length) logits = await decoder.read([continuation[i]]);
    }
  }
  return all;
}

/** The tokens that a decoder finds most likely, one after the other. */
async function greedily(decoder: Decoder, context: readonly number[], count: number): Promise<number[]> {
  decoder.reset();
  const tokens: number[] = [];
  let logits = await decoder.read(context);
  while (tokens.length < count) {
    tokens.push(logits.indexOf(Math.max(...logits)));
    logits = await decoder.read([tokens.at(-1)!]);
  }
  return tokens;
}

const MODELS: readonly Partial<ModelConfig>[] = [
  { model: "lmm" },
  { model: "mac" },
  { model: "attention", maxLength: 64 },
  { model: "rmt" },
];
// Of every number of whole pieces and of none, with continuations that end within a piece, at its end and beyond.
const REQUESTS: readonly ScoreRequest[] = [
  { context: text(5, 1), continuations: [text(3, 2), text(1, 3), text(15, 4)] },
  { context: text(31, 5), continuations: [text(2, 6), text(2, 7)] },
  { context: [], continuations: [text(4, 8)] },
  { context: text(8, 9), continuations: [text(9, 10)] },
  { context: text(9, 9), continuations: [text(8, 10), text(24, 11)] },
  { context: text(17, 1), continuations: [text(7, 12), text(1, 1), text(2, 2), text(3, 3), text(4, 4)] },
];

Deno.test("reading: scores and greedy texts in batches are those of a decoder that reads each text alone", async () => {
  const device = await requestDevice({ kind: "cpu" });
  for (const options of MODELS) {
    const model = new Model(defineConfig({ ...TINY, vocabulary: V, width: 16, thetaMax: 1, ...options }));
    // Larger than at the beginning, so that tokens differ in how likely they are.
    const params = model.layout.pack(model.initialize(2)).map((x) => 1.5 * x);
    const decoder = await Decoder.create(device, model, params), flat = upload(device, model, params);
    const reader = await BatchReader.create({ device, model, params: flat, batch: 4, piece: 8 });
    const done: number[] = [], scores = await reader.score(REQUESTS, (requests) => done.push(requests));
    assertEquals(done.reduce((a, b) => a + b), REQUESTS.length);
    for (const [i, request] of REQUESTS.entries()) {
      const expected = await alone(decoder, request);
      scores[i].forEach(({ logLikelihood, each }, choice) => {
        const where = `${options.model}, request ${i}, continuation ${choice}`;
        assertEquals(each.length, expected[choice].length, where);
        each.forEach((value, t) =>
          assert(
            Math.abs(value - expected[choice][t]) < 1e-4,
            `${where}, token ${t}: ${value}, not ${expected[choice][t]}`,
          )
        );
        const sum = expected[choice].reduce((a, b) => a + b);
        assert(Math.abs(logLikelihood - sum) < 1e-3, where);
      });
    }
    const contexts = REQUESTS.map(({ context }) => Array.from(context)).filter(({ length }) => length > 0);
    const written = await reader.write(contexts, 6);
    for (const [i, context] of contexts.entries()) {
      assertEquals([...written[i]], await greedily(decoder, context, 6), `${options.model}, text ${i}`);
    }
    reader.dispose();
    decoder.dispose();
  }
  device.dispose();
});

/** A model that is sure that a token's successor follows it: without mixing, its embedding and its head say so. */
function successors(): { model: Model; params: Float32Array } {
  const model = new Model(defineConfig({ ...TINY, vocabulary: V, width: 16, model: "lmm", blocks: 1 }));
  const named = model.initialize(0),
    zero = Object.entries(named).map(([name, array]) => {
      const data = new Float32Array(array.length),
        one = (row: number, column: number, width: number) => data[row * width + column] = 1;
      for (let token = 0; token < V; token++) {
        if (name === "embedding") one(token, token, 16);
        if (name === "head") data[token * V + (token + 1) % V] = 20;
      }
      if (name === "norm") data.fill(1);
      return [name, data];
    });
  return { model, params: model.layout.pack(Object.fromEntries(zero)) };
}

Deno.test("reading: a model whose answers are known is right about all of them, on the CPU too", async () => {
  const { model, params } = successors(), device = await requestDevice({ kind: "cpu" });
  using reader = await BatchReader.create({ device, model, params: upload(device, model, params), batch: 3, piece: 8 });
  const after = (token: number, count: number) => Array.from({ length: count }, (_, i) => (token + 1 + i) % V);
  const contexts = [[3], [...text(40, 2), 12], [...text(20, 3), 5], [...text(7, 3), 0]];
  const scores = await reader.score(contexts.map((context) => {
    const right = after(context.at(-1)!, 11);
    return {
      context,
      continuations: [[...right.slice(0, 10), 1 + right[9]].map((t) => t % V), [...right.slice(0, 4), right[3]], right],
    };
  }));
  for (const [first, wrong, right] of scores) {
    assertEquals([first.greedy, wrong.greedy, right.greedy], [first.each.at(-1)! > -1, false, true]);
    assert(right.logLikelihood > -1e-6 && wrong.each.at(-1)! < -10);
  }
  assertEquals(
    (await reader.write(contexts, 20)).map((tokens) => [...tokens]),
    contexts.map((context) => after(context.at(-1)!, 20)),
  );
  await assertRejects(() => reader.score([{ context: [1], continuations: [[]] }]), RangeError, "an empty continuation");
  await assertRejects(() => reader.score([{ context: [V], continuations: [[1]] }]), RangeError, "from 0 to 12");
  const broken = upload(device, model, params.map(() => NaN));
  using unable = await BatchReader.create({ device, model, params: broken, batch: 1, piece: 8 });
  await assertRejects(() => unable.score([{ context: [1], continuations: [[1]] }]), SamplingError, "not finite");
  device.dispose();
});

Deno.test("reading: texts longer than a model's attention are refused", async () => {
  const device = await requestDevice({ kind: "reference" });
  const model = new Model(defineConfig({ ...TINY, vocabulary: V, model: "attention", maxLength: 20 }));
  const params = upload(device, model, model.layout.pack(model.initialize(0)));
  using reader = await BatchReader.create({ device, model, params, batch: 2 });
  assertEquals(reader.piece, 20);
  const [[score]] = await reader.score([{ context: text(15, 1), continuations: [text(6, 1)] }]);
  assertEquals(score.each.length, 6);
  await assertRejects(
    () => reader.score([{ context: text(15, 1), continuations: [text(7, 1)] }]),
    RangeError,
    "a text of 21 tokens: this model's attention holds 20",
  );
  device.dispose();
});
