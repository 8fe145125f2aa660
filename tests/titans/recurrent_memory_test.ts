/** Recurrent memory around a stack of blocks: the numbers of PyTorch, depths of gradients, and what it refuses. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { grad, valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { add, concat, crossEntropy, matmul, mean, mul, rmsNorm, silu, sliceAxis, square, sub } from "../../ops/mod.ts";
import { ConfigError, defineConfig, MIXERS, Model } from "../../titans/mod.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { firstMemory, throughSegments } from "../../titans/models/recurrent_memory.ts";
import { randn } from "../golden_layers.ts";
import { tinyModel, tokensOf } from "./builders.ts";
import { norm, reference, relativeError, type Value } from "./runners.ts";

const B = 2, T = 37, D = 16, F = 40;

const SHAPES = {
  memory: [3, D],
  attentionNorm: [D],
  query: [D, D],
  key: [D, D],
  value: [D, D],
  out: [D, D],
  mlpNorm: [D],
  gate: [D, F],
  up: [D, F],
  down: [F, D],
  last: [D],
} as const;
type Parameters<Leaf> = { readonly [Name in keyof typeof SHAPES]: Leaf };

/** Drawn in this order, seeds from 101 on: gains around one, the memory of deviation 1, matrices of 1/4 and 1/sqrt(F). */
const PARAMETERS = Object.fromEntries(
  Object.entries(SHAPES).map(([name, shape], i) => {
    const isGain = shape.length === 1, size = shape.reduce((a, b) => a * b, 1);
    const scale = isGain ? 0.1 : name === "memory" ? 1 : name === "down" ? 1 / Math.sqrt(F) : 0.25;
    return [name, { shape, data: randn(size, scale, 101 + i).map((x) => x + (isGain ? 1 : 0)) }];
  }),
) as unknown as Parameters<Value>;

const Y = { at: [297, 891, 1183], loss: 2.005090305, y: [0.9724118257, 1.065982923, 0.6146833216], norm: 34.86409068 };

/** Norms of the gradients of x, memory, attention, MLP and the last norm by the depth of gradients: all segments, none. */
const GRADIENTS: readonly (readonly [depth: number, norms: readonly number[]])[] = [
  [0, [8.225713476e-2, 2.395271467e-2, 2.837967539e-1, 2.634750997e-1, 5.004056187e-1]],
  [1, [8.205208791e-2, 8.393462695e-3, 2.674606328e-1, 2.431730430e-1, 5.015477856e-1]],
];

/** A block of attention and an MLP with a recurrent memory of 3 rows, over segments of 16 tokens. */
function block(p: Parameters<Tensor>, x: Tensor, depth: number): Tensor {
  const { attention } = MIXERS, epsilon = 1e-5, options = { ...defaultsOf(attention.options), heads: 2, maxLength: 22 };
  const layer = attention.create(options, { width: D, block: 0, blocks: 1 });
  const own = { projection: concat([p.query, p.key, p.value], 1), out: p.out };
  const read = (rows: Tensor): Tensor => {
    const normed = rmsNorm(rows, { gain: p.attentionNorm, epsilon });
    const mixed = add(rows, layer.forward(own, normed, { state: layer.initialState(own, B), atStart: true }).output);
    const y = rmsNorm(mixed, { gain: p.mlpNorm, epsilon });
    return add(mixed, matmul(mul(silu(matmul(y, p.gate)), matmul(y, p.up)), p.down));
  };
  const last = (rows: Tensor): Tensor => rmsNorm(rows, { gain: p.last, epsilon });
  const context = { memory: firstMemory(p.memory, B), rematerialize: "save" } as const;
  return last(throughSegments({ tokens: 3, segment: 16, depth }, { read, norm: last }, x, context).x);
}

for (const [depth, expected] of GRADIENTS) {
  Deno.test(`recurrent memory: a block with gradients through ${depth === 0 ? "all segments" : "none"} is that of PyTorch`, async () => {
    const [x, target] = [10, 11].map((seed): Value => ({ shape: [B, T, D], data: randn(B * T * D, 1, seed) }));
    const fn = (p: Parameters<Tensor>, x: Tensor, target: Tensor) => {
      const loss = (p: Parameters<Tensor>, x: Tensor): [Tensor, Tensor] => {
        const y = block(p, x, depth);
        return [mean(square(sub(y, target))), y];
      };
      const [[value, y], gradients] = valueAndGrad(loss, { argnums: [0, 1] })(p, x);
      const [dp, dx] = gradients as unknown as [Parameters<Tensor>, Tensor];
      return { value, y, dp, dx };
    };
    const { value, y, dp, dx } = await reference(fn, [PARAMETERS, x, target]);
    const together = (...parts: Value[]): number => norm(parts.flatMap(({ data }) => Array.from(data)));
    const actual = [value.data[0], ...Y.at.map((i) => y.data[i]), norm(y.data)];
    const norms = [
      together(dx),
      together(dp.memory),
      together(dp.attentionNorm, dp.query, dp.key, dp.value, dp.out),
      together(dp.mlpNorm, dp.gate, dp.up, dp.down),
      together(dp.last),
    ];
    [...actual, ...norms].forEach((number, i) =>
      assert(relativeError([number], [[Y.loss, ...Y.y, Y.norm, ...expected][i]]) < 1e-8, `number ${i} is ${number}`)
    );
  });
}

Deno.test("recurrent memory: gradients go back through as many segments as they should", async () => {
  const gradientOf = async (recurrentDepth: number): Promise<ArrayLike<number>> => {
    const { model, params } = tinyModel({ model: "rmt", recurrentSegment: 4, recurrentDepth, blocks: 1 });
    const loss = (flat: Tensor, tokens: Tensor): Tensor =>
      crossEntropy(
        model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, 14)).logits,
        sliceAxis(tokens, 1, 1, 14),
      );
    return (await reference(grad(loss), [params, tokensOf(1, 15)])).data;
  };
  // 14 tokens are 3 segments and a part of one: through 4 is through all.
  const [all, four, two, one] = await Promise.all([0, 4, 2, 1].map(gradientOf));
  assertEquals(four, all);
  assert(relativeError(two, all) > 1e-4 && relativeError(one, all) > 1e-4 && relativeError(one, two) > 1e-4);
});

Deno.test("recurrent memory: any mixers that go on at any token, as many rows as the options say, and no others", () => {
  const rows = (options: object): unknown =>
    new Model(defineConfig(options)).layout.entries.find(({ name }) => name === "recurrent")?.parameter.shape;
  assertEquals(rows({ model: "rmt" }), [16, 64]);
  assertEquals(rows({ model: "rmt", recurrentTokens: 5 }), [5, 64]);
  assertEquals(rows({ blocks: [{ mixer: "mamba" }, { mixer: "swa" }], recurrentTokens: 3 }), [3, 64]);
  assertEquals(rows({ model: "swa" }), undefined);
  const model = new Model(defineConfig({ model: "rmt", recurrentSegment: 32 }));
  assertEquals([model.interval, model.maxLength, model.layers[0].options.maxLength], [32, Infinity, 64]);
  assertThrows(
    () => defineConfig({ model: "lmm", recurrentTokens: 2 }),
    ConfigError,
    "Cannot use recurrentTokens 2: lmm reads 16 tokens at once",
  );
});
