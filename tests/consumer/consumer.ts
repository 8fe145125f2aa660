/**
 * A project that has this package as a dependency: it names it as users do, and type-checks under stricter settings
 * than the package's own.
 */
import {
  compile,
  type Device,
  type DeviceKind,
  grad,
  requestDevice,
  ShapeError,
  spec,
  type Tensor,
  trace,
} from "@mneme/titans";
import { matmul, mean, mul, sub } from "@mneme/titans/ops";
import { requestCpuDevice } from "@mneme/titans/kernels";
import {
  defineConfig,
  defineOptimizer,
  Model,
  type ModelConfig,
  RandomWindows,
  type StepMetrics,
  Trainer,
} from "@mneme/titans/titans";

/** Mean squared error of a linear map. */
function loss(params: { readonly w: Tensor }, x: Tensor, y: Tensor): Tensor {
  const error = sub(matmul(x, params.w), y);
  return mean(mul(error, error));
}

/** The gradient at one place: types of arguments and results follow from the function's. */
async function slope(device: Device): Promise<number> {
  const program = await compile(device, grad(loss), [
    { w: spec([2, 1]) },
    spec([3, 2]),
    spec([3, 1]),
  ]);
  const { w } = await program.run({ w: [1, 2] }, [1, 0, 0, 1, 1, 1], [0, 0, 0]);
  // Whatever the dtype, results are worked on like arrays; once it is known, so is the array's class.
  if (w.data.reduce((sum, x) => sum + x, 0) === 0) throw new Error("a slope was expected");
  const floats: Float32Array = w.dtype === "f32" ? w.data : new Float32Array(0);
  const first = floats[0];
  if (first === undefined) throw new Error("an element was expected");
  return first;
}

async function train(
  device: Device,
  config: ModelConfig,
): Promise<readonly StepMetrics[]> {
  const shape = { batch: 1, length: 16 };
  const optimizer = defineOptimizer({ learningRate: 1e-2, totalSteps: 2 });
  const trainer = await Trainer.create(device, {
    model: new Model(config),
    optimizer,
    shape,
    seed: 1,
  });
  const text = new TextEncoder().encode(
    "The memory keeps learning while it reads. ".repeat(4),
  );
  const metrics = await trainer.run(new RandomWindows(text, shape, 1), 2);
  trainer.dispose();
  return metrics;
}

const kind: DeviceKind = "reference";
const device = await requestDevice({ kind });
const config = defineConfig({
  model: "lmm",
  width: 16,
  heads: 2,
  blocks: 1,
  mlpHidden: 32,
});
const [, second] = await train(device, config);
try {
  trace((a: Tensor, b: Tensor) => matmul(a, b), [spec([2, 3]), spec([2, 3])]);
} catch (error) {
  if (!(error instanceof ShapeError)) throw error;
  console.log(error.message);
}
const cpu = await requestCpuDevice({ threads: 1 });
console.log(
  (await slope(device)).toFixed(4),
  (await slope(cpu)).toFixed(4),
  second?.step,
);
cpu.dispose();
device.dispose();
