/**
 * Attention learns to reverse a sequence: position t looks at position T - 1 - t, which the picture of its weights
 * shows.
 *
 *     deno run examples/attention.ts
 */
import { jit, requestDevice, type Tensor, valueAndGrad } from "@mneme/titans";
import * as nn from "@mneme/titans/nn";
import {
  add,
  cast,
  crossEntropy,
  flip,
  foldIn,
  matmul,
  mean,
  mul,
  softmax,
  swapAxes,
  uniform,
} from "@mneme/titans/ops";
import { applyGradient, defineOptimizer, type OptimizerState, stepScalars } from "@mneme/titans/titans";

const B = 32, T = 8, D = 32, VOCABULARY = 10, STEPS = 90;
const embed = nn.embedding(VOCABULARY, D), positions = nn.embedding(T, D);
const [query, key, value, out] = [nn.linear(D, D), nn.linear(D, D), nn.linear(D, D), nn.linear(D, VOCABULARY)];
const layout = nn.layoutOf({
  embed: embed.parameters,
  positions: positions.parameters,
  query: query.parameters,
  key: key.parameters,
  value: value.parameters,
  out: out.parameters,
});

/** Logits [B, T, vocabulary], and how much each position looks at each other, [B, T, T]. */
function attend(params: Tensor, tokens: Tensor): { logits: Tensor; weights: Tensor } {
  const tree = layout.unflatten(params);
  const x = add(embed.apply(tree.embed, tokens), tree.positions.table); // [B, T, D]
  const scores = matmul(query.apply(tree.query, x), swapAxes(key.apply(tree.key, x), 1, 2)); // [B, T, T]
  const weights = softmax(mul(scores, D ** -0.5), { axis: 2 });
  return { logits: out.apply(tree.out, matmul(weights, value.apply(tree.value, x))), weights };
}

const draw = (seed: Tensor) => cast(mul(uniform(foldIn(seed, 0), [B, T]), VOCABULARY), "i32");
const config = defineOptimizer({ learningRate: 1e-2, totalSteps: STEPS, warmupSteps: 20 });
const device = await requestDevice();
const step = jit(device, (state: OptimizerState, seed: Tensor, scalars: Tensor) => {
  const tokens = draw(seed), reversed = flip(tokens, 1);
  const loss = (params: Tensor) => mean(crossEntropy(attend(params, tokens).logits, reversed));
  const [value, gradient] = valueAndGrad(loss)(state.params);
  return { value, state: applyGradient(state, gradient, { config, scalars, layout }) };
}, { donate: [0] });
const look = jit(device, (params: Tensor, seed: Tensor) => mean(attend(params, draw(seed)).weights, { axes: 0 }));

const zeros = new Float32Array(layout.size);
let state: Parameters<typeof step>[0] = { params: layout.pack(layout.initialize(1)), first: zeros, second: zeros };
for (let i = 0; i < STEPS; i++) {
  const result = await step.launch(state, Uint32Array.of(1, i), stepScalars(config, i));
  if ((i + 1) % 30 === 0) console.log(`step ${i + 1}: loss ${(await result.value.read())[0].toFixed(3)}`);
  state = result.state;
}
const weights = await look(state.params, Uint32Array.of(2, 0));
for (const row of weights.toNested() as number[][]) {
  console.log(row.map((weight) => " ░▒▓█"[Math.round(4 * weight)]).join(""));
}
device.dispose();
