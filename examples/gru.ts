/**
 * A GRU counts ones modulo two: after each bit of a sequence it says whether there were an even or an odd number so
 * far. Sequences are drawn on the device; a longer one than in training shows whether the state is kept.
 *
 *     deno run examples/gru.ts
 */
import { jit, requestDevice, type Tensor, valueAndGrad } from "@mneme/titans";
import * as nn from "@mneme/titans/nn";
import { argmax, cast, crossEntropy, cumsum, equal, foldIn, greater, mean, mod, uniform } from "@mneme/titans/ops";
import { applyGradient, defineOptimizer, type OptimizerState, stepScalars } from "@mneme/titans/titans";

const B = 32, T = 12, STEPS = 120;
const embed = nn.embedding(2, 16), cell = nn.gru(16, 32), out = nn.linear(32, 2);
const layout = nn.layoutOf({ embed: embed.parameters, cell: cell.parameters, out: out.parameters });

function logits(params: Tensor, bits: Tensor): Tensor {
  const tree = layout.unflatten(params);
  return out.apply(tree.out, cell.apply(tree.cell, embed.apply(tree.embed, bits)).output); // [B, T, 2]
}

/** Random bits, and the parity of those up to each. */
function draw(seed: Tensor, length: number): { bits: Tensor; parity: Tensor } {
  const bits = cast(greater(uniform(foldIn(seed, 0), [B, length]), 0.5), "i32");
  return { bits, parity: mod(cumsum(bits, { axis: 1 }), 2) };
}

const config = defineOptimizer({ learningRate: 1e-2, totalSteps: STEPS, warmupSteps: 20 });
const device = await requestDevice();
const step = jit(device, (state: OptimizerState, seed: Tensor, scalars: Tensor) => {
  const { bits, parity } = draw(seed, T);
  const loss = (params: Tensor) => mean(crossEntropy(logits(params, bits), parity));
  const [value, gradient] = valueAndGrad(loss)(state.params);
  return { value, state: applyGradient(state, gradient, { config, scalars, layout }) };
}, { donate: [0] });
const accuracy = jit(device, (params: Tensor, seed: Tensor) => {
  const { bits, parity } = draw(seed, 4 * T);
  return mean(cast(equal(argmax(logits(params, bits), { axis: 2 }), parity), "f32"));
});

const zeros = new Float32Array(layout.size);
let state: Parameters<typeof step>[0] = { params: layout.pack(layout.initialize(1)), first: zeros, second: zeros };
for (let i = 0; i < STEPS; i++) {
  const result = await step.launch(state, Uint32Array.of(1, i), stepScalars(config, i));
  if (i % 40 === 0) console.log(`step ${i}: loss ${(await result.value.read())[0].toFixed(3)}`);
  state = result.state;
}
const right = await accuracy(state.params, Uint32Array.of(2, 0));
console.log(`${(100 * right.item()).toFixed(1)}% are right in sequences of ${4 * T}`);
device.dispose();
