/** TTT layers: what the suites of all mixers do not see. */
import { assertThrows } from "@std/assert";
import { ConfigError, defineConfig } from "../../titans/mod.ts";

Deno.test("ttt: head widths that cannot be are refused", () => {
  assertThrows(() => defineConfig({ model: "tttLinear", width: 6, heads: 2 }), ConfigError, "6 / 2 is 3");
  assertThrows(() => defineConfig({ model: "tttMlp", width: 6, heads: 4 }), ConfigError, "must divide the width");
});
