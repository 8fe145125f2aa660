/**
 * Launches and compiles on the native device for a long time: `deno task soak:native --help`. Compilations are of
 * programs that differ in a constant, so that each opens an object of its own, and closes it.
 */
import { CommandError } from "../../cli/errors.ts";
import { integer } from "../../cli/flags.ts";
import { compile, type Device, spec, type Tensor } from "../../mod.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { add, matmul, mul } from "../../ops/mod.ts";
import { runTool } from "../tool.ts";

/** What the process may have grown by at the end, beyond what it had after a fifth of the work. */
const SLACK_BYTES = 24 * 2 ** 20;

const SQUARE = spec([64, 64]);

async function launchOften(device: Device, count: number): Promise<void> {
  const program = await compile(device, (x: Tensor) => add(mul(matmul(x, x), 1e-3), 1), [SQUARE]);
  let x = program.launch(new Float32Array(64 * 64).fill(0.1));
  for (let i = 0; i < count; i++) {
    const next = program.launch(x);
    x.dispose();
    x = next;
  }
  x.dispose();
  program.dispose();
}

async function compileOften(device: Device, from: number, count: number): Promise<void> {
  for (let i = from; i < from + count; i++) {
    const program = await compile(device, (x: Tensor) => mul(x, 1 + i / 1024), [SQUARE]);
    const { data } = await program.run(new Float32Array(64 * 64).fill(1));
    if (data[0] !== Math.fround(1 + i / 1024)) throw new Error(`program ${i} gives ${data[0]}`);
    program.dispose();
  }
}

/**
 * Bytes that the process holds, after garbage was collected as far as it can be asked for. What V8 has at hand for
 * objects to come is left out: it grows by steps as V8 sees fit, whatever lives.
 */
async function heldBytes(): Promise<number> {
  (globalThis as { gc?: () => void }).gc?.();
  await new Promise((done) => setTimeout(done, 50));
  const { rss, heapTotal, heapUsed } = Deno.memoryUsage();
  return rss - (heapTotal - heapUsed);
}

/** Does the work in fifths and compares the process after each. */
async function soak(name: string, work: (from: number, count: number) => Promise<void>, total: number): Promise<void> {
  const fifth = Math.ceil(total / 5), sizes: number[] = [];
  for (let from = 0; from < total; from += fifth) {
    await work(from, Math.min(fifth, total - from));
    sizes.push(await heldBytes());
  }
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  console.log(`${total} ${name}: ${sizes.map(mib).join(", ")} MiB after each fifth`);
  const grown = sizes.at(-1)! - sizes[0];
  if (grown > SLACK_BYTES) throw new CommandError(`${name} leak ${mib(grown)} MiB`);
}

await runTool({
  task: "soak:native",
  about:
    `Launches and compiles on the native device, and fails if the process grows by more than 24 MiB between the first
fifth of the work and its end, or if a compiled object stays open.`,
  flags: {
    launches: integer("launches of one program; 0 for none", 100_000, { min: 0 }),
    compilations: integer("programs to compile; 0 for none", 500, { min: 0 }),
  },
  run: async ({ launches, compilations }) => {
    await Deno.mkdir(".scratch", { recursive: true });
    const cacheDirectory = await Deno.makeTempDir({ dir: ".scratch" });
    try {
      using device = await requestNativeDevice({ cacheDirectory, threads: 2 });
      if (launches > 0) await soak("launches", (_, count) => launchOften(device, count), launches);
      if (compilations > 0) {
        await soak("compilations", (from, count) => compileOften(device, from, count), compilations);
      }
      if (device.openObjects !== 0) throw new CommandError(`${device.openObjects} objects are still open`);
    } finally {
      await Deno.remove(cacheDirectory, { recursive: true });
    }
  },
});
