/** Training that goes on from step to step: carried memory, padding, resets and resuming. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import { crossEntropy, mean, sliceAxis, stopGradient } from "../../ops/mod.ts";
import {
  ConfigError,
  decodeCheckpoint,
  defineConfig,
  defineOptimizer,
  encodeCheckpoint,
  evenStreams,
  Model,
  type ModelConfig,
  StreamWindows,
  type TokenSource,
  tokenSource,
  Trainer,
  type TrainerOptions,
  type TrainingBatch,
} from "../../titans/mod.ts";
import { isTensor } from "../../core/graph.ts";
import { mapLeaves } from "../../core/tree.ts";
import { TINY } from "./builders.ts";
import { norm, reference, relativeError, testOnDevices } from "./runners.ts";

const KINDS = ["lmm", "mac", "mag", "mal"] as const;
/** Updates too small to change anything, so that losses of several steps are those of one model. */
const STILL = defineOptimizer({ learningRate: 1e-30, warmupSteps: 0, totalSteps: 10 });
const TEXT = Int32Array.from({ length: 65 }, (_, i) => (i * i + 3 * i) % 13);
const SHAPE = { batch: 1, length: 16 };

function tiny(model: ModelConfig["model"], optimizer = STILL): TrainerOptions {
  const config = defineConfig({ ...TINY, vocabulary: 13, blocks: 1, model });
  return { model: new Model(config), optimizer, shape: SHAPE, seed: 3, stream: true };
}

async function onReference(use: (device: Device) => Promise<void>): Promise<void> {
  const device = await requestDevice({ kind: "reference" });
  try {
    await use(device);
  } finally {
    device.dispose();
  }
}

/** Windows of one row, one after the other. */
function windowsOf(text: Int32Array): TrainingBatch[] {
  const data = new StreamWindows([{ text }], SHAPE, 0);
  return Array.from({ length: data.windowsInRound(0) }, (_, step) => data.batch(step));
}

/** The loss of each token of a text that is read at once. */
async function lossesAtOnce(model: Model, text: Int32Array): Promise<number[]> {
  const params = model.layout.pack(model.initialize(3)), T = text.length - 1;
  const losses = (flat: Tensor, tokens: Tensor): Tensor =>
    crossEntropy(model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, T)).logits, sliceAxis(tokens, 1, 1, T), {
      reduction: "none",
    });
  const { data } = await reference(losses, [{ shape: [params.length], data: params }, {
    shape: [1, T + 1],
    dtype: "i32",
    data: text,
  }]);
  return Array.from(data);
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

for (const kind of KINDS) {
  Deno.test(`${kind}: windows one after the other have the losses of one long window, also with padding at the end, and texts begin anew`, () =>
    onReference(async (device) => {
      const options = tiny(kind), trainer = await Trainer.create(device, options);
      for (const length of [65, 60, 18, 9]) {
        const text = TEXT.slice(0, length), each = await lossesAtOnce(options.model, text);
        const windows = windowsOf(text);
        assertEquals(windows.length, Math.ceil((length - 1) / 16));
        for (const [i, window] of windows.entries()) {
          const [{ loss }] = await trainer.run({ batch: () => window });
          assertAlmostEquals(
            loss,
            meanOf(each.slice(i * 16, (i + 1) * 16)),
            1e-6,
            `window ${i} of a text of ${length}`,
          );
        }
      }
      trainer.dispose();
    }));

  Deno.test(`${kind}: the gradient of a window stays within it`, () =>
    onReference(async (device) => {
      const options = tiny(kind), { model } = options, trainer = await Trainer.create(device, options);
      const [first, second] = windowsOf(TEXT);
      const [, { gradientNorm }] = [
        ...await trainer.run({ batch: () => first }),
        ...await trainer.run({ batch: () => second }),
      ];
      const params = model.layout.pack(model.initialize(3));
      /** The gradient of the second window's loss, with the state before it cut off or not. */
      const gradient = async (cut: boolean): Promise<number> => {
        const loss = (flat: Tensor, tokens: Tensor): Tensor => {
          const p = model.unflatten(flat);
          const { state } = model.forward(p, sliceAxis(tokens, 1, 0, 16));
          const before = cut ? mapLeaves(state, isTensor, stopGradient) as typeof state : state;
          return mean(
            crossEntropy(
              model.forward(p, sliceAxis(tokens, 1, 16, 16), { state: before }).logits,
              sliceAxis(tokens, 1, 17, 16),
            ),
          );
        };
        const { data } = await reference(grad(loss), [{ shape: [params.length], data: params }, {
          shape: [1, 33],
          dtype: "i32",
          data: TEXT.slice(0, 33),
        }]);
        return norm(data);
      };
      const within = await gradient(true);
      assertAlmostEquals(gradientNorm, within, 1e-6 * within);
      assert(Math.abs(await gradient(false) - within) > 1e-4 * within, "what came before has a gradient of its own");
      trainer.dispose();
    }));
}

