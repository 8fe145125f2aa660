/** Training that goes on from step to step: carried memory, padding, resets and resuming. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import { crossEntropy, mean, sliceAxis, stopGradient } from "../../ops/mod.ts";
import {
  ConfigError,
  cutText,
  decodeCheckpoint,
  defineConfig,
  defineOptimizer,
  encodeCheckpoint,
  Model,
  type ModelConfig,
  StreamWindows,
  Trainer,
  type TrainerOptions,
  type TrainingBatch,
} from "../../titans/mod.ts";
import { isTensor } from "../../core/graph.ts";
import { mapLeaves } from "../../core/tree.ts";
import { norm, reference, relativeError, testOnDevices } from "./runners.ts";

const TINY: Partial<ModelConfig> = {
  vocabulary: 13,
  width: 8,
  blocks: 1,
  mlpHidden: 12,
  memoryExpansion: 2,
  miniBatch: 4,
  segment: 8,
  window: 6,
  persistentTokens: 2,
};
const KINDS = ["lmm", "mac", "mag", "mal"] as const;
/** Updates too small to change anything, so that losses of several steps are those of one model. */
const STILL = defineOptimizer({ learningRate: 1e-30, warmupSteps: 0, totalSteps: 10 });
const TEXT = Int32Array.from({ length: 65 }, (_, i) => (i * i + 3 * i) % 13);
const SHAPE = { batch: 1, length: 16 };

function tiny(model: ModelConfig["model"], optimizer = STILL): TrainerOptions & { config: ModelConfig } {
  const config = defineConfig({ ...TINY, model });
  return { config, model: new Model(config), optimizer, shape: SHAPE, seed: 3, stream: true };
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
  const data = new StreamWindows([text], SHAPE, 0);
  return Array.from({ length: data.windowsPerRound }, (_, step) => data.batch(step));
}

/** The loss of each token of a text that is read at once. */
async function lossesAtOnce(model: Model, text: Int32Array): Promise<number[]> {
  const params = model.layout.pack(model.initialize(3)), T = text.length - 1;
  const losses = (flat: Tensor, tokens: Tensor): Tensor =>
    crossEntropy(model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, T)).logits, sliceAxis(tokens, 1, 1, T), { reduction: "none" });
  const { data } = await reference(losses, [{ shape: [params.length], data: params }, { shape: [1, T + 1], dtype: "i32", data: text }]);
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
          assertAlmostEquals(loss, meanOf(each.slice(i * 16, (i + 1) * 16)), 1e-6, `window ${i} of a text of ${length}`);
        }
      }
      trainer.dispose();
    }));

  Deno.test(`${kind}: the gradient of a window stays within it`, () =>
    onReference(async (device) => {
      const options = tiny(kind), { model } = options, trainer = await Trainer.create(device, options);
      const [first, second] = windowsOf(TEXT);
      const [, { gradientNorm }] = [...await trainer.run({ batch: () => first }), ...await trainer.run({ batch: () => second })];
      const params = model.layout.pack(model.initialize(3));
      /** The gradient of the second window's loss, with the state before it cut off or not. */
      const gradient = async (cut: boolean): Promise<number> => {
        const loss = (flat: Tensor, tokens: Tensor): Tensor => {
          const p = model.unflatten(flat);
          const { state } = model.forward(p, sliceAxis(tokens, 1, 0, 16));
          const before = cut ? mapLeaves(state, isTensor, stopGradient) as typeof state : state;
          return mean(crossEntropy(model.forward(p, sliceAxis(tokens, 1, 16, 16), { state: before }).logits, sliceAxis(tokens, 1, 17, 16)));
        };
        const { data } = await reference(grad(loss), [{ shape: [params.length], data: params }, { shape: [1, 33], dtype: "i32", data: TEXT.slice(0, 33) }]);
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
    const texts = [TEXT.slice(0, 12), TEXT.slice(20, 40), TEXT.slice(5, 9), TEXT.slice(30, 65)], optimizer = defineOptimizer({ learningRate: 1e-2 });
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
      for (const [name, values] of Object.entries(whole.params)) assert(relativeError(params[name], values) < 1e-5, name);
    }
    const each = await Promise.all(texts.map((text) => lossesAtOnce(options.model, text.slice(0, 17))));
    assertAlmostEquals(whole.loss, meanOf(each.flat()), 1e-6);
  }));

const TEXTS = [TEXT, TEXT.slice(3, 30), TEXT.slice(10, 50), Int32Array.of(4)];

