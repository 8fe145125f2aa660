import { assert } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { compile, type Device, requestDevice } from "../../kernels/mod.ts";
import { crossEntropy, mean, sliceAxis, sqrt, square, sum } from "../../ops/mod.ts";
import { defineConfig, MIXERS, Model, type ModelConfig } from "../../titans/mod.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { atOnce, parametersOf, type Tree } from "./mixer_forms.ts";
import { leavesOf, noise, reference } from "./runners.ts";

const SEGMENT = 8, SEGMENTS = 64, T = SEGMENT * SEGMENTS;

/** Forgets so fast that 64 segments show what the default rate shows after thousands. */
const TINY: Partial<ModelConfig> = {
  width: 16,
  heads: 1,
  blocks: 1,
  mlpHidden: 16,
  miniBatch: 8,
  segment: SEGMENT,
  alphaBias: -4,
};

/** The norm of the gradient of an untrained model's mean loss over one window of many segments. */
async function gradientNorm(device: Device, options: Partial<ModelConfig>): Promise<number> {
  const model = new Model(defineConfig({ ...TINY, ...options }));
  const loss = (flat: Tensor, tokens: Tensor): Tensor =>
    mean(
      crossEntropy(model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, T)).logits, sliceAxis(tokens, 1, 1, T)),
    );
  const norm = (flat: Tensor, tokens: Tensor): Tensor => sqrt(sum(square(grad(loss)(flat, tokens))));
  const program = await compile(device, norm, [spec([model.layout.size]), spec([1, T + 1], "i32")]);
  try {
    const tokens = Int32Array.from({ length: T + 1 }, (_, i) => (i * i + 7 * i) % 251);
    return (await program.run(model.layout.pack(model.initialize(0)), tokens)).data[0];
  } finally {
    program.dispose();
  }
}

Deno.test("the gradient of an untrained model does not grow with the number of segments: whatever its kind, and the depth and network of its memory", async () => {
  const device = await requestDevice({ kind: "cpu" });
  try {
    const kinds = (["mac", "lmm", "mag", "mal"] as const).map((model): Partial<ModelConfig> => ({ model }));
    const memories: Partial<ModelConfig>[] = [{ memoryDepth: 4 }, { memory: "swiglu", thetaMax: 0.5 }, { thetaMax: 1 }];
    for (const options of [...kinds, ...memories]) {
      const norm = await gradientNorm(device, options);
      assert(norm < 5, `${JSON.stringify(options)}: the norm is ${norm}`);
    }
    // What it is measured against: a memory that forgets towards zero.
    const paper = await gradientNorm(device, { forgetTo: "zero" });
    assert(
      !(paper < 1e6),
      `forgetting towards zero has become harmless, with a norm of ${paper}: then the default may be it`,
    );
  } finally {
    device.dispose();
  }
});

Deno.test("reference: the gradient of MAC with heads of four features grows without bound over one token repeated, in f64 too", async () => {
  const largest = async (T: number): Promise<number> => {
    const width = 8, sizes = { heads: 2, segment: 8, memoryExpansion: 2, miniBatch: 4, tile: 2, persistentTokens: 2 };
    const layer = MIXERS.mac.create({ ...defaultsOf(MIXERS.mac.options), ...sizes }, { width, block: 1, blocks: 3 });
    const params = parametersOf(layer, 0), token = noise([width], 4).data;
    const x = { shape: [1, T, width], data: Float64Array.from({ length: T * width }, (_, i) => token[i % width]) };
    const loss = (params: Tree, x: Tensor): Tensor => mean(square(atOnce(layer)(params, x)));
    const gradient = leavesOf(await reference(grad(loss) as never, [params, x] as never));
    return Math.max(...Object.values(gradient).flatMap((values) => Array.from(values, Math.abs)));
  };
  const [short, long] = [await largest(256), await largest(2048)];
  // Else docs/stability.md, "Narrow heads and short segments", is out of date.
  assert(short < 1e3 && long > 1e9, `${short} over 256 tokens, ${long} over 2,048`);
});
