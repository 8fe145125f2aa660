/** Locks run folders: only one process at a time trains in a folder. */
import { UsageError } from "./errors.ts";
import { exists, makeFolder, readTextIfAny, writing } from "./files.ts";
import { commandOf } from "./fit/fit_config.ts";
import { openLocked } from "./lock.ts";
import { checkRunConfig } from "./run_config.ts";
import { BEST_FILE, CHECKPOINT_FILE, CONFIG_FILE, METRICS_FILE, readConfig } from "./run_folder.ts";

/**
 * The lock file of a run. Its contents are for people; a file left behind by a killed process does not lock anything.
 */
export const LOCK_FILE = "run.lock";

/** A run folder that this process owns until it is disposed. */
export class RunLock {
  #file: Deno.FsFile | undefined;

  /**
   * @param path The folder.
   * @param made Whether it was created by this process.
   */
  private constructor(readonly path: string, readonly made: boolean, file: Deno.FsFile) {
    this.#file = file;
  }

  /**
   * Creates a folder if needed, and locks it.
   * @returns The lock, or undefined if another process has the folder.
   * @throws {UsageError} if the path cannot be a folder, {CommandError} if it is not writable.
   */
  static async take(path: string): Promise<RunLock | undefined> {
    const made = await makeFolder(path, "--out"), place = `${path}/${LOCK_FILE}`;
    return await writing(place, async () => {
      const file = await openLocked(place);
      if (!file) return undefined;
      await file.truncate();
      await file.write(
        new TextEncoder().encode(`${JSON.stringify({ process: Deno.pid, since: new Date().toISOString() })}\n`),
      );
      return new RunLock(path, made, file);
    });
  }

  /** Releases the folder; calling it again has no effect. */
  [Symbol.dispose](): void {
    if (!this.#file) return;
    try {
      // First, so that no process locks a file that is about to be removed.
      Deno.removeSync(`${this.path}/${LOCK_FILE}`);
    } catch {
      // The folder or the disk is gone, and the lock with it.
    }
    this.#file.close();
    this.#file = undefined;
  }
}

/** The runs of a command. */
export interface RunKind {
  /** The command, as {@link commandOf} names it; undefined of `train`. */
  readonly command?: string;
  /** Refuses a configuration of anything else. @throws {UsageError | CommandError} */
  readonly check: (stored: unknown, path: string) => void;
  /** Whether a run of this configuration has come to its end and its folder may be used again. */
  readonly isFree: (stored: unknown) => boolean;
}

/** The runs of `train`, which can always go on. */
const TRAINING: RunKind = { check: checkRunConfig, isFree: () => false };

/**
 * Locks a folder for a new run. A folder whose run has no checkpoint yet is used again: its first steps can be
 * repeated.
 * @throws {UsageError} if another process has it, or it contains something that a new run would destroy.
 */
export async function takeNewFolder(path: string, kind: RunKind = TRAINING): Promise<RunLock> {
  const lock = await RunLock.take(path);
  if (!lock) throw await heldError(path);
  try {
    await requireFree(path, kind);
    return lock;
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/**
 * Locks the first of the folders `name`, `name-2`, `name-3` ... below `root` that contains no run and is not locked.
 */
export async function takeFreshFolder(root: string, name: string, kind: RunKind = TRAINING): Promise<RunLock> {
  for (let n = 1;; n++) {
    const path = `${root}/${n === 1 ? name : `${name}-${n}`}`;
    if (await holdsRun(path, kind)) continue;
    const lock = await RunLock.take(path);
    if (!lock) continue;
    // Another process may have used it in between.
    if (!await holdsRun(path, kind)) return lock;
    lock[Symbol.dispose]();
  }
}

/**
 * Locks the folder of a run to resume it.
 * @throws {UsageError} if another process has it, or there is no run.
 */
export async function takeRun(path: string): Promise<RunLock> {
  const missing = new UsageError(`there is no run in ${path}: omit --resume to start one there`);
  if (path === "" || !await exists(`${path}/${CONFIG_FILE}`).catch(() => false)) throw missing;
  const lock = await RunLock.take(path);
  if (!lock) throw await heldError(path);
  return lock;
}

/** Restores and releases a folder in which a new run failed before its first step. */
export async function abandon(lock: RunLock): Promise<void> {
  const { path, made } = lock, metrics = await readTextIfAny(`${path}/${METRICS_FILE}`).catch(() => "unreadable");
  const empty = !metrics && !await holdsState(path);
  if (empty) { for (const name of [CONFIG_FILE, METRICS_FILE]) await Deno.remove(`${path}/${name}`).catch(() => {}); }
  lock[Symbol.dispose]();
  // A folder that is not empty, for example because another process has started a run in it, is kept.
  if (empty && made) await Deno.remove(path).catch(() => {});
}

async function holdsState(path: string): Promise<boolean> {
  return await exists(`${path}/${CHECKPOINT_FILE}`) || await exists(`${path}/${BEST_FILE}`);
}

async function holdsRun(path: string, { isFree }: RunKind): Promise<boolean> {
  try {
    const stored = await readConfig(path);
    return stored === undefined ? await holdsState(path) : !isFree(stored);
  } catch {
    // A folder that cannot be read counts as used.
    return true;
  }
}

async function requireFree(path: string, { command, check, isFree }: RunKind): Promise<void> {
  const stored = await readConfig(path), holds = await holdsState(path);
  // A foreign file of this name must not be replaced.
  if (stored !== undefined && (!holds || commandOf(stored) !== command)) check(stored, path);
  if (!holds || stored !== undefined && isFree(stored)) return;
  throw new UsageError(
    stored === undefined
      ? `${path} contains a checkpoint but no ${CONFIG_FILE}: restore that file to continue the run, or choose another --out`
      : `${path} already contains a run: continue it with --resume, or choose another --out`,
  );
}

/** The error if another process has a run folder. */
async function heldError(path: string): Promise<UsageError> {
  return new UsageError(
    `the run in ${path} is open in another process${await holder(
      path,
    )}: wait until that one ends, or stop it with Ctrl-C there`,
  );
}

async function holder(path: string): Promise<string> {
  try {
    const { process, since } = JSON.parse(await readTextIfAny(`${path}/${LOCK_FILE}`) ?? "") as {
      process: number;
      since: string;
    };
    return ` (process ${process}, since ${since.slice(0, 19).replace("T", " ")} UTC)`;
  } catch {
    // The file is not written yet, or cannot be read while it is locked, as on Windows.
    return "";
  }
}
