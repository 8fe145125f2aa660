/**
 * A first training step in a process of its own: `first_step_child.ts DEVICE MODEL PRESET NATIVE_CACHE`. Says the milliseconds of
 * each part as two lines of JSON: of the process's first trainer, and of a second one like it.
 */
const started = performance.now();
const [{ requestDevice }, { defineConfig, defineOptimizer, Model, RandomWindows, Trainer }] = await Promise.all([
  import("../../kernels/mod.ts"),
  import("../../titans/mod.ts"),
]);
const { someText } = await import("./cases/some_text.ts");
const { lineOf } = await import("./peers/protocol.ts");
const imported = performance.now();

type Times = Record<string, number>;

const [kind, name, preset, nativeCacheDirectory] = Deno.args;
const SHAPE = { batch: 8, length: 128 };

/** Milliseconds from a model's options to its first step, by part. */
async function firstStep(device: Awaited<ReturnType<typeof requestDevice>>): Promise<Times> {
  const times: Times = {}, start = performance.now();
  const model = new Model(defineConfig({ model: name as "lmm" }, preset as "nano"));
  const data = new RandomWindows(someText(2 ** 16), SHAPE, 0);
  const phase = (phase: string, milliseconds: number): void => void (times[phase] = milliseconds);
  const trainer = await Trainer.create(device, { model, optimizer: defineOptimizer(), shape: SHAPE, seed: 0, phase });
  const created = performance.now();
  times.state = created - start - Object.values(times).reduce((sum, time) => sum + time, 0);
  await trainer.run(data);
  times.run = performance.now() - created;
  trainer.dispose();
  return times;
}

const say = (value: object): void => void Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));

try {
  const device = await requestDevice({ kind: kind as "cpu", nativeCacheDirectory });
  const opened = performance.now();
  say({ import: imported - started, device: opened - imported, ...await firstStep(device) });
  say(await firstStep(device));
} catch (error) {
  say({ error: lineOf(error) });
}
Deno.exit(0);
