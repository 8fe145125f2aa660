/** Who has a run folder: one process at a time trains in it. */
import { UsageError } from "./errors.ts";
import { exists, makeFolder, readTextIfAny, writing } from "./files.ts";
import { openLocked } from "./lock.ts";
import { checkRunConfig } from "./run_config.ts";
import { BEST_FILE, CHECKPOINT_FILE, CONFIG_FILE, METRICS_FILE, readConfig } from "./run_folder.ts";

/**
 * The file that a run's process holds. What stands in it is for people; a file that a killed process left behind locks
 * nothing.
 */
const LOCK_FILE = "run.lock";

/** A run folder that is this process's own until disposed. */
export class RunLock {
  #file: Deno.FsFile | undefined;

  /**
   * @param path The folder.
   * @param made Whether it was made for this.
   */
  private constructor(readonly path: string, readonly made: boolean, file: Deno.FsFile) {
    this.#file = file;
  }

  /**
   * Makes a folder if needed, and takes it.
   * @returns The lock, or undefined where another process has the folder.
   * @throws {UsageError} if the path cannot be a folder, {CommandError} if nothing can be written there.
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

  /** Gives the folder back; a second time does nothing. */
  [Symbol.dispose](): void {
    if (!this.#file) return;
    try {
      // First, so that nobody takes a file that is about to go.
      Deno.removeSync(`${this.path}/${LOCK_FILE}`);
    } catch {
      // The folder is gone, or the disk: the lock goes with the file.
    }
    this.#file.close();
    this.#file = undefined;
  }
}

/**
 * Takes a folder for a new run. One with a run that never came to a checkpoint is taken again: nothing of it is lost
 * that its first steps do not give again.
 * @throws {UsageError} if another process has it, or something lies there that a new run would destroy.
 */
export async function takeNewFolder(path: string): Promise<RunLock> {
  const lock = await RunLock.take(path);
  if (!lock) throw await heldError(path);
  try {
    await requireFree(path);
    return lock;
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** Takes the first of the folders `name`, `name-2`, `name-3` ... below `root` that hold no run and that nobody has. */
export async function takeFreshFolder(root: string, name: string): Promise<RunLock> {
  for (let n = 1;; n++) {
    const path = `${root}/${n === 1 ? name : `${name}-${n}`}`;
    if (await holdsRun(path)) continue;
    const lock = await RunLock.take(path);
    if (!lock) continue;
    // Somebody may have come and gone in between.
    if (!await holdsRun(path)) return lock;
    lock[Symbol.dispose]();
  }
}

/**
 * Takes the folder of a run to continue it.
 * @throws {UsageError} if another process has it, or there is no run.
 */
export async function takeRun(path: string): Promise<RunLock> {
  const missing = new UsageError(`there is no run in ${path}: leave --resume out to start one there`);
  if (path === "" || !await exists(`${path}/${CONFIG_FILE}`).catch(() => false)) throw missing;
  const lock = await RunLock.take(path);
  if (!lock) throw await heldError(path);
  return lock;
}

/** Leaves a folder in which a new run failed before its first step as it was found, and gives it back. */
export async function abandon(lock: RunLock): Promise<void> {
  const { path, made } = lock, metrics = await readTextIfAny(`${path}/${METRICS_FILE}`).catch(() => "unreadable");
  const empty = !metrics && !await holdsState(path);
  if (empty) { for (const name of [CONFIG_FILE, METRICS_FILE]) await Deno.remove(`${path}/${name}`).catch(() => {}); }
  lock[Symbol.dispose]();
  // A folder with something in it, such as what another process has begun there since, stays.
  if (empty && made) await Deno.remove(path).catch(() => {});
}

async function holdsState(path: string): Promise<boolean> {
  return await exists(`${path}/${CHECKPOINT_FILE}`) || await exists(`${path}/${BEST_FILE}`);
}

async function holdsRun(path: string): Promise<boolean> {
  try {
    return await exists(`${path}/${CONFIG_FILE}`) || await holdsState(path);
  } catch {
    // What cannot be looked at is not free.
    return true;
  }
}

async function requireFree(path: string): Promise<void> {
  const stored = await readConfig(path);
  if (await holdsState(path)) {
    throw new UsageError(
      stored === undefined
        ? `${path} holds a checkpoint and no ${CONFIG_FILE}: restore that file to continue the run, or choose another --out`
        : `there is a run in ${path} already: continue it with --resume, or choose another --out`,
    );
  }
  // Somebody else's file of this name is not ours to replace.
  if (stored !== undefined) checkRunConfig(stored, path);
}

/** What to say where another process has a run folder. */
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
    // It was not written yet, or cannot be read while it is locked, as on Windows.
    return "";
  }
}
