import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import { defineConfig, type ModelConfig } from "../../titans/models/config.ts";
import { firstBadTensor, remediesOf } from "../../titans/train/diagnose.ts";
import { TrainingError } from "../../titans/errors.ts";
import { Model } from "../../titans/models/model.ts";
import { defineOptimizer } from "../../titans/train/optimizer_config.ts";
import { nextToken } from "../../titans/train/next_token.ts";
import { Trainer } from "../../titans/train/trainer.ts";
import { TINY } from "./builders.ts";

const shape = { batch: 2, length: 11, accumulate: 2 };
const TOKENS = Int32Array.from({ length: 2 * 2 * 12 }, (_, i) => (i * i) % 11);

interface Fault {
  /** Fills parameters with a value, or one an element, before training. */
  readonly params?: Readonly<Record<string, number | ((i: number) => number)>>;
  /** Token ids to put in. */
  readonly tokens?: Readonly<Record<number, number>>;
}

function faulty(model: Model, params: Fault["params"]): Record<string, Float32Array> {
  const start = { ...model.initialize(1) };
  for (const [name, value] of Object.entries(params ?? {})) {
    start[name] = Float32Array.from(start[name], (_, i) => typeof value === "number" ? value : value(i));
  }
  return start;
}

/** Trains one step that goes wrong, and gives the error. */
async function failure(
  device: Device,
  options: Partial<ModelConfig>,
  { params = {}, tokens = {} }: Fault,
): Promise<TrainingError> {
  const model = new Model(defineConfig({ ...TINY, ...options }));
  const start = faulty(model, params);
  const zeros = Object.fromEntries(Object.entries(start).map(([name, { length }]) => [name, new Float32Array(length)]));
  const state = { step: 0, params: start, optimizer: { name: "adamW", slots: { first: zeros, second: zeros } } };
  const trainer = await Trainer.create(device, { model, optimizer: defineOptimizer(), shape, seed: 1, state });
  try {
    const batch = TOKENS.map((token, i) => tokens[i] ?? token);
    const error = await assertRejects(() => trainer.run({ batch: () => batch }), TrainingError);
    assertEquals((await trainer.exportState()).params, start, "the last good state is kept");
    assertEquals([
      error.step,
      error.message.includes("\n"),
      error.message.includes(`(first bad tensor: ${error.tensor})`),
    ], [0, false, true]);
    return error;
  } finally {
    trainer.dispose();
  }
}

for (const kind of ["reference", "cpu", "webgpu"] as const) {
  Deno.test(`${kind}: a token without an embedding is found where it enters`, async () => {
    const device = await requestDevice({ kind });
    // Each model is another program; compiling takes devices a while, and webgpu longest: it has a model of one block.
    const models = kind === "reference"
      ? ["lmm", "mac", "mag", "mal"] as const
      : kind === "cpu"
      ? ["mal"] as const
      : ["mac"] as const;
    for (const model of models) {
      // Position 3 of window 1 of the second batch.
      const { tensor, message } = await failure(device, { model, blocks: kind === "webgpu" ? 1 : 2 }, {
        tokens: { [24 + 12 + 3]: 99 },
      });
      assertEquals(tensor, "blocks.0.input at token 3 of window 1", model);
      assertMatch(
        message,
        /^Training stopped at step 0: the loss became NaN \(first bad tensor: blocks\.0\.input at token 3 of window 1\); the state of step 0/,
      );
    }
    device.dispose();
  });
}

Deno.test("cpu: what overflows first is named, from parameters to gradients", async () => {
  const device = await requestDevice({ kind: "cpu" });
  const model = new Model(defineConfig({ ...TINY, model: "lmm" }));
  const cases: [Fault["params"], RegExp][] = [
    [{ "blocks.1.mlp.expand": NaN, "blocks.0.mlp.contract": 3e38 }, /^parameter blocks\.1\.mlp\.expand$/],
    [{ "blocks.0.mlp.contract": 3e38 }, /^blocks\.1\.input at token 0 of window \d$/],
    [{ "blocks.1.lmm.memory.initial.0": 1e30 }, /^blocks\.1\.lmm\.surprise at token 0 of window \d, head 0$/],
    [{ "blocks.1.lmm.out": 3e38 }, /^blocks\.1\.mixer at token \d of window \d$/],
    [{ head: 3e38 }, /^logits at token \d of window \d$/],
    [
      { norm: 0, head: (i) => (i % 2 ? 1e25 : -1e25) },
      /^none, all are finite, the greatest element is one of parameter head, 1\.00e\+25$/,
    ],
  ];
  for (const [params, expected] of cases) {
    const uploaded = device.upload(model.layout.pack(faulty(model, params)), {
      shape: [model.layout.size],
      dtype: "f32",
    });
    const found = await firstBadTensor(device, model, {
      params: uploaded,
      objective: nextToken({ masked: false }),
      data: { tokens: TOKENS.slice(0, 24) },
      shape: { batch: 2, length: 11, accumulate: 1 },
    });
    assertMatch(found, expected);
    uploaded.dispose();
  }
  device.dispose();
});

Deno.test("reference: a text that goes on from step to step is looked at with the memory it had", async () => {
  const device = await requestDevice({ kind: "reference" });
  const model = new Model(defineConfig({ ...TINY, model: "mac" }));
  const shape = { batch: 2, length: 16 };
  const trainer = await Trainer.create(device, { model, optimizer: defineOptimizer(), shape, seed: 1, stream: true });
  const tokens = Int32Array.from({ length: 2 * 17 }, (_, i) => (i * i) % 11), mask = new Float32Array(2 * 16).fill(1);
  await trainer.run({ batch: () => ({ tokens, mask }) }, 2);
  mask[16 + 9] = NaN;
  const error = await assertRejects(
    () => trainer.run({ batch: () => ({ tokens, mask, fresh: Float32Array.of(0, 1) }) }),
    TrainingError,
  );
  assertEquals([error.step, error.tensor], [2, "blocks.0.mac.theta at token 9 of window 1, head 0"]);
  trainer.dispose();
  device.dispose();
});

Deno.test("what to change before the first update is what the model's mixers say, each option once, and nothing where none does", () => {
  const remedies = (options: Partial<ModelConfig>) => remediesOf(new Model(defineConfig(options)));
  const bounds = [{ option: "thetaMax", smallerThan: 2 }, { option: "miniBatch", smallerThan: 8 }];
  assertEquals(remedies({ model: "mag", thetaMax: 2, miniBatch: 8 }), bounds);
  assertEquals(remedies({ model: "lmm", thetaMax: 2, miniBatch: 8, memoryGain: "fast" }), [
    ...bounds,
    { option: "memoryGain", value: "outer" },
  ]);
  assertEquals(remedies({ model: "transformer" }), []);
});
