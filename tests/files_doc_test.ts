/**
 * docs/files.md against the code: every tensor of checkpoints and memory files has a row with its shape, and no row is
 * of a tensor that is not there.
 */
import { assert, assertEquals } from "@std/assert";
import { isSpec } from "../core/trace.ts";
import { memoryNetworkOf } from "../titans/mixers/titans/memory_layer.ts";
import { defineConfig, Model, type ModelConfig } from "../titans/mod.ts";
import { namedLeaves, stepSpecs } from "../titans/models/decode.ts";
import { codeIn, tableRows } from "./markdown.ts";

/** Extents that no two letters share. */
const ODD: Partial<ModelConfig> = {
  vocabulary: 31,
  width: 12,
  heads: 2,
  mlpHidden: 34,
  convolution: 5,
  persistentTokens: 3,
  memoryTokens: 7,
  miniBatch: 16,
  segment: 32,
  window: 19,
};
/** Together these have every tensor. */
const CONFIGS: readonly Partial<ModelConfig>[] = [
  { model: "lmm" },
  { model: "lmm", memoryGain: "fast", gateGranularity: "layer" },
  { model: "mac" },
  { model: "mac", memoryQuery: "previous-segment", gateGranularity: "channel", memoryDepth: 3 },
  { model: "mac", memoryQuery: "learned" },
  { model: "mag", memory: "swiglu" },
  { model: "mal" },
  { model: "attention", span: "window" },
];

const ROWS = tableRows(await Deno.readTextFile("docs/files.md")).filter(({ cells }) => cells.Shape !== undefined)
  .flatMap(({ heading, cells: { Name, Shape } }) =>
    codeIn(Name).map((name) => ({ heading, name, pattern: patternOf(name), shape: Shape }))
  );

function patternOf(name: string): RegExp {
  const escaped = name.replaceAll(".", "\\.").replace("blocks\\.N", "blocks\\.\\d+").replace(/\\\.L$/, "\\.(\\d+)")
    .replace("KIND", "(?:lmm|mac|mag|mal)");
  return new RegExp(`^${escaped}$`);
}

/** Numbers of a shape such as `[1, W - 1, 3 D]`. */
function extentsOf(shape: string, letters: Readonly<Record<string, number>>): number[] {
  return shape.slice(1, -1).split(", ").map((extent) => {
    const [, factor = "1", letter = "", less = "0"] = /^(\d+)? ?([A-Za-z]+)?(?: - (\d+))?$/.exec(extent)!;
    return Number(factor) * (letter === "" ? 1 : letters[letter]) - Number(less);
  });
}

Deno.test("docs/files.md: every tensor of checkpoints and memory files has a row with its shape, and every row a tensor", () => {
  const met = new Set<typeof ROWS[number]>();
  for (const options of CONFIGS) {
    const model = new Model(defineConfig({ ...ODD, ...options })),
      { config } = model,
      { layers } = memoryNetworkOf(config);
    const {
      vocabulary: V,
      width: D,
      mlpHidden: F,
      heads: H,
      persistentTokens: P,
      memoryTokens: Q,
      segment: C,
      window: S,
      convolution: W,
      gateGranularity,
    } = config;
    const out = layers.reduce((sum, layer) => sum + layer.out, 0), n = layers.length;
    const G = gateGranularity === "head" ? 3 * H : gateGranularity === "layer" ? 3 * n * H : 2 * n * H + H * out;
    const tensors = [
      ...model.layout.entries.map(({ name, parameter: { shape } }) => ({ heading: "Parameters", name, shape })),
      { heading: "Memory files", name: "logits", shape: [V] },
      ...namedLeaves(stepSpecs(model), isSpec).map(({ name, leaf: { shape } }) => ({
        heading: "Memory files",
        name,
        shape,
      })),
    ];
    for (const { heading, name, shape } of tensors) {
      const row = ROWS.find((row) => row.heading === heading && row.pattern.test(name));
      assert(row, `docs/files.md has no row for ${name}`);
      met.add(row);
      const layer = layers[Number(row.pattern.exec(name)![1] ?? 0)];
      const letters = { V, D, F, H, P, Q, C, S, W, G, K: D / H, in: layer.in, out: layer.out };
      assertEquals(
        extentsOf(row.shape, letters),
        shape,
        `${name} of ${JSON.stringify(options)}, in docs/files.md ${row.shape}`,
      );
    }
  }
  assertEquals(
    ROWS.filter((row) => !met.has(row)).map(({ name }) => name),
    [],
    "docs/files.md has rows of tensors that no model has",
  );
});
