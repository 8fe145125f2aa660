/** The command line of the fuzzer. */
import { UsageError } from "../../cli/errors.ts";
import { describeFlags, type Flag, integer, number, parseFlags, text, toggle } from "../../cli/flags.ts";
import { describeExamples } from "../../cli/help.ts";
import type { TargetKind } from "./targets.ts";

/** What is asked for. */
export interface Options {
  /** The first seed, and the one after the last; Infinity for as long as there is time. */
  readonly from: number;
  readonly to: number;
  readonly minutes: number;
  readonly devices: readonly TargetKind[];
  readonly shrink: boolean;
  readonly maxFailures: number;
  readonly out: string;
  /** Where the figures go as JSON. */
  readonly json?: string;
  /** Print this seed's program and run nothing. */
  readonly print?: number;
}

const KINDS: readonly TargetKind[] = ["reference", "cpu", "native", "webgpu"];

const devices: Flag<readonly TargetKind[]> = {
  help: "devices to run on, separated by commas, or all; cpu is four: relaxed or not, one thread or two; native is two",
  placeholder: "reference|cpu|native|webgpu|all",
  fallback: ["reference", "cpu"],
  read: (words, flag) => [
    ...new Set(
      words.split(",").flatMap((word): readonly TargetKind[] => {
        if (word === "all") return KINDS;
        const kind = KINDS.find((each) => each === word);
        if (kind) return [kind];
        throw new UsageError(`${flag} cannot be ${JSON.stringify(word)}: it is one of ${KINDS.join(", ")}, all`);
      }),
    ),
  ],
};

const FLAGS = {
  seeds: text("A..B", "the programs of these seeds, B not included; one seed: A"),
  minutes: number("go on from the first seed until so much time is over", undefined, { min: 0.01 }),
  device: devices,
  shrink: toggle("make every failing program as small as it can be"),
  maxFailures: integer("stop after so many different failures", 20, { min: 1 }),
  out: text("FOLDER", "where scripts of failing programs go", ".scratch/fuzz"),
  json: text("FILE", "where all figures go as JSON, below .scratch"),
  print: integer("print the program of a seed and run nothing", undefined, { min: 0 }),
  verbose: toggle("print stacks with errors"),
} as const;

/** Reads a command line; undefined if it asks for help. @throws {UsageError} for what cannot be. */
export function readOptions(args: readonly string[]): Options | undefined {
  if (args.includes("--help") || args.includes("-h")) return undefined;
  const { values } = parseFlags(args, FLAGS, "fuzz");
  const range = values.seeds === undefined ? undefined : /^(\d+)(?:\.\.(\d+))?$/.exec(values.seeds);
  if (range === null) {
    throw new UsageError(
      `--seeds cannot be ${JSON.stringify(values.seeds)}: it is a range such as 0..1000, or one seed`,
    );
  }
  const from = range ? Number(range[1]) : values.minutes === undefined ? 0 : Math.floor(Date.now() / 1000);
  const end = range
    ? (range[2] === undefined ? (values.minutes === undefined ? from + 1 : Infinity) : Number(range[2]))
    : undefined;
  const to = end ?? (values.minutes === undefined ? 1000 : Infinity);
  if (to <= from) throw new UsageError(`--seeds ${values.seeds} is empty: the first seed is below the second`);
  return {
    from,
    to,
    minutes: values.minutes ?? Infinity,
    devices: values.device,
    shrink: values.shrink,
    maxFailures: values.maxFailures,
    out: values.out,
    json: values.json,
    print: values.print,
  };
}

const EXAMPLES: readonly (readonly [command: string, effect: string])[] = [
  ["deno task fuzz", "the programs of seeds 0 .. 999 on the reference and on cpu"],
  ["deno task fuzz --seeds 0..3000 --device webgpu", "on WebGPU; each new kernel is compiled, which takes its time"],
  ["deno task fuzz --minutes 30 --device all --shrink", "new programs for half an hour; failures are made small"],
  ["deno task fuzz --seeds 1234 --shrink", "one program again, made small"],
  ["deno task fuzz --print 1234", "what the program of a seed is"],
];

/** The help text. */
export function helpText(): string {
  return [
    "Writes random programs, compiles them, and compares every device with the f64 reference.",
    "",
    "usage: deno task fuzz [flags]",
    "",
    "examples:",
    ...describeExamples(EXAMPLES),
    "",
    "flags:",
    describeFlags(FLAGS),
    "",
    "A seed is a program: always the same one. What a device may be off by is worked out for each element from the program, operation by operation, so",
    "there is no tolerance to choose. Gradients are compared with difference quotients; simplification, schedules and memory plans are checked on the way, so",
    "that a failure names the stage to blame: trace, gradient, simplify, schedule, plan, compile, device (printer or executor), repeat (twice is not the same).",
    "Each kind of failure is written as a script that runs by itself. The exit code is 1 if there was one, or if some op was never met in 1,000 programs.",
    "",
  ].join("\n");
}
