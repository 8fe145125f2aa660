/**
 * File locks. The operating system releases them when the process ends, however it ends, so locks never go stale.
 */

/**
 * Opens a file for reading and writing with an exclusive lock, also against other holders in this process. The file is
 * created if needed and not truncated. {@link Deno.FsFile.close} releases the lock.
 * @returns The file, or undefined if it is locked.
 */
export async function openLocked(path: string): Promise<Deno.FsFile | undefined> {
  for (;;) {
    const file = await Deno.open(path, { read: true, write: true, create: true });
    try {
      if (!await tryLock(file)) {
        file.close();
        return undefined;
      }
      if (await isAt(file, path)) return file;
    } catch (error) {
      file.close();
      throw error;
    }
    // The previous holder renamed or removed it between opening and locking.
    file.close();
  }
}

/** Whether somebody holds the exclusive lock of a file. Nothing is created; a file that cannot be opened is not locked. */
export async function isLocked(path: string): Promise<boolean> {
  const file = await Deno.open(path).catch(() => undefined);
  if (!file) return false;
  try {
    return !await tryLock(file, false);
  } finally {
    file.close();
  }
}

// Deno before 2.6 can only wait for a lock; a free lock is acquired immediately.
const WAIT_MS = 500;

async function tryLock(file: Deno.FsFile, exclusive = true): Promise<boolean> {
  try {
    if (typeof file.tryLock === "function") return await file.tryLock(exclusive);
    const timeout = new Promise<false>((resolve) => setTimeout(() => resolve(false), WAIT_MS));
    return await Promise.race([file.lock(exclusive).then(() => true), timeout]);
  } catch (error) {
    // Some network file systems have no locks; there, processes cannot be kept apart.
    if (["ENOTSUP", "EOPNOTSUPP", "ENOSYS", "ENOLCK"].includes((error as { code?: string }).code ?? "")) return true;
    throw error;
  }
}

/** Whether a path still names an open file. */
async function isAt(file: Deno.FsFile, path: string): Promise<boolean> {
  const [own, named] = await Promise.all([file.stat(), Deno.stat(path).catch(() => undefined)]);
  return named !== undefined && own.ino === named.ino && own.dev === named.dev;
}
