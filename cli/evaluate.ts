/** `evaluate`: measures a trained model on a task or a benchmark. */
import { requestDevice } from "../kernels/mod.ts";
import { Model, MODEL_OPTIONS } from "../titans/mod.ts";
import { BENCHMARKS, TASKS } from "../titans/tasks/mod.ts";
import { fingerprint } from "../titans/models/memory_file.ts";
import { findCheckpoint } from "./checkpoint_file.ts";
import { commandsIn, launcherWords } from "./child.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { CACHE } from "./data/cache.ts";
import { UsageError } from "./errors.ts";
import { measureParts, shareEvaluation } from "./evaluation_parts.ts";
import { EvaluationRecord } from "./evaluation_record.ts";
import { choice, flagWords, integer, parseFlags, text, texts, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { launchedProcesses } from "./launched.ts";
import { type Comparison, type Measured, measuredOf } from "./measured.ts";
import { formatCount, formatDuration } from "./progress.ts";
import { latestRun, RUNS } from "./run_folder.ts";
import { pairedTable, scoreTable } from "./score_table.ts";
import { checkShots, notedTask, SHOTS, TASK_FLAGS, taskFlag, TEXT_TASK } from "./task_flags.ts";
import { fitLine, type Terminal } from "./terminal.ts";
import { readPaths } from "./user_path.ts";

const FLAGS = {
  ...CHECKPOINT_FLAGS,
  model: {
    ...choice(
      Object.keys(MODEL_OPTIONS.model.choices),
      "takes the newest run of this model, as `train --help` lists them; instead of `--checkpoint`",
    ),
    placeholder: "NAME",
    unless: "that of the checkpoint",
  },
  task: {
    ...taskFlag({ ...TASKS, ...BENCHMARKS }, "the task or the benchmark to evaluate on"),
    unless: "what it was trained on",
  },
  taskOption: { ...TASK_FLAGS.taskOption, unless: "as it was trained" },
  shots: {
    ...integer(
      "solved examples before each question, of tasks that have them; the same as --task-option shots=N",
      undefined,
      {
        min: 0,
        max: 64,
      },
    ),
    unless: "those of the task",
  },
  against: {
    ...text(
      "PATH",
      "what another model answered to the same questions, as lm-evaluation-harness logs it with `--log_samples`: compares both question by question",
    ),
    unless: "none",
  },
  samples: integer("number of test sequences or of windows of held-out text", 512, {
    min: 1,
    max: 2 ** 24,
  }),
  batch: integer("sequences per batch", 16, { min: 1, max: 2 ** 16 }),
  out: {
    ...text(
      "FILE",
      `file in ${RUNS}/ to which results are appended as JSON lines, part by part; the same evaluation goes on from there after it was stopped`,
    ),
    unless: "none",
  },
  cache: text("DIR", "where prepared texts are", CACHE),
  jobs: {
    ...integer("processes that share the evaluation, each with a share of the cores", undefined, { min: 1, max: 1024 }),
    unless: "this one measures all",
  },
  launch: {
    ...text("WORDS", "with --jobs: words before the command of each process, to start it on another machine"),
    unless: "processes are on this machine",
  },
  part: texts("NAME", "with --json: measure this part alone, as --jobs tells its processes to"),
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
} as const;

/** The command `evaluate`. */
export const evaluateCommand: Command = {
  summary: "evaluate a trained model on a task",
  description: [
    "Evaluates a trained model on the fixed test samples of a task, on a benchmark, or on the held-out text of its run.",
    "Shows each metric with its standard error and 95% confidence interval, its chance level, what simple predictors",
    "get, and the number of predictions.",
  ].join("\n"),
  examples: [
    ["deno task evaluate", "evaluate the newest run on its own task"],
    ["deno task evaluate --checkpoint runs/recall-lmm-nano", "a given run"],
    ["deno task evaluate --model mac --out runs/results.jsonl", "the newest run of MAC; keeps what is measured"],
    ["deno task evaluate --task choice --task-option data=dev.jsonl --shots 5", "multiple choice after five examples"],
    [
      "deno task evaluate --task choice --task-option data=dev.jsonl --against samples_arc_easy.jsonl",
      "beside another model, on the same questions",
    ],
    ["deno task evaluate --task-option rounds=2 --json", "a harder version of the task; prints JSON lines"],
    [
      'deno task evaluate:cluster --jobs 16 --launch "srun --exclusive -N1 -n1"',
      "on the nodes of a Slurm allocation, which share files",
    ],
  ],
  flags: FLAGS,
  run: evaluate,
};

type EvaluateFlags = Values<typeof FLAGS>;

async function evaluate(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, given } = parseFlags(args, FLAGS, "evaluate"), flags = { ...values, ...readPaths(values) };
  checkSharing(flags);
  using interrupt = listenForInterrupt(terminal);
  const { checkpoint, file, path, model, measured, name, compare } = await opened(flags, terminal);
  const weights = model.layout.pack(checkpoint.state.params), { batch } = flags, isPart = flags.part.length > 0;
  const { chosen, samples, sha256 } = measured, taskOptions = chosen ? { taskOptions: chosen.options } : {};
  const facts = { task: name, ...taskOptions, samples, sha256, batch, model: model.config.model };
  const record = await EvaluationRecord.open({ ...facts, weights: fingerprint(weights) }, {
    path: flags.out,
    print: flags.json ? (line) => terminal.out(line) : () => {},
  });
  if (record.knownCells > 0) terminal.err(`${record.knownCells} parts are known from ${flags.out}\n`);
  const device = await requestDevice(deviceOptions(flags)), began = performance.now();
  try {
    const params = device.upload(weights, { shape: [model.layout.size], dtype: "f32" });
    const subject = { device, model, params, batch, measured, record };
    const progress = progressOf(terminal, { began, json: flags.json, interrupt });
    if (isPart) {
      await measureParts(subject, { parts: flags.part, progress: progress("sequences") });
      return 0;
    }
    if (flags.jobs !== undefined) {
      using stop = abortedBy(interrupt);
      await shareEvaluation(subject, {
        jobs: flags.jobs,
        run: commandsIn(RUNS, launcherWords(flags.launch)),
        command: ["evaluate", ...commandOf({ ...flags, checkpoint: path }, given, device.info.kind)],
        signal: stop.signal,
        progress: progress("parts"),
      });
    }
    const extent = { params, batch, progress: progress("sequences"), cells: record };
    const scores = await measured.evaluate(device, model, extent);
    const floors = await measured.floors(), seconds = (performance.now() - began) / 1000;
    const paired = compare?.((part) => record.answered(part)), { step } = checkpoint.state;
    const against = paired ? { against: { path: flags.against, scores: paired } } : {};
    record.finish({ device: device.info.kind, checkpoint: file, step, seconds, scores, floors, ...against });
    if (!flags.json) {
      terminal.out(scoreTable(scores, floors, `${file} on ${measured.title}`));
      if (paired) terminal.out(`\n${pairedTable(paired, `beside ${flags.against}, on the same questions`)}`);
    }
    return 0;
  } catch (error) {
    // Ctrl-C also reaches the processes of --jobs, which may end first.
    if (!(error instanceof Stopped || interrupt.requested)) throw error;
    if (isPart) return interrupt.exitCode;
    terminal.err(
      flags.out === undefined
        ? "stopped before the end: nothing was measured\n"
        : `stopped before the end: what was measured is in ${flags.out}; the same command goes on from there\n`,
    );
    return interrupt.exitCode;
  } finally {
    device.dispose();
  }
}

