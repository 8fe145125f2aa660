/**
 * Every mixer and recipe on every device, which compiles for too long to be a test: `deno task soak:mixers --help`. What
 * held is kept in .scratch/soak_mixers, so that a soak that was
 * stopped goes on where it was, at the same commit; what failed is checked again.
 *
 * Layers of each mixer: every length with every number of tokens that are computed together, at once and in pieces,
 * causality and batches; one length with gradients and one token after the other; 8,192 tokens, finite from the first
 * step. Models of each recipe and mixer: what model_checks.ts has.
 */
import { UsageError } from "../../cli/errors.ts";
import { text } from "../../cli/flags.ts";
import { type Device, type DeviceKind, requestDevice } from "../../kernels/mod.ts";
import { MODELS } from "./builders.ts";
import { ALL_MIXERS, checkFinite, chunksOf, layerCheck, LENGTHS } from "./mixer_forms.ts";
import { checkOnDevice, RECIPE_CASES } from "./model_checks.ts";
import { describeMachine } from "../bench/machine.ts";
import { PointFile } from "../bench/point_file.ts";
import { Progress } from "../bench/progress.ts";
import { openNative } from "../kernels/native_tests.ts";
import { runTool, words } from "../tool.ts";

interface Check {
  readonly name: string;
  readonly run: (device: Device) => Promise<void>;
}

const CHECKS: readonly Check[] = [
  ...ALL_MIXERS.flatMap(([mixer, definition]) => [
    ...LENGTHS.flatMap((T) =>
      chunksOf(definition).map((chunk): Check => ({
        name: `${mixer}, ${T} tokens, ${chunk} together`,
        run: layerCheck(definition, { T, chunk, isThorough: false }),
      }))
    ),
    { name: `${mixer}, gradients and token by token`, run: layerCheck(definition, { T: 77, chunk: 16 }) },
    { name: `${mixer}, 8,192 tokens`, run: (device: Device) => checkFinite(device, definition) },
  ]),
  ...[...MODELS.map(([name, options]) => ({ name, options: { ...options, blocks: 1 } })), ...RECIPE_CASES]
    .map(({ name, options }): Check => ({
      name: `model ${name}`,
      run: (device) => checkOnDevice(device, options, { isDifferentiated: true, tile: 4 }),
    })),
];

const KINDS = ["cpu", "webgpu", "native"] as const satisfies readonly DeviceKind[];
type Kind = (typeof KINDS)[number];

/** A check that held, and how long it took. */
interface Held {
  readonly kind: Kind;
  readonly name: string;
  readonly seconds: number;
}

/** Makes the checks that are not known to hold. @returns How many failed. */
async function soak(kinds: readonly Kind[], checks: readonly Check[]): Promise<number> {
  const { commit, version } = describeMachine();
  const file = PointFile.open<Held>(".scratch/soak_mixers", { commit, version });
  const isHeld = (kind: Kind, name: string): boolean =>
    file.points.some((held) => held.kind === kind && held.name === name);
  const missing = kinds.map((kind) => ({ kind, checks: checks.filter(({ name }) => !isHeld(kind, name)) }));
  const count = missing.reduce((sum, { checks }) => sum + checks.length, 0);
  if (count < kinds.length * checks.length) console.error(`${kinds.length * checks.length - count} checks held before`);
  const progress = new Progress(count, (line) => Deno.stderr.writeSync(new TextEncoder().encode(line)));

  let failures = 0;
  for (const { kind, checks } of missing.filter(({ checks }) => checks.length > 0)) {
    const device: Device = kind === "native" ? await openNative() : await requestDevice({ kind });
    for (const { name, run } of checks) {
      progress.next(`${kind}: ${name}`);
      const started = performance.now();
      try {
        await run(device);
        file.add({ kind, name, seconds: (performance.now() - started) / 1000 });
      } catch (error) {
        failures++;
        console.log(`${kind}: ${name}: ${(error as Error).message}`);
      }
    }
    device.dispose();
  }
  console.log(`${kinds.join(", ")}: ${kinds.length * checks.length} checks of mixers and models, ${failures} failed`);
  return failures;
}

await runTool({
  task: "soak:mixers",
  about:
    `Checks every mixer and recipe on every device, at many lengths: values, gradients, causality, batches and decoding.
What held is kept in .scratch/soak_mixers: the same command goes on where it was stopped, at the same commit, and checks
again what failed. Hours on two cores.`,
  flags: {
    devices: words(KINDS, `devices: ${KINDS.join(", ")}`, KINDS),
    only: text("TEXT", "only checks with this in their name, as `mac, 512 tokens, 64 together` has it", ""),
  },
  run: async ({ devices, only }) => {
    const checks = CHECKS.filter(({ name }) => name.includes(only));
    if (checks.length === 0) {
      throw new UsageError(
        `--only cannot be ${JSON.stringify(only)}: no check has it in its name, as "mac, 512 tokens, 64 together" has`,
      );
    }
    return await soak(devices, checks) === 0 ? 0 : 1;
  },
});
