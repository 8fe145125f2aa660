/** Checkpoints as files: reading one, and saying in one line what is wrong with it. */
import { type Checkpoint, CheckpointError, decodeCheckpoint, decodeSafetensors } from "../titans/mod.ts";
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
    throw new CommandError(`${path}: ${cause.message}: ${remedyFor(path, bytes)}`, { cause });
  }
}

/** What to do with a file that is no checkpoint. It may be somebody's: never to delete it. */
function remedyFor(path: string, bytes: Uint8Array): string {
  const format = formatOf(bytes);
  if (format === "mneme-memory-1") {
    return "this is a memory; give it with --memory, and with --checkpoint the checkpoint that read it";
  }
  if (format !== "mneme-checkpoint-1" && format !== "damaged") {
    return "another program wrote it; give a run folder, or a checkpoint that deno task train wrote";
  }
  const other = path.endsWith(`/${BEST_FILE}`) ? "last" : path.endsWith(`/${CHECKPOINT_FILE}`) ? "best" : undefined;
  return `restore the file from a copy${
    other ? `, or take the run's other state with --which ${other}` : ", or give another one with --checkpoint"
  }`;
}

/**
 * What the metadata of a safetensors file says that it is; undefined where it says nothing, `damaged` where it cannot
 * be read.
 */
function formatOf(bytes: Uint8Array): string | undefined {
  try {
    return decodeSafetensors(bytes).metadata.format;
  } catch {
    return "damaged";
  }
}

/**
 * The state of a run folder to train on from.
 * @returns Undefined for a run that was stopped before its first checkpoint.
 */
export async function readRunState(path: string, which: WhichCheckpoint): Promise<Checkpoint | undefined> {
  const checkpoint = await readCheckpoint(`${path}/${which === "best" ? BEST_FILE : CHECKPOINT_FILE}`);
  if (checkpoint || which === "last") return checkpoint;
  throw new UsageError(
    `there is no ${BEST_FILE} in ${path}: the run was never validated; leave --which out to go on from its last state`,
  );
}

/** Which checkpoint of a run folder. */
export type WhichCheckpoint = "best" | "last";

/**
 * Reads a checkpoint of a run folder, or a file.
 * @param which Of a folder's two. Default: the best one, or the last one of a run that was never validated.
 * @throws {UsageError} if there is none, {CommandError} if it cannot be read.
 */
export async function findCheckpoint(
  path: string,
  which?: WhichCheckpoint,
): Promise<{ checkpoint: Checkpoint; file: string }> {
  const isFolder = (await Deno.stat(path).catch(() => undefined))?.isDirectory ?? false;
  if (isFolder && which !== "last") {
    const file = `${path}/${BEST_FILE}`;
    const checkpoint = await readCheckpoint(file);
    if (checkpoint) return { checkpoint, file };
    if (which === "best") {
      throw new UsageError(
        `no checkpoint ${file}: the run was never validated; leave --which out to take its last state`,
      );
    }
  }
  const file = isFolder ? `${path}/${CHECKPOINT_FILE}` : path;
  const checkpoint = await readCheckpoint(file);
  if (checkpoint) return { checkpoint, file };
  throw new UsageError(
    `no checkpoint ${file}: give a run folder or a .safetensors file with --checkpoint, or train a model with deno task train`,
  );
}
