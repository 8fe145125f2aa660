/** Folders for tests, below the one place that the test task may write. */

const ROOT = ".scratch";

/** Runs a test with a fresh folder, and removes it. */
export async function withFolder(fn: (path: string) => Promise<void>): Promise<void> {
  await Deno.mkdir(ROOT, { recursive: true });
  const path = await Deno.makeTempDir({ dir: ROOT });
  try {
    await fn(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

/** Makes a symbolic link. Deno makes them only for who may read and write everything, which tests may not. */
export async function symbolicLink(target: string, path: string): Promise<void> {
  const { success } = await new Deno.Command("bash", { args: ["-c", 'ln -s "$0" "$1"', target, path] }).output();
  if (!success) throw new Error(`cannot link ${path} to ${target}`);
}
