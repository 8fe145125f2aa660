/**
 * Every mixer and recipe on every device, which compiles for too long to be a test: `deno task soak:mixers [DEVICE...]`.
 *
 * Layers of each mixer: every length with every number of tokens that are computed together, at once and in pieces,
 * causality and batches; one length with gradients and one token after the other; 8,192 tokens, finite from the first
 * step. Models of each recipe and mixer: what model_checks.ts has.
 */
import { type Device, type DeviceKind, requestDevice } from "../../kernels/mod.ts";
import { MODELS } from "./builders.ts";
import { ALL_MIXERS, checkFinite, chunksOf, layerCheck, LENGTHS } from "./mixer_forms.ts";
import { checkOnDevice, RECIPE_CASES } from "./model_checks.ts";
import { openNative } from "../kernels/native_tests.ts";

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
      run: (device) => checkOnDevice(device, options, true, 4),
    })),
];

const KINDS = ["cpu", "webgpu", "native"] as const satisfies readonly DeviceKind[];
const wanted = Deno.args.length > 0 ? Deno.args : KINDS;
const unknown = wanted.find((kind) => !KINDS.some((known) => known === kind));
if (unknown !== undefined) {
  console.error(`Cannot check ${JSON.stringify(unknown)}: give devices of ${KINDS.join(", ")}, or none for all`);
  Deno.exit(2);
}

let failures = 0;
for (const kind of KINDS.filter((kind) => wanted.includes(kind))) {
  const device: Device = kind === "native" ? await openNative() : await requestDevice({ kind });
  for (const [done, { name, run }] of CHECKS.entries()) {
    try {
      await run(device);
    } catch (error) {
      failures++;
      console.log(`${kind}: ${name}: ${(error as Error).message}`);
    }
    if ((done + 1) % 20 === 0) console.error(`${kind}: ${done + 1} of ${CHECKS.length}`);
  }
  console.log(`${kind}: ${CHECKS.length} checks of mixers and models`);
  device.dispose();
}
console.log(failures === 0 ? "all as they must be" : `${failures} failed`);
Deno.exit(failures === 0 ? 0 : 1);
