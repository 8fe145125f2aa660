/** The models side by side, and the sizes that they are given. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { ModelRow } from "../../cli/model_table.ts";
import { stateBytesOf } from "../../figures/cost.ts";
import { UsageError } from "../../cli/errors.ts";
import { infoCommand } from "../../cli/info.ts";
import { requestDevice } from "../../kernels/mod.ts";
import {
  ConfigError,
  countParameters,
  Decoder,
  defineConfig,
  Model,
  MODEL_OPTIONS,
  type ModelKind,
  PRESET_PARAMETERS,
  withParameters,
} from "../../titans/mod.ts";
import { FIXED_PRESETS } from "../../titans/mixers/recipes.ts";
import { tinyModel } from "../titans/builders.ts";
import { FakeTerminal } from "./fake_terminal.ts";

const KINDS = Object.keys(MODEL_OPTIONS.model.choices) as ModelKind[];

Deno.test("model sizes: presets are equally large within 3%, but for models whose presets are fixed", () => {
  for (const preset of ["nano", "small"] as const) {
    for (const model of KINDS) {
      const config = defineConfig({ model }, preset), count = countParameters(config);
      if (preset === "nano") assertEquals(count, new Model(config).layout.parameterCount, model);
      if (FIXED_PRESETS.has(model)) continue;
      assert(Math.abs(count / PRESET_PARAMETERS[preset] - 1) < 0.03, `${model} ${preset} has ${count} parameters`);
    }
  }
  // As they were in 0.1.0.
  const sizes = (["lmm", "mac", "mag", "mal"] as const).map((model) => countParameters(defineConfig({ model })));
  assertEquals(sizes, [176_972, 202_316, 193_996, 193_868]);
});

Deno.test("model sizes: any number of parameters is met by the MLPs, or refused with the nearest", () => {
  for (const parameters of [150_000, 200_000, 1_000_000]) {
    const model = withParameters(defineConfig({ blocks: [{ mixer: "lmm" }, { mixer: "swa", window: 8 }] }), parameters);
    const count = countParameters(model);
    assert(Math.abs(count / parameters - 1) < 0.03 && model.mlpHidden % 8 === 0, `${count} for ${parameters}`);
  }
  assertThrows(
    () => withParameters(defineConfig({ model: "lmm" }), 50_000),
    ConfigError,
    "Cannot use parameters 50,000: with blocks of width 64 the nearest is 112,460; change the width or the number of blocks",
  );
});

Deno.test("info --models: every model with its paper, parameters, state and arithmetic", async () => {
  const terminal = new FakeTerminal();
  assertEquals(await infoCommand.run(["--models", "--parameters", "200000", "--json"], terminal), 0);
  const [{ models }] = terminal.events as unknown as { models: ModelRow[] }[];
  assertEquals(models.map(({ model }) => model), KINDS);
  for (const { model, paper, parameters, stateBytes, flopsPerToken } of models) {
    assert(Math.abs(parameters / 200_000 - 1) < 0.03, model);
    assert(paper === null || /^\d{4}\.\d{5}$/.test(paper), model);
    // Every parameter but the embedding's is used about twice a token.
    assert(
      stateBytes > 0 && flopsPerToken > 1.5 * (parameters - 256 * 64),
      `${model}: ${stateBytes}, ${flopsPerToken}`,
    );
  }
  const [lmm, swa] = ["lmm", "swa"].map((name) => models.find(({ model }) => model === name)!);
  assertEquals([lmm.paper, lmm.blocks, swa.blocks], ["2501.00663", ["lmm", "lmm"], ["attention", "attention"]]);
});

Deno.test("info: sizes of models without --models are refused rather than ignored", async () => {
  for (const flags of [["--preset", "small"], ["--parameters", "1000"]]) {
    await assertRejects(
      () => infoCommand.run(flags, new FakeTerminal()),
      UsageError,
      `${flags[0]} is a size of models, which are shown with --models: add --models`,
    );
  }
});

Deno.test("info --models: the state is what a decoder carries", async () => {
  const device = await requestDevice({ kind: "reference" });
  for (const kind of ["mac", "swa", "tttMlp"] as const) {
    const { model } = tinyModel({ model: kind });
    const decoder = await Decoder.create(device, model, model.layout.pack(model.initialize(1)));
    assertEquals(stateBytesOf(model), decoder.start.sizeBytes, kind);
    decoder.dispose();
  }
  device.dispose();
});
