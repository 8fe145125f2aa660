/**
 * What must hold of every registered mixer as a layer by itself: one token after the other gives what many at once give,
 * whatever is computed together; states have a constant size; long texts stay finite; and parameters are as many as the
 * papers say. What must hold of the models around them is in model_test.ts, numbers of PyTorch in golden_mixers_test.ts;
 * every length with every chunk on every device in soak_mixers.ts.
 */
import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { flatten } from "../../core/tree.ts";
import { requestDevice } from "../../kernels/mod.ts";
import type { MixerName } from "../../titans/mixers/registry.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { openNative } from "../kernels/native_tests.ts";
import {
  ALL_MIXERS,
  atOnce,
  checkFinite,
  chunksOf,
  gradientOf,
  isParameter,
  layerCheck,
  layerOf,
  LENGTHS,
  oneByOne,
  parametersOf,
  rowsOf,
  type Tree,
} from "./mixer_forms.ts";
import { assertClose, leavesOf, noise, reference, relativeError, type Value } from "./runners.ts";

const B = 2, D = 8;

for (const [name, mixer] of ALL_MIXERS) {
  const chunks = chunksOf(mixer);

  Deno.test(`mixer ${name}: one token after the other gives what many at once give, however many are computed together`, async () => {
    const params = parametersOf(layerOf(mixer), 0.1), x = noise([B, Math.max(...LENGTHS), D], 2);
    const expected = await reference(oneByOne(layerOf(mixer)), [params, x] as never) as Value;
    for (const T of LENGTHS) {
      const text = { shape: [B, T, D], data: rowsOf(x, 0, T) };
      for (const chunk of T < 77 ? chunks : [0, ...chunks.slice(-1)]) {
        const output = await reference(atOnce(layerOf(mixer, { chunk })), [params, text] as never) as Value;
        const error = relativeError(output.data, rowsOf(expected, 0, T));
        assert(error < 1e-7, `${T} tokens in chunks of ${chunk}: off by ${error}`);
      }
    }
  });

  Deno.test(`mixer ${name}: gradients of one token after the other are those of many at once`, async () => {
    const T = 33, layer = layerOf(mixer), params = parametersOf(layer, 0.1);
    const args = [params, noise([B, T, D], 2), noise([B, T, D], 3)] as never;
    const expected = await reference(gradientOf(oneByOne(layer)), args);
    for (const chunk of chunks) {
      assertClose(await reference(gradientOf(atOnce(layerOf(mixer, { chunk }))), args), expected, 1e-7);
    }
  });

  Deno.test(`mixer ${name}: its state has the same size after any number of tokens`, async () => {
    const layer = layerOf(mixer), params = parametersOf(layer, 0.1);
    const shapesAfter = async (T: number): Promise<unknown> => {
      const fn = (params: Tree, x: Tensor): unknown =>
        layer.forward(params, x, { state: layer.initialState(params, B) }).state;
      return shapesOf(await reference(fn as never, [params, noise([B, T, D], 2)] as never));
    };
    const first = shapesOf(
      await reference(((params: Tree) => layer.initialState(params, B)) as never, [params] as never),
    );
    assert(Object.keys(first).length > 0);
    for (const T of [1, 2, 77]) assertEquals(await shapesAfter(T), first);
  });
}

function shapesOf(tree: unknown): Record<string, number> {
  return Object.fromEntries(Object.entries(leavesOf(tree)).map(([path, values]) => [path, values.length]));
}

/** Every program compiles its kernels: only cpu, which compiles fast, takes all that soak_mixers.ts takes everywhere. */
const DEVICES = [
  { kind: "cpu", isThorough: true, open: () => requestDevice({ kind: "cpu" }) },
  { kind: "webgpu", isThorough: false, open: () => requestDevice({ kind: "webgpu" }) },
  { kind: "native", isThorough: false, open: openNative },
] as const;
/** Memories are in must_hold_test.ts on the other devices too. */
const MEMORIES: readonly MixerName[] = ["lmm", "mac", "mag", "mal"];

for (const { kind, isThorough, open } of DEVICES) {
  const mixers = ALL_MIXERS.filter(([name]) => isThorough || !MEMORIES.includes(name));
  const what = isThorough ? "tokens at once, one by one and in pieces, gradients" : "tokens at once and in pieces";

  Deno.test(`${kind}: layers of mixers: ${what}, causality and batches`, async (t) => {
    const device = await open();
    for (const [name, mixer] of mixers) {
      await t.step(name, () => layerCheck(mixer, { T: 45, chunk: 16, isThorough })(device));
    }
    device.dispose();
  });
}

