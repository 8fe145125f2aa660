/** Atomic writes: files that survive a kill while they are written, and errors for files that cannot be written. */
import { CommandError, UsageError, WriteError } from "./errors.ts";
import { openLocked } from "./lock.ts";

/**
 * Replaces a file atomically: readers, and a process started after a crash or a power failure, see either the old or
 * the new contents, never a part.
 * @param path The file.
 * @param contents Bytes or text.
 * @throws {WriteError} naming the file if it cannot be written completely, for example because the disk is full. The
 * old contents then remain, and no temporary file is left behind.
 */
export async function writeAtomic(path: string, contents: Uint8Array | string): Promise<void> {
  const part = `${path}.part`;
  await writing(path, async () => {
    const file = await openLocked(part);
    if (!file) {
      throw new WriteError(
        `cannot write ${path}: another process is writing it; wait for that process, or choose another location`,
      );
    }
    try {
      // Overwrites what a killed process may have left here.
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
 * Syncs a file's folder to the disk: otherwise the name of a synced file can be lost in a power failure.
 */
export async function syncFolderOf(path: string): Promise<void> {
  try {
    using folder = await Deno.open(folderOf(path) || ".");
    await folder.sync();
  } catch {
    // Windows cannot open folders, and some file systems cannot sync them.
  }
}

/** The folder of a file; empty for a bare name. */
export function folderOf(path: string): string {
  return path.replace(/[/\\]?[^/\\]*$/, (end) => end.length === path.length && /^[/\\]/.test(end) ? end[0] : "");
}

/** Creates a folder and its parents.
 * @param path The folder.
 * @param flag The flag that named it, for error messages.
 * @returns Whether it did not exist.
 * @throws {UsageError} if the path cannot be a folder, {WriteError} if it cannot be created.
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

/** Creates the folder of a file, and its parents. @param flag The flag that named the file, for error messages. */
export async function makeFolderOf(path: string, flag: string): Promise<void> {
  const folder = folderOf(path);
  if (folder !== "") await makeFolder(folder, flag);
}

/** Runs something that writes to a file; if it fails, the error says in one line which file and why. */
export async function writing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw writeError(path, error);
  }
}

/**
 * Turns a failure to write a file into an error that names it and says what to do. Errors that already do are returned
 * unchanged.
 */
export function writeError(path: string, cause: unknown): unknown {
  if (
    !(cause instanceof Error) || cause instanceof CommandError || cause instanceof UsageError ||
    cause instanceof Deno.errors.NotCapable
  ) return cause;
  return new WriteError(`cannot write ${shortened(path)}: ${reasonOf(cause)}`, { cause });
}

/** The reason why something could not be written, or read, and what to do. */
export function reasonOf(cause: Error, purpose: "write" | "read" = "write"): string {
  const code = codeOf(cause), known = (purpose === "read" ? READ_REASONS[code] : undefined) ?? REASONS[code];
  const [why, remedy] = known ??
    [cause.message.split("\n")[0].replace(/ \(os error \d+\).*/, ""), "choose another location"];
  return `${why}; ${remedy}`;
}

const FREE = "free some space";
/** What the system's codes mean, and what to do. */
const REASONS: Readonly<Record<string, readonly [why: string, remedy: string]>> = {
  ENOSPC: ["the disk is full", FREE],
  EDQUOT: ["this user's disk quota is exceeded", FREE],
  EFBIG: ["the file is larger than this process may write (see ulimit -f)", "raise the limit"],
  EROFS: ["the file system is read-only", "choose another location"],
  EACCES: ["permission was denied", "grant write permission, or choose another location"],
  EPERM: ["permission was denied", "grant write permission, or choose another location"],
  EISDIR: ["it is a folder", "choose another name"],
  ENOTDIR: ["a part of the path is a file, not a folder", "choose another location"],
  ENOENT: ["its folder no longer exists", "create it again, or choose another location"],
  ENAMETOOLONG: ["the name is too long", "choose a shorter one"],
  EMFILE: ["this process has too many files open (see ulimit -n)", "raise the limit"],
  EIO: ["the disk reported an I/O error", "check the disk, and choose another location"],
};

/** The same where they mean something else of what is read. */
const READ_REASONS: typeof REASONS = {
  EACCES: ["permission was denied", "grant read permission, or give another"],
  EPERM: ["permission was denied", "grant read permission, or give another"],
  EISDIR: ["it is a folder", "give a file"],
  ENOTDIR: ["a part of the path is a file, not a folder", "give another"],
  ENOENT: ["there is no such file or folder", "give one"],
  ELOOP: ["it is a circular link", "repair it, or give another"],
};

/** The system's code of an error, such as `ENOSPC`; empty if there is none. */
export function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}

/** A path, shortened to fit on a line. */
function shortened(path: string): string {
  return path.length <= 200 ? path : `${path.slice(0, 100)}...${path.slice(-60)}`;
}

/** The text of a file, or undefined if it does not exist. */
export async function readTextIfAny(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whether a path exists. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    // A path below a file, or with an impossible name, does not exist.
    if (error instanceof Deno.errors.NotFound || ["ENOTDIR", "ENAMETOOLONG"].includes(codeOf(error))) return false;
    throw error;
  }
}
