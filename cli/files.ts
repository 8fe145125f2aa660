/** Files that survive being killed while they are written, and what is said when they cannot be written. */
import { CommandError, UsageError, WriteError } from "./errors.ts";
import { openLocked } from "./lock.ts";

/**
 * Replaces a file at once: readers, and a process started after a crash or a loss of power, see the old contents or the
 * new, never a part.
 * @param path The file.
 * @param contents Bytes or text.
 * @throws {WriteError} naming the file if it cannot be written whole, as on a full disk: then the old contents stay,
 * and nothing is left behind.
 */
export async function writeAtomic(path: string, contents: Uint8Array | string): Promise<void> {
  const part = `${path}.part`;
  await writing(path, async () => {
    const file = await openLocked(part);
    if (!file) {
      throw new WriteError(
        `cannot write ${path}: another process is writing it now; wait for that one, or choose another place`,
      );
    }
    try {
      // What a killed process left here is written over.
      await file.truncate();
      let bytes = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
      while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
      await file.sync();
      await Deno.rename(part, path);
    } catch (error) {
      await Deno.remove(part).catch(() => {});
      throw error;
    } finally {
      file.close();
    }
    await syncFolderOf(path);
  });
}

/**
 * Makes sure that names in a file's folder are on the disk: a file that was synchronised may else be lost with its name
 * when the power goes.
 */
export async function syncFolderOf(path: string): Promise<void> {
  try {
    using folder = await Deno.open(folderOf(path) || ".");
    await folder.sync();
  } catch {
    // Windows opens no folders, and some file systems synchronise none.
  }
}

/** The folder that a file lies in; empty for a name alone. */
export function folderOf(path: string): string {
  return path.replace(/[/\\]?[^/\\]*$/, (end) => end.length === path.length && /^[/\\]/.test(end) ? end[0] : "");
}

/**
 * Makes a folder, with those around it.
 * @param path The folder.
 * @param flag The flag that named it, for error texts.
 * @returns Whether it was not there.
 * @throws {UsageError} if the path cannot be a folder, {WriteError} if it cannot be made.
 */
export async function makeFolder(path: string, flag: string): Promise<boolean> {
  if (path === "") throw new UsageError(`${flag} cannot be empty: give a folder`);
  try {
    await Deno.mkdir(path).catch(async (error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await Deno.mkdir(folderOf(path.replace(/[/\\]+$/, "")), { recursive: true });
      await Deno.mkdir(path);
    });
    return true;
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists && (await Deno.stat(path).catch(() => undefined))?.isDirectory) {
      return false;
    }
    const code = codeOf(cause);
    if (code === "EEXIST" || code === "ENOTDIR") {
      throw new UsageError(
        `${flag} cannot be ${path}: ${
          code === "EEXIST" ? "that" : "a part of it"
        } is a file, not a folder; choose another ${flag}`,
        {
          cause,
        },
      );
    }
    if (code === "ENAMETOOLONG") {
      throw new UsageError(`${flag} cannot be ${shortened(path)}: the name is too long; choose a shorter one`, {
        cause,
      });
    }
    throw writeError(path, cause);
  }
}

/** Does something that writes to a file, and says in one line which and why if it fails. */
export async function writing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw writeError(path, error);
  }
}

/** A failure to write a file as an error that names it and says what to do. What speaks for itself stays as it is. */
export function writeError(path: string, cause: unknown): unknown {
  if (
    !(cause instanceof Error) || cause instanceof CommandError || cause instanceof UsageError ||
    cause instanceof Deno.errors.NotCapable
  ) return cause;
  return new WriteError(`cannot write ${shortened(path)}: ${reasonOf(cause)}`, { cause });
}

/** Why something could not be written, and what to do. */
export function reasonOf(cause: Error): string {
  const [why, remedy] = REASONS[codeOf(cause)] ??
    [cause.message.split("\n")[0].replace(/ \(os error \d+\).*/, ""), "choose another place"];
  return `${why}; ${remedy}`;
}

const FREE = "free some space";
/** What the system's codes mean, and what to do. */
const REASONS: Readonly<Record<string, readonly [why: string, remedy: string]>> = {
  ENOSPC: ["the disk is full", FREE],
  EDQUOT: ["this user's share of the disk is full", FREE],
  EFBIG: ["the file is larger than this process may write (see ulimit -f)", "raise the limit"],
  EROFS: ["the file system is read-only", "choose another place"],
  EACCES: ["it may not be written", "give yourself the permission to, or choose another place"],
  EPERM: ["it may not be written", "give yourself the permission to, or choose another place"],
  EISDIR: ["it is a folder", "choose another name"],
  ENOTDIR: ["a part of the path is a file, not a folder", "choose another place"],
  ENOENT: ["its folder is not there any more", "make it again, or choose another place"],
  ENAMETOOLONG: ["the name is too long", "choose a shorter one"],
  EMFILE: ["this process has too many files open (see ulimit -n)", "raise the limit"],
  EIO: ["the disk reports an error", "check the disk, and choose another place"],
};

/** The system's code of an error, such as `ENOSPC`; empty where there is none. */
export function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}

/** A path that fits a line. */
function shortened(path: string): string {
  return path.length <= 200 ? path : `${path.slice(0, 100)}...${path.slice(-60)}`;
}

/** The text of a file, or undefined where there is none. */
export async function readTextIfAny(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whether there is anything at a path. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    // Nothing is below a file, nor under a name that no file can have.
    if (error instanceof Deno.errors.NotFound || ["ENOTDIR", "ENAMETOOLONG"].includes(codeOf(error))) return false;
    throw error;
  }
}
