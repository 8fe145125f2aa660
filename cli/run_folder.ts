/**
 * A training run on disk:
 *
 *     config.json              what the run is: all that must not change when it goes on
 *     checkpoint.safetensors   the state after its `step`, replaced at once
 *     metrics.jsonl            one line a step and a validation
 *     sample.txt               what the model wrote at the end
 */
import { CommandError, UsageError } from "./errors.ts";
import type { StepEvent, ValidationEvent } from "./events.ts";
import { readTextIfAny, writeAtomic } from "./files.ts";

/** Where runs go unless said otherwise. */
export const RUNS = "runs";
/** Name of a run's checkpoint file. */
export const CHECKPOINT_FILE = "checkpoint.safetensors";
/** Name of a run's configuration file. */
export const CONFIG_FILE = "config.json";
const METRICS_FILE = "metrics.jsonl";
const SAMPLE_FILE = "sample.txt";

/** The folder of one run. */
export class RunFolder {
  readonly #metrics: Deno.FsFile;

  private constructor(readonly path: string, metrics: Deno.FsFile) {
    this.#metrics = metrics;
  }

  /**
   * Starts or continues the run in a folder.
   * @param path The folder; made if needed.
   * @param config What the run is; written if the folder has none.
   * @param step The step of the checkpoint from which the run goes on: later metrics are cut off.
   */
  static async open(path: string, config: unknown, step: number): Promise<RunFolder> {
    await Deno.mkdir(path, { recursive: true });
    await writeAtomic(`${path}/${CONFIG_FILE}`, `${JSON.stringify(config, null, 2)}\n`);
    const kept = keepUntil(await readTextIfAny(`${path}/${METRICS_FILE}`) ?? "", step);
    await writeAtomic(`${path}/${METRICS_FILE}`, kept);
    return new RunFolder(path, await Deno.open(`${path}/${METRICS_FILE}`, { append: true }));
  }

  /** Where the checkpoint is. */
  get checkpoint(): string {
    return `${this.path}/${CHECKPOINT_FILE}`;
  }

  /** Adds a line to the metrics. */
  log(event: StepEvent | ValidationEvent): void {
    let bytes = new TextEncoder().encode(`${JSON.stringify(event)}\n`);
    while (bytes.length > 0) bytes = bytes.subarray(this.#metrics.writeSync(bytes));
  }

  /** Replaces the checkpoint. The metrics up to it are on disk before it is. */
  async save(checkpoint: Uint8Array): Promise<void> {
    await this.#metrics.sync();
    await writeAtomic(this.checkpoint, checkpoint);
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

/** The whole lines of a metrics file up to a step. A line cut short by a crash is dropped. */
function keepUntil(metrics: string, step: number): string {
  const kept: string[] = [];
  for (const line of metrics.split("\n").slice(0, -1)) {
    const at = stepOf(line);
    if (at === undefined || at > step) break;
    kept.push(`${line}\n`);
  }
  return kept.join("");
}

function stepOf(line: string): number | undefined {
  try {
    const { step } = JSON.parse(line) as { step?: unknown };
    return typeof step === "number" ? step : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The configuration of the run in a folder, or undefined where there is none.
 * @throws {CommandError} if it is no JSON.
 */
export async function readConfig(path: string): Promise<unknown | undefined> {
  const text = await readTextIfAny(`${path}/${CONFIG_FILE}`);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CommandError(`${path}/${CONFIG_FILE} is not valid JSON: restore it, or start a new run with another --out`, { cause });
  }
}

/** The first of `name`, `name-2`, `name-3` ... below `root` that holds no run. */
export async function freshFolder(root: string, name: string): Promise<string> {
  for (let n = 1;; n++) {
    const path = `${root}/${n === 1 ? name : `${name}-${n}`}`;
    if (await readConfig(path).catch(() => "unreadable") === undefined) return path;
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
