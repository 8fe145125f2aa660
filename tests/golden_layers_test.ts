import { assert } from "@std/assert";
import type { Tensor } from "../core/graph.ts";
import { chunkLayer, type GoldenLayer, TOKEN_CASE_NAMES, tokenLayer } from "./golden_layers.ts";
import { openNative } from "./kernels/native_tests.ts";
import {
  type DeviceTest,
  norm,
  onDevice,
  reference,
  type Runner,
  testOnDevices,
  type Value,
} from "./titans/runners.ts";

/**
 * Runs a layer and compares known norms. The tolerance is relative; digits that the table does not have are not asked
 * for.
 */
async function checkLayer(
  layer: GoldenLayer,
  run: Runner,
  tolerance: number,
  names = Object.keys(layer.expected),
): Promise<void> {
  const wanted = (params: Record<string, Tensor>, x: Tensor, y: Tensor): Record<string, Tensor> => {
    const all = layer.evaluate(params, x, y);
    return Object.fromEntries(names.map((name) => [name, all[name]]));
  };
  const results: Record<string, Value> = await run(wanted, [layer.parameters, layer.x, layer.y]);
  for (const name of names) {
    const actual = norm(results[name].data), expected = layer.expected[name];
    const error = Math.abs(actual - expected) / expected, allowed = Math.max(tolerance, 1.01 * layer.digits[name]);
    assert(
      error <= allowed,
      `${layer.name}: ${name} is ${actual}, expected ${expected}: relative error ${error}, allowed ${allowed}`,
    );
  }
}

Deno.test("reference: the chunk layer has the known loss and gradients", () =>
  checkLayer(chunkLayer(), reference, 1e-7));

for (const name of TOKEN_CASE_NAMES) {
  Deno.test(`reference: the token layer (${name}) in matrix products has the known loss, gradients and final states`, () =>
    checkLayer(tokenLayer(name, { form: "matmul" }), reference, 1e-7));
}

for (const name of TOKEN_CASE_NAMES.filter((name) => name.startsWith("small"))) {
  Deno.test(`reference: the token layer (${name}) as a token loop has the known loss, gradients and final states`, () =>
    checkLayer(tokenLayer(name, { form: "token loop" }), reference, 1e-7));
}

// The gradient of 512 tokens with a matrix each takes the interpreter a minute; the forward pass says the same of the
// mathematics.
Deno.test("reference: the token layer (layer, b 64, norm) as a token loop has the known loss and final states", () =>
  checkLayer(tokenLayer("layer, b 64, norm", { form: "token loop" }), reference, 1e-7, [
    "loss",
    "W1",
    "W2",
    "S1",
    "S2",
  ]));

Deno.test("reference: a smaller tile changes no number of the token layer", () =>
  checkLayer(tokenLayer("small, b 16, norm", { form: "matmul", tile: 4 }), reference, 1e-7));

async function checkLayers({ run, t }: Pick<DeviceTest, "run" | "t">): Promise<void> {
  const layers = [
    chunkLayer(),
    ...TOKEN_CASE_NAMES.flatMap((
      name,
    ) => [tokenLayer(name, { form: "matmul" }), tokenLayer(name, { form: "token loop" })]),
  ];
  for (const layer of layers) await t.step(layer.name, () => checkLayer(layer, run, 1e-4));
}

const NAME = "both layers have the known losses, gradients and final states, as a token loop and in matrix products";

testOnDevices(NAME, checkLayers);

Deno.test(`native: ${NAME}`, async (t) => {
  using device = await openNative();
  await checkLayers({ run: onDevice(device), t });
});
