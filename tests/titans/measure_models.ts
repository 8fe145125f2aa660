/**
 * Measures what the four models cost beside each other: what a table of docs/models.md is made with.
 *
 *     NODEVICE_SELECT=1 deno run --allow-read --allow-env=NODEVICE_SELECT tests/titans/measure_models.ts
 *
 * Steps of training (8 windows of 128 bytes) and tokens of reading are timed in turns, all models in one process, and
 * the fastest of each counts.
 */
import { type Device, requestDevice } from "../../kernels/mod.ts";
import {
  Decoder,
  defineConfig,
  defineOptimizer,
  Model,
  type ModelKind,
  RandomWindows,
  Trainer,
} from "../../titans/mod.ts";

const SHAPE = { batch: 8, length: 128 };
const KINDS: readonly ModelKind[] = ["lmm", "mac", "mag", "mal"];
const ROUNDS = 8, TOKENS_A_ROUND = 10;
const TEXT = Uint8Array.from({ length: 2 ** 16 }, (_, i) => (i * i) % 251);

/** A model as it is trained and read, with the fastest times seen. */
interface Measured {
  readonly model: Model;
  readonly trainer: Trainer;
  readonly decoder: Decoder;
  readonly data: RandomWindows;
  stepMs: number;
  tokenMs: number;
}

async function load(device: Device, kind: ModelKind): Promise<Measured> {
  const model = new Model(defineConfig({ model: kind }));
  const trainer = await Trainer.create(device, { model, optimizer: defineOptimizer(), shape: SHAPE, seed: 0 });
  const decoder = await Decoder.create(device, model, model.layout.pack(model.initialize(0)));
  return { model, trainer, decoder, data: new RandomWindows(TEXT, SHAPE, 0), stepMs: Infinity, tokenMs: Infinity };
}

async function measure(
  { trainer, decoder, data, stepMs, tokenMs }: Measured,
): Promise<Pick<Measured, "stepMs" | "tokenMs">> {
  const start = performance.now();
  await trainer.run(data, 2);
  const between = performance.now();
  for (let i = 0; i < TOKENS_A_ROUND; i++) await decoder.read([TEXT[i]]);
  const end = performance.now();
  return {
    stepMs: Math.min(stepMs, (between - start) / 2),
    tokenMs: Math.min(tokenMs, (end - between) / TOKENS_A_ROUND),
  };
}

function line({ model, trainer, decoder, stepMs, tokenMs }: Measured): string {
  const perSecond = trainer.tokensPerStep / stepMs * 1000;
  return [
    `${model.config.model}: ${model.layout.parameterCount} parameters`,
    `a step plans ${(trainer.program.peakBytes / 1e6).toFixed(1)} MB and takes ${stepMs.toFixed(1)} ms, ${
      perSecond.toFixed(0)
    } tokens/s`,
    `a state of reading has ${(decoder.state.sizeBytes / 1e3).toFixed(0)} kB, a token takes ${tokenMs.toFixed(2)} ms`,
  ].join("; ");
}

async function main(): Promise<void> {
  const device = await requestDevice({ kind: "cpu" });
  try {
    const models: Measured[] = [];
    for (const kind of KINDS) models.push(await load(device, kind));
    for (let round = 0; round < ROUNDS; round++) for (const each of models) Object.assign(each, await measure(each));
    for (const each of models) console.log(line(each));
  } finally {
    device.dispose();
  }
}

if (import.meta.main) await main();
