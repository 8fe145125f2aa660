/** `evaluate`: measures a trained model on a task or a benchmark. */
import { requestDevice } from "../kernels/mod.ts";
import { Model, MODEL_OPTIONS } from "../titans/mod.ts";
import { BENCHMARKS, TASKS } from "../titans/tasks/mod.ts";
import { fingerprint } from "../titans/models/memory_file.ts";
import { findCheckpoint } from "./checkpoint_file.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { CACHE } from "./data/cache.ts";
import { UsageError } from "./errors.ts";
import { EvaluationRecord } from "./evaluation_record.ts";
import { choice, integer, parseFlags, text } from "./flags.ts";
import type { Command } from "./help.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
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
  ],
  flags: FLAGS,
  run: evaluate,
};

async function evaluate(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseFlags(args, FLAGS, "evaluate"), flags = { ...values, ...readPaths(values) };
  if (flags.model !== undefined && flags.checkpoint !== undefined) {
    throw new UsageError("--model takes the newest run of a model: leave it out, or --checkpoint");
  }
  using interrupt = listenForInterrupt(terminal);
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
  const compare = await comparisonOf(measured, flags.against);
  const weights = model.layout.pack(checkpoint.state.params), { chosen, samples, sha256 } = measured, { batch } = flags;
  const record = await EvaluationRecord.open({
    task: name,
    ...(chosen ? { taskOptions: chosen.options } : {}),
    samples,
    sha256,
    batch,
    model: model.config.model,
    weights: fingerprint(weights),
  }, { path: flags.out, print: flags.json ? (line) => terminal.out(line) : () => {} });
  if (record.knownCells > 0) terminal.err(`${record.knownCells} parts are known from ${flags.out}\n`);
  const device = await requestDevice(deviceOptions(flags)), began = performance.now();
  try {
    const params = device.upload(weights, { shape: [model.layout.size], dtype: "f32" });
    const scores = await measured.evaluate(device, model, {
      params,
      batch,
      progress: progressOf(terminal, { began, json: flags.json, interrupt }),
      cells: record,
    });
    const paired = compare?.((part) => record.answered(part));
    const floors = await measured.floors(), seconds = (performance.now() - began) / 1000;
    record.finish({
      device: device.info.kind,
      checkpoint: file,
      step: checkpoint.state.step,
      seconds,
      scores,
      floors,
      ...(paired ? { against: { path: flags.against, scores: paired } } : {}),
    });
    if (!flags.json) {
      terminal.out(scoreTable(scores, floors, `${file} on ${measured.title}`));
      if (paired) terminal.out(`\n${pairedTable(paired, `beside ${flags.against}, on the same questions`)}`);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
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

/** What compares with another model, if that is asked for; its answers are read before anything is measured. */
function comparisonOf(measured: Measured, path: string | undefined): Promise<Comparison> | undefined {
  if (path === undefined) return undefined;
  if (measured.against) return measured.against(path);
  throw new UsageError("--against changes nothing with this task, which has no questions to compare: leave it out");
}

class Stopped extends Error {}

/** Shows how far it is, on a terminal, and ends it when somebody asks. */
function progressOf(
  terminal: Terminal,
  { began, json, interrupt }: { readonly began: number; readonly json: boolean; readonly interrupt: Interrupt },
): (done: number, total: number) => void {
  let last = -Infinity;
  return (done, total) => {
    if (interrupt.requested) throw new Stopped();
    if (!terminal.interactive || json) return;
    if (done >= total) return terminal.err("\r\x1b[K");
    if (performance.now() - last < 250) return;
    last = performance.now();
    const left = (last - began) / 1000 * (total - done) / done;
    const parts = [`${formatCount(done)} of ${formatCount(total)} sequences`, `ETA ${formatDuration(left)}`];
    terminal.err(`\r\x1b[K${fitLine(parts, terminal)}`);
  };
}
