/** Models by name: which blocks they have, and that blocks of different mixers go together in all that a model does. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { crossEntropy, sliceAxis } from "../../ops/mod.ts";
import {
  ConfigError,
  decodeMemory,
  Decoder,
  defineConfig,
  encodeMemory,
  fingerprint,
  Model,
  type RecipeName,
  RECIPES,
} from "../../titans/mod.ts";
import { checkOnDevice, RECIPE_CASES } from "./model_checks.ts";
import { cut, readModel, rowsOf, tinyModel, tokensOf } from "./builders.ts";
import { leavesOf, norm, prepareReference, reference, relativeError, type Value } from "./runners.ts";

const NAMES = Object.keys(RECIPES) as RecipeName[];

function tiny(name: RecipeName): { model: Model; params: Value } {
  return tinyModel({ model: name, blocks: 2 * RECIPES[name].blocks.length });
}

Deno.test("recipes: a model repeats its blocks, with the options that its name says, and a list of blocks can be the same", () => {
  const blocksOf = (model: Model): unknown[] =>
    model.layers.map(({ mixer, options: { span = "" } }) => [mixer.name, span]);
  const window = ["attention", "window"],
    [mamba, mamba2, delta] = ["mamba", "mamba2", "gatedDeltaNet"].map((m) => [m, ""]);
  const of = (model: RecipeName, blocks?: number): unknown[] => blocksOf(new Model(defineConfig({ model, blocks })));
  assertEquals(of("samba"), [mamba, window]);
  assertEquals(of("samba", 4), [mamba, window, mamba, window]);
  assertEquals(of("gdnH1"), [delta, window]);
  assertEquals(of("gdnH2"), [mamba2, delta, window]);
  assertEquals(of("swa"), [window, window]);
  const listed = defineConfig({ blocks: [{ mixer: "mamba" }, { mixer: "swa" }] });
  assertEquals(blocksOf(new Model(listed)), of("samba"));
  assertThrows(() => of("gdnH2", 4), ConfigError, "gdnH2 repeats 3 blocks, give a multiple of that");
  assertThrows(() => defineConfig({ blocks: [{ mixer: "samba" }] }), ConfigError, "stands for the blocks mamba, swa");
});

Deno.test("recipes: what a model has read goes to a file, and the same model goes on from it", async () => {
  const device = await requestDevice({ kind: "cpu" });
  for (const name of NAMES) {
    const { model, params } = tiny(name), flat = Float32Array.from(params.data);
    const owner = { model, weights: fingerprint(flat) };
    const decoder = await Decoder.create(device, model, flat);
    await decoder.read([1, 2, 3]);
    const bytes = encodeMemory(owner, { reading: await decoder.state.export(), notes: {} });
    const expected = await decoder.read([4, 5]);
    decoder.restore(decodeMemory(bytes, owner).reading);
    assertEquals(await decoder.read([4, 5]), expected, name);
    decoder.dispose();
  }
  device.dispose();
});

Deno.test("cpu: recipes: numbers of the reference, gradients, pieces, masks, causality, batches, files, single tokens", async (t) => {
  const device = await requestDevice({ kind: "cpu" });
  for (const { name, options } of RECIPE_CASES) {
    await t.step(name, () => checkOnDevice(device, options, { isDifferentiated: true, tile: 4 }));
  }
  device.dispose();
});

for (const name of NAMES) {
  Deno.test(`${name}: pieces are the whole, and no output depends on a later token, bit for bit`, async () => {
    const { model, params } = tiny(name), { interval } = model, T = 2 * interval + 3;
    const tokens = tokensOf(1, T), whole = await readModel(reference, model, params, tokens);
    const first = await readModel(reference, model, params, cut(tokens, 0, interval));
    const second = await readModel(reference, model, params, cut(tokens, interval, T), first.state);
    const pieces = [...first.logits.data as Float64Array, ...second.logits.data as Float64Array];
    assert(relativeError(pieces, whole.logits.data) < 1e-9, `${name} in pieces`);
    const at = interval + 1, data = Int32Array.from(tokens.data, (token, i) => i === at ? (token + 1) % 11 : token);
    const changed = await readModel(reference, model, params, { ...tokens, data });
    assertEquals(rowsOf(changed.logits, 0, at), rowsOf(whole.logits, 0, at));
    assert(relativeError(rowsOf(changed.logits, at, T), rowsOf(whole.logits, at, T)) > 1e-6, "later outputs change");
  });

  Deno.test(`${name}: token by token is all at once`, async () => {
    const device = await requestDevice({ kind: "reference" }), { model, params } = tiny(name);
    const decoder = await Decoder.create(device, model, Float32Array.from(params.data));
    const tokens = Array.from({ length: model.interval + 3 }, (_, i) => (i * i + 3 * i) % 11);
    const { logits, state } = await decoder.prefill(tokens);
    for (const token of tokens) await decoder.read([token]);
    assert(relativeError(decoder.logits!, logits) < 1e-6, name);
    state.dispose();
    decoder.dispose();
    device.dispose();
  });
}

Deno.test("recipes: gradients are those of finite differences, over all parameters of a text", async () => {
  for (const name of NAMES) {
    const { model, params } = tinyModel({ model: name, blocks: RECIPES[name].blocks.length }), tokens = tokensOf(1, 20);
    const loss = (flat: Tensor, tokens: Tensor): Tensor =>
      crossEntropy(
        model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, 19)).logits,
        sliceAxis(tokens, 1, 1, 19),
      );
    const [[, gradient]] = Object.entries(leavesOf(await reference(grad(loss), [params, tokens])));
    const lossOf = prepareReference(loss, [params, tokens]), step = 1e-6;
    const direction = Float64Array.from(params.data, (_, i) => Math.sin(i * i));
    const moved = (by: number): number => {
      const data = Float64Array.from(params.data, (x, i) => x + by * step * direction[i]);
      return lossOf([{ ...params, data }, tokens]).data[0];
    };
    const expected = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step);
    const actual = direction.reduce((sum, d, i) => sum + d * gradient[i], 0);
    assert(
      norm(gradient) > 1e-3 && Math.abs(actual - expected) < 1e-6 * Math.max(1, Math.abs(expected)),
      `${name}: ${actual}, not ${expected}`,
    );
  }
});
