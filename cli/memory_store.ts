/** Memory files on disk: reading one, and saying in one line what is wrong with it. */
import { CheckpointError, decodeMemory, encodeMemory, type MemoryFile, type MemoryOwner } from "../titans/mod.ts";
import { CommandError, UsageError } from "./errors.ts";
import { writeAtomic } from "./files.ts";

/**
 * Reads a memory file.
 * @param path The file.
 * @param owner Whose memory it must be.
 * @throws {UsageError} if there is none, {CommandError} if it is damaged or the memory of another model.
 */
export async function loadMemory(path: string, owner: MemoryOwner): Promise<MemoryFile> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`no memory file ${path}: make one with deno task remember --text FILE --memory ${path}`);
    }
    if (error instanceof Deno.errors.IsADirectory) throw new UsageError(`${path} is a directory: give a memory file with --memory FILE`);
    throw error;
  }
  try {
    return decodeMemory(bytes, owner);
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    throw new CommandError(`${path}: ${cause.message}`, { cause });
  }
}

/** Replaces a memory file at once; its folder is made if needed. */
export async function saveMemory(path: string, owner: MemoryOwner, memory: MemoryFile): Promise<void> {
  await makeFolderOf(path);
  await writeAtomic(path, encodeMemory(owner, memory));
}

/** Makes the folder that a file shall lie in. */
export async function makeFolderOf(path: string): Promise<void> {
  const folder = path.replace(/[/\\]?[^/\\]*$/, "");
  if (folder !== "") await Deno.mkdir(folder, { recursive: true });
}

/** Whether there is anything at a path. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
