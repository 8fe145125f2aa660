/** Training on WebGPU where weights, moments and gradients are larger than one binding. */
import { bindingsOf } from "../../kernels/limits.ts";
import { assert, assertEquals } from "@std/assert";
import { defineConfig, defineOptimizer, Model, Trainer } from "../../titans/mod.ts";
import { kernelSteps } from "../kernels/check_schedule.ts";
import { bindAtMost, openFinely } from "../kernels/short_bindings.ts";
import { TINY } from "./builders.ts";

const VOCABULARY = 90, SHAPE = { batch: 2, length: 12 };
const model = new Model(defineConfig({ ...TINY, model: "lmm", vocabulary: VOCABULARY, blocks: 1 }));
const optimizer = defineOptimizer({ learningRate: 1e-2, warmupSteps: 1, totalSteps: 9 });
const VECTOR_BYTES = 4 * model.layout.size;

const windowsOf = (step: number): Int32Array =>
  Int32Array.from({ length: SHAPE.batch * (SHAPE.length + 1) }, (_, i) => (i * i * 7 + step * 31) % VOCABULARY);

/** Three steps in bindings of so many bytes, a validation, and the state, which a second trainer goes on from. */
async function train(bytes: number, maxOperands?: number) {
  using device = await openFinely();
  bindAtMost(device, bytes, maxOperands);
  const options = { model, optimizer, shape: SHAPE, seed: 1 };
  const trainer = await Trainer.create(device, options);
  const steps = await trainer.run({ batch: windowsOf }, 3), validated = await trainer.validate(windowsOf(5));
  const state = await trainer.exportState(), { plan } = trainer.program;
  const second = await Trainer.create(device, { ...options, state });
  const resumed = await second.run({ batch: windowsOf }, 1);
  const [next] = await trainer.run({ batch: windowsOf }, 1);
  assertEquals(resumed[0].loss, next.loss);
  const { maxBindingBytes } = device.limits;
  const bindings = kernelSteps(plan!.steps).map(({ kernel }) => bindingsOf(kernel.operands, maxBindingBytes));
  return { losses: [...steps, validated, next].map(({ loss }) => loss), state, most: Math.max(...bindings) };
}

Deno.test("training on webgpu with weights in pieces takes the same steps as with weights in one binding", async () => {
  const whole = await train(2 ** 27), pieces = await train(VECTOR_BYTES / 3, 10);
  assert(pieces.most > 4 && pieces.most <= 10, `${pieces.most}`);
  whole.losses.forEach((loss, i) =>
    assert(Math.abs(pieces.losses[i] / loss - 1) < 1e-5, `${pieces.losses}, ${whole.losses}`)
  );
  for (const [name, data] of Object.entries(whole.state.params)) {
    const found = pieces.state.params[name];
    data.forEach((value, i) => assert(Math.abs(found[i] - value) < 1e-4, `${name}[${i}] is ${found[i]}, not ${value}`));
  }
});
