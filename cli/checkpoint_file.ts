/** Reads checkpoint files and exported models, and reports in one line what is wrong with one. */
import { type Checkpoint, CheckpointError, decodeCheckpoint, decodeSafetensors } from "../titans/mod.ts";
import { WEIGHTS_FORMAT } from "../titans/models/weights_file.ts";
import { builtinFolder } from "./builtin_models.ts";
import { CLASSIFIER_FORMAT } from "./classify/classifier_file.ts";
import { CommandError, UsageError } from "./errors.ts";
import { readExport, WEIGHTS_FILE } from "./exported_model.ts";
import { exists } from "./files.ts";
import { commandOf } from "./fit/fit_config.ts";
import { FIT_FORMAT } from "./fit/fit_state.ts";
import { firstNotFinite } from "./not_finite.ts";
import { BEST_FILE, CHECKPOINT_FILE, readConfig } from "./run_folder.ts";

/**
 * Reads a checkpoint file.
 * @returns The checkpoint, or undefined if the file does not exist.
 * @throws {CommandError} if it is truncated, damaged or not a checkpoint.
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
    const format = formatOf(bytes);
    if (format === WEIGHTS_FORMAT) return await readExport(path, bytes);
    throw new CommandError(`${path}: ${cause.message}: ${remedyFor(path, format)}`, { cause });
  }
}

/** What to do with a file that is not a checkpoint. Never advises deleting it, as it may be someone's data. */
function remedyFor(path: string, format: string | undefined): string {
  if (format === "mneme-memory-1") {
    return "this is a memory file; pass it with --memory, and the checkpoint that wrote it with --checkpoint";
  }
  if (format === CLASSIFIER_FORMAT) {
    return "this is a classifier; predict with it by deno task classify --checkpoint FILE --data PATH";
  }
  if (format === FIT_FORMAT) {
    return "this is a run of forecast or classify that is not complete; continue it with --resume of that command";
  }
  if (format !== "mneme-checkpoint-1" && format !== "damaged") {
    return "it was written by another program; give a run folder, or a checkpoint from deno task train";
  }
  const other = otherState(path);
  return `restore the file from a backup${
    other ? `, or take the run's other state with --which ${other}` : ", or give another one with --checkpoint"
  }`;
}

/** The other state of the run whose file this is; undefined for a file of no run. */
function otherState(path: string): WhichCheckpoint | undefined {
  if (path.endsWith(`/${BEST_FILE}`)) return "last";
  return path.endsWith(`/${CHECKPOINT_FILE}`) ? "best" : undefined;
}

/**
 * The format named in the metadata of a safetensors file; undefined if there is none, `damaged` if it cannot be read.
 */
export function formatOf(bytes: Uint8Array): string | undefined {
  try {
    return decodeSafetensors(bytes).metadata.format;
  } catch {
    return "damaged";
  }
}

/**
 * The state of a run folder from which training continues.
 * @returns Undefined for a run that was stopped before its first checkpoint.
 */
export async function readRunState(path: string, which: WhichCheckpoint): Promise<Checkpoint | undefined> {
  const checkpoint = await readCheckpoint(`${path}/${which === "best" ? BEST_FILE : CHECKPOINT_FILE}`);
  if (checkpoint || which === "last") return checkpoint;
  throw new UsageError(
    `there is no ${BEST_FILE} in ${path}: the run was never validated; omit --which to continue from its last state`,
  );
}

/** Which checkpoint of a run folder to use. */
export type WhichCheckpoint = "best" | "last";

/**
 * Reads a checkpoint of a run folder, an exported model, or a file.
 * @param given Its path; `builtin:NAME` for a model that comes with Mneme.
 * @param which Which of a folder's two checkpoints. Default: the best one, or the last one if the run was never
 * validated.
 * @throws {UsageError} if there is none, {CommandError} if it cannot be read, or its weights are not finite.
 */
export async function findCheckpoint(
  given: string,
  which?: WhichCheckpoint,
): Promise<{ checkpoint: Checkpoint; file: string }> {
  const found = await checkpointAt(given, which), bad = firstNotFinite({ params: found.checkpoint.state.params });
  if (bad === undefined) return found;
  const other = otherState(found.file), remedy = other ? `use the run's other state with --which ${other}` : "";
  throw new CommandError(
    `${found.file}: the weights are broken, ${bad} has NaN or infinity: ${
      remedy ? `${remedy}, or` : "use"
    } another checkpoint, or train again with a lower --lr`,
  );
}

async function checkpointAt(
  given: string,
  which?: WhichCheckpoint,
): Promise<{ checkpoint: Checkpoint; file: string }> {
  const path = builtinFolder(given) ?? given;
  const isFolder = (await Deno.stat(path).catch(() => undefined))?.isDirectory ?? false;
  const command = isFolder ? commandOf(await readConfig(path).catch(() => undefined)) : undefined;
  if (command !== undefined) {
    throw new UsageError(
      `${path} has a run of ${command}, not of train: give a run of train, an exported model or a .safetensors file with --checkpoint`,
    );
  }
  if (isFolder && which !== "last") {
    const file = `${path}/${BEST_FILE}`;
    const checkpoint = await readCheckpoint(file);
    if (checkpoint) return { checkpoint, file };
    if (which === "best" && !await exists(`${path}/${WEIGHTS_FILE}`)) {
      throw new UsageError(
        `no checkpoint ${file}: the run was never validated; omit --which to use its last state`,
      );
    }
  }
  const file = isFolder ? `${path}/${CHECKPOINT_FILE}` : path;
  const checkpoint = await readCheckpoint(file);
  if (checkpoint) return { checkpoint, file };
  const exported = `${path}/${WEIGHTS_FILE}`, model = isFolder ? await readCheckpoint(exported) : undefined;
  if (model) {
    if (which === undefined) return { checkpoint: model, file: exported };
    throw new UsageError(`${path} is an exported model, which has one state: leave --which out`);
  }
  throw new UsageError(
    `no checkpoint ${file}: give a run folder, an exported model or a .safetensors file with --checkpoint, or train a model with deno task train`,
  );
}
