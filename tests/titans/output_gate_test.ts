import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { defineConfig, type ModelConfig } from "../../titans/models/config.ts";
import { gateOutput } from "../../titans/mixers/titans/output_gate.ts";
import { Model } from "../../titans/models/model.ts";
import { assertClose, noise, reference, relativeError, type Value } from "./runners.ts";

const GATES = ["silu", "sigmoid"] as const;
const B = 2, T = 3, D = 5;
const INPUTS: [Value, Value, Value] = [noise([B, T, D], 1, 3), noise([D], 2), noise([B, T, D], 3, 2)];

const gated = (outputGate: ModelConfig["outputGate"]) => (y: Tensor, gain: Tensor, memory: Tensor): Tensor =>
  gateOutput(defineConfig({ outputGate }), { y, gain, memory });

/** The same in plain numbers. */
function expected(outputGate: ModelConfig["outputGate"]): Value {
  const [y, gain, memory] = INPUTS.map(({ data }) => Array.from(data));
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
  const data = Float64Array.from({ length: B * T * D }, (_, i) => {
    const row = y.slice(i - i % D, i - i % D + D), meanSquare = row.reduce((total, x) => total + x * x, 0) / D;
    const normed = y[i] / Math.sqrt(meanSquare + 1e-6) * gain[i % D], product = normed * memory[i];
    return outputGate === "silu" ? product * sigmoid(product) : normed * sigmoid(memory[i]);
  });
  return { shape: [B, T, D], data };
}

for (const outputGate of GATES) {
  Deno.test(`the output gate ${outputGate} is its formula`, async () => {
    assertClose({ output: await reference(gated(outputGate), INPUTS) }, { output: expected(outputGate) }, 1e-6);
  });
}

Deno.test("mac and mag gate their output as the option says; lmm and mal have no such gate", async () => {
  const TINY: Partial<ModelConfig> = {
    vocabulary: 11,
    width: 8,
    blocks: 1,
    mlpHidden: 12,
    memoryExpansion: 2,
    miniBatch: 4,
    segment: 8,
    window: 6,
  };
  const tokens: Value = {
    shape: [1, 13],
    dtype: "i32",
    data: Int32Array.from({ length: 13 }, (_, i) => (i * i + 3) % 11),
  };
  for (const name of ["lmm", "mac", "mag", "mal"] as const) {
    const [silu, sigmoid] = await Promise.all(GATES.map((outputGate) => {
      const model = new Model(defineConfig({ ...TINY, model: name, outputGate }));
      const params: Value = { shape: [model.layout.size], data: model.layout.pack(model.initialize(1)) };
      return reference((flat: Tensor, ids: Tensor) => model.forward(model.unflatten(flat), ids).logits, [
        params,
        tokens,
      ]);
    }));
    if (name === "lmm" || name === "mal") assertEquals(sigmoid.data, silu.data, name);
    else assert(relativeError(Float64Array.from(sigmoid.data), Float64Array.from(silu.data)) > 1e-3, name);
  }
});
