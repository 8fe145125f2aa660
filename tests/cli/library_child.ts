/** Uses the whole library, on the devices that need no driver. Run without any permission by permissions_test.ts. */
import { compile, grad, requestDevice, scan, spec } from "@mneme/titans";
import type { Tensor } from "@mneme/titans";
import { add, matmul, mul, sum, tanh } from "@mneme/titans/ops";
import { requestCpuDevice } from "@mneme/titans/kernels";
import {
  decodeCheckpoint,
  Decoder,
  defineConfig,
  defineOptimizer,
  encodeCheckpoint,
  generate,
  Model,
  RandomWindows,
  Trainer,
} from "@mneme/titans/titans";

const loss = (w: Tensor, x: Tensor): Tensor => {
  const [carry] = scan((state: Tensor) => [add(tanh(matmul(x, w)), state), undefined], x, undefined, { length: 3 });
  return sum(mul(carry, carry));
};

const text = new TextEncoder().encode("The memory keeps learning while it reads. ".repeat(40));
const shape = { batch: 1, length: 16 };

for (const kind of ["reference", "cpu"] as const) {
  const device = await requestDevice({ kind });
  const program = await compile(device, grad(loss), [spec([4, 4]), spec([2, 4])]);
  const { data } = await program.run(new Float32Array(16).fill(0.1), new Float32Array(8).fill(0.2));
  console.log(kind, data.length, program.explain() !== undefined);

  const model = new Model(defineConfig({ model: "lmm", width: 16, heads: 2, blocks: 1, mlpHidden: 32 }));
  const trainer = await Trainer.create(device, {
    model,
    optimizer: defineOptimizer({ learningRate: 1e-2, totalSteps: 2 }),
    shape,
    seed: 1,
  });
  await trainer.run(new RandomWindows(text, shape, 1), 2);
  const bytes = encodeCheckpoint({ config: model.config, seed: 1, state: await trainer.exportState() });
  const decoder = await Decoder.create(device, model, model.layout.pack(decodeCheckpoint(bytes).state.params));
  let written = 0;
  for await (const _ of generate(decoder, text.subarray(0, 8), { maxTokens: 4 })) written++;
  console.log(kind, "wrote", written);
  decoder.dispose();
  trainer.dispose();
  device.dispose();
}

const single = await requestCpuDevice({ threads: 1 });
single.dispose();
