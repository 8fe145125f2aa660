/**
 * A training run on disk:
 *
 *     config.json              what the run is: all that must not change when it goes on
 *     checkpoint.safetensors   the last state, from which the run goes on; replaced at once
 *     best.safetensors         the state at the best validation
 *     metrics.jsonl            one line a step and a validation
 *     sample.txt               what the model wrote at the end
 *     report.html              the curves, as a page that needs nothing else
 *     run.lock                 while a process has the run open: see run_lock.ts
 */
import { CommandError, UsageError } from "./errors.ts";
import type { StepEvent, ValidationEvent } from "./events.ts";
import { readTextIfAny, writeAtomic, writeError, writing } from "./files.ts";
import { renderReport, type Report } from "./report.ts";
import { RunHistory } from "./run_history.ts";

/** Where runs go unless said otherwise. */
export const RUNS = "runs";
/** Name of a run's last checkpoint. */
export const CHECKPOINT_FILE = "checkpoint.safetensors";
/** Name of a run's checkpoint at its best validation. Runs that were never validated have none. */
export const BEST_FILE = "best.safetensors";
/** Name of a run's configuration file. */
export const CONFIG_FILE = "config.json";
/** Name of the file with what a run measured. */
export const METRICS_FILE = "metrics.jsonl";
const SAMPLE_FILE = "sample.txt";
const REPORT_FILE = "report.html";
const FILES = [CONFIG_FILE, CHECKPOINT_FILE, BEST_FILE, METRICS_FILE, SAMPLE_FILE, REPORT_FILE];

/** The folder of one run. */
export class RunFolder {
  readonly #metrics: Deno.FsFile;

  /**
   * @param path The folder.
   * @param history What was measured so far.
   */
  private constructor(readonly path: string, readonly history: RunHistory, metrics: Deno.FsFile) {
    this.#metrics = metrics;
  }

  /**
   * Starts or continues the run in a folder, which is the caller's: see run_lock.ts.
   * @param path The folder.
   * @param config What the run is.
   * @param step The step of the checkpoint from which the run goes on: later metrics are cut off.
   */
  static async open(path: string, config: unknown, step: number): Promise<RunFolder> {
    // What a process that was killed while it wrote has left; nobody else writes here.
    for (const name of FILES) await Deno.remove(`${path}/${name}.part`).catch(() => {});
    await writeConfig(path, config);
    const metrics = `${path}/${METRICS_FILE}`, kept = keepUntil(await readTextIfAny(metrics) ?? "", step);
    await writeAtomic(metrics, kept.map(({ line }) => `${line}\n`).join(""));
    const history = new RunHistory();
    for (const { event } of kept) history.add(event);
    return new RunFolder(path, history, await writing(metrics, () => Deno.open(metrics, { append: true })));
  }

  /** Where the last checkpoint is. */
  get checkpoint(): string {
    return `${this.path}/${CHECKPOINT_FILE}`;
  }

  /** Where the best checkpoint is, once there is one. */
  get best(): string {
    return `${this.path}/${BEST_FILE}`;
  }

  /** Where the report is. */
  get report(): string {
    return `${this.path}/${REPORT_FILE}`;
  }

  /** Adds a line to the metrics, and a point to the history. */
  log(event: StepEvent | ValidationEvent): void {
    this.history.add(event);
    let bytes = new TextEncoder().encode(`${JSON.stringify(event)}\n`);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(this.#metrics.writeSync(bytes));
    } catch (error) {
      throw writeError(`${this.path}/${METRICS_FILE}`, error);
    }
  }

  /**
   * Replaces the last checkpoint. The metrics up to it are on disk before it is.
   * @param best Whether it is the best one too.
   */
  async save(checkpoint: Uint8Array, best = false): Promise<void> {
    await writing(`${this.path}/${METRICS_FILE}`, () => this.#metrics.sync());
    // In this order: a run that is killed between the two makes the steps since its last checkpoint again, and comes to
    // the same best one.
    if (best) await writeAtomic(this.best, checkpoint);
    await writeAtomic(this.checkpoint, checkpoint);
  }

  /** Replaces the report. */
  async saveReport(report: Omit<Report, "history">): Promise<void> {
    await writeAtomic(this.report, renderReport({ ...report, history: this.history }));
  }

  /** Replaces the sample. */
  async saveSample(text: string): Promise<void> {
    await writeAtomic(`${this.path}/${SAMPLE_FILE}`, text);
  }

  /** Closes the metrics file. */
  close(): void {
    this.#metrics.close();
  }
}

/** A line of a metrics file, and what it says. */
interface Measured {
  readonly line: string;
  readonly event: StepEvent | ValidationEvent;
}

/**
 * The whole lines of a metrics file up to a step. A line that a crash cut short or spoilt is left out; those after it
 * are kept.
 */
function keepUntil(metrics: string, step: number): Measured[] {
  const kept: Measured[] = [];
  for (const line of metrics.split("\n").slice(0, -1)) {
    const event = readEvent(line);
    if (event !== undefined && event.step <= step) kept.push({ line, event });
  }
  return kept;
}

function readEvent(line: string): StepEvent | ValidationEvent | undefined {
  try {
    const event = JSON.parse(line) as StepEvent | ValidationEvent;
    return Number.isSafeInteger(event?.step) && event.step >= 0 ? event : undefined;
  } catch {
    return undefined;
  }
}

/** Writes a run's configuration into its folder: from then on the run can be continued. */
export async function writeConfig(path: string, config: unknown): Promise<void> {
  await writeAtomic(`${path}/${CONFIG_FILE}`, `${JSON.stringify(config, null, 2)}\n`);
}

/**
 * The configuration of the run in a folder, or undefined where there is none.
 * @throws {CommandError} if it is no JSON.
 */
export async function readConfig(path: string): Promise<unknown | undefined> {
  const text = await readTextIfAny(`${path}/${CONFIG_FILE}`);
  return text === undefined ? undefined : parseConfig(text, path);
}

/**
 * What a configuration file of a run says; not checked. @param path The run's folder, for error texts. @throws
 * {CommandError} if it is no JSON.
 */
export function parseConfig(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CommandError(
      `${path}/${CONFIG_FILE} is not valid JSON: restore it, or start a new run with another --out`,
      { cause },
    );
  }
}

/**
 * The run below `root` that was written to last.
 * @throws {UsageError} if there is none.
 */
export async function latestRun(root: string): Promise<string> {
  let latest: { path: string; time: number } | undefined;
  try {
    for await (const entry of Deno.readDir(root)) {
      const path = `${root}/${entry.name}`;
      const info = await Deno.stat(`${path}/${METRICS_FILE}`).catch(() => undefined);
      const time = info?.mtime?.getTime() ?? 0;
      if (info && (!latest || time > latest.time)) latest = { path, time };
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (!latest) throw new UsageError(`there is no run in ${root}/: train one first with deno task train`);
  return latest.path;
}
