/** `evaluate`: measures a trained model on a task. */
import { requestDevice } from "../kernels/mod.ts";
import { evaluateTask, Model, requireFit, type Score, type TaskInstance, taskOf, textTask } from "../titans/mod.ts";
import { findCheckpoint } from "./checkpoint_file.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { CACHE } from "./data/cache.ts";
import { judgePairs } from "./data/baseline.ts";
import { openCorpus } from "./data/corpus.ts";
import { CommandError, UsageError } from "./errors.ts";
import { integer, parseFlags, text, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { formatCount, formatDuration } from "./progress.ts";
import { checkRunConfig, recipeOf, type RunConfig } from "./run_config.ts";
import { latestRun, readConfig, RUNS } from "./run_folder.ts";
import { type ChosenTask, chosenTask, notedTask, shownTask, TASK_FLAGS, TEXT_TASK } from "./task_flags.ts";
import { hashSamples, instanceOf } from "./task_source.ts";
import { fitLine, type Terminal } from "./terminal.ts";
import { readPaths } from "./user_path.ts";

const FLAGS = {
  ...CHECKPOINT_FLAGS,
  task: { ...TASK_FLAGS.task, help: "the task to evaluate on", unless: "what it was trained on" },
  taskOption: { ...TASK_FLAGS.taskOption, unless: "as it was trained" },
  samples: integer("number of test sequences or of windows of held-out text", 512, {
    min: 1,
    max: 2 ** 24,
  }),
  batch: integer("sequences per batch", 16, { min: 1, max: 2 ** 16 }),
  cache: text("DIR", "where prepared texts are", CACHE),
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
} as const;

/** The command `evaluate`. */
export const evaluateCommand: Command = {
  summary: "evaluate a trained model on a task",
  description: [
    "Evaluates a trained model on the fixed test samples of a task, or on the held-out text of its run.",
    "Shows each metric with its chance level and the number of predictions.",
  ].join("\n"),
  examples: [
    ["deno task evaluate", "evaluate the newest run on its own task"],
    ["deno task evaluate --checkpoint runs/recall-lmm-nano", "a given run"],
    ["deno task evaluate --task-option rounds=2 --json", "a harder version of the task; prints one JSON object"],
  ],
  flags: FLAGS,
  run: evaluate,
};

/** What is measured. */
interface Measured {
  readonly name: string;
  /** The task with its options, unless it is text. */
  readonly chosen?: ChosenTask;
  readonly instance: TaskInstance;
  readonly samples: number;
  /** SHA-256 of the first samples, or of the text. */
  readonly sha256: string;
  /** Figures of text become those of its bytes, with the bigram baseline. */
  readonly restate?: (scores: readonly Score[]) => readonly Score[];
}

async function evaluate(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseFlags(args, FLAGS, "evaluate"), flags = { ...values, ...readPaths(values) };
  using interrupt = listenForInterrupt(terminal);
  const path = flags.checkpoint ?? await latestRun(RUNS);
  const { checkpoint, file } = await findCheckpoint(path, flags.which);
  const model = new Model(checkpoint.config), trained = notedTask(checkpoint.notes ?? {});
  const name = flags.task ?? trained?.name ?? TEXT_TASK;
  const measured = name === TEXT_TASK ? await measuredText(flags, path) : await measuredTask(flags, name, trained);
  requireFit(model, measured.instance.requires);
  const device = await requestDevice(deviceOptions(flags));
  try {
    const params = device.upload(model.layout.pack(checkpoint.state.params), {
      shape: [model.layout.size],
      dtype: "f32",
    });
    const began = performance.now();
    const scores = await evaluateTask(device, {
      model,
      params,
      task: measured.instance,
      samples: measured.samples,
      batch: flags.batch,
      progress: progressOf(terminal, { began, json: flags.json, interrupt }),
    });
    const restated = measured.restate?.(scores) ?? scores, seconds = (performance.now() - began) / 1000;
    if (flags.json) {
      const { chosen, sha256, samples } = measured;
      const facts = { device: device.info.kind, checkpoint: file, step: checkpoint.state.step, seconds };
      const task = { task: name, ...(chosen ? { taskOptions: chosen.options } : {}), samples, sha256 };
      terminal.out(`${JSON.stringify({ event: "evaluation", ...task, ...facts, scores: restated })}\n`);
    } else terminal.out(table(restated, `${file} on ${measured.chosen ? shownTask(measured.chosen) : measured.name}`));
    return 0;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    terminal.err("stopped before the end: nothing was measured\n");
    return interrupt.exitCode;
  } finally {
    device.dispose();
  }
}

type EvaluateFlags = Values<typeof FLAGS>;

async function measuredTask(flags: EvaluateFlags, name: string, trained: ChosenTask | undefined): Promise<Measured> {
  const defaults = trained?.name === name ? trained.options : undefined;
  const chosen = chosenTask(taskOf(name), flags.taskOption, defaults), instance = await instanceOf(chosen);
  return { name, chosen, instance, samples: flags.samples, sha256: await hashSamples(instance) };
}

/** The held-out text of a run. */
async function measuredText(flags: EvaluateFlags, path: string): Promise<Measured> {
  if (flags.taskOption.length > 0) throw new UsageError("--task-option changes nothing with --task text: leave it out");
  const config = await runConfigOf(path);
  using corpus = await openCorpus(recipeOf(config), { ...config, cache: flags.cache, documents: false });
  const { heldOut, train, vocabulary, identity } = corpus, length = config.seqLen;
  const instance = textTask({ train, heldOut, vocabulary: vocabulary.size, length, windows: flags.samples });
  const rows = instance.batches("test", flags.samples, 0).batch(0);
  const samples = (rows.mask as Float32Array).reduce((sum, counts) => sum + counts, 0) / length;
  const tokens = (rows.tokens as Int32Array).slice(0, samples * (length + 1));
  const pairs = judgePairs(train.map(({ text }) => text), { tokens, length }, vocabulary);
  const restate = (scores: readonly Score[]): readonly Score[] =>
    scores.flatMap((score) =>
      score.name === "bitsPerByte"
        ? [
          { ...score, value: score.value * pairs.tokens / pairs.bytes },
          { name: "bigramBitsPerByte", value: pairs.bitsPerByte, count: pairs.bytes },
        ]
        : [score]
    );
  return { name: `held-out text of ${identity.name}`, instance, samples, sha256: identity.sha256, restate };
}

async function runConfigOf(path: string): Promise<RunConfig> {
  const stored = await readConfig(path).catch((error: unknown) => {
    if (error instanceof CommandError) throw error;
  });
  if (stored !== undefined) return checkRunConfig(stored, path);
  throw new UsageError(`${path} is no run folder, which would say what text is held out: give one, or another --task`);
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

/** Figures in columns. */
function table(scores: readonly Score[], title: string): string {
  const digits = (value: number | undefined): string => value === undefined ? "" : String(Number(value.toPrecision(4)));
  const rows = [
    ["figure", "value", "chance", "predictions"],
    ...scores.map(({ name, value, chance, count }) => [
      name,
      digits(value),
      digits(chance),
      count === undefined ? "" : formatCount(count),
    ]),
  ];
  const columns = rows[0].map((_, i) => i).filter((i) => rows.some((row, r) => r > 0 && row[i] !== ""));
  const widths = columns.map((i) => Math.max(...rows.map((row) => row[i].length)));
  const lines = rows.map((row) =>
    columns.map((i, c) => (i === 0 ? row[i].padEnd(widths[c]) : row[i].padStart(widths[c]))).join("  ").trimEnd()
  );
  return `${title}\n\n${lines.join("\n")}\n`;
}