testOnDevices("a run that streams and is resumed through a checkpoint repeats the numbers of an uninterrupted one exactly", async ({ device }) => {
  for (const kind of ["lmm", "mac"] as const) {
    const shape = { batch: 2, length: 16, accumulate: kind === "mac" ? 2 : 1 };
    const options = { ...tiny(kind, defineOptimizer({ learningRate: 1e-2, warmupSteps: 2, totalSteps: 20 })), shape };
    const data = new StreamWindows(TEXTS, shape, 5);
    const whole = await Trainer.create(device, options), expected = await whole.run(data, 9);
    const first = await Trainer.create(device, options);
    await first.run(data, 4);
    const { state } = decodeCheckpoint(encodeCheckpoint({ config: options.config, seed: 3, state: await first.exportState() }));
    assertEquals(Object.values(state.carried!).every(({ shape: [A, B] }) => A === (shape.accumulate) && B === 2), true);
    const second = await Trainer.create(device, { ...options, state });
    assertEquals(await second.run(data, 5), expected.slice(4), kind);
    assertEquals(await second.exportState(), await whole.exportState());
    for (const trainer of [whole, first, second]) trainer.dispose();
  }
});

Deno.test("what is carried lies in the memory of what was carried before", async () => {
  const device = await requestDevice({ kind: "cpu" }), trainer = await Trainer.create(device, tiny("mac"));
  const { values, outputs } = trainer.program.plan!;
  const carried = outputs.map((id) => values[id]).filter(({ type: { shape } }) => shape[0] === 1 && shape[1] === 1 && shape.length > 2);
  assertEquals(carried.length, 5); // two matrices, their surprise, and the convolution
  assert(carried.every(({ storage }) => storage.kind === "output" && storage.takes !== undefined));
  trainer.dispose();
  device.dispose();
});

Deno.test("a trainer that cannot do what is asked says so", () =>
  onReference(async (device) => {
    const options = tiny("mac"), [window] = windowsOf(TEXT);
    await assertRejects(() => Trainer.create(device, { ...options, shape: { batch: 1, length: 12 } }), ConfigError, "must be a multiple of 8");
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

Deno.test("each row reads every text once a round, in an order of its own, and the same at every asking", () => {
  const texts = [20, 40, 5, 33, 1, 18, 2].map((length, i) => Int32Array.from({ length }, (_, at) => 100 * i + at)),
    shape = { batch: 2, length: 8, accumulate: 2 };
  const data = new StreamWindows(texts, shape, 1);
  assertEquals(data.windowsPerRound, 3 + 5 + 1 + 4 + 3 + 1);
  const orders: string[] = [];
  for (let round = 0; round < 2; round++) {
    for (let row = 0; row < 4; row++) {
      const seen: number[] = [], begun: number[] = [];
      for (let step = round * data.windowsPerRound; step < (round + 1) * data.windowsPerRound; step++) {
        const { tokens, mask, fresh } = data.batch(step), own = tokens.subarray(row * 9, row * 9 + 9);
        if (fresh![row]) begun.push(own[0]);
        else assertEquals(own[0], seen.at(-1), "a window goes on with the last token of the one before");
        for (let i = 0; i < 8; i++) if (mask![row * 8 + i]) seen.push(own[i + 1]);
      }
      orders.push(String(begun));
      const expected = texts.flatMap((text) => Array.from(text.slice(1)));
      assertEquals(seen.sort((a, b) => a - b), expected);
    }
  }
  assert(new Set(orders).size > 4, "rows and rounds have orders of their own");
  assertEquals(new StreamWindows(texts, shape, 1).batch(30), data.batch(30));
  assertThrows(() => new StreamWindows([Int32Array.of(3)], shape, 1), ConfigError, "fewer than two tokens");
});

Deno.test("a text is cut in parts that predict each of its tokens but the first once", () => {
  for (const [length, part] of [[65, 16], [64, 16], [66, 16], [10, 100], [1, 4]]) {
    const parts = cutText(TEXT.slice(0, Math.min(length, 65)), part).map((source) => {
      const tokens = new Int32Array(source.length);
      source.read(0, tokens);
      return Array.from(tokens);
    });
    assertEquals(parts.flatMap((tokens) => tokens.slice(1)), Array.from(TEXT.slice(1, Math.min(length, 65))));
    assert(parts.every((tokens) => tokens.length <= part + 1));
  }
  assertThrows(() => cutText(TEXT, 0), ConfigError, "parts of 0 tokens");
});