Deno.test("what padding is does not matter, and batches with fewer predictions weigh less", () =>
  onReference(async (device) => {
    const texts = [TEXT.slice(0, 12), TEXT.slice(20, 40), TEXT.slice(5, 9), TEXT.slice(30, 65)],
      optimizer = defineOptimizer({ learningRate: 1e-2 });
    const options = { ...tiny("lmm", optimizer), stream: false, masked: true };
    const batchOf = (padding: number): TrainingBatch => {
      const tokens = new Int32Array(4 * 17).fill(padding), mask = new Float32Array(4 * 16);
      texts.forEach((text, row) => {
        tokens.set(text.slice(0, 17), row * 17);
        mask.fill(1, row * 16, row * 16 + Math.min(16, text.length - 1));
      });
      return { tokens, mask };
    };
    const once = async (shape: TrainerOptions["shape"], batch: TrainingBatch) => {
      const trainer = await Trainer.create(device, { ...options, shape });
      const [{ loss, gradientNorm }] = await trainer.run({ batch: () => batch });
      const { params } = await trainer.exportState();
      trainer.dispose();
      return { loss, gradientNorm, params };
    };
    const whole = await once({ batch: 4, length: 16 }, batchOf(0));
    const other = await once({ batch: 4, length: 16 }, batchOf(7));
    const apart = await once({ batch: 2, length: 16, accumulate: 2 }, batchOf(7));
    for (const { loss, gradientNorm, params } of [other, apart]) {
      assertAlmostEquals(loss, whole.loss, 1e-9);
      assertAlmostEquals(gradientNorm, whole.gradientNorm, 1e-9);
      for (const [name, values] of Object.entries(whole.params)) {
        assert(relativeError(params[name], values) < 1e-5, name);
      }
    }
    const each = await Promise.all(texts.map((text) => lossesAtOnce(options.model, text.slice(0, 17))));
    assertAlmostEquals(whole.loss, meanOf(each.flat()), 1e-6);
  }));

const TEXTS = [TEXT, TEXT.slice(3, 30), TEXT.slice(10, 50), Int32Array.of(4)];

testOnDevices(
  "a run that streams and is resumed through a checkpoint repeats the numbers of an uninterrupted one exactly",
  async ({ device }) => {
    for (const kind of ["lmm", "mac"] as const) {
      const shape = { batch: 2, length: 16, accumulate: kind === "mac" ? 2 : 1 };
      const options = { ...tiny(kind, defineOptimizer({ learningRate: 1e-2, warmupSteps: 2, totalSteps: 20 })), shape };
      const data = new StreamWindows(TEXTS.map((text, i) => ({ text, weight: 1 + i })), shape, 5);
      const whole = await Trainer.create(device, options), expected = await whole.run(data, 9);
      const first = await Trainer.create(device, options);
      await first.run(data, 4);
      const { state } = decodeCheckpoint(
        encodeCheckpoint({ config: options.model.config, seed: 3, state: await first.exportState() }),
      );
      assertEquals(
        Object.values(state.carried!).every(({ shape: [A, B] }) => A === (shape.accumulate) && B === 2),
        true,
      );
      const second = await Trainer.create(device, { ...options, state });
      assertEquals(await second.run(data, 5), expected.slice(4), kind);
      assertEquals(await second.exportState(), await whole.exportState());
      for (const trainer of [whole, first, second]) trainer.dispose();
    }
  },
);

