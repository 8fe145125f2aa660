/** The command line of the comparison of models. */
import { UsageError } from "../../cli/errors.ts";
import { asksHelp, choice, describeFlags, type Flag, integer, parseFlags, text, toggle } from "../../cli/flags.ts";
import { describeExamples } from "../../cli/help.ts";
import { DEVICE_NAMES } from "../../kernels/devices/registry.ts";
import type { DeviceName } from "../../kernels/mod.ts";
import { MODEL_OPTIONS, type ModelKind, OPTIMIZERS } from "../../titans/mod.ts";
import { words } from "../tool.ts";
import type { ConvolutionChoice, RunKey } from "./comparison_runs.ts";

/** What is asked for. */
export interface ComparisonOptions {
  /** The runs of the table. */
  readonly wanted: readonly RunKey[];
  readonly device: DeviceName;
  /** The file of finished runs. */
  readonly out: string;
  /** Whether nothing is trained. */
  readonly table: boolean;
  /** The file with figures of `deno task bench --models`. */
  readonly speeds?: string;
}

/** Every model by name, but for the one that is also called a Transformer. */
const MODELS = (Object.keys(MODEL_OPTIONS.model.choices) as ModelKind[]).filter((name) => name !== "attention");

const rates: Flag<readonly number[]> = {
  help: "learning rates, of which each model takes the one that is best with the first seed",
  placeholder: "X,...",
  fallback: [0.003, 0.01],
  read: (list, flag) =>
    list.split(",").map((word) => {
      const rate = Number(word);
      if (word !== "" && rate > 0 && Number.isFinite(rate)) return rate;
      throw new UsageError(`${flag} cannot be ${JSON.stringify(word)}: learning rates are numbers above 0`);
    }),
};

const FLAGS = {
  models: words(MODELS, `models: ${MODELS.join(", ")}`, MODELS),
  optimizers: words(Object.keys(OPTIMIZERS), `optimizers: ${Object.keys(OPTIMIZERS).join(", ")}`, ["adamW"]),
  convolutions: words<ConvolutionChoice>(
    ["default", "same", "none"],
    "short convolutions of models: default, as each has by itself; same, of four tokens; none",
    ["default"],
  ),
  rates,
  seeds: integer("seeds, from 0 on", 3, { min: 1, max: 1000 }),
  steps: integer("training steps", 300, { min: 1 }),
  parameters: integer("parameters of every model, within 3%; 0: as many as each has by itself", 0, { min: 0 }),
  device: choice(DEVICE_NAMES, "where models are trained", "cpu"),
  out: text("FILE", "file of finished runs, a line each", "bench/comparison.jsonl"),
  speeds: text("FILE", "figures of `deno task bench --models`, for tokens per second in the table"),
  table: toggle("print the table of what is finished, and train nothing"),
  verbose: toggle("print stack traces of errors"),
} as const;

/** Reads a command line; undefined if it asks for help. @throws {UsageError} for what cannot be. */
export function readComparisonOptions(args: readonly string[]): ComparisonOptions | undefined {
  if (asksHelp(args)) return undefined;
  const { values } = parseFlags(args, FLAGS, "compare"), { steps, parameters, seeds } = values;
  const wanted = values.models.flatMap((model) =>
    values.optimizers.flatMap((optimizer) =>
      values.convolutions.flatMap((convolution) =>
        values.rates.flatMap((rate) =>
          Array.from(
            { length: seeds },
            (_, seed): RunKey => ({ model, convolution, optimizer, rate, seed, steps, parameters }),
          )
        )
      )
    )
  );
  return { wanted, device: values.device, out: values.out, table: values.table, speeds: values.speeds };
}

const EXAMPLES: readonly (readonly [command: string, effect: string])[] = [
  ["deno task compare --models transformer,lmm,mac --parameters 194000", "three models of one size"],
  [
    "deno task compare --parameters 200000 --convolutions same,none",
    "all models, with the same convolution and with none",
  ],
  ["deno task compare --models lmm --optimizers adamW,muon", "two optimizers"],
  ["deno task compare --table --speeds bench/models.json", "the table so far, with speeds that were measured alone"],
];

/** The help text. */
export function comparisonHelp(): string {
  return [
    "Trains models beside each other on the default text, and prints a table in Markdown: bits per byte on held-out text, parameters,",
    "memory and decoding state. Every finished run is a line of --out: stop at any time, and the same command goes on where it was.",
    "",
    "usage: deno task compare [flags]",
    "",
    "examples:",
    ...describeExamples(EXAMPLES),
    "",
    "flags:",
    describeFlags(FLAGS),
    "",
  ].join("\n");
}
