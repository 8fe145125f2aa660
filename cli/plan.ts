/** `plan`: what training a model would take - memory, arithmetic, time - before the first step. */
import { largestTensor } from "../kernels/limits.ts";
import { requestDevice } from "../kernels/mod.ts";
import { requestAutomatic } from "../kernels/request_device.ts";
import type { Device } from "../kernels/mod.ts";
import { defineConfig, Model, type PresetName, PRESETS, withParameters } from "../titans/mod.ts";
import { PAPER_SIZES } from "../titans/models/paper_sizes.ts";
import { nextToken } from "../titans/train/next_token.ts";
import { defaultsOf } from "../titans/options/option_table.ts";
import { optimizerName } from "../titans/train/optimizer_config.ts";
import { PRECISION_OPTIONS } from "../titans/train/precision.ts";
import { planTraining } from "../titans/train/training_plan.ts";
import { DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { CommandError, UsageError } from "./errors.ts";
import { choice, integer, number, parseFlags, text, toggle, under, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { idleFlags, KIND_FLAG, MODEL_FLAGS, modelOptions, SIZE_FLAGS } from "./model_flags.ts";
import { OPTIMIZER_FLAGS, optimizerOf } from "./optimizer_flags.ts";
import { foreseen, formatPlan, formatScaling, type PlanReport } from "./plan_report.ts";
import { type RankProfile, readRankProfile } from "./rank_profile.ts";
import { inWordsOf } from "./run_config.ts";
import { flagsOf } from "./table_flags.ts";
import type { Terminal } from "./terminal.ts";
import { userPath } from "./user_path.ts";

const FLAGS = {
  model: KIND_FLAG,
  preset: choice(Object.keys(PRESETS) as PresetName[], "size of the model", "340m"),
  ...SIZE_FLAGS,
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
  ...under("Step", {
    vocabularySize: {
      ...integer("number of token ids; a byte is one of 256", undefined, { min: 2, max: 2 ** 24 }),
      unless: "32000 in the paper's sizes, else 256",
    },
    seqLen: integer("tokens per training sequence", 1024, { min: 1, max: 2 ** 20 }),
    batch: integer("sequences per batch, of all ranks together", 1, { min: 1, max: 2 ** 16 }),
    accumulate: integer("batches whose gradients are averaged for one step", 1, { min: 1, max: 2 ** 16 }),
    ...flagsOf(PRECISION_OPTIONS, { fallback: defaultsOf(PRECISION_OPTIONS) }),
    ranks: integer("processes that share the rows of each batch; memory is then that of one", 1, {
      min: 1,
      max: 65536,
    }),
    shard: toggle("with several ranks: each keeps a part of the optimizer's state"),
    compress: choice(["none", "bf16", "int8"], "with several ranks: how gradients travel between them", "none"),
  }),
  ...under("Time", {
    tokens: {
      ...number("tokens of the whole training", undefined, { min: 1 }),
      unless: "the paper's for its sizes, 15 to 100 billion",
    },
    tokensPerSecond: {
      ...number("what one process was measured to train, for the days that it takes", undefined, {
        min: 0,
        aboveMin: true,
      }),
      unless: "no days are given",
    },
    bandwidth: {
      ...number("GB/s between two ranks, for what summing gradients takes", undefined, { min: 0, aboveMin: true }),
      unless: "traffic takes no time",
    },
    latency: number("microseconds of a message between two ranks", 50, { min: 0 }),
    profile: {
      ...text("FILE", "what `profile:mpi` measured: time and efficiency of 1, 2, 4 ... ranks, each with as many rows"),
      unless: "none",
    },
  }),
  ...MODEL_FLAGS,
  ...OPTIMIZER_FLAGS,
};

/** The command `plan`. */
export const planCommand: Command = {
  summary: "say what training a model would take: memory, arithmetic, days",
  description:
    "Plans a training step without allocating anything: parameters, memory by kind, arithmetic per token, steps, and days at a measured speed. Says which tensors a device cannot hold.",
  examples: [
    ["deno task plan --preset 340m --device native", "the paper's model of 340 million parameters"],
    ["deno task plan --preset 760m --model mac --batch 8 --ranks 8 --tokens-per-second 900", "on eight processes"],
    ["deno task plan --preset nano --ranks 64 --batch 256 --seq-len 128 --profile runs/profile.json", "as ranks scale"],
    ["deno task plan --preset small --device webgpu --json", "for scripts"],
  ],
  flags: FLAGS,
  run: plan,
};

async function plan(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseFlags(args, FLAGS, "plan");
  if (values.batch % values.ranks !== 0) {
    throw new UsageError(
      `--ranks cannot be ${values.ranks}: every rank takes as many rows, and --batch is ${values.batch}`,
    );
  }
  const device = await open(values);
  try {
    if (!device.needsPlan) {
      throw new UsageError(
        `--device cannot be ${device.info.kind}: it interprets and plans nothing; use cpu, native or webgpu`,
      );
    }
    const report = reportOf(values, device);
    if (!values.json) idleFlags(values, report.config).forEach((note) => terminal.err(`${note}\n`));
    const { config: _, ...shown } = report, profile = await profileOf(values);
    const scaling = profile && foreseen(report, profile);
    if (values.json) terminal.out(`${JSON.stringify({ ...shown, scaling })}\n`);
    else terminal.out(formatPlan(report) + (profile ? formatScaling(report, profile, scaling!) : ""));
    return 0;
  } finally {
    device.dispose();
  }
}

/** The profile of `--profile`. */
async function profileOf({ profile }: Values<typeof FLAGS>): Promise<RankProfile | undefined> {
  if (profile === undefined) return undefined;
  const path = userPath(profile);
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(`--profile cannot be ${path}: ${(error as Error).message}`);
  }
  return readRankProfile(text, path);
}

async function open(values: Values<typeof FLAGS>): Promise<Device> {
  const { kind, ...rest } = deviceOptions(values);
  try {
    return kind === "auto" ? (await requestAutomatic(rest)).device : await requestDevice({ kind, ...rest });
  } catch (error) {
    throw new CommandError((error as Error).message, { cause: error });
  }
}

function reportOf(values: Values<typeof FLAGS>, device: Device): PlanReport {
  const { preset, parameters, vocabularySize: vocabulary, seqLen: length, batch, accumulate, ranks } = values;
  const { config, optimizer } = inWordsOf(values, () => {
    const options = { model: values.model, ...modelOptions(values), ...(vocabulary ? { vocabulary } : {}) };
    const config = defineConfig(options, preset);
    return {
      config: parameters === undefined ? config : withParameters(config, parameters),
      optimizer: optimizerOf(values, 1000),
    };
  });
  const shape = { batch: batch / ranks, length, accumulate };
  const model = new Model(config), objective = nextToken({ masked: false });
  const paper: { readonly tokens?: number } = Object.hasOwn(PAPER_SIZES, preset)
    ? PAPER_SIZES[preset as keyof typeof PAPER_SIZES]
    : {};
  return {
    preset,
    config: model.config,
    model: values.model,
    optimizer: optimizerName(optimizer),
    device: { kind: device.info.kind, description: device.info.description },
    limits: {
      maxTensorBytes: largestTensor(device.limits),
      maxMemoryBytes: device.limits.maxMemoryBytes,
    },
    shape,
    ranks,
    shard: values.shard,
    compress: values.compress,
    ...planTraining({ model, objective, optimizer, shape, precision: values.precision }, device.limits, values),
    training: {
      tokens: values.tokens ?? paper.tokens,
      tokensPerSecond: values.tokensPerSecond,
      bandwidth: values.bandwidth,
      latency: values.latency,
    },
  };
}