Deno.test("what is carried lies in the memory of what was carried before", async () => {
  const device = await requestDevice({ kind: "cpu" }), trainer = await Trainer.create(device, tiny("mac"));
  const { values, outputs } = trainer.program.plan!;
  const carried = outputs.map((id) => values[id]).filter(({ type: { shape } }) =>
    shape[0] === 1 && shape[1] === 1 && shape.length > 2
  );
  assertEquals(carried.length, 5); // two matrices, their surprise, and the convolution
  assert(carried.every(({ storage }) => storage.kind === "output" && storage.takes !== undefined));
  trainer.dispose();
  device.dispose();
});

Deno.test("a trainer that cannot do what is asked says so", () =>
  onReference(async (device) => {
    const options = tiny("mac"), [window] = windowsOf(TEXT);
    await assertRejects(
      () => Trainer.create(device, { ...options, shape: { batch: 1, length: 12 } }),
      ConfigError,
      "must be a multiple of 8",
    );
    const plain = await Trainer.create(device, { ...options, stream: false }),
      masked = await Trainer.create(device, { ...options, stream: false, masked: true });
    assertThrows(() => plain.launch(window), ConfigError, "masked: true");
    assertThrows(() => masked.launch(window), ConfigError, "stream: true");
    const streams = await Trainer.create(device, options);
    assertEquals((await streams.exportState()).carried, undefined);
    await streams.run({ batch: () => window });
    const state = await streams.exportState();
    await assertRejects(
      () => Trainer.create(device, { ...options, shape: { batch: 2, length: 16 }, state }),
      ConfigError,
      "train with the same batch and model",
    );
    for (const trainer of [plain, masked, streams]) trainer.dispose();
  }));

/** A text of documents of some lengths, whose tokens are its places from a first number on. */
function documentsOf(lengths: readonly number[], first = 0): TokenSource {
  const starts: number[] = [];
  let length = 0;
  for (const own of lengths) {
    starts.push(length);
    length += own;
  }
  return {
    length,
    read: (at, into) => into.forEach((_, i) => into[i] = first + at + i),
    documents: { count: starts.length, read: (from, into) => into.set(starts.slice(from, from + into.length)) },
  };
}

/**
 * What a row of batches reads: the tokens that it predicts, one list for each time that memory starts afresh, the token
 * before them first.
 */
function readings(batches: readonly TrainingBatch[], row: number, length: number): number[][] {
  const found: number[][] = [];
  for (const { tokens, mask, fresh } of batches) {
    const own = tokens.subarray(row * (length + 1), (row + 1) * (length + 1)),
      count = mask!.subarray(row * length, (row + 1) * length).indexOf(0);
    const predicted = own.subarray(1, 1 + (count < 0 ? length : count));
    if (predicted.length === 0) continue;
    if (fresh![row]) found.push([own[0]]);
    else assertEquals(own[0], found.at(-1)!.at(-1), "a window goes on with the last token of the one before");
    found.at(-1)!.push(...predicted);
  }
  return found;
}

/** The documents that predict something, cut in parts. */
function cut({ length, documents }: TokenSource, first: number, longest: number): number[][] {
  const starts = new Float64Array(documents!.count);
  documents!.read(0, starts);
  return Array.from(starts, (start, i) => [start, (starts[i + 1] ?? length) - 1]).flatMap(([start, end]) =>
    Array.from(
      { length: Math.max(0, Math.ceil((end - start) / longest)) },
      (_, i) =>
        Array.from({ length: Math.min(longest, end - start - i * longest) + 1 }, (_, at) =>
          first + start + i * longest + at),
    )
  );
}

const sorted = (lists: readonly (readonly number[])[]): string[] => lists.map(String).sort();
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

