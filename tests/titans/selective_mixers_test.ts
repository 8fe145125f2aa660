/** Mamba, Mamba2, DeltaNet and Gated DeltaNet: sizes of states, how they start, options that fit. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { sizeOfShape } from "../../core/shape.ts";
import { spec, trace } from "../../core/trace.ts";
import { ConfigError } from "../../titans/errors.ts";
import { MIXERS } from "../../titans/mixers/registry.ts";
import { HostRng } from "../../titans/nn/host_rng.ts";
import { initialValues } from "../../titans/nn/initializers.ts";
import type { Parameter } from "../../titans/nn/parameters.ts";
import { layoutOf } from "../../titans/nn/layer.ts";
import { defaultsOf, type OptionRecord } from "../../titans/options/option_table.ts";

type Name = "mamba" | "mamba2" | "deltaNet" | "gatedDeltaNet";

function layerOf(name: Name, width: number, options: OptionRecord = {}) {
  const { [name]: { create, options: table } } = MIXERS;
  return create({ ...defaultsOf(table), ...options }, { width, block: 0, blocks: 1 });
}

/** The numbers that the state of one text has. */
function stateSizeOf(name: Name, width: number, options: OptionRecord): number {
  const layer = layerOf(name, width, options), layout = layoutOf(layer.parameters(1));
  const specs = layout.treeOf(layout.entries.map(({ parameter }) => spec(parameter.shape)));
  const { graph } = trace((params: unknown) => layer.initialState(params, 1), [specs as never]);
  return graph.outputs.reduce((sum, { shape }) => sum + sizeOfShape(shape), 0);
}

Deno.test("states are as large as the formulas say", () => {
  for (const [D, H] of [[64, 2], [192, 3]]) {
    const E = 2 * D, N = 16, P = D / H, K = 0.75 * D / H, V = 2 * K;
    const expected: Record<Name, number> = {
      mamba: E * N + 3 * E,
      mamba2: E * P + 3 * (E + 2 * P),
      deltaNet: D * D / H + 9 * D,
      gatedDeltaNet: H * K * V + 3 * (2 * H * K + H * V),
    };
    for (const [name, size] of Object.entries(expected)) {
      assertEquals(stateSizeOf(name as Name, D, { heads: H }), size, name);
    }
  }
});

/** The first values of a parameter. */
function startOf(parameter: Parameter): Float32Array {
  return initialValues(parameter.initializer, parameter.shape, new HostRng(0));
}

Deno.test("decays start at the lengths that the papers give", () => {
  const softplus = (x: number): number => Math.log1p(Math.exp(x));
  const { step, logRate, selection } = layerOf("mamba", 64).parameters(1);
  const steps = Array.from(startOf(step.bias), softplus);
  assert(steps.every((x) => x > 1e-3 && x < 0.1) && steps[0] < 1.1e-3 && steps.at(-1)! > 0.09, "steps of mamba");
  assertAlmostEquals(steps[64] / steps[63], 100 ** (1 / 128), 1e-4, "steps are spread log-uniformly");
  const rates = Array.from(startOf(logRate), Math.exp);
  for (let n = 0; n < 16; n++) assertAlmostEquals(rates[n * 128 + 5], n + 1, 1e-5);
  assertEquals([step.weight.initializer, selection.shape], [{ uniform: 0.5 }, [128, 36]]);
  for (const name of ["mamba2", "gatedDeltaNet"] as const) {
    const described = layerOf(name, 64, { heads: 4 }).parameters(1),
      { logRate, bias } = described.decay ??
        { logRate: described.logRate, bias: described.step.bias };
    const halfLives = Array.from(startOf(bias), (x, h) => Math.LN2 / (softplus(x) * Math.exp(startOf(logRate)[h])));
    assert(halfLives[0] > 100 && halfLives.at(-1)! < 2, `half-lives of ${name}: ${halfLives.join(", ")} tokens`);
  }
});

Deno.test("options that do not fit the width are refused", () => {
  const refused: [Name, OptionRecord, string][] = [
    ["deltaNet", { heads: 3 }, "heads 3: it must divide the width, 64"],
    ["mamba2", { heads: 3 }, "heads 3: it must divide the width, 64"],
    ["mamba2", { heads: 2, stateGroups: 3 }, "stateGroups 3: it must divide the heads, 2 times 2"],
    [
      "gatedDeltaNet",
      { heads: 2, keyRatio: 0.01 },
      "keyRatio 0.01: keys of 2 heads of a model of width 64 would be empty",
    ],
  ];
  for (const [name, options, text] of refused) assertThrows(() => layerOf(name, 64, options), ConfigError, text);
});
