/** Flags that several commands have. */
import { DEVICE_KINDS, type DeviceKind, type DeviceKindSpec, type DeviceOptions, DEVICES } from "../kernels/mod.ts";
import { BUILTIN_NAMES } from "./builtin_models.ts";
import { choice, integer, text, toggle } from "./flags.ts";
import { RUNS } from "./run_folder.ts";

/** What `auto` takes and what it does not, as the registry of devices says. */
function devicesInWords(): string {
  const all: [string, DeviceKindSpec][] = Object.entries(DEVICES);
  const automatic = all.filter(([, { automatic }]) => automatic).map(([, { summary }]) => summary);
  const others = all.filter(([, { automatic }]) => !automatic).map(([name, { summary }]) =>
    `\`${name}\` is ${summary}`
  );
  return [`\`auto\` takes ${automatic.join(", else ")}`, ...others].join("; ");
}

/** Which device computes. */
export const DEVICE_FLAGS = {
  device: choice(DEVICE_KINDS, devicesInWords(), "auto"),
  shaderCache: {
    ...text("DIR", "folder where WebGPU drivers cache compiled shaders, for a faster next start"),
    unless: "the driver's own",
  },
  nativeCache: {
    ...text("DIR", "folder where the native device keeps compiled kernels, for a faster next start"),
    unless: `${RUNS}/.native`,
  },
  threads: {
    ...integer("threads of the devices `cpu` and `native`; results do not depend on it", undefined, {
      min: 1,
      max: 1024,
    }),
    unless: "one per core",
  },
} as const;

/** What the flags say of the device, for `requestDevice`. */
export function deviceOptions(
  { device, shaderCache, nativeCache, threads }: {
    readonly device: DeviceKind;
    readonly shaderCache?: string;
    readonly nativeCache?: string;
    readonly threads?: number;
  },
): DeviceOptions & { readonly kind: DeviceKind } {
  return { kind: device, shaderCacheDirectory: shaderCache, nativeCacheDirectory: nativeCache, threads };
}

/** Which trained model is used. */
export const CHECKPOINT_FLAGS = {
  checkpoint: {
    ...text(
      "PATH",
      `run folder, exported model, \`.safetensors\` file, or ${BUILTIN_NAMES.map((name) => `\`${name}\``).join(", ")}`,
    ),
    unless: `the newest run in ${RUNS}/`,
  },
  which: {
    ...choice(["best", "last"], "which checkpoint of a run folder: the best on held-out text, or the last"),
    unless: "the best, if there is one",
  },
} as const;

/** How numbers are stored. */
export const QUANTIZE_FLAG = {
  ...choice(["int8"], "store matrices as 8-bit integers with a scale for each channel, in about a quarter of the size"),
  unless: "32-bit floats",
};

/** What is printed. */
export const OUTPUT_FLAGS = {
  json: toggle("print JSON for scripts, one object per line"),
  verbose: toggle("print stack traces of errors"),
} as const;
