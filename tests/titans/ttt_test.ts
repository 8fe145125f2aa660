/** TTT layers: what the suites of all mixers do not see. */
import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError, countParameters, defineConfig } from "../../titans/mod.ts";

Deno.test("ttt: head widths that cannot be are refused", () => {
  assertThrows(() => defineConfig({ model: "tttLinear", width: 6, heads: 2 }), ConfigError, "6 / 2 is 3");
  assertThrows(() => defineConfig({ model: "tttMlp", width: 6, heads: 4 }), ConfigError, "must divide the width");
});

Deno.test("ttt: parameters are as many as the formula says", () => {
  const D = 64, H = 2, K = D / H, b = 16, rest = 4 * D * D + D * H + H + b + 4 * D;
  const perBlock = (options: object): number => {
    const [one, two] = [1, 2].map((blocks) =>
      countParameters(defineConfig({ convolution: 0, ...options, blocks, mlpHidden: 8 }))
    );
    return two - one - 3 * D * 8 - 2 * D; // without MLP and norms
  };
  assertEquals(perBlock({ model: "tttLinear" }), rest + D * K + D);
  assertEquals(perBlock({ model: "tttMlp" }), rest + 8 * D * K + 5 * D);
  assertEquals(perBlock({ model: "tttLinear", convolution: 4 }), rest + D * K + D + 12 * D);
  assertEquals(perBlock({ model: "tttMlp", backboneGate: true }), rest + 8 * D * K + 5 * D + D * D);
});
