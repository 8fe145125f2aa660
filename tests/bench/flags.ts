/** The command line of the benchmark. */
import { UsageError } from "../../cli/errors.ts";
import { describeFlags, type Flag, integer, parseFlags, text, toggle } from "../../cli/flags.ts";
import { describeExamples } from "../../cli/help.ts";
import { DEVICE_NAMES } from "../../kernels/devices/registry.ts";
import type { DeviceName } from "../../kernels/mod.ts";
import { openDevice } from "./open_device.ts";
import { PEER_NAMES } from "./peers/mod.ts";

/** A kind of device that is timed. */
export type TimedDevice = Exclude<DeviceName, "reference">;

/** What is asked for. */
export interface Options {
  readonly mode: "own" | "peers" | "explain" | "scaling" | "against" | "busy" | "first-step" | "roofline" | "models";
  readonly devices: readonly (TimedDevice | "auto")[];
  /** Only what has this in its name. */
  readonly filter?: string;
  /** Other libraries to compare with. */
  readonly libraries: readonly string[];
  /** Threads on the CPU. Default: one per core. */
  readonly threads?: number;
  /** Another checkout to compare with. */
  readonly against?: string;
  /** Numbers of busy loops beside which threads are timed. */
  readonly busy: readonly number[];
  /** What to explain. Default: the chunk layer and a training step. */
  readonly job?: string;
  /** Where figures go as JSON. */
  readonly json: string;
  /** Another number of turns. */
  readonly rounds?: number;
  /** Lengths of texts in training, for the study of models. Default: the study's. */
  readonly lengths?: readonly number[];
  /** Tokens read before decoding is timed, for the study of models. Default: the study's. */
  readonly contexts?: readonly number[];
  /** A glance: few short turns. */
  readonly quick: boolean;
  readonly help: boolean;
}

const TIMED = DEVICE_NAMES.filter((name): name is TimedDevice => name !== "reference");
const DEVICES = ["auto", ...TIMED] as const;

const devices: Flag<Options["devices"]> = {
  help: "the devices to time: auto is the one that training would take; several flags, or all",
  placeholder: `${DEVICES.join("|")}|all`,
  fallback: ["auto"],
  read: (words, flag) => {
    const found = words.split(",").flatMap((word): readonly (typeof DEVICES)[number][] => {
      if (word === "all") return TIMED;
      const device = DEVICES.find((device) => device === word);
      if (device) return [device];
      throw new UsageError(`${flag} cannot be ${JSON.stringify(word)}: it is one of ${DEVICES.join(", ")}, all`);
    });
    return [...new Set(found)];
  },
};

const libraries: Flag<readonly string[]> = {
  help: "run the same jobs on other libraries, alternating, each in its own process (default: all of them)",
  placeholder: "[NAME,...]",
  fallback: PEER_NAMES,
  read: (words, flag) => {
    const names = words === "" ? PEER_NAMES : words.split(",");
    const unknown = names.find((name) => !PEER_NAMES.includes(name));
    if (unknown === undefined) return names;
    throw new UsageError(`${flag} cannot be ${JSON.stringify(unknown)}: it is one of ${PEER_NAMES.join(", ")}`);
  },
};

/** A flag with numbers of tokens, of which there are some by default. */
function tokenCounts(help: string): Flag<readonly number[] | undefined> {
  const { read } = integer(help, undefined, { min: 1, max: 2 ** 24 });
  return {
    help,
    placeholder: "N,...",
    fallback: undefined,
    read: (list, flag) => list.split(",").map((word) => read(word, flag)!).toSorted((a, b) => a - b),
  };
}

/** Numbers of processes; without a value none, and one and two a core. */
const loops: Flag<readonly number[]> = {
  help: "one thread against all threads while this many other processes keep cores busy (default: 0,2,4 on two cores)",
  placeholder: "[N,...]",
  fallback: [0, 1, 2].map((each) => each * navigator.hardwareConcurrency),
  read: (list, flag) => {
    const { read } = integer("", 0, { min: 0, max: 1024 });
    return list === "" ? loops.fallback : list.split(",").map((word) => read(word, flag));
  },
};

