// Fits a line to points by gradient descent.
import { grad, jit, requestDevice, type Tensor } from "@mneme/titans";
import { add, mean, mul, square, sub } from "@mneme/titans/ops";

type Line = { slope: Tensor; offset: Tensor };
const loss = ({ slope, offset }: Line, x: Tensor, y: Tensor) => mean(square(sub(add(mul(x, slope), offset), y)));

const device = await requestDevice();
const step = jit(device, (line: Line, x: Tensor, y: Tensor) => {
  const { slope, offset } = grad(loss)(line, x, y);
  return { slope: sub(line.slope, mul(slope, 0.1)), offset: sub(line.offset, mul(offset, 0.1)) };
});
const x = [0, 1, 2, 3], y = [1, 3, 5, 7];
let line = await step({ slope: 0, offset: 0 }, x, y);
for (let i = 0; i < 200; i++) line = await step(line, x, y);
const [slope, offset] = [line.slope, line.offset].map((value) => value.item().toFixed(2));
document.querySelector("output")!.textContent = `${device.info.kind}: y = ${slope} x + ${offset}`;
device.dispose();
