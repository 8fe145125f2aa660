/** Mamba, Mamba2, DeltaNet and Gated DeltaNet: numbers of parameters and of state, how they start, options that fit. */
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

/** The numbers of parameters and of state of one text. */
function sizesOf(name: Name, width: number, options: OptionRecord): { parameters: number; state: number } {
  const layer = layerOf(name, width, options), described = layer.parameters(1), layout = layoutOf(described);
  const specs = layout.treeOf(layout.entries.map(({ parameter }) => spec(parameter.shape)));
  const { graph } = trace((params: unknown) => layer.initialState(params, 1), [specs as never]);
  return {
    parameters: layout.parameterCount,
    state: graph.outputs.reduce((sum, { shape }) => sum + sizeOfShape(shape), 0),
  };
}

Deno.test("parameters and states are as many as the formulas say", () => {
  for (const [D, H] of [[64, 2], [192, 3]]) {
    const E = 2 * D, N = 16, R = Math.ceil(D / 16), P = D / H, W = 4, K = 0.75 * D / H, V = 2 * K;
    const expected: Record<Name, { parameters: number; state: number }> = {
      mamba: { parameters: 6 * D * D + 2 * D * (2 * R + 3 * N + 7), state: E * N + 3 * E },
      mamba2: {
        parameters: 6 * D * D + 2 * P * D + 2 * H * D + 5 * (E + 2 * P) + 3 * 2 * H + E,
        state: E * P + 3 * (E + 2 * P),
      },
      deltaNet: { parameters: 4 * D * D + 3 * W * D + D * H + P, state: D * D / H + 9 * D },
      gatedDeltaNet: {
        parameters: 8 * D * H * K + 16 * H * K + 2 * D * H + 2 * H + V,
        state: H * K * V + 3 * (2 * H * K + H * V),
      },
    };
    for (const [name, sizes] of Object.entries(expected)) {
      assertEquals(sizesOf(name as Name, D, { heads: H }), sizes, name);
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
