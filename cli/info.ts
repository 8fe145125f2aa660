/** `info`: which device would be used, and why; and which models there are. */
import { type Device, requestDevice } from "../kernels/mod.ts";
import { requestAutomatic } from "../kernels/request_device.ts";
import { type PresetName, PRESETS } from "../titans/mod.ts";
import { DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { CommandError, UsageError } from "./errors.ts";
import { choice, parseFlags, toggle, under, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { SIZE_FLAGS } from "./model_flags.ts";
import { COUNTED_TOKENS, formatModelTable, modelTable } from "./model_table.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

const FLAGS = {
  ...DEVICE_FLAGS,
  ...under("Models", {
    models: toggle("show the models instead: paper, parameters, decoding state, arithmetic per token"),
    preset: choice(Object.keys(PRESETS) as PresetName[], "size of the models", "nano"),
    ...SIZE_FLAGS,
  }),
  ...OUTPUT_FLAGS,
} as const;

/** The command `info`. */
export const infoCommand: Command = {
  summary: "show which device is used, and why; or the models",
  description:
    "Shows which device runs models on this machine, why it was chosen, and its limits; with --models, every model.",
  examples: [
    ["deno task info", "the device that train and generate use"],
    ["deno task info --models --parameters 200000", "every model at the same size"],
    ["deno task info --device webgpu --json", "for scripts; exits with 1 if the device is not available"],
  ],
  flags: FLAGS,
  run: info,
};

async function info(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, given } = parseFlags(args, FLAGS, "info");
  if (values.models) return showModels(values, terminal);
  const idle = (["preset", "parameters"] as const).find((key) => given.has(key));
  if (idle) throw new UsageError(`--${idle} is a size of models, which are shown with --models: add --models`);
  const { device, passedOver } = await open(deviceOptions(values)).catch(
    (error) => {
      // The reason is part of the JSON object too: scripts use this command to find out whether a device is available.
      if (values.json) {
        terminal.out(
          `${JSON.stringify({ version: VERSION, runtime: Deno.version, device: null, reason: error.message })}\n`,
        );
      }
      throw new CommandError(error.message, { cause: error });
    },
  );
  try {
    const report = {
      version: VERSION,
      runtime: Deno.version,
      device: { ...device.info },
      reason: reason(values.device, device, passedOver),
      limits: limits(device),
    };
    terminal.out(values.json ? `${JSON.stringify(report)}\n` : describe(report));
    return 0;
  } finally {
    device.dispose();
  }
}

function showModels({ preset, parameters, json }: Values<typeof FLAGS>, terminal: Terminal): number {
  const models = modelTable(preset, parameters);
  terminal.out(
    json
      ? `${JSON.stringify({ version: VERSION, preset, tokens: COUNTED_TOKENS, models })}\n`
      : `${
        formatModelTable(models)
      }\nDecoding state of one text; arithmetic of reading ${COUNTED_TOKENS} tokens, per token.\n`,
  );
  return 0;
}

/** Why `auto` did not take a device, by its name. */
type PassedOver = ReadonlyMap<string, string>;

async function open(
  { kind, ...rest }: ReturnType<typeof deviceOptions>,
): Promise<{ device: Device; passedOver: PassedOver }> {
  if (kind === "auto") return await requestAutomatic(rest);
  return { device: await requestDevice({ kind, ...rest }), passedOver: new Map() };
}

function reason(asked: string, device: Device, passedOver: PassedOver): string {
  if (asked !== "auto") return `${asked} was asked for`;
  switch (device.info.kind) {
    case "native":
      return "no GPU was found; what a C compiler makes is the fastest on the CPU";
    case "cpu": {
      const why = passedOver.get("native");
      return `no GPU was found; the CPU is faster than a software adapter${why ? `; not native: ${why}` : ""}`;
    }
    default:
      return device.info.software
        ? "no GPU was found, and this runtime has no WebAssembly SIMD for the CPU; a software adapter runs the same programs slowly"
        : "a GPU was found";
  }
}

/** The limits that are numbers: no limit is nothing to report, in JSON least of all. */
function limits({ limits }: Device): Record<string, number> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => Number.isFinite(value)));
}

function describe({ version, runtime, device, reason, limits }: {
  version: string;
  runtime: typeof Deno.version;
  device: { kind: string; description: string; software: boolean };
  reason: string;
  limits: Record<string, number>;
}): string {
  const rows = [
    ["mneme", version],
    ["deno", `${runtime.deno} (V8 ${runtime.v8})`],
    ["device", device.kind],
    ["adapter", `${device.description}${device.kind === "webgpu" && device.software ? " (software)" : ""}`],
    ["why", reason],
    ...Object.entries(limits).map(([name, value]) => [name, String(value)]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join("");
}