/** On native one of each kind of recurrence: a network, sums, a delta rule, a scan. */
const LONG_ON_NATIVE: readonly MixerName[] = ["lmm", "gla", "gatedDeltaNet", "mamba"];

for (const { kind, isThorough, open } of DEVICES.filter(({ kind }) => kind !== "webgpu")) {
  Deno.test(`${kind}: 8,192 tokens, of a random text and of one token repeated, have finite outputs and gradients from the first step`, async (t) => {
    const device = await open();
    for (const [name, mixer] of ALL_MIXERS.filter(([name]) => isThorough || LONG_ON_NATIVE.includes(name))) {
      await t.step(name, () => checkFinite(device, mixer));
    }
    device.dispose();
  });
}

/** The parameters of a memory of depth 2 with the projections, gates and norms around it; K = D / H. */
const memory = (D: number, H: number): number => 3 * D ** 2 + 3 * H * D + 3 * H + 8 * D ** 2 / H + 2 * D;
/** Those of a TTT layer around its inner model. */
const learner = (D: number, H: number): number => 4 * D ** 2 + H * D + H + 16 + 4 * D;

/** Parameters of a layer of width D with H heads by its paper's formula, without a convolution. */
const COUNTS: Readonly<Record<MixerName, (D: number, H: number) => number>> = {
  lmm: (D, H) => memory(D, H) + 2 * D ** 2,
  mac: (D, H) => memory(D, H) + 5 * D ** 2 + 2 * D + 4 * D,
  mag: (D, H) => memory(D, H) + 4 * D ** 2 + D + 4 * D,
  mal: (D, H) => memory(D, H) + 4 * D ** 2 + 4 * D,
  attention: (D) => 4 * D ** 2,
  linear: (D) => 4 * D ** 2,
  retnet: (D, H) => 8 * D ** 2 + 2 * D / H,
  gla: (D, H) => 4 * D ** 2 + 16 * D + 16 * D / 2 + D / 2 + D / H,
  hgrn2: (D) => 4 * D ** 2 + D,
  mamba: (D) => 6 * D ** 2 + 2 * D * (2 * Math.ceil(D / 16) + 3 * 16 + 2),
  mamba2: (D, H) => 6 * D ** 2 + 2 * D ** 2 / H + 2 * H * D + 6 * H + 2 * D,
  deltaNet: (D, H) => 4 * D ** 2 + D * H + D / H,
  gatedDeltaNet: (D, H) => 6 * D ** 2 + 2 * D * H + 2 * H + 1.5 * D / H,
  tttLinear: (D, H) => learner(D, H) + D ** 2 / H + D,
  tttMlp: (D, H) => learner(D, H) + 8 * D ** 2 / H + 5 * D,
};

/** Channels of a convolution; three times the width, for queries, keys and values, where nothing else is said. */
const CHANNELS: Partial<Record<MixerName, (D: number, H: number) => number>> = {
  retnet: (D) => 4 * D,
  gla: (D) => 2 * D,
  mamba: (D) => 2 * D,
  mamba2: (D, H) => 2 * D + 2 * D / H,
};

/** Mixers whose convolution has a bias, as in their papers' code. */
const BIASED: readonly MixerName[] = ["mamba", "mamba2"];

Deno.test("parameters of every mixer are as many as the formulas say, with a convolution as many more as it has taps", () => {
  for (const [name, { create, options: table }] of ALL_MIXERS) {
    const taps = "convolution" in table ? "convolution" : "attentionConvolution";
    for (const [D, H] of [[64, 2], [192, 3]]) {
      const size = (width: number): number => {
        const layer = create({ ...defaultsOf(table), heads: H, [taps]: width }, { width: D, block: 0, blocks: 4 });
        const { leaves } = flatten(layer.parameters(1), isParameter, "a parameter");
        return leaves.reduce((total, { shape }) => total + sizeOfShape(shape), 0);
      };
      assertEquals(size(0), COUNTS[name](D, H), name);
      const channels = CHANNELS[name]?.(D, H) ?? 3 * D, perChannel = 4 + (BIASED.includes(name) ? 1 : 0);
      assertEquals(size(4) - size(0), perChannel * channels, `convolution of ${name}`);
    }
  }
});
