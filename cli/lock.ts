/**
 * Locks on files. The system holds them for the process and releases them when it ends, however it ends, so none goes
 * stale.
 */

/**
 * Opens a file for reading and writing that no other process, and nobody else in this one, has opened so. It is made if
 * needed, and not cut. The lock goes with {@link Deno.FsFile.close}.
 * @returns The file, or undefined where another has it.
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
    // Who had it renamed or removed it between the opening and the lock.
    file.close();
  }
}

// Deno before 2.6 can only wait for a lock; a free one is had at once.
const WAIT_MS = 500;

async function tryLock(file: Deno.FsFile): Promise<boolean> {
  try {
    if (typeof file.tryLock === "function") return await file.tryLock(true);
    const timeout = new Promise<false>((resolve) => setTimeout(() => resolve(false), WAIT_MS));
    return await Promise.race([file.lock(true).then(() => true), timeout]);
  } catch (error) {
    // Some network file systems have no locks; there, nothing tells two processes apart.
    if (["ENOTSUP", "EOPNOTSUPP", "ENOSYS", "ENOLCK"].includes((error as { code?: string }).code ?? "")) return true;
    throw error;
  }
}

/** Whether an open file is the one that a path names now. */
async function isAt(file: Deno.FsFile, path: string): Promise<boolean> {
  const [own, named] = await Promise.all([file.stat(), Deno.stat(path).catch(() => undefined)]);
  return named !== undefined && own.ino === named.ino && own.dev === named.dev;
}
