import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { crossEntropy, sliceAxis } from "../../ops/mod.ts";
import { defineConfig } from "../../titans/models/config.ts";
import { ConfigError } from "../../titans/errors.ts";
import { Inspector, type TracedPiece } from "../../titans/models/inspector.ts";
import { Model } from "../../titans/models/model.ts";
import { observing } from "./builders.ts";
import { reference, relativeError, testOnDevices, type Value } from "./runners.ts";

const T = 21;
const model = new Model(
  defineConfig({
    model: "mac",
    vocabulary: 11,
    width: 8,
    heads: 2,
    mlpHidden: 12,
    memoryExpansion: 2,
    miniBatch: 4,
    segment: 8,
    thetaMax: 1,
  }),
);
const params = model.layout.pack(model.initialize(1));
const tokens = Array.from({ length: T }, (_, i) => (i * i + 3 * i) % 11);

async function collect(pieces: AsyncIterable<TracedPiece>): Promise<TracedPiece[]> {
  const all: TracedPiece[] = [];
  for await (const piece of pieces) all.push(piece);
  return all;
}

/** The same of the whole text at once. */
async function expected(): Promise<{ trace: Record<string, Value>[]; bits: number[] }> {
  const fn = (flat: Tensor, ids: Tensor): unknown => {
    const { observe, blocks: trace } = observing();
    const { logits } = model.forward(model.unflatten(flat), ids, { observe });
    return {
      trace,
      nats: crossEntropy(sliceAxis(logits, 1, 0, T - 1), sliceAxis(ids, 1, 1, T - 1), { reduction: "none" }),
    };
  };
  const ids = { shape: [1, T], dtype: "i32" as const, data: tokens };
  const { trace, nats } = await reference(fn, [{ shape: [params.length], data: params }, ids]) as {
    trace: Record<string, Value>[];
    nats: Value;
  };
  return { trace, bits: Array.from(nats.data, (x) => x / Math.LN2) };
}

testOnDevices("an inspector tells piece by piece what the whole text tells", async ({ device }) => {
  const inspector = await Inspector.create(device, model, params, { length: 3 });
  assertEquals(inspector.length, 8);
  const { trace, bits } = await expected();
  const inParts = async function* (): AsyncGenerator<number[]> {
    for (const [from, to] of [[0, 1], [1, 1], [1, 14], [14, T]]) yield await Promise.resolve(tokens.slice(from, to));
  };
  for (const text of [tokens, inParts()]) {
    const pieces = await collect(inspector.read(text));
    assertEquals(pieces.map(({ start, tokens }) => [start, ...tokens]), [[0, ...tokens.slice(0, 8)], [
      8,
      ...tokens.slice(8, 16),
    ], [16, ...tokens.slice(16)]]);
    const told = pieces.flatMap((piece) => [...piece.bits]);
    assert(Number.isNaN(told[0]) && relativeError(told.slice(1), bits) < 1e-4);
    assertEquals([...inspector.quantities].sort(), Object.keys(trace[0]));
    for (const quantity of inspector.quantities) {
      const at = (block: number, head: number): number[] =>
        Array.from(trace[block][quantity].data).slice(head * T, (head + 1) * T);
      const one = pieces.flatMap((piece) => [...piece.values(quantity, { block: 1, head: 0 })]);
      assert(relativeError(one, at(1, 0)) < 2e-4, quantity);
      const mean = at(0, 1).map((x, t) => (x + at(1, 1)[t]) / 2);
      assert(relativeError(pieces.flatMap((piece) => [...piece.values(quantity, { head: 1 })]), mean) < 2e-4, quantity);
    }
  }
  inspector.dispose();
});

Deno.test("an inspector reads any length, and refuses what it cannot read in one line", async () => {
  const device = await requestDevice({ kind: "reference" });
  const inspector = await Inspector.create(device, model, params, { length: 8 });
  for (const count of [0, 1, 8, 9]) {
    const pieces = await collect(inspector.read(tokens.slice(0, count)));
    assertEquals(pieces.flatMap((piece) => [...piece.tokens]), tokens.slice(0, count));
    assert(pieces.every((piece) => piece.values("surprise").every((x) => x > 0)));
  }
  await assertRejects(
    () => collect(inspector.read([1, 11])),
    RangeError,
    "Cannot read token 11: tokens of this model go from 0 to 10",
  );
  const [piece] = await collect(inspector.read([1]));
  assertThrows(
    () => piece.values("loss", { block: 2 }),
    ConfigError,
    "Cannot look at block 2: the model has 2, counted from 0",
  );
  assertThrows(
    () => piece.values("loss", { head: -1 }),
    ConfigError,
    "Cannot look at head -1: the model has 2, counted from 0",
  );
  assertThrows(() => piece.values("lost"), ConfigError, "Cannot look at lost: the model's mixers observe theta, eta,");
  await assertRejects(() => Inspector.create(device, model, params, { length: 0 }), ConfigError, "pieces of 0 tokens");
  inspector.dispose();
  device.dispose();
});
