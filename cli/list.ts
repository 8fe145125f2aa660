/** `list`: the runs in a folder - what each is, how far it came, how well it does. */
import { describeMixers } from "../titans/models/blocks.ts";
import { OUTPUT_FLAGS } from "./common_flags.ts";
import { isFitConfig } from "./fit/fit_config.ts";
import { type FitSummary, fitSummaryOf, shownFigures } from "./fit/fit_summary.ts";
import { parseFlags, text } from "./flags.ts";
import type { Command } from "./help.ts";
import { isLocked } from "./lock.ts";
import { formatCount } from "./progress.ts";
import { checkRunConfig } from "./run_config.ts";
import { METRICS_FILE, readConfig, readMetrics, RUNS } from "./run_folder.ts";
import { type BestFigure, bestFigure, RunHistory, shownBest } from "./run_history.ts";
import { LOCK_FILE } from "./run_lock.ts";
import { TEXT_TASK } from "./task_flags.ts";
import type { Terminal } from "./terminal.ts";
import { textTable } from "./text_table.ts";

const FLAGS = { runs: text("DIR", "folder of the runs", RUNS), ...OUTPUT_FLAGS } as const;

/** The command `list`. */
export const listCommand: Command = {
  summary: "list the runs: model, task, steps, best validation, size, date, state",
  description:
    "Lists runs of train, forecast and classify, the newest first: losses are those of the best validation, sizes those of all files.",
  examples: [
    ["deno task list", "the runs in runs/"],
    ["deno task list --json", "for scripts, one object for each run"],
  ],
  flags: FLAGS,
  run: list,
};

/** What is said of a run. */
export type RunSummary = TrainSummary | FitSummary;

/** What is said of a run of `train`. */
export interface TrainSummary {
  /** Its folder. */
  readonly path: string;
  readonly command: "train";
  readonly model: string;
  readonly task: string;
  /** Steps made, and of how many. */
  readonly step: number;
  readonly steps: number;
  /** The best validation; null before the first. */
  readonly best: BestFigure | null;
  /** Of all its files. */
  readonly bytes: number;
  /** When it last measured something; null if it never did. */
  readonly date: string | null;
  readonly state: "complete" | "running" | "stopped";
}

async function list(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values: { runs, json } } = parseFlags(args, FLAGS, "list");
  const found: RunSummary[] = [];
  for (const path of await foldersOf(runs)) {
    try {
      const summary = await summaryOf(path);
      if (summary) found.push(summary);
    } catch (error) {
      terminal.err(`note: ${path} is left out: ${(error as Error).message}\n`);
    }
  }
  found.sort((a, b) => (b.date ?? "").localeCompare(a.date ?? "") || a.path.localeCompare(b.path));
  if (json) found.forEach((run) => terminal.out(`${JSON.stringify(run)}\n`));
  else terminal.out(found.length === 0 ? `there are no runs in ${runs}/\n` : runTable(found));
  return 0;
}

async function foldersOf(root: string): Promise<string[]> {
  const paths: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(root)) if (isDirectory) paths.push(`${root}/${name}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return paths;
}

/** What there is to say of a folder; undefined if it is no run. @throws {CommandError} if its files are damaged. */
export async function summaryOf(path: string): Promise<RunSummary | undefined> {
  const stored = await readConfig(path);
  // Exported models have a configuration too, but never a metrics file or a lock.
  const info = await Deno.stat(`${path}/${METRICS_FILE}`).catch(() => undefined);
  const isRunning = await isLocked(`${path}/${LOCK_FILE}`);
  if (isFitConfig(stored)) return await fitSummaryOf(path, stored, { bytes: await sizeOf(path), isRunning });
  if (stored === undefined || !info && !isRunning) return undefined;
  const { model, task, steps } = checkRunConfig(stored, path), history = new RunHistory();
  let step = 0;
  for (const event of await readMetrics(path)) {
    history.add(event);
    step = Math.max(step, event.step);
  }
  return {
    path,
    command: "train",
    model: describeMixers(model),
    task: task?.name ?? TEXT_TASK,
    step,
    steps,
    best: history.best ? bestFigure(history.best) : null,
    bytes: await sizeOf(path),
    date: info?.mtime?.toISOString() ?? null,
    state: isRunning ? "running" : step >= steps ? "complete" : "stopped",
  };
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isFile } of Deno.readDir(folder)) {
    // A file may go while others are looked at: the run goes on.
    if (isFile) bytes += (await Deno.stat(`${folder}/${name}`).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}

/** The runs as a table for reading. */
export function runTable(runs: readonly RunSummary[]): string {
  const rows = [
    ["run", "model", "task", "step", "best validation", "size", "date", "state"],
    ...runs.map((run) => [
      run.path,
      run.model,
      run.task,
      ...progressOf(run),
      `${(run.bytes / 1e6).toFixed(1)} MB`,
      run.date === null ? "" : run.date.slice(0, 16).replace("T", " "),
      run.state,
    ]),
  ];
  return textTable(rows);
}

/** How far a run came, and how well it does. */
function progressOf(run: RunSummary): [progress: string, figures: string] {
  if (isTraining(run)) {
    const { step, steps, best } = run;
    return [
      `${formatCount(step)}/${formatCount(steps)}`,
      best ? `${shownBest(best)} at ${formatCount(best.step)}` : "none yet",
    ];
  }
  const { epoch, epochs, figures, state } = run, place = state === "complete" ? "test " : "";
  return [
    epoch === null ? "" : `epoch ${epoch}/${epochs}`,
    figures ? `${place}${shownFigures(figures)}` : place === "" ? "none yet" : "",
  ];
}

/** Whether a run is one of `train`, with curves over its steps. */
export function isTraining(run: RunSummary): run is TrainSummary {
  return run.command === "train";
}