Deno.test("each row reads every document once a round, long ones in parts, each with a memory of its own", () => {
  const lengths = [20, 1, 40, 5, 0, 33, 1, 18, 2],
    text = documentsOf(lengths),
    shape = { batch: 2, length: 8, accumulate: 2 };
  for (const longest of [Infinity, 16, 11, 3]) {
    const data = new StreamWindows([{ text }], shape, 1, { longest }),
      round = data.windowsInRound(0),
      expected = cut(text, 0, Math.min(longest, 1000));
    assertEquals(round, expected.reduce((sum, part) => sum + Math.ceil((part.length - 1) / 8), 0));
    assertEquals(data.windowsInRound(5), round);
    const batches = range(0, 3 * round).map((step) => data.batch(step)),
      begun = range(0, 4).map((row) => readings(batches, row, 8));
    const whole = new Set(expected.map(String)), second = begun[0].slice(expected.length, 2 * expected.length);
    for (const [row, all] of begun.entries()) {
      // A row may begin within a document, if another one begins where that does; the last one is cut short by the end
      // of this test.
      for (const reading of all.slice(1, -1)) {
        assert(whole.has(String(reading)), `row ${row} read ${reading} with one memory`);
      }
      assert(all.join(";").includes(second.join(";")), "all rows follow one order");
    }
    assertEquals(sorted(begun[0].slice(0, expected.length)), sorted(expected));
    assertEquals(sorted(second), sorted(expected));
    assertEquals(new Set(begun.map(([first]) => String(first))).size, 4, "rows begin at places of their own");
    assert(String(begun[0].slice(0, expected.length)) !== String(second), "rounds have orders of their own");
    // A pure function of seed and step, whatever was asked for before.
    for (const step of [2 * round + 1, 0, round - 1]) {
      assertEquals(new StreamWindows([{ text }], shape, 1, { longest }).batch(step), batches[step]);
    }
    assertEquals(data.batch(1), batches[1]);
    assert(
      String(new StreamWindows([{ text }], shape, 2, { longest }).batch(1).tokens) !== String(batches[1].tokens),
      "the seed chooses the order",
    );
  }
});

Deno.test("rows begin within a document where there are fewer documents than rows", () => {
  const shape = { batch: 4, length: 8 },
    data = new StreamWindows([{ text: range(0, 321) }], shape, 1),
    { tokens, fresh } = data.batch(0);
  assertEquals([data.windowsInRound(0), ...range(0, 4).map((row) => tokens[row * 9])], [40, 0, 80, 160, 240]);
  assertEquals([...fresh!], [1, 1, 1, 1]);
  assertEquals([...data.batch(10).fresh!], [0, 0, 0, 1]);
});

Deno.test("a text of twice the weight is read twice as often, documents mixed with those of the others", () => {
  const lengths = range(0, 200).map((i) => 2 + i % 13),
    heavy = documentsOf(lengths),
    light = documentsOf(lengths, 10_000);
  const shape = { batch: 1, length: 4 };
  for (const [weight, other] of [[2, 1], [1, 0.5], [1, 1], [3, 2]]) {
    const data = new StreamWindows([{ text: heavy, weight }, { text: light, weight: other }], shape, 3), rounds = 4;
    const steps = range(0, rounds).reduce((sum, round) => sum + data.windowsInRound(round), 0);
    const all = readings(range(0, steps).map((step) => data.batch(step)), 0, 4),
      own = all.filter(([first]) => first < 10_000);
    const ratio = own.length / (all.length - own.length);
    if (weight % other === 0) {
      assertEquals(ratio, weight / other);
      const expected = cut(heavy, 0, 1000).flatMap((document) =>
        new Array<number[]>(rounds * weight / other).fill(document)
      );
      assertEquals(sorted(own), sorted(expected), "each document as often as the others of its text");
    } else assertAlmostEquals(ratio, weight / other, 0.02 * weight / other);
    // Either text is met soon, again and again.
    for (let at = 0; at + 40 < all.length; at += 40) {
      const found = all.slice(at, at + 40).filter(([first]) => first < 10_000).length;
      assert(found > 0 && found < 40, `${found} of 40 documents are of the first text`);
    }
  }
  assertThrows(() => new StreamWindows([{ text: heavy, weight: 0 }], shape, 1), ConfigError, "a weight of 0");
});

