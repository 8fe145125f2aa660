/** `train`: trains a model on text, in a run folder that can be continued. */
import { type Device, requestDevice } from "../kernels/mod.ts";
import {
  type Checkpoint,
  type Collective,
  decodeCheckpoint,
  encodeCheckpoint,
  PRESETS,
  SOLO,
  type Task,
} from "../titans/mod.ts";
import { taskOf } from "../titans/tasks/mod.ts";
import { describeMixers } from "../titans/models/blocks.ts";
import { readRunState, type WhichCheckpoint } from "./checkpoint_file.ts";
import { CACHE } from "./data/cache.ts";
import { type CorpusOptions, openCorpus } from "./data/corpus.ts";
import { DEFAULT_RECIPE } from "./data/recipe.ts";
import { VOCABULARIES } from "./data/vocabulary.ts";
import { showData, showTask } from "./dry_run.ts";
import { readConfigFile, withConfigFile, type WithFile } from "./config_file.ts";
import { DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { UsageError } from "./errors.ts";
import { choice, flagName, integer, parseFlags, phrase, text, texts, toggle, under, type Values } from "./flags.ts";
import { isExport } from "./exported_model.ts";
import type { Command } from "./help.ts";
import { launchedProcesses } from "./launched.ts";
import { idleFlags, KIND_FLAG, MODEL_FLAGS, modelOptions, SIZE_FLAGS } from "./model_flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { asCalled, shellWord } from "./program.ts";
import { OPTIMIZER_FLAGS } from "./optimizer_flags.ts";
import { jsonReporter, textReporter } from "./progress.ts";
import { checkSameData, newRecipe, newRunConfig, recipeOf, resumedRunConfig, type RunConfig } from "./run_config.ts";
import { RUN_FLAGS } from "./run_options.ts";
import { latestRun, readConfig, RUNS, writeConfig } from "./run_folder.ts";
import { abandon, type RunLock, takeFreshFolder, takeNewFolder, takeRun } from "./run_lock.ts";
import type { Terminal } from "./terminal.ts";
import { bytesOfFirst, onAny, resumeCommand, together, toldByFirst, waitingAtMost } from "./ranks.ts";
import type { RunSource } from "./run_source.ts";
import { type ChosenTask, chosenTask, shownTask, TASK_FLAGS, TEXT_TASK } from "./task_flags.ts";
import { taskSource } from "./task_source.ts";
import { textSource } from "./text_source.ts";
import { HELD_OUT_FLAGS, TEXT_FLAGS } from "./text_flags.ts";
import { userPath, userSource } from "./user_path.ts";
import { TrainingRun } from "./training_run.ts";
import { VERSION } from "./version.ts";

const OWN_FLAGS = {
  model: KIND_FLAG,
  ...TASK_FLAGS,
  preset: choice(Object.keys(PRESETS) as (keyof typeof PRESETS)[], "size of the model", "nano"),
  ...SIZE_FLAGS,
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
  ...under("Text", {
    data: {
      ...texts(
        "PLACE",
        "a file, a folder, `-` or what was fetched; several to mix them, `PLACE=2` is seen twice as often",
      ),
      unless: DEFAULT_RECIPE.sources.join(),
    },
    ...TEXT_FLAGS,
    vocabulary: choice(VOCABULARIES, "what a token is: a byte, or a piece of a word", DEFAULT_RECIPE.vocabulary),
    ...HELD_OUT_FLAGS,
    cache: text("DIR", "where prepared texts and downloads are", CACHE),
  }),
  ...under("Training", RUN_FLAGS),
  ...under("Run", {
    config: {
      ...text("FILE", "start from the `config.json` of a run or an exported model, or any of its keys; flags win"),
      unless: "none",
    },
    printConfig: toggle("print the `config.json` that the run would have, for `--config`, without training"),
    out: { ...text("DIR", "run folder"), unless: `a new one in ${RUNS}/` },
    resume: toggle("continue the run in `--out`, or the newest one"),
    which: choice(["best", "last"], "which of its states `--resume` continues", "last"),
    evalEvery: integer("steps between validations; 0 for the end only", 100, { min: 0 }),
    evalBytes: integer("held-out bytes to validate on; with `--stream` the rows of a batch share them", 16384, {
      min: 1,
    }),
    checkpointEvery: integer("steps between checkpoints", 50, { min: 1 }),
    tensorboard: toggle("write metrics also as event files of TensorBoard: `tensorboard --logdir runs`"),
    shard: toggle("with several ranks: each keeps and updates a part of the optimizer's state"),
    compress: choice(["none", "bf16", "int8"], "with several ranks: how gradients travel between them", "none"),
    rankTimeout: integer("with several ranks: seconds that each waits for the others before all end", 600, { min: 1 }),
    sampleTokens: integer("tokens to write at the end; 0 for none", 300, { min: 0 }),
    samplePrompt: phrase("what the sample begins with", "The "),
  }),
} as const;

type TrainFlags = Values<typeof OWN_FLAGS & typeof MODEL_FLAGS>;

/** All flags; the values of the optimizer's are read by what made these. */
const FLAGS = { ...OWN_FLAGS, ...OPTIMIZER_FLAGS, ...MODEL_FLAGS } as typeof OWN_FLAGS & typeof MODEL_FLAGS;

const TRAIN: Omit<Command, "run"> = {
  summary: "train a model on text; stop and continue it at any time",
  description: [
    "Trains a Titans language model on bytes, or on the tokens of --vocabulary. Shows progress, loss and bits per byte,",
    "and generates a sample at the end.",
    "Each run has a folder with config.json, the last and the best checkpoint, metrics.jsonl, sample.txt and report.html with the curves.",
    "With --tensorboard it has event files of TensorBoard too.",
    "Ctrl-C and SIGTERM save the run; --resume continues it.",
  ].join("\n"),
  examples: [
    ["deno task train", "a small model on real English text; takes about two minutes on two cores"],
    [
      "deno task train --data my.txt --steps 1000",
      "your own text: .txt, .md, .jsonl, .csv or .parquet files, also gzipped, and folders",
    ],
    [
      "deno task train --data books/ --data chat.jsonl=2 --field message",
      "several texts; the second is seen twice as often",
    ],
    ["deno task train --data my.txt --vocabulary bpe:gpt2 --batch 2", "BPE tokens instead of bytes"],
    ["zcat corpus.gz | deno task train --data -", "text from another program"],
    ["deno task train --model lmm --out runs/lmm", "the memory alone, in a given folder"],
    [
      "deno task train --blocks lmm,swa:window=32 --parameters 200000",
      "different blocks, and MLPs that make up the size",
    ],
    ["deno task train --model mag --gates channel --no-momentum", "another model, finer gates, an ablation"],
    ["deno task train --stream 65536", "documents in order; the memory is carried along for up to 64 KiB"],
    ["deno task train --data books/ --steps 0", "show what would be read, without training"],
    ["deno task train --resume --steps 600", "continue the newest run up to step 600"],
    ["deno task train --task dna --data genome.fa.gz", "the next nucleotide, from FASTA or FASTQ"],
    ["deno task train --task recall --task-option pairs=4 --theta-max 1", "a task whose data is made, instead of text"],
    ["deno task train --config runs/mac-nano/config.json --seed 1", "another run like that one"],
    ["deno task train --json | tee log.jsonl", "for scripts: events start, step, validation, sample, done"],
  ],
  flags: FLAGS,
};

/** The command `train`, in a process by itself. */
export const trainCommand: Command = {
  ...TRAIN,
  run: (args, terminal) => {
    requireAlone(launchedProcesses());
    return train(args, terminal, { ranks: SOLO });
  },
};

/** Refuses to be one of several processes, each of which would train by itself. @throws {UsageError} */
function requireAlone(processes: number): void {
  if (processes === 1) return;
  throw new UsageError(
    `this is one of ${processes} processes that were launched together, and \`train\` would train in each of them alone: use \`deno task train:mpi\`, whose processes share a run`,
  );
}

/** The command `train` on ranks that train together. @param threads Of a rank's device. Default: one per core. */
export function trainOn(ranks: Collective, threads?: number): Command {
  return { ...TRAIN, run: (args, terminal) => train(args, terminal, { ranks, threads }) };
}

/** Where a command runs. */
interface Place {
  readonly ranks: Collective;
  readonly threads?: number;
}

async function train(args: readonly string[], terminal: Terminal, { ranks, threads }: Place): Promise<number> {
  const { typed, flags, given } = await together(ranks, () => readFlags(args, ranks));
  const reporter = flags.json ? jsonReporter(terminal) : textReporter(terminal);
  // Installed first, so that Ctrl-C also ends the run gracefully while the text loads or kernels compile.
  using interrupt = listenForInterrupt(terminal, ranks.size > 1);
  const watch = { note: reporter.note, stopped: () => interrupt.requested };
  if (!flags.resume) idleNotes(typed, { flags, given, ranks }).forEach(reporter.note);
  if (flags.printConfig) {
    const { source, config } = await newSource(flags, newTask(flags, given), watch);
    source[Symbol.dispose]();
    terminal.out(`${JSON.stringify(config, null, 2)}\n`);
    return 0;
  }
  if (flags.steps === 0) {
    const task = newTask(flags, given), showing = { terminal, reporter, json: flags.json, watch };
    await (task ? showTask(flags, task, showing) : showData(flags, showing));
    return 0;
  }
  const open = (): Promise<Opened> => flags.resume ? resumedRun(flags, given, watch) : newRun(flags, given, watch);
  const first = await together(ranks, () =>
    ranks.rank > 0 ? undefined : open().catch((error: unknown) => {
      // A stop while a text is prepared is reported as a stop, not as a failure.
      if (!interrupt.requested) throw error;
      reporter.note(error instanceof Error ? error.message : String(error));
    }));
  // The others learn from the first what the run is; the text is then ready for them too.
  const run = await toldByFirst(ranks, first && { config: first.config, path: first.path, from: first.from });
  if (!run) return interrupt.exitCode;
  const { config, source, path, lock, from } = first ?? await together(ranks, () => joinedRun(run, flags, watch));
  using _source = source;
  using _lock = lock;
  const resume = resumeCommand(ranks, path);
  let device: Device | undefined;
  try {
    if (first) await together(ranks, () => {}); // the others opened it too
    const checkpoint = await startingState(ranks, path, from);
    device = await together(ranks, () => requestDevice({ ...deviceOptions(flags), threads: flags.threads ?? threads }));
    if (await onAny(ranks, interrupt.requested)) {
      reporter.note(asCalled(`stopped before the first step; continue with: ${resume}`));
      return interrupt.exitCode;
    }
    const stopRequested = (): boolean => interrupt.requested, { shard, compress, tensorboard } = flags, kept = device;
    const patient = waitingAtMost(ranks, flags.rankTimeout), version = VERSION;
    const shared = { ranks: patient, shard, compress, stopRequested };
    const parts = { config, source, path, device: kept, version, checkpoint, tensorboard, ...shared };
    using run = await together(ranks, () => TrainingRun.open(parts, reporter));
    const finished = await run.train({ ...flags, interrupt, reporter });
    if (!finished) reporter.note(asCalled(`continue with: ${resume}`));
    return finished ? 0 : interrupt.exitCode;
  } catch (error) {
    if (!flags.resume && lock) await abandon(lock);
    throw error;
  } finally {
    device?.dispose();
  }
}

/** Flags of the command line, and of a file where they are not given. */
type Flags = WithFile<TrainFlags>;

/** The flags, as typed and with those of a file, with paths as the user meant them. @throws {UsageError} if they are at odds. */
async function readFlags(
  args: readonly string[],
  ranks: Collective,
): Promise<{ readonly typed: TrainFlags; readonly flags: Flags; readonly given: ReadonlySet<string> }> {
  const { values, given } = parseFlags(args, FLAGS, "train");
  const typed = { ...values, data: values.data.map((source) => userSource(source)) };
  if (typed.resume && (given.has("config") || given.has("printConfig"))) {
    throw new UsageError("--config and --print-config are about new runs: leave them out, or --resume");
  }
  const file = typed.config === undefined ? undefined : await readConfigFile(userPath(typed.config));
  const flags = withConfigFile(typed, given, file);
  if (flags.steps === 0 && flags.resume) {
    throw new UsageError("--steps 0 shows what a new run would read: leave --resume out");
  }
  if (ranks.size > 1 && flags.data.some((source) => /^-(=|$)/.test(source))) {
    throw new UsageError("--data - is read by one process alone: write the text to a file that all ranks can read");
  }
  return { typed, flags, given };
}

/** The state that a run goes on from, which the first rank reads. */
async function startingState(
  ranks: Collective,
  path: string,
  from: WhichCheckpoint | undefined,
): Promise<Checkpoint | undefined> {
  if (from === undefined) return undefined;
  const read = await together(ranks, () => ranks.rank === 0 ? readRunState(path, from) : undefined);
  if (ranks.size === 1) return read;
  const bytes = await bytesOfFirst(ranks, read ? encodeCheckpoint(read) : new Uint8Array());
  return bytes.length === 0 ? undefined : decodeCheckpoint(bytes);
}

interface Opened {
  readonly config: RunConfig;
  readonly source: RunSource;
  readonly path: string;
  /** The folder is this process's until it is disposed; of several ranks the first one has it. */
  readonly lock?: RunLock;
  /** Which state the run goes on from; undefined for a new run. */
  readonly from?: WhichCheckpoint;
}

/** Lines about flags that change nothing. */
function idleNotes(
  typed: TrainFlags,
  { flags, given, ranks }: {
    readonly flags: Flags;
    readonly given: ReadonlySet<string>;
    readonly ranks: Collective;
  },
): string[] {
  const model = { ...PRESETS[flags.preset], ...flags.base?.model, ...modelOptions(flags), model: flags.model };
  const sample = given.has("samplePrompt") && flags.sampleTokens === 0
    ? ["note: --sample-prompt changes nothing with --sample-tokens 0"]
    : [];
  const shared = [
    ...(flags.shard ? ["--shard"] : []),
    ...(flags.compress === "none" ? [] : ["--compress"]),
    ...(given.has("rankTimeout") ? ["--rank-timeout"] : []),
  ];
  const alone = ranks.size === 1 ? shared.map((flag) => `note: ${flag} changes nothing with one rank`) : [];
  return [...idleFlags(typed, model), ...sample, ...alone];
}

type Watch = Pick<CorpusOptions, "note" | "stopped">;

/** Flags that say something of a text alone. */
const TEXT_ONLY = [
  "data",
  ...Object.keys(TEXT_FLAGS),
  "vocabulary",
  "heldOut",
  "split",
  "cache",
  "stream",
  "samplePrompt",
];

/** The task that flags name, unless that is text. */
function taskNamed({ task }: TrainFlags): Task | undefined {
  return task === undefined || task === TEXT_TASK ? undefined : taskOf(task);
}

/** Refuses flags that change nothing with what is learned. @throws {UsageError} naming the first. */
function checkSourceFlags(given: ReadonlySet<string>, task: Task | undefined): void {
  const ofText = TEXT_ONLY.filter((key) => !(task?.reads ?? []).includes(key));
  const idle = (task === undefined ? ["taskOption"] : [...ofText, "seqLen"]).find((key) => given.has(key));
  if (idle === undefined) return;
  const remedy = idle === "seqLen" ? "the task's options say how long a sequence is" : "leave it out";
  throw new UsageError(`${flagName(idle)} changes nothing with --task ${task?.name ?? TEXT_TASK}: ${remedy}`);
}

/** The options of a task that are given, `--data` among them where it reads data. @throws {UsageError} if that is several. */
function taskOptionsOf({ name, reads = [] }: Task, { data, taskOption }: TrainFlags): readonly string[] {
  if (data.length === 0 || !reads.includes("data")) return taskOption;
  if (data.length === 1) return [`data=${data[0]}`, ...taskOption];
  throw new UsageError(`--data is given ${data.length} times, --task ${name} takes one: give a folder of the files`);
}

/** The task of a new run, unless that is text. @throws {UsageError} if flags are not for what is learned. */
function newTask(flags: Flags, given: ReadonlySet<string>): ChosenTask | undefined {
  const named = taskNamed(flags), task = named && chosenTask(named, taskOptionsOf(named, flags));
  checkSourceFlags(given, named);
  return task;
}

/** What a new run learns from, and its configuration. @param task As {@link newTask} gives it. */
async function newSource(
  flags: Flags,
  task: ChosenTask | undefined,
  watch: Watch,
): Promise<{ readonly source: RunSource; readonly config: RunConfig }> {
  const source = task
    ? await taskSource(task)
    : textSource(await openCorpus(newRecipe(flags), { ...flags, documents: flags.stream > 0, ...watch }));
  source.notes.forEach((line) => watch.note?.(line));
  return await keeping(source, () => {
    const { identity: data, requires, length: seqLen = flags.seqLen } = source;
    if (flags.fileData && flags.fileData.sha256 !== data.sha256) {
      watch.note?.(`note: the text differs from the one that the run of ${flags.config} learned from`);
    }
    return { source, config: newRunConfig({ ...flags, seqLen }, { data, requires, task }, VERSION) };
  });
}

/**
 * Takes a folder, and writes into it what the run will be before anything is compiled: from then on it can be
 * continued.
 */
async function newRun(flags: Flags, given: ReadonlySet<string>, watch: Watch): Promise<Opened> {
  const task = newTask(flags, given), model = { blocks: 1, ...flags.base?.model, ...modelOptions(flags) };
  const mixers = describeMixers({ ...model, model: flags.model }).replaceAll(",", "-");
  const name = `${task ? `${task.name}-` : ""}${mixers}-${flags.preset}`;
  const lock = await (flags.out === undefined ? takeFreshFolder(RUNS, name) : takeNewFolder(flags.out)),
    { path } = lock;
  try {
    const { source, config } = await newSource(flags, task, watch);
    return await keeping(source, async () => {
      await writeConfig(path, config);
      return { config, source, path, lock };
    });
  } catch (error) {
    await abandon(lock);
    throw error;
  }
}

async function resumedRun(flags: TrainFlags, given: ReadonlySet<string>, watch: Watch): Promise<Opened> {
  const lock = await takeRun(flags.out ?? await latestRun(RUNS)), { path } = lock;
  return await keeping(lock, async () => {
    const stored = await readConfig(path);
    if (isExport(stored)) {
      throw new UsageError(
        `${path} is an exported model, which has nothing of the optimizer: resume the run that it is of, or start another one like it with --config ${
          shellWord(`${path}/config.json`)
        }`,
      );
    }
    const config = resumedRunConfig(stored, flags, { given, path }), { task } = config;
    const named = task && taskOf(task.name);
    checkSourceFlags(given, named);
    if (named) checkTaskOptions(task, taskOptionsOf(named, flags), path);
    const source = await sourceOf(config, flags, watch);
    return await keeping(source, () => {
      checkSameData(config, source.identity, path);
      source.notes.forEach((line) => watch.note?.(line));
      return { config, source, path, lock, from: flags.which };
    });
  });
}

/** What a run learns from. */
async function sourceOf(config: RunConfig, flags: TrainFlags, watch: Watch): Promise<RunSource> {
  if (config.task) return await taskSource(config.task);
  const documents = (config.stream ?? 0) > 0;
  const options = { ...config, documents, cache: flags.cache, ...watch };
  return textSource(await openCorpus(recipeOf(config, flags.data), options));
}

/** The run that the first rank opened, on another one. */
async function joinedRun(
  { config, path, from }: Pick<Opened, "config" | "path" | "from">,
  flags: TrainFlags,
  watch: Watch,
): Promise<Opened> {
  const source = await sourceOf(config, flags, watch);
  return await keeping(source, () => {
    checkSameData(config, source.identity, path);
    return { config, source, path, from };
  });
}

/** A run that goes on keeps its task. @throws {UsageError} if options that are given say otherwise. */
function checkTaskOptions(task: ChosenTask, given: readonly string[], path: string): void {
  const now = chosenTask(taskOf(task.name), given, task.options);
  const was = chosenTask(taskOf(task.name), [], task.options);
  if (JSON.stringify(now.options) === JSON.stringify(was.options)) return;
  throw new UsageError(
    `the run in ${path} was made with ${shownTask(task)}, not ${
      shownTask(now)
    }: leave --task-option out, or start a new run with another --out`,
  );
}

/** Does something with what is to be kept, and frees that if it fails. */
async function keeping<T>(resource: Disposable, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    resource[Symbol.dispose]();
    throw error;
  }
}
