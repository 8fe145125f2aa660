/** `train`: trains a model on text, in a run folder that can be continued. */
import { requestDevice } from "../kernels/mod.ts";
import { PRESETS } from "../titans/mod.ts";
import { type Corpus, loadCorpus } from "./data.ts";
import { UsageError } from "./errors.ts";
import { choice, integer, number, parseFlags, text, toggle, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { MODEL_FLAGS } from "./model_flags.ts";
import { INTERRUPTED, listenForInterrupt } from "./interrupt.ts";
import { jsonReporter, textReporter } from "./progress.ts";
import { checkSameData, identify, newRunConfig, resumedRunConfig, type RunConfig } from "./run_config.ts";
import { freshFolder, latestRun, readConfig, RUNS } from "./run_folder.ts";
import type { Terminal } from "./terminal.ts";
import { TrainingRun } from "./training_run.ts";
import { VERSION } from "./version.ts";

const FLAGS = {
  model: choice(["mac", "lmm", "mag", "mal"], "memory as context of attention, alone, as a gate of attention, or as a layer before it", "mac"),
  preset: choice(Object.keys(PRESETS) as (keyof typeof PRESETS)[], "size of the model", "nano"),
  data: text("FILE", "text to learn from, .gz too; sotu is the built-in English text", "sotu"),
  steps: integer("optimiser steps of the whole run", 1000, { min: 1 }),
  seqLen: integer("bytes of a training sequence", 128, { min: 1, max: 2 ** 20 }),
  batch: integer("sequences computed at once", 8, { min: 1, max: 2 ** 16 }),
  accumulate: integer("batches whose gradients make one step", 1, { min: 1, max: 2 ** 16 }),
  lr: number("learning rate after warm-up; then it falls along a cosine", 3e-3, { min: 0, aboveMin: true }),
  warmup: integer("steps of warm-up", 50, { min: 0 }),
  seed: integer("for the first weights and the order of the text", 0, { min: 0, max: 2 ** 32 - 1 }),
  device: choice(["auto", "webgpu", "cpu", "reference"], "auto takes a GPU, else the CPU; reference is exact and very slow", "auto"),
  shaderCache: text("DIR", "where WebGPU drivers keep compiled shaders, for a faster next start"),
  out: text("DIR", `run folder (a new one in ${RUNS}/ unless given)`),
  resume: toggle("continue the run in --out, or the newest one"),
  evalEvery: integer("steps between validations; 0 for the end only", 100, { min: 0 }),
  evalBytes: integer("held-out bytes to validate on", 16384, { min: 1 }),
  checkpointEvery: integer("steps between checkpoints", 50, { min: 1 }),
  sampleTokens: integer("bytes to write at the end; 0 for none", 300, { min: 0 }),
  samplePrompt: text("TEXT", "what the sample begins with", "The "),
  ...MODEL_FLAGS,
  json: toggle("print one JSON object a line; text goes to stderr"),
  verbose: toggle("print stacks with errors"),
} as const;

type TrainFlags = Values<typeof FLAGS>;

/** The command `train`. */
export const trainCommand: Command = {
  summary: "train a model on text; stop and continue it at any time",
  description: [
    "Trains a byte-level Titans language model. Progress, loss and bits per byte are shown; at the end the model writes a sample.",
    "A run lives in a folder: config.json, checkpoint.safetensors, metrics.jsonl, sample.txt. Ctrl-C saves it; --resume continues it.",
  ].join("\n"),
  examples: [
    ["deno task train", "a small model on real English text: about two minutes on two cores"],
    ["deno task train --data my.txt --steps 1000", "your own text"],
    ["deno task train --model lmm --out runs/lmm", "the memory alone, in a folder of your choice"],
    ["deno task train --model mag --gates channel --no-momentum", "another model, finer gates, an ablation"],
    ["deno task train --resume --steps 600", "continue the newest run up to step 600"],
    ["deno task train --json | tee log.jsonl", "for scripts: events start, step, validation, sample, done"],
  ],
  flags: FLAGS,
  run: train,
};

async function train(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values: flags, given } = parseFlags(args, FLAGS, "train");
  const reporter = flags.json ? jsonReporter(terminal) : textReporter(terminal);
  // From the first moment on: Ctrl-C while the text loads or kernels compile ends the run in good order too.
  using interrupt = listenForInterrupt();
  const { config, corpus, path } = flags.resume ? await resumedRun(flags, given) : await newRun(flags);
  const device = await requestDevice({ kind: flags.device, shaderCacheDirectory: flags.shaderCache });
  try {
    using run = await TrainingRun.open({ config, corpus, path, device, version: VERSION }, reporter);
    const finished = await run.train({ ...flags, interrupt, reporter });
    if (!finished) reporter.note(`continue with: deno task train --resume --out ${path}`);
    return finished ? 0 : INTERRUPTED;
  } finally {
    device.dispose();
  }
}

interface Opened {
  readonly config: RunConfig;
  readonly corpus: Corpus;
  readonly path: string;
}

async function newRun(flags: TrainFlags): Promise<Opened> {
  const path = flags.out ?? await freshFolder(RUNS, `${flags.model}-${flags.preset}`);
  if (await readConfig(path) !== undefined) {
    throw new UsageError(`there is a run in ${path} already: continue it with --resume, or choose another --out`);
  }
  const corpus = await loadCorpus(flags.data, flags.seqLen);
  // Now, so that a place where nothing may be written shows before minutes of compiling.
  await Deno.mkdir(path, { recursive: true });
  return { config: newRunConfig(flags, await identify(corpus.name, corpus.bytes), VERSION), corpus, path };
}

async function resumedRun(flags: TrainFlags, given: ReadonlySet<string>): Promise<Opened> {
  const path = flags.out ?? await latestRun(RUNS);
  const stored = await readConfig(path);
  if (stored === undefined) throw new UsageError(`there is no run in ${path}: leave --resume out to start one there`);
  const config = resumedRunConfig(stored, flags, { given, path });
  const corpus = await loadCorpus(given.has("data") ? flags.data : config.data.name, config.seqLen);
  checkSameData(config, await identify(corpus.name, corpus.bytes), path);
  return { config, corpus, path };
}
