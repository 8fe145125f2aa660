/**
 * Measures how the gradient of one long window behaves: what the tables of docs/stability.md are made with.
 *
 *     NODEVICE_SELECT=1 deno run --allow-read --allow-env=NODEVICE_SELECT tests/titans/measure_stability.ts --lengths 2048,8192 '{}' '{"forgetTo":"zero"}'
 *
 * Each argument is a record of options of the nano model, MAC unless it says otherwise. `--steps N` trains that long
 * before (8 windows of 128 bytes a step), `--seeds 0,1` repeats all of it. Of a memory whose norm has a fast gain it
 * also prints how far the gain goes from one along the window: the norm of the difference, [K], the largest of all
 * blocks and heads.
 */
import { stateOfTheUnion } from "../../cli/sotu.ts";
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { compile, type Device, requestDevice } from "../../kernels/mod.ts";
import { concat, crossEntropy, max, mean, sliceAxis, sqrt, square, squeeze, sum } from "../../ops/mod.ts";
import {
  defineConfig,
  defineOptimizer,
  evenWindows,
  Model,
  type ModelConfig,
  RandomWindows,
  splitText,
  Trainer,
} from "../../titans/mod.ts";
import type { ModelState } from "../../titans/models/model.ts";
import { memoryStates } from "./builders.ts";
import { norm } from "./runners.ts";

const SHAPE = { batch: 8, length: 128 };
const VALIDATION_WINDOWS = 256;

interface Run {
  readonly options: Partial<ModelConfig>;
  readonly lengths: readonly number[];
  readonly steps: number;
  readonly seed: number;
}

/** Loss and norm of the gradient over the first `length` bytes of the held-out text. */
async function longWindow(
  device: Device,
  model: Model,
  params: Float32Array,
  text: Uint8Array,
): Promise<{ bitsPerByte: number; gradientNorm: number }> {
  const T = text.length - 1;
  const loss = (flat: Tensor, tokens: Tensor): Tensor =>
    mean(
      crossEntropy(model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, T)).logits, sliceAxis(tokens, 1, 1, T)),
    );
  const program = await compile(device, (flat: Tensor, tokens: Tensor) => valueAndGrad(loss)(flat, tokens), [
    spec([model.layout.size]),
    spec([1, T + 1], "i32"),
  ]);
  try {
    const [value, gradient] = await program.run(params, Int32Array.from(text));
    return { bitsPerByte: value.data[0] / Math.LN2, gradientNorm: norm(gradient.data) };
  } finally {
    program.dispose();
  }
}

/** Norms of a fast gain's difference from one after each quarter of a window: the largest of all blocks and heads. */
async function gainNorms(device: Device, model: Model, params: Float32Array, text: Uint8Array): Promise<number[]> {
  const T = text.length;
  const gains = (flat: Tensor, tokens: Tensor): Tensor[] => {
    const params = model.unflatten(flat), quarter = T / 4;
    let state: ModelState | undefined;
    return [0, 1, 2, 3].map((i) => {
      state = model.forward(params, sliceAxis(tokens, 1, i * quarter, quarter), { state }).state;
      const fast = memoryStates(state).map(({ weights }) => squeeze(weights[weights.length - 1], 2)); // [1, H, K]
      return max(sqrt(sum(square(concat(fast, 1)), { axes: 2 })));
    });
  };
  const program = await compile(device, gains, [spec([model.layout.size]), spec([1, T], "i32")]);
  try {
    return (await program.run(params, Int32Array.from(text))).map(({ data }) => data[0]);
  } finally {
    program.dispose();
  }
}

async function measure(device: Device, text: Uint8Array, { options, lengths, steps, seed }: Run): Promise<string> {
  const { train, heldOut } = splitText(text), results: string[] = [];
  const model = new Model(defineConfig(options)), reading = new Model({ ...model.config, checkpoint: "recompute" });
  let params = model.initialize(seed);
  if (steps > 0) {
    const trainer = await Trainer.create(device, {
      model,
      optimizer: defineOptimizer({ totalSteps: steps }),
      shape: SHAPE,
      seed,
    });
    const data = new RandomWindows(train, SHAPE, seed);
    while (trainer.step < steps) await trainer.run(data, Math.min(10, steps - trainer.step));
    const { bitsPerByte } = await trainer.validate(evenWindows(heldOut, SHAPE.length, VALIDATION_WINDOWS));
    results.push(`held out ${bitsPerByte.toFixed(3)}`);
    ({ params } = await trainer.exportState());
    trainer.dispose();
  }
  for (const length of lengths) {
    const { bitsPerByte, gradientNorm } = await longWindow(
      device,
      reading,
      model.layout.pack(params),
      heldOut.subarray(0, length + 1),
    );
    results.push(`T ${length}: ${bitsPerByte.toFixed(3)} bits, gradient ${gradientNorm.toPrecision(3)}`);
    if (model.config.memoryGain === "outer") continue;
    const gains = await gainNorms(device, reading, model.layout.pack(params), heldOut.subarray(0, length));
    results.push(`gain from one ${gains.map((x) => x.toPrecision(3)).join(", ")}`);
  }
  return `${JSON.stringify(options)} seed ${seed}, ${steps} steps: ${results.join("; ")}`;
}

async function main(args: readonly string[]): Promise<void> {
  const flag = (name: string, otherwise: string): string =>
    args.includes(name) ? args[args.indexOf(name) + 1] : otherwise;
  const numbers = (list: string): number[] => list.split(",").map(Number);
  const records = args.filter((arg) => arg.startsWith("{"));
  const device = await requestDevice({ kind: "cpu" }), text = await stateOfTheUnion();
  try {
    for (const seed of numbers(flag("--seeds", "0"))) {
      for (const record of records) {
        const options = { model: "mac", ...JSON.parse(record) };
        console.log(
          await measure(device, text, {
            options,
            lengths: numbers(flag("--lengths", "2048,8192")),
            steps: Number(flag("--steps", "0")),
            seed,
          }),
        );
      }
    }
  } finally {
    device.dispose();
  }
}

if (import.meta.main) await main(Deno.args);
