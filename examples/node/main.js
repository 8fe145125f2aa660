// Learns the exclusive or with a small network, on all cores of the CPU.
import { jit, requestDevice, valueAndGrad } from "@mneme/titans";
import * as nn from "@mneme/titans/nn";
import { mean, mul, square, sub, tanh } from "@mneme/titans/ops";

const model = nn.sequential(nn.linear(2, 8), tanh, nn.linear(8, 1));
const layout = nn.layoutOf(model.parameters);
const loss = (params, x, y) => mean(square(sub(model.apply(layout.unflatten(params), x), y)));

const device = await requestDevice();
const step = jit(device, (params, x, y) => {
  const [error, gradient] = valueAndGrad(loss)(params, x, y);
  return { error, params: sub(params, mul(gradient, 0.3)) };
});

const x = [[0, 0], [0, 1], [1, 0], [1, 1]], y = [[0], [1], [1], [0]];
let state = await step(layout.pack(layout.initialize(1)), x, y);
const first = state.error.item();
for (let i = 0; i < 400; i++) state = await step(state.params, x, y);
console.log(`${device.info.description}: loss ${first.toFixed(3)} -> ${state.error.item().toFixed(3)}`);
device.dispose();
