// A Hessian-vector product: the gradient of a gradient, compiled into one program.
import { compile, grad, requestDevice, spec, type Tensor } from "@mneme/titans";
import { matmul, mul, sum, tanh } from "@mneme/titans/ops";

const f = (w: Tensor, x: Tensor) => sum(tanh(matmul(x, w)));
const product = (w: Tensor, x: Tensor, v: Tensor) => grad((w: Tensor) => sum(mul(grad(f)(w, x), v)))(w);

const device = await requestDevice();
const program = await compile(device, product, [spec([2, 1]), spec([3, 2]), spec([2, 1])]);
const result = await program.run([0.1, -0.2], [1, 2, 3, 4, 5, 6], [1, 1]);
console.log(`${device.info.kind}: ${Array.from(result.data, (value) => value.toFixed(4)).join(" ")}`);
device.dispose();