/** The flags. */
export const BENCH_FLAGS = {
  device: devices,
  filter: text("TEXT", "only cases with this in their name"),
  peers: libraries,
  threads: integer("number of threads on the CPU, for --peers (default: one per core)", undefined, {
    min: 1,
    max: 1024,
  }),
  explain: text(
    "[JOB]",
    "the ten most expensive kernels of a job (default: the chunk layer and the MAC training step)",
  ),
  against: text(
    "FOLDER",
    "run the same cases in another checkout of this project, alternating, each in its own process",
  ),
  busy: loops,
  scaling: toggle("time and memory of training and decoding as sequences grow, with a plot"),
  models: toggle(
    "training throughput against the length of texts and decoding time against context, of every model at one size, with a plot; goes on where it was stopped",
  ),
  lengths: tokenCounts("lengths of texts for --models (default: 512,2048,8192,32768)"),
  contexts: tokenCounts("tokens read before decoding is timed, for --models (default: 1024,8192,32768)"),
  "first-step": toggle("the time from a model to its first training step, part by part, each in a new process"),
  roofline: toggle("what bounds each kernel on some GPUs, on paper, and measured where there is one"),
  json: text("FILE", "file for the figures (default: bench/results.json, or the mode's name instead of results)"),
  rounds: integer("number of rounds per case", undefined, { min: 1, max: 10000 }),
  quick: toggle("a quick look: few short rounds, with unreliable figures"),
  verbose: toggle("print stack traces of errors"),
} as const;

const MODES = ["peers", "explain", "scaling", "against", "busy", "first-step", "roofline", "models"] as const;

/** Reads a command line. @throws {UsageError} for what cannot be. */
export function readOptions(args: readonly string[]): Options {
  if (args.includes("--help") || args.includes("-h")) {
    return { mode: "own", devices: [], libraries: [], busy: [], json: "", quick: false, help: true };
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
    devices: mode === "peers" && !given.has("device") ? TIMED : values.device,
    filter: values.filter?.toLowerCase(),
    libraries: values.peers,
    threads: values.threads,
    against: values.against,
    busy: values.busy,
    job: values.explain?.toLowerCase() || undefined,
    json: values.json ?? `bench/${mode === "own" ? "results" : mode}.json`,
    rounds: values.rounds,
    lengths: values.lengths,
    contexts: values.contexts,
    quick: values.quick,
    help: false,
  };
}

/** Flags whose value may be left out. */
const OPEN_FLAGS: ReadonlySet<string> = new Set(["--explain", "--peers", "--busy"]);

/** One `--device` in place of several, and `--explain=` where no job is named. */
function normalize(args: readonly string[]): string[] {
  const rest: string[] = [], devices: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i], next = args[i + 1];
    const hasValue = next !== undefined && !next.startsWith("--");
    if (word.startsWith("--device=")) devices.push(word.slice("--device=".length));
    else if (word === "--device" && hasValue) devices.push(args[++i]);
    else if (OPEN_FLAGS.has(word)) rest.push(`${word}=${hasValue ? args[++i] : ""}`);
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
      const device = await openDevice();
      found.push(device.info.kind as TimedDevice);
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
    "one job here, on jax-js and TensorFlow.js, and on PyTorch where Python has it",
  ],
  ["deno task bench --peers torch,torch.compile --device cpu --threads 1", "against PyTorch alone, on one core"],
  [
    "deno task bench --against ../before",
    "this checkout's speed against that of another, such as a worktree of an earlier commit",
  ],
  ["deno task bench --busy 0,1,2 --device native", "one thread against all, beside other work"],
  ["deno task bench --explain", "where the time of a layer and of a training step goes"],
  ["deno task bench --explain 'matmul 512' --device webgpu", "one job's kernels"],
  ["deno task bench --scaling", "does a token cost the same in a long text? bench/scaling.svg shows it"],
  [
    "deno task bench --models --filter mamba",
    "how fast models with that in their names train and decode as texts grow",
  ],
  ["deno task bench --first-step --device all", "where the time before the first training step goes"],
  ["deno task bench --roofline --filter 'chunk layer'", "how fast a layer's kernels can be on four GPUs, and why"],
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
