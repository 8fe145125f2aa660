/** Reads and writes memory files, and reports in one line what is wrong with one. */
import {
  CheckpointError,
  decodeMemory,
  encodeMemory,
  type EncodeMemoryOptions,
  type MemoryFile,
  type MemoryOwner,
} from "../titans/mod.ts";
import { formatOf } from "./checkpoint_file.ts";
import { CommandError, UsageError } from "./errors.ts";
import { makeFolderOf, writeAtomic } from "./files.ts";
import { allFinite } from "./not_finite.ts";
import { shellWord } from "./program.ts";

/**
 * Reads a memory file.
 * @param path The file.
 * @param owner The model and weights that it must belong to.
 * @throws {UsageError} if it does not exist, {CommandError} if it is damaged or belongs to another model.
 */
export async function loadMemory(path: string, owner: MemoryOwner): Promise<MemoryFile> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(
        `no memory file ${path}: make one with deno task remember --text FILE --memory ${shellWord(path)}`,
      );
    }
    if (error instanceof Deno.errors.IsADirectory) {
      throw new UsageError(`${path} is a directory: give a memory file with --memory FILE`);
    }
    throw error;
  }
  try {
    return decodeMemory(bytes, owner);
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    const remedy = formatOf(bytes) === "mneme-checkpoint-1"
      ? `: this is a checkpoint; pass it with --checkpoint, and with --memory a file that deno task remember writes`
      : "";
    throw new CommandError(`${path}: ${cause.message}${remedy}`, { cause });
  }
}

/**
 * Replaces a memory file atomically; its folder is created if needed.
 * @throws {CommandError} if the memory contains NaN or infinity, or cannot be written; the file is then unchanged.
 */
export async function saveMemory(
  path: string,
  owner: MemoryOwner,
  memory: MemoryFile,
  options: EncodeMemoryOptions = {},
): Promise<void> {
  const bad = Object.entries(memory.reading.arrays).find(([, { data }]) => !allFinite(data as Float32Array));
  if (bad) {
    throw new CommandError(
      `the memory is not finite (${
        bad[0]
      }): ${path} was not written; read with another state of the run, or train one with a lower --lr`,
    );
  }
  await makeFolderOf(path, "--memory");
  await writeAtomic(path, encodeMemory(owner, memory, options));
}
