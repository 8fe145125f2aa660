// The slope of tanh, on a GPU if there is one, else on the CPU.
import { compile, grad, requestDevice, spec } from "@mneme/titans";
import { sum, tanh } from "@mneme/titans/ops";

const device = await requestDevice();
const slope = await compile(device, grad((x) => sum(tanh(x))), [spec([3])]);
const { data } = await slope.run([0, 1, 2]);
document.querySelector("output").textContent = `${device.info.kind}: ${
  Array.from(data, (y) => y.toFixed(3)).join(" ")
}`;
device.dispose();
