/** Recurrent memory around a stack of blocks: depths of gradients, and what it refuses. Its numbers: golden_mixers_test.ts. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { crossEntropy, sliceAxis } from "../../ops/mod.ts";
import { ConfigError, defineConfig, Model } from "../../titans/mod.ts";
import { tinyModel, tokensOf } from "./builders.ts";
import { reference, relativeError } from "./runners.ts";

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
