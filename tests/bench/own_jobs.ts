/** The jobs of the comparison, written with this library's ops. `jobs.ts` describes them. */
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { add, attention, gelu, layerNorm, matmul, mean, mul, softmax, square, sub, sum } from "../../ops/mod.ts";
import { mergeHeads, splitHeads } from "../../titans/nn/layers.ts";
import { chunkLayer, type GoldenLayer, tokenLayer } from "../golden_layers.ts";
import { baselineLayer } from "./baseline_layers.ts";
import { type Computation, type Elements, random } from "./computation.ts";
import type { JobName } from "./contestant.ts";

/** Arrays of a job are made when it is asked for. */
const COMPUTATIONS: Readonly<Record<JobName, () => Computation>> = {
  "matmul 256": () => product([256, 256]),
  "matmul 512": () => product([512, 512]),
  "matmul 1024": () => product([1024, 1024]),
  "matmul 256 x 64^3": () => product([256, 64, 64]),
  "gelu(xw + b) + x, 4M": () => ({
    kind: "plain",
    inputs: [1, 2, 3].map((seed) => random([2 ** 22], 1, seed)),
    fn: ([x, w, b]) => [add(gelu(add(mul(x, w), b)), x)],
  }),
  "softmax 4096 x 256": () => ({ kind: "plain", inputs: [random([4096, 256], 1, 1)], fn: ([x]) => [softmax(x)] }),
  "layer norm 4096 x 256, forward + backward": () => ({
    kind: "plain",
    inputs: [random([4096, 256], 1, 1), random([256], 1, 2), random([256], 1, 3), random([4096, 256], 1, 4)],
    fn: ([x, gain, bias, dy]) =>
      grad((x: Tensor, gain: Tensor, bias: Tensor) => sum(mul(layerNorm(x, { gain, bias, epsilon: 1e-5 }), dy)), {
        argnums: [0, 1, 2],
      })(x, gain, bias),
  }),
  "MLP 256-1024-256, batch 512, Adam": perceptron,
  "causal attention B4 T256 D256 H4, forward + backward": attentionBlock,
  "chunk layer, chunk 64, Adam": () => training(chunkLayer()),
  "chunk layer, chunk 16, Adam": () => training(chunkLayer({ C: 16 })),
  "per-token layer, b 64, Adam": () =>
    training(tokenLayer("layer, b 64, norm", { form: "matmul", checkpoint: "save" })),
  "per-token layer, b 16, Adam": () =>
    training(tokenLayer("layer, b 64, norm", { form: "matmul", checkpoint: "save", miniBatch: 16 })),
  "retnet layer, T 2048, Adam": () => baselineLayer("retnet", { convolution: 0, retention: "powers" }),
  "gla layer, T 2048, Adam": () => baselineLayer("gla", { convolution: 0 }),
  "mamba2 layer, T 2048, Adam": () => baselineLayer("mamba2", {}),
  "deltaNet layer, T 2048, Adam": () => baselineLayer("deltaNet", {}),
  "gatedDeltaNet layer, T 2048, Adam": () => baselineLayer("gatedDeltaNet", {}),
  "mamba layer, T 2048, Adam": () => baselineLayer("mamba", {}),
};

/** The computation of a job. */
export function ownJob(name: JobName): Computation {
  return COMPUTATIONS[name]();
}

function product(shape: readonly number[]): Computation {
  return { kind: "plain", inputs: [random(shape, 1, 1), random(shape, 1, 2)], fn: ([a, b]) => [matmul(a, b)] };
}

function zeros(shape: readonly number[]): Elements {
  return { shape, data: new Float32Array(shape.reduce((size, extent) => size * extent, 1)) };
}

function perceptron(): Computation {
  const D = 256, F = 1024, B = 512;
  return {
    kind: "training",
    parameters: { w1: random([D, F], 1 / 16, 1), b1: zeros([F]), w2: random([F, D], 1 / 32, 2), b2: zeros([D]) },
    inputs: [random([B, D], 1, 3), random([B, D], 1, 4)],
    loss: ({ w1, b1, w2, b2 }, x, y) => mean(square(sub(add(matmul(gelu(add(matmul(x, w1), b1)), w2), b2), y))),
  };
}

function attentionBlock(): Computation {
  const B = 4, T = 256, D = 256, H = 4;
  const loss = ({ weights, x }: { weights: readonly Tensor[]; x: Tensor }, dy: Tensor): Tensor => {
    const [q, k, v] = weights.slice(0, 3).map((w) => splitHeads(matmul(x, w), H));
    return sum(mul(matmul(mergeHeads(attention(q, k, v, { causal: true })), weights[3]), dy));
  };
  return {
    kind: "plain",
    inputs: [
      ...[1, 2, 3, 4].map((seed) => random([D, D], 1 / 16, seed)),
      random([B, T, D], 1, 5),
      random([B, T, D], 1, 6),
    ],
    fn: ([wq, wk, wv, wo, x, dy]) => {
      const gradient = grad(loss)({ weights: [wq, wk, wv, wo], x }, dy);
      return [...gradient.weights, gradient.x];
    },
  };
}

function training({ parameters, x, y, loss }: GoldenLayer): Computation {
  return { kind: "training", parameters, inputs: [x, y], loss: (params, x, y) => loss(params, x, y) };
}