Deno.test("many documents are found where they are without a table of them", () => {
  // More than a group of shelves, and than are looked up at once; of both texts one is a single long document.
  const lengths = range(0, 9000).map((i) => 1 + (i * 7) % 5),
    text = documentsOf(lengths),
    long = documentsOf([30_001], 100_000);
  const data = new StreamWindows([{ text }, { text: long }], { batch: 1, length: 4 }, 9, { longest: 3 }),
    steps = data.windowsInRound(0);
  const read = readings(range(0, steps).map((step) => data.batch(step)), 0, 4);
  assertEquals(sorted(read), sorted([...cut(text, 0, 3), ...cut(long, 100_000, 3)]));
});

Deno.test("held-out documents are read in order from their beginnings, by rows spread over the text", () => {
  const lengths = [20, 1, 40, 5, 33, 18, 2],
    text = documentsOf(lengths),
    expected = cut(text, 0, 16),
    shape = { batch: 3, length: 8 };
  const all = evenStreams([text], shape, 1000, { longest: 16 }), rows = [0, 1, 2].map((row) => readings(all, row, 8));
  assertEquals(rows.flat(), expected, "all of it once");
  assertEquals(rows.every((row) => row.length > 2), true);
  const some = evenStreams([text], shape, 6, { longest: 16 });
  assertEquals(some.length, 2);
  for (const row of [0, 1, 2]) {
    const [first] = readings(some, row, 8);
    assertEquals(String(first), String(rows[row][0].slice(0, first.length)));
  }
  // Shares of different lengths.
  const uneven = documentsOf([400, 3, 3, 3, 3, 3, 3, 90]), most = evenStreams([uneven], { batch: 4, length: 8 }, 1000);
  assertEquals(
    sorted([0, 1, 2, 3].flatMap((row) => row < most[0].fresh!.length ? readings(most, row, 8) : [])),
    sorted(cut(uneven, 0, 1000)),
  );
  // One document is one row, as far as the windows go.
  const [{ tokens }, ...others] = evenStreams([tokenSource(range(0, 100))], shape, 5);
  assertEquals([tokens.length, others.length], [9, 4]);
  assertThrows(() => evenStreams([tokenSource([1])], shape, 5), ConfigError, "fewer than two tokens");
});

Deno.test("what cannot be streamed is refused", () => {
  assertThrows(() => new StreamWindows([{ text: [3] }], SHAPE, 1), ConfigError, "fewer than two tokens");
  assertThrows(() => new StreamWindows([{ text: TEXT }], SHAPE, 1, { longest: 0 }), ConfigError, "through 0 tokens");
});

