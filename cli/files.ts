/** Files that survive being killed while they are written. */

/**
 * Replaces a file at once: readers, and a process started after a crash, see the old contents or the new, never a part.
 * @param path The file.
 * @param contents Bytes or text.
 * @throws If it cannot be written whole, as on a full disk: then the old contents stay, and nothing is left behind.
 */
export async function writeAtomic(path: string, contents: Uint8Array | string): Promise<void> {
  const temporary = `${path}.part`;
  try {
    const file = await Deno.open(temporary, { write: true, create: true, truncate: true });
    try {
      let bytes = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
      while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
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