/** The model that flags name, and what it is measured on. */
async function opened(flags: EvaluateFlags, terminal: Terminal) {
  if (flags.model !== undefined && flags.checkpoint !== undefined) {
    throw new UsageError("--model takes the newest run of a model: leave it out, or --checkpoint");
  }
  const path = flags.checkpoint ?? await latestRun(RUNS, flags.model);
  const { checkpoint, file } = await findCheckpoint(path, flags.which);
  const model = new Model(checkpoint.config), { notes = {} } = checkpoint, trained = notedTask(notes);
  const name = flags.task ?? trained?.name ?? TEXT_TASK;
  const facts = { ...TASKS, ...BENCHMARKS }[name], hasShots = facts && SHOTS in facts.options;
  if (flags.shots !== undefined && !hasShots) checkShots(facts, undefined);
  const shots = flags.shots === undefined ? [] : [`${SHOTS}=${flags.shots}`];
  const measured = await measuredOf({
    ...flags,
    taskOption: [...flags.taskOption, ...shots],
    name,
    path,
    trained,
    notes,
    remark: (line) => terminal.err(`${line}\n`),
  });
  if (flags.shots !== undefined) checkShots(facts, measured.chosen);
  measured.check(model);
  return { checkpoint, file, path, model, measured, name, compare: await comparisonOf(measured, flags.against) };
}