for (const kind of KINDS) {
  Deno.test(`${kind}: a validation that carries memory has the losses of whole documents, and padding counts in none of its figures`, () =>
    onReference(async (device) => {
      const options = { ...tiny(kind), shape: { batch: 2, length: 16 } },
        trainer = await Trainer.create(device, options);
      const texts = [TEXT.slice(0, 60), TEXT.slice(5, 25), TEXT.slice(20, 55)],
        each = await Promise.all(texts.map((text) => lossesAtOnce(options.model, text)));
      const batches = evenStreams(texts.map(tokenSource), options.shape, 100),
        measured = await trainer.validate(batches);
      assertAlmostEquals(measured.loss, meanOf(each.flat()), 1e-6);
      const padded = batches.map(({ tokens, mask, fresh }) => ({
        mask,
        fresh,
        tokens: tokens.map((token, i) => i % 17 > 0 && mask![Math.floor(i / 17) * 16 + i % 17 - 1] === 0 ? 5 : token),
      }));
      assertEquals(padded.some(({ tokens }, i) => String(tokens) !== String(batches[i].tokens)), true);
      const other = await trainer.validate(padded);
      for (const figure of ["loss", "innerLoss", "updateNorm"] as const) {
        assertAlmostEquals(other[figure], measured[figure], 1e-9, figure);
      }
      // Windows that fill up whole rows are measured as they are without memory.
      const alone = Int32Array.from([...TEXT.slice(0, 17), ...TEXT.slice(30, 47)]), apart = [{ tokens: alone }];
      const one = await trainer.validate(alone), two = await trainer.validate(apart);
      for (const [figure, value] of Object.entries(one)) assertAlmostEquals(two[figure as "loss"], value, 1e-6, figure);
      // A row of padding alone changes nothing.
      const idle = {
        tokens: Int32Array.from([...alone, ...new Int32Array(17)]),
        mask: Float32Array.from([...new Float32Array(32).fill(1), ...new Float32Array(16)]),
      };
      for (const [figure, value] of Object.entries(await trainer.validate([idle]))) {
        assertAlmostEquals(two[figure as "loss"], value, 1e-6, figure);
      }
      await assertRejects(() => trainer.validate([]), ConfigError, "as many rows in each batch");
      await assertRejects(
        () => trainer.validate([{ tokens: alone, mask: new Float32Array(32) }]),
        ConfigError,
        "padding alone",
      );
      // Training goes on where it was.
      const [window] = windowsOf(TEXT);
      const two16 = { tokens: Int32Array.from([...window.tokens, ...window.tokens]) };
      assertAlmostEquals(
        (await trainer.run({ batch: () => two16 }))[0].loss,
        meanOf((await lossesAtOnce(options.model, TEXT)).slice(0, 16)),
        1e-6,
      );
      trainer.dispose();
    }));

  Deno.test(`${kind}: a memory learns nothing from padding, and no parameter does`, () =>
    onReference(async (device) => {
      // Without momentum and forgetting nothing but what is stored changes a memory, so that it stays where the text
      // ends.
      const config = defineConfig({
        ...TINY,
        vocabulary: 13,
        blocks: 1,
        model: kind,
        momentum: false,
        forgetting: false,
        persistentTokens: 0,
      });
      const optimizer = defineOptimizer({ learningRate: 1e-2, warmupSteps: 0, totalSteps: 2, weightDecay: 0 });
      const options = { ...tiny(kind), model: new Model(config), optimizer, shape: { batch: 2, length: 16 } };
      const texts = [TEXT.slice(0, 9).map((token) => token % 6), TEXT.slice(30, 43).map((token) => token % 6)];
      const after = async (padding: number, masked = true) => {
        const tokens = new Int32Array(2 * 17).fill(padding), mask = new Float32Array(2 * 16).fill(masked ? 0 : 1);
        texts.forEach((text, row) => {
          tokens.set(text, row * 17);
          mask.fill(1, row * 16, row * 16 + text.length - 1);
        });
        const trainer = await Trainer.create(device, options);
        await trainer.run({ batch: () => ({ tokens, mask }) });
        const { carried, params } = await trainer.exportState();
        trainer.dispose();
        return { weights: Object.entries(carried!).filter(([name]) => name.includes("memory.weights")), params };
      };
      const one = await after(7), other = await after(11), learned = await after(7, false);
      assert(one.weights.length > 0);
      for (const [i, [name, { data }]] of one.weights.entries()) {
        assert(relativeError(other.weights[i][1].data, data) < 1e-12, `${name} depends on what padding is`);
        assert(relativeError(learned.weights[i][1].data, data) > 1e-6, `${name} would have learned from padding`);
      }
      // The rows of the embedding that only padding asks for stay as they were.
      const first = options.model.initialize(3), width = config.width;
      const moved = (params: typeof first, token: number): boolean =>
        relativeError(
          params.embedding.subarray(token * width, (token + 1) * width),
          first.embedding.subarray(token * width, (token + 1) * width),
        ) > 1e-6;
      assertEquals([
        moved(one.params, 7),
        moved(other.params, 11),
        moved(learned.params, 7),
        moved(one.params, texts[0][1]),
      ], [false, false, true, true]);
    }));
}
