/** TTT layers: the numbers of the authors' code, and what sets them apart from a memory with a decay. */
import { assert, assertThrows } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { flatten, type MapTree } from "../../core/tree.ts";
import { mean, square, sub } from "../../ops/mod.ts";
import { ConfigError, defineConfig, MIXERS } from "../../titans/mod.ts";
import type { TttParameters } from "../../titans/mixers/ttt/ttt.ts";
import { randn } from "../golden_layers.ts";
import { isValue, norm, reference, relativeError, testOnDevices, type Value } from "./runners.ts";

const B = 2, T = 37, D = 16, H = 2, K = D / H, b = 16;

/** Parameters as the golden script draws them: seeds count from 101 in its order. */
function goldenParameters(model: "tttLinear" | "tttMlp", gate: boolean): TttParameters<Value> {
  let seed = 101;
  const draw = (shape: readonly number[], scale: number, offset = 0): Value => {
    const data = randn(shape.reduce((size, extent) => size * extent, 1), scale, seed++);
    return { shape, data: Float64Array.from(data, (x) => Math.fround(x + offset)) };
  };
  const square = (): Value => draw([D, D], 0.25),
    affine = (from: number, to: number) => ({
      matrix: draw([H, from, to], 1 / Math.sqrt(from)),
      bias: draw([H, 1, to], 0.1),
    });
  const projections = [square(), square(), square()], out = square();
  const row = (r: number): number[] => projections.flatMap(({ data }) => Array.from(data).slice(r * D, (r + 1) * D));
  return {
    projection: { shape: [D, 3 * D], data: Array.from({ length: D }, (_, r) => row(r)).flat() },
    out,
    rate: draw([D, H], 0.25),
    rateBias: draw([H], 0.1),
    tokenRate: draw([b], 0.02),
    innerNorm: { gain: draw([H, K], 0.1, 1), bias: draw([H, K], 0.1) },
    norm: { gain: draw([D], 0.1, 1), bias: draw([D], 0.1) },
    initial: model === "tttLinear" ? [affine(K, K)] : [affine(K, 4 * K), affine(4 * K, K)],
    ...(gate ? { gate: square() } : {}),
  };
}

/** Loss, outputs 297, 891 and 1183, the norm of all, and norms of gradients by parameter. */
interface Golden {
  readonly y: readonly number[];
  readonly gradients: Readonly<Record<string, number>>;
}

/** From a loop over tokens that writes every weight, PyTorch f64; equal to the authors' code. */
const GOLDEN: readonly (readonly ["tttLinear" | "tttMlp", gate: boolean, Golden])[] = [
  ["tttLinear", false, {
    y: [2.166264422, 1.074495903, 1.462202414e-1, -1.475912397e-2, 35.39249191],
    gradients: {
      x: 9.510046296e-2,
      out: 8.578521225e-1,
      rate: 2.242333955e-2,
      rateBias: 6.713414293e-3,
      tokenRate: 7.663930202e-2,
      "innerNorm.gain": 1.336490690e-1,
      "innerNorm.bias": 7.136018972e-2,
      "norm.gain": 5.794238707e-1,
      "norm.bias": 8.970007737e-2,
      "initial[0].matrix": 3.478850426e-1,
      "initial[0].bias": 1.192990311e-1,
    },
  }],
  ["tttLinear", true, {
    y: [1.512407081, -2.495765813e-2, -1.084348516, -5.138703442e-1, 22.50609484],
    gradients: {
      x: 1.120622931e-1,
      out: 3.169511163e-1,
      rate: 1.846612053e-2,
      tokenRate: 9.330955462e-2,
      "innerNorm.gain": 6.175192783e-2,
      "initial[0].matrix": 1.576304307e-1,
      gate: 4.456641620e-1,
    },
  }],
  ["tttMlp", false, {
    y: [2.310460298, 1.733884406, 6.169782680e-1, 1.416073287, 37.10175508],
    gradients: {
      x: 8.918108353e-2,
      out: 8.907119943e-1,
      rate: 1.791834870e-2,
      rateBias: 4.468245732e-3,
      tokenRate: 1.122186583e-1,
      "innerNorm.gain": 1.266660375e-1,
      "innerNorm.bias": 1.228498832e-1,
      "initial[0].matrix": 2.824808578e-1,
      "initial[0].bias": 1.156222343e-1,
      "initial[1].matrix": 6.413933624e-1,
      "initial[1].bias": 2.346639171e-1,
    },
  }],
];