/** @throws {UsageError} if flags of sharing are at odds, or this process is one of several that share nothing. */
function checkSharing({ jobs, launch, part, json, out }: EvaluateFlags): void {
  const processes = launchedProcesses(), share = "use `deno task evaluate:cluster`";
  if (processes > 1) {
    throw new UsageError(
      `this is one of ${processes} processes that were launched together, and each would measure everything: ${share} with --jobs ${processes} and --launch, which starts them`,
    );
  }
  if (launch !== undefined && jobs === undefined) {
    throw new UsageError("--launch starts the processes of --jobs N: give it too");
  }
  if (part.length > 0 && (!json || jobs !== undefined || out !== undefined)) {
    throw new UsageError(
      "--part prints lines for the process that puts parts together: give --json, neither --jobs nor --out",
    );
  }
  if (jobs === undefined || Deno.permissions.querySync({ name: "run", command: "deno" }).state === "granted") return;
  throw new UsageError(`--jobs starts processes, which this command may not: ${share}`);
}

// What the processes of a shared evaluation do not take over as it is.
const OWN_FLAGS = "checkpoint model device threads jobs launch out json against".split(" ");

/** The flags of a process that measures parts. */
function commandOf(flags: EvaluateFlags, given: ReadonlySet<keyof typeof FLAGS>, device: string): string[] {
  const { jobs = 1, launch, threads, checkpoint } = flags;
  const share = launch === undefined ? Math.max(1, Math.floor(navigator.hardwareConcurrency / jobs)) : undefined;
  const values = { ...flags, checkpoint, threads: threads ?? share };
  const passed = [...given].filter((key) => !OWN_FLAGS.includes(key));
  const own = ["checkpoint", ...(values.threads === undefined ? [] : ["threads"]), "json"] as const;
  return [`--device=${device}`, ...flagWords(FLAGS, values, [...own, ...passed] as (keyof typeof FLAGS)[])];
}

/** What compares with another model, if that is asked for; its answers are read before anything is measured. */
function comparisonOf(measured: Measured, path: string | undefined): Promise<Comparison> | undefined {
  if (path === undefined) return undefined;
  if (measured.against) return measured.against(path);
  throw new UsageError("--against changes nothing with this task, which has no questions to compare: leave it out");
}

class Stopped extends Error {}

/** A signal that is aborted when somebody asks the command to stop. */
function abortedBy(interrupt: Interrupt): Disposable & { readonly signal: AbortSignal } {
  const stop = new AbortController();
  const timer = setInterval(() => interrupt.requested && stop.abort(new Stopped()), 100);
  return { signal: stop.signal, [Symbol.dispose]: () => clearInterval(timer) };
}

/** Shows how far it is, on a terminal, and ends it when somebody asks. */
function progressOf(
  terminal: Terminal,
  { began, json, interrupt }: { readonly began: number; readonly json: boolean; readonly interrupt: Interrupt },
): (unit: string) => (done: number, total: number) => void {
  let last = -Infinity;
  return (unit) => (done, total) => {
    if (interrupt.requested) throw new Stopped();
    if (!terminal.interactive || json) return;
    if (done >= total) return terminal.err("\r\x1b[K");
    if (performance.now() - last < 250) return;
    last = performance.now();
    const left = (last - began) / 1000 * (total - done) / done;
    const eta = done > 0 ? [`ETA ${formatDuration(left)}`] : [];
    const parts = [`${formatCount(done)} of ${formatCount(total)} ${unit}`, ...eta];
    terminal.err(`\r\x1b[K${fitLine(parts, terminal)}`);
  };
}
