/** How many kernels programs become, as `explain` tells, and what does not grow with the length of a sequence. */
import { assert, assertEquals } from "@std/assert";
import { grad, valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { type Spec, spec, trace } from "../../core/trace.ts";
import { compile, type Device, requestDevice } from "../../kernels/mod.ts";
import { add, crossEntropy, gelu, layerNorm, matmul, mul, softmax, sum } from "../../ops/mod.ts";
import {
  applyGradient,
  clipByGlobalNorm,
  defineConfig,
  defineOptimizer,
  Model,
  type ModelParameters,
} from "../../titans/mod.ts";
import { nextToken } from "../../titans/train/next_token.ts";
import { stepScalars } from "../../titans/train/optimizer_config.ts";
import { trainingStep } from "../../titans/train/training_step.ts";
import { chunkLayer } from "../golden_layers.ts";

// deno-lint-ignore no-explicit-any -- any function of tensors
type Fn = (...args: any[]) => unknown;

async function kernelsOf(device: Device, fn: Fn, specs: readonly unknown[]): Promise<number> {
  using program = await compile(device, fn, specs as never);
  return program.explain().totals.kernels;
}

async function withDevice(run: (device: Device) => Promise<void>): Promise<void> {
  const device = await requestDevice({ kind: "webgpu" });
  try {
    await run(device);
  } finally {
    device.dispose();
  }
}

const X = spec([64, 96]), ROW = spec([96]);
const weighted = (f: (...args: Tensor[]) => Tensor) => (dy: Tensor, ...args: Tensor[]): Tensor =>
  sum(mul(f(...args), dy));
const norm = (x: Tensor, gain: Tensor, bias: Tensor): Tensor => layerNorm(x, { gain, bias });

const FUSED: readonly {
  readonly name: string;
  readonly fn: Fn;
  readonly specs: readonly Spec[];
  readonly atMost: number;
}[] = [
  {
    name: "gelu(x w + b) + x",
    fn: (x: Tensor, w: Tensor, b: Tensor) => add(gelu(add(mul(x, w), b)), x),
    specs: [X, X, X],
    atMost: 1,
  },
  { name: "softmax", fn: (x: Tensor) => softmax(x), specs: [X], atMost: 1 },
  { name: "layer norm", fn: norm, specs: [X, ROW, ROW], atMost: 1 },
  {
    name: "layer norm, gradients",
    fn: grad(weighted(norm), { argnums: [1, 2, 3] }),
    specs: [X, X, ROW, ROW],
    atMost: 3,
  },
  {
    name: "matmul + bias + gelu",
    fn: (x: Tensor, w: Tensor, b: Tensor) => gelu(add(matmul(x, w), b)),
    specs: [X, spec([96, 128]), spec([128])],
    atMost: 1,
  },
  {
    name: "cross-entropy",
    fn: (x: Tensor, t: Tensor) => crossEntropy(x, t, { reduction: "none" }),
    specs: [X, spec([64], "i32")],
    atMost: 1,
  },
  {
    name: "mean cross-entropy",
    fn: (x: Tensor, t: Tensor) => crossEntropy(x, t),
    specs: [X, spec([64], "i32")],
    atMost: 2,
  },
];

Deno.test("fusion: what should be one kernel is one", (t) =>
  withDevice(async (device) => {
    for (const { name, fn, specs, atMost } of FUSED) {
      await t.step(name, async () => {
        const kernels = await kernelsOf(device, fn, specs);
        assert(kernels >= 1 && kernels <= atMost, `${name} is ${kernels} kernels, at most ${atMost} were expected`);
      });
    }
  }));

/** A model's loss and flat gradient, without an optimiser. */
function gradientOnly(model: Model): Fn {
  return (flat: Tensor, tokens: Tensor, targets: Tensor) => {
    const loss = (params: ModelParameters<Tensor>): Tensor =>
      crossEntropy(model.forward(params, tokens).logits, targets);
    const [value, gradient] = valueAndGrad(loss)(model.unflatten(flat));
    return [value, model.layout.flatten(gradient)];
  };
}

/** The same with clipping and AdamW. */
function gradientAndUpdate(model: Model): Fn {
  const config = defineOptimizer(), gradient = gradientOnly(model);
  return (
    state: { params: Tensor; first: Tensor; second: Tensor },
    tokens: Tensor,
    targets: Tensor,
    scalars: Tensor,
  ) => {
    const [loss, flat] = gradient(state.params, tokens, targets) as [Tensor, Tensor];
    const { norm, clipped } = clipByGlobalNorm(flat, config.clipNorm);
    return [loss, norm, applyGradient(state, clipped, { config, scalars, layout: model.layout })];
  };
}

Deno.test("clipping and AdamW over all parameters are at most four kernels, however many parameters there are", () =>
  withDevice(async (device) => {
    const tokens = spec([1, 8], "i32");
    for (const blocks of [1, 3]) {
      const model = new Model(defineConfig({ model: "lmm", blocks, width: 32, mlpHidden: 48, miniBatch: 4, tile: 4 }));
      const flat = spec([model.layout.size]);
      const plain = await kernelsOf(device, gradientOnly(model), [flat, tokens, tokens]);
      const state = { params: flat, first: flat, second: flat };
      const whole = await kernelsOf(device, gradientAndUpdate(model), [
        state,
        tokens,
        tokens,
        spec([stepScalars(defineOptimizer(), 0).length]),
      ]);
      assert(whole - plain <= 4, `${blocks} blocks: ${whole - plain} kernels beside the ${plain} of loss and gradient`);
    }
  }));

Deno.test("shaders of a training step do not grow with the sequence, and its memory is planned", () =>
  withDevice(async (device) => {
    const reports = [];
    for (const T of [512, 2048]) {
      const layer = chunkLayer({ T });
      const params = Object.fromEntries(
        Object.entries(layer.parameters).map(([name, { shape }]) => [name, spec(shape)]),
      );
      const step = (p: Record<string, Tensor>, x: Tensor, y: Tensor): unknown =>
        valueAndGrad((q: Record<string, Tensor>) => layer.loss(q, x, y))(p);
      using program = await compile(device, step, [params, spec(layer.x.shape), spec(layer.y.shape)] as never);
      reports.push({
        shaders: program.shaderCount,
        kernels: program.explain().totals.kernels,
        peakBytes: program.peakBytes,
      });
    }
    const [short, long] = reports;
    assertEquals(long.shaders, short.shaders);
    assert(short.peakBytes <= 150e6, `a step on 512 tokens is planned with ${short.peakBytes} bytes`);
    console.log(
      `chunk layer, loss and gradients: ${short.kernels} kernels, ${short.shaders} shaders; planned MB at T 512 and 2048: ${
        reports.map(({ peakBytes }) => (peakBytes / 1e6).toFixed(1)).join(", ")
      }`,
    );
  }));

Deno.test("the nano MAC step traces to a graph whose loops hold the sequence", () => {
  const model = new Model(defineConfig({ model: "mac" }));
  const nodesAt = (T: number): number => {
    const flat = spec([model.layout.size]);
    const specs = [
      { params: flat, first: flat, second: flat },
      spec([]),
      { data: { tokens: spec([1, 2, T + 1], "i32") } },
      spec([stepScalars(defineOptimizer(), 0).length]),
    ];
    return trace(trainingStep(model, nextToken({ masked: false }), defineOptimizer()) as Fn, specs as never).graph.nodes
      .length;
  };
  assertEquals(nodesAt(512), nodesAt(128));
});
