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