interface Outcome {
  readonly value: Tensor;
  readonly y: Tensor;
  readonly gradient: TttParameters<Tensor>;
  readonly dx: Tensor;
}

const X: Value = { shape: [B, T, D], data: randn(B * T * D, 1, 10) };
const TARGET: Value = { shape: [B, T, D], data: randn(B * T * D, 1, 11) };

/** Loss, outputs and gradients of a layer over 37 tokens: two mini-batches and a part of one. */
function outcomeOf(model: "tttLinear" | "tttMlp", backboneGate: boolean) {
  const { miniBatch, checkpoint } = defineConfig();
  const layer = MIXERS[model].create({ heads: H, miniBatch, checkpoint, baseRate: 0, backboneGate }, {
    width: D,
    block: 0,
    blocks: 1,
  });
  return (params: TttParameters<Tensor>, x: Tensor, target: Tensor): Outcome => {
    const loss = (p: TttParameters<Tensor>, x: Tensor): [Tensor, Tensor] => {
      const { output } = layer.forward(p, x, { state: layer.initialState(p, B) });
      return [mean(square(sub(output, target))), output];
    };
    const [[value, y], gradients] = valueAndGrad(loss, { argnums: [0, 1] })(params, x);
    const [gradient, dx] = gradients as unknown as [TttParameters<Tensor>, Tensor];
    return { value, y, gradient, dx };
  };
}

function checkGolden(
  { value, y, gradient, dx }: MapTree<Outcome, Tensor, Value>,
  golden: Golden,
  allowed: number,
): void {
  const { leaves, paths } = flatten(gradient, isValue);
  const norms: Record<string, number> = { x: norm(dx.data) };
  paths.forEach((path, i) => norms[path] = norm((leaves[i] as Value).data));
  const actual = [value.data[0], ...[297, 891, 1183].map((i) => y.data[i]), norm(y.data)];
  actual.forEach((x, i) => assert(relativeError([x], [golden.y[i]]) < allowed, `number ${i} is ${x}`));
  for (const [name, expected] of Object.entries(golden.gradients)) {
    assert(
      relativeError([norms[name]], [expected]) < allowed,
      `the gradient of ${name} is ${norms[name]}, not ${expected}`,
    );
  }
}

for (const [model, gate, golden] of GOLDEN) {
  Deno.test(`${model}${gate ? " with a gate" : ""}: outputs, loss and gradients are those of the authors' code`, async () => {
    checkGolden(await reference(outcomeOf(model, gate), [goldenParameters(model, gate), X, TARGET]), golden, 1e-8);
  });
}

testOnDevices("ttt: outputs, loss and gradients are those of the authors' code", async ({ run }) => {
  for (const [model, gate, golden] of [GOLDEN[1], GOLDEN[2]]) {
    checkGolden(await run(outcomeOf(model, gate), [goldenParameters(model, gate), X, TARGET]), golden, 1e-4);
  }
});

Deno.test("ttt: an odd head width, which cannot be rotated, is refused", () => {
  assertThrows(() => defineConfig({ model: "tttLinear", width: 6, heads: 2 }), ConfigError, "6 / 2 is 3");
  assertThrows(() => defineConfig({ model: "tttMlp", width: 6, heads: 4 }), ConfigError, "must divide the width");
});
