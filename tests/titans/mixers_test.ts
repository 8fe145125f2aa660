/**
 * What must hold of every registered mixer as a layer by itself: one token after the other gives what many at once give,
 * whatever is computed together; states have a constant size; long texts stay finite; and parameters are as many as the
 * papers say. What must hold of the models around them is in model_test.ts, numbers of PyTorch in golden_mixers_test.ts.
 */
import { assert, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { flatten, mapLeaves, unflatten } from "../../core/tree.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { iota, mean, mul, reshape, square, sum, transpose } from "../../ops/mod.ts";
import type { AnyMixer, MixerLayer } from "../../titans/mixers/mixer_interface.ts";
import { type MixerName, MIXERS } from "../../titans/mixers/registry.ts";
import { initialValues } from "../../titans/nn/initializers.ts";
import { HostRng } from "../../titans/nn/host_rng.ts";
import { Parameter } from "../../titans/nn/parameters.ts";
import { defaultsOf, type OptionRecord } from "../../titans/options/option_table.ts";
import { TINY } from "./builders.ts";
import { assertClose, leavesOf, noise, onDevice, reference, relativeError, type Value } from "./runners.ts";

const B = 2, D = 8, LONGEST = 512;
const LENGTHS = [1, 2, 17, 63, 77, LONGEST];
const CHUNKS = [1, 8, 16, 64];
const ALL = Object.entries(MIXERS) as [MixerName, AnyMixer][];

// deno-lint-ignore no-explicit-any -- the parameters and states of any mixer
type Layer = MixerLayer<any, any>;
type Tree = Record<string, unknown>;

/** A layer with tiny options where its mixer has them. */
function layerOf({ create, options: table }: AnyMixer, options: OptionRecord = {}): Layer {
  const known = (record: object) => Object.fromEntries(Object.entries(record).filter(([name]) => name in table));
  return create({
    ...defaultsOf(table),
    ...known({ ...TINY, tile: 2, maxLength: LONGEST }),
    ...known(options),
  }, {
    width: D,
    block: 1,
    blocks: 3,
  });
}

const isParameter = (value: unknown): value is Parameter => value instanceof Parameter;

/** First values of a layer's parameters; moved, so that none is zero, unless they are to be as they start. */
function parametersOf(layer: Layer, moved: number): Tree {
  const { leaves, paths, spec } = flatten(layer.parameters(1), isParameter, "a parameter");
  const values = leaves.map(({ shape, initializer }, i): Value => {
    const start = initialValues(initializer, shape, new HostRng(1, paths[i])), by = noise(shape, 50 + i, moved);
    return { shape, data: start.map((x, j) => x + by.data[j]) };
  });
  return unflatten(spec, values) as Tree;
}

/** Outputs of many tokens at once. */
const atOnce = (layer: Layer) => (params: Tree, x: Tensor): Tensor =>
  layer.forward(params, x, { state: layer.initialState(params, x.shape[0]) }).output;

/** Outputs of one token after the other. */
const oneByOne = (layer: Layer) => (params: Tree, x: Tensor): Tensor => {
  const [B, T, D] = x.shape, start = layer.initialState(params, B);
  const step = (state: unknown, { row, position }: { row: Tensor; position: Tensor }): [unknown, Tensor] => {
    const token = reshape(row, [B, 1, D]);
    const next = layer.step ? layer.step(params, token, { state, position }) : layer.forward(params, token, { state });
    return [next.state, next.output];
  };
  const [, outputs] = scan(step as never, (layer.stepState?.(start) ?? start) as never, {
    row: transpose(x, [1, 0, 2]),
    position: iota([T], 0),
  } as never) as unknown as [unknown, Tensor];
  return transpose(reshape(outputs, [T, B, D]), [1, 0, 2]);
};

/** The gradient of a random functional of the outputs in all parameters and inputs. */
const gradientOf = (form: (params: Tree, x: Tensor) => Tensor) => (params: Tree, x: Tensor, weights: Tensor) =>
  valueAndGrad((params: Tree, x: Tensor) => sum(mul(form(params, x), weights)), { argnums: [0, 1] })(params, x)[1];

const firstRows = ({ shape: [, T, D], data }: Value, count: number): number[] =>
  Array.from(data).filter((_, i) => Math.floor(i / D) % T < count);

for (const [name, mixer] of ALL) {
  const chunks = "chunk" in mixer.options ? CHUNKS : [0];

  Deno.test(`mixer ${name}: one token after the other gives what many at once give, however many are computed together`, async () => {
    const params = parametersOf(layerOf(mixer), 0.1), x = noise([B, LONGEST, D], 2);
    const expected = await reference(oneByOne(layerOf(mixer)), [params, x] as never) as Value;
    for (const T of LENGTHS) {
      const text = { shape: [B, T, D], data: firstRows(x, T) };
      for (const chunk of T < 77 ? chunks : [0, ...chunks.slice(-1)]) {
        const output = await reference(atOnce(layerOf(mixer, { chunk })), [params, text] as never) as Value;
        const error = relativeError(output.data, firstRows(expected, T));
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

Deno.test("cpu: 8,192 tokens, of a random text and of one token repeated, have finite outputs and gradients from the first step", async (t) => {
  const device = await requestDevice({ kind: "cpu" }), T = 8192, width = 16;
  // The second text is one token again and again: all keys are equal.
  const random = Array.from(noise([1, T, width], 4).data);
  const x = { shape: [2, T, width], data: [...random, ...random.map((_, i) => random[i % width])] };
  for (const [name, mixer] of ALL) {
    // With sizes as models have them; all earlier tokens would be T^2 scores.
    const options = { ...defaultsOf(mixer.options), ...("span" in mixer.options ? { span: "window" } : {}) };
    const layer: Layer = mixer.create(options, { width, block: 1, blocks: 3 });
    await t.step(name, async () => {
      const fn = (params: Tree, x: Tensor): unknown => {
        const loss = (params: Tree, x: Tensor): Tensor => mean(square(atOnce(layer)(params, x)));
        const [value, gradient] = valueAndGrad(loss, { argnums: [0, 1] })(params, x);
        // Sums, so that little is read back: one that is not finite makes its sum so.
        const sums = (tree: unknown): unknown => mapLeaves(tree as Tensor, isTensor, (g) => sum(square(g)));
        return { value, gradient: sums(gradient) };
      };
      const result = await onDevice(device)(fn as never, [parametersOf(layer, 0), x] as never);
      for (const [path, values] of Object.entries(leavesOf(result))) {
        assert(Array.from(values).every(Number.isFinite), `${path} is ${values[0]}`);
      }
    });
  }
  device.dispose();
});

/** Parameters of a layer by its paper's formula, without a convolution: D width, H heads, K and V widths of a head. */
const COUNTS: Partial<Record<MixerName, (D: number, H: number) => number>> = {
  attention: (D) => 4 * D ** 2,
  linear: (D) => 4 * D ** 2,
  retnet: (D, H) => 8 * D ** 2 + 2 * D / H,
  gla: (D, H) => 4 * D ** 2 + 16 * D + 16 * D / 2 + D / 2 + D / H,
  hgrn2: (D) => 4 * D ** 2 + D,
};

Deno.test("parameters are as many as the formulas say, with a convolution as many more as it has taps", () => {
  for (const [name, count] of Object.entries(COUNTS) as [MixerName, (D: number, H: number) => number][]) {
    const table = MIXERS[name].options;
    for (const [D, H] of [[64, 2], [192, 3]]) {
      const size = (options: OptionRecord): number => {
        const layer = MIXERS[name].create({ ...defaultsOf(table), heads: H, ...options }, {
          width: D,
          block: 0,
          blocks: 4,
        });
        return flatten(layer.parameters(1), isParameter, "a parameter").leaves.reduce(
          (n, { shape }) => n + sizeOfShape(shape),
          0,
        );
      };
      if (!("convolution" in table)) {
        assertEquals(size({}), count(D, H), name);
        continue;
      }
      assertEquals(size({ convolution: 0 }), count(D, H), name);
      const channels = { linear: 3, retnet: 4, gla: 2, hgrn2: 3 }[name as "gla"] * D;
      assertEquals(size({ convolution: 4 }) - size({ convolution: 0 }), 4 * channels, name);
    }
  }
});
