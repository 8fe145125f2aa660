/** The command line of the benchmark. */
import { UsageError } from "../../cli/errors.ts";
import { describeFlags, type Flag, integer, parseFlags, text, toggle } from "../../cli/flags.ts";
import { describeExamples } from "../../cli/help.ts";
import { requestDevice } from "../../kernels/mod.ts";

/** A kind of device that is timed. */
export type TimedDevice = "cpu" | "webgpu";

/** What is asked for. */
export interface Options {
  readonly mode: "own" | "peers" | "explain" | "scaling" | "against" | "first-step";
  readonly devices: readonly (TimedDevice | "auto")[];
  /** Only what has this in its name. */
  readonly filter?: string;
  /** Another checkout to compare with. */
  readonly against?: string;
  /** What to explain; the default jobs unless given. */
  readonly job?: string;
  /** Where figures go as JSON. */
  readonly json: string;
  /** Another number of turns. */
  readonly rounds?: number;
  /** A glance: few short turns. */
  readonly quick: boolean;
  readonly help: boolean;
}

const DEVICES = ["auto", "cpu", "webgpu"] as const;

const devices: Flag<Options["devices"]> = {
  help: "the devices to time: auto is a GPU if there is one, else cpu; several flags, or all",
  placeholder: "auto|cpu|webgpu|all",
  fallback: ["auto"],
  read: (words, flag) => {
    const found = words.split(",").flatMap((word): readonly (typeof DEVICES)[number][] => {
      if (word === "all") return ["cpu", "webgpu"];
      const device = DEVICES.find((device) => device === word);
      if (device) return [device];
      throw new UsageError(`${flag} cannot be ${JSON.stringify(word)}: it is one of ${DEVICES.join(", ")}, all`);
    });
    return [...new Set(found)];
  },
};

/** The flags. */
export const BENCH_FLAGS = {
  device: devices,
  filter: text("TEXT", "only cases with this in their name"),
  peers: toggle("run the same jobs on other libraries, alternating, each in its own process"),
  explain: text(
    "[JOB]",
    "the ten most expensive kernels of a job (default: the chunk layer and the MAC training step)",
  ),
  against: text(
    "FOLDER",
    "run the same cases in another checkout of this project, alternating, each in its own process",
  ),
  scaling: toggle("time and memory of training and decoding as sequences grow, with a plot"),
  "first-step": toggle("the time from a model to its first training step, part by part, each in a new process"),
  json: text("FILE", "file for the figures (default: bench/results.json, or the mode's name instead of results)"),
  rounds: integer("number of rounds per case", undefined, { min: 1, max: 10000 }),
  quick: toggle("a quick look: few short rounds, with unreliable figures"),
  verbose: toggle("print stack traces of errors"),
} as const;

const MODES = ["peers", "explain", "scaling", "against", "first-step"] as const;

/** Reads a command line. @throws {UsageError} for what cannot be. */
export function readOptions(args: readonly string[]): Options {
  if (args.includes("--help") || args.includes("-h")) {
    return { mode: "own", devices: [], json: "", quick: false, help: true };
  }
  const { values, given } = parseFlags(normalize(args), BENCH_FLAGS, "bench");
  const modes = MODES.filter((mode) => given.has(mode));
  if (modes.length > 1) {
    throw new UsageError(`${modes.map((mode) => `--${mode}`).join(" and ")} exclude each other: give one of them`);
  }
  const mode = modes.length === 1 ? modes[0] : "own";
  if (values.json === "") throw new UsageError("--json needs a value: --json FILE");
  return {
    mode,
    devices: mode === "peers" && !given.has("device") ? ["cpu", "webgpu"] : values.device,
    filter: values.filter?.toLowerCase(),
    against: values.against,
    job: values.explain?.toLowerCase() || undefined,
    json: values.json ?? `bench/${mode === "own" ? "results" : mode}.json`,
    rounds: values.rounds,
    quick: values.quick,
    help: false,
  };
}

/** One `--device` in place of several, and `--explain=` where no job is named. */
function normalize(args: readonly string[]): string[] {
  const rest: string[] = [], devices: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i], next = args[i + 1];
    const hasValue = next !== undefined && !next.startsWith("--");
    if (word.startsWith("--device=")) devices.push(word.slice("--device=".length));
    else if (word === "--device" && hasValue) devices.push(args[++i]);
    else if (word === "--explain") rest.push(`--explain=${hasValue ? args[++i] : ""}`);
    else rest.push(word);
  }
  return devices.length > 0 ? [`--device=${devices.join()}`, ...rest] : rest;
}

/** The kinds of devices that are meant: `auto` is looked up. */
export async function timedDevices(devices: Options["devices"]): Promise<TimedDevice[]> {
  const found: TimedDevice[] = [];
  for (const kind of devices) {
    if (kind !== "auto") found.push(kind);
    else {
      const device = await requestDevice();
      found.push(device.info.kind === "webgpu" ? "webgpu" : "cpu");
      device.dispose();
    }
  }
  return [...new Set(found)];
}

const EXAMPLES: readonly (readonly [command: string, effect: string])[] = [
  ["deno task bench", "kernels, layers, training and decoding, on the device that training would take"],
  ["deno task bench --device all --filter matmul", "the products, on the processor and on WebGPU"],
  [
    "deno task bench --peers --filter 'chunk layer'",
    "one job here, on jax-js and TensorFlow.js, and on PyTorch where it is",
  ],
  [
    "deno task bench --against ../before",
    "this checkout's speed against that of another, such as a worktree of an earlier commit",
  ],
  ["deno task bench --explain", "where the time of a layer and of a training step goes"],
  ["deno task bench --explain 'matmul 512' --device webgpu", "one job's kernels"],
  ["deno task bench --scaling", "does a token cost the same in a long text? bench/scaling.svg shows it"],
  ["deno task bench --first-step --device all", "where the time before the first training step goes"],
  ["deno task bench --quick", "whether everything runs, in a minute or two"],
];

/** The help text. */
export function helpText(): string {
  return [
    "Times the library. Everything is checked against the reference device before it is timed, and what is compared is timed in turns in one run.",
    "",
    "usage: deno task bench [flags]",
    "",
    "examples:",
    ...describeExamples(EXAMPLES),
    "",
    "flags:",
    describeFlags(BENCH_FLAGS),
    "",
    "Tables go to standard output, progress to standard error, all figures to the JSON file. `share` is the speed in units of the yardstick beside it:",
    "the same work or the same bound written by hand.",
    "",
  ].join("\n");
}
