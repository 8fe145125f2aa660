/** Checkpoints as files: reading one, and saying in one line what is wrong with it. */
import { type Checkpoint, CheckpointError, decodeCheckpoint } from "../titans/mod.ts";
import { CommandError, UsageError } from "./errors.ts";
import { BEST_FILE, CHECKPOINT_FILE } from "./run_folder.ts";

/**
 * Reads a checkpoint file.
 * @returns The checkpoint, or undefined where there is no such file.
 * @throws {CommandError} if it is cut short, damaged, or no checkpoint.
 */
export async function readCheckpoint(path: string): Promise<Checkpoint | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    return decodeCheckpoint(bytes);
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    const remedy = path.endsWith(BEST_FILE) ? "delete it to do without, or take --which last" : "delete it to start this run from its first step";
    throw new CommandError(`${path}: ${cause.message}: restore the file from a copy, or ${remedy}`, { cause });
  }
}

/** Which checkpoint of a run folder. */
export type WhichCheckpoint = "best" | "last";

/**
 * Reads a checkpoint of a run folder, or a file.
 * @param which Of a folder's two. Default: the best one, or the last one of a run that was never validated.
 * @throws {UsageError} if there is none, {CommandError} if it cannot be read.
 */
export async function findCheckpoint(path: string, which?: WhichCheckpoint): Promise<{ checkpoint: Checkpoint; file: string }> {
  const isFolder = (await Deno.stat(path).catch(() => undefined))?.isDirectory ?? false;
  if (isFolder && which !== "last") {
    const file = `${path}/${BEST_FILE}`;
    const checkpoint = await readCheckpoint(file);
    if (checkpoint) return { checkpoint, file };
    if (which === "best") throw new UsageError(`no checkpoint ${file}: the run was never validated; leave --which out to take its last state`);
  }
  const file = isFolder ? `${path}/${CHECKPOINT_FILE}` : path;
  const checkpoint = await readCheckpoint(file);
  if (checkpoint) return { checkpoint, file };
  throw new UsageError(`no checkpoint ${file}: give a run folder or a .safetensors file with --checkpoint, or train a model with deno task train`);
}
