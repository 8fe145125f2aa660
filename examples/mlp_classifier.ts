/**
 * Two interleaved spirals, told by a network with one hidden layer.
 *
 *     deno run examples/mlp_classifier.ts
 */
import { jit, requestDevice, type Tensor, valueAndGrad } from "@mneme/titans";
import * as nn from "@mneme/titans/nn";
import { argmax, crossEntropy, mean } from "@mneme/titans/ops";
import { applyGradient, defineOptimizer, type OptimizerState, stepScalars } from "@mneme/titans/titans";

/** Points of both spirals, alternately: the second is the first, turned by half a circle. */
function spirals(count: number): { points: Float32Array; labels: Int32Array } {
  const points = new Float32Array(2 * count), labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const along = i / count, angle = 2.5 * Math.PI * along + Math.PI * (i % 2);
    points.set([along * Math.cos(angle), along * Math.sin(angle)], 2 * i);
    labels[i] = i % 2;
  }
  return { points, labels };
}

const COUNT = 200, STEPS = 150;
const model = nn.sequential(nn.linear(2, 64), nn.mlp(64, 64, { outWidth: 2 }));
const layout = nn.layoutOf(model.parameters);
const logits = (params: Tensor, x: Tensor) => model.apply(layout.unflatten(params), x); // [B, 2]
const loss = (params: Tensor, x: Tensor, labels: Tensor) => mean(crossEntropy(logits(params, x), labels));

const config = defineOptimizer({ learningRate: 1e-2, totalSteps: STEPS, warmupSteps: 10 });
const device = await requestDevice();
const step = jit(device, (state: OptimizerState, x: Tensor, labels: Tensor, scalars: Tensor) => {
  const [value, gradient] = valueAndGrad(loss)(state.params, x, labels);
  return { value, state: applyGradient(state, gradient, { config, scalars, layout }) };
});
const classify = jit(device, (params: Tensor, x: Tensor) => argmax(logits(params, x), { axis: 1 }));

const { points, labels } = spirals(COUNT), x = { data: points, shape: [COUNT, 2], dtype: "f32" as const };
const zeros = new Float32Array(layout.size);
let state: Parameters<typeof step>[0] = { params: layout.pack(layout.initialize(1)), first: zeros, second: zeros };
for (let i = 0; i < STEPS; i++) {
  const result = await step.launch(state, x, labels, stepScalars(config, i));
  if (i % 50 === 0) console.log(`step ${i}: loss ${(await result.value.read())[0].toFixed(3)}`);
  state = result.state;
}
const { data } = await classify(state.params, x);
const right = data.filter((label, i) => label === labels[i]).length;
console.log(`${right} of ${COUNT} points are classified correctly`);
device.dispose();
