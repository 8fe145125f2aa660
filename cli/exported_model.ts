/**
 * A trained model as others share one: a folder with what the model is, its weights alone, and a card for people. Every
 * command reads such a folder with `--checkpoint`.
 *
 *     config.json         the configuration of the run (or of the model alone), and `model_type`
 *     model.safetensors   the weights; written last, so that a folder that has it is whole
 *     README.md           the card: data, licence, command, figures
 */
import { type Checkpoint, CheckpointError, ConfigError, decodeWeights, Model } from "../titans/mod.ts";
import { completeConfig } from "../titans/models/config.ts";
import { CommandError, UsageError } from "./errors.ts";
import { makeFolder, writeAtomic } from "./files.ts";
import { CONFIG_FILE, parseConfig } from "./run_folder.ts";

/** The file of the weights. */
export const WEIGHTS_FILE = "model.safetensors";
const CARD_FILE = "README.md";
/** What `config.json` says of who reads it, as is the custom. */
const MODEL_TYPE = "mneme";

/** What `config.json` says of an export, beside what it says of the run. */
export interface ExportFacts {
  readonly model_type: typeof MODEL_TYPE;
  readonly version: string;
  /** Steps that were trained. */
  readonly step: number;
  readonly seed: number;
  /** The notes of the checkpoint: the vocabulary of tokens, the task. */
  readonly notes: Readonly<Record<string, string>>;
  readonly model: Checkpoint["config"];
}

/** The keys of {@link ExportFacts} that a run's configuration does not have. */
export const EXPORT_KEYS: readonly string[] = ["model_type", "step", "notes"];

/** Whether a configuration is that of an exported model. */
export function isExport(config: unknown): boolean {
  return (config as { readonly model_type?: unknown } | null)?.model_type === MODEL_TYPE;
}

/** The `config.json` of an export. @param run The configuration of its run, if it is known. */
export function exportConfig(
  { config: model, seed, state: { step }, notes = {} }: Checkpoint,
  { version, run = {} }: { readonly version: string; readonly run?: object },
): ExportFacts {
  return { model_type: MODEL_TYPE, version, ...run, model, seed, step, notes };
}

/** The files of an export. */
export interface ExportedFiles {
  readonly config: ExportFacts;
  readonly weights: Uint8Array;
  readonly card: string;
}

/** Makes sure that a folder can take an export. @throws {UsageError} if there is something in it. */
export async function takeExportFolder(path: string): Promise<void> {
  await makeFolder(path, "--hf");
  for await (const { name } of Deno.readDir(path)) {
    // Half a file, of a process that was killed.
    if (name.endsWith(".part")) continue;
    throw new UsageError(`--hf cannot be ${path}: the folder is not empty, it has ${name}; choose a new one`);
  }
}

/** Writes an export. */
export async function writeExport(path: string, { config, weights, card }: ExportedFiles): Promise<void> {
  await writeAtomic(`${path}/${CONFIG_FILE}`, `${JSON.stringify(config, null, 2)}\n`);
  await writeAtomic(`${path}/${CARD_FILE}`, card);
  await writeAtomic(`${path}/${WEIGHTS_FILE}`, weights);
}

/**
 * Reads an export.
 * @param file Its weights; `config.json` is beside them.
 * @param bytes Of the file.
 * @returns A checkpoint from which training cannot go on: it has nothing of the optimizer.
 * @throws {CommandError} if a file is missing or damaged.
 */
export async function readExport(file: string, bytes: Uint8Array): Promise<Checkpoint> {
  const folder = file.includes("/") ? file.slice(0, file.lastIndexOf("/")) : ".", place = `${folder}/${CONFIG_FILE}`;
  const text = await Deno.readTextFile(place).catch(() => undefined);
  if (text === undefined) {
    throw new CommandError(`${file} needs ${place}, which says what the model is: put it beside the weights`);
  }
  const config = factsOf(parseConfig(text, folder), place);
  try {
    const model = new Model(completeConfig(config.model));
    return {
      config: model.config,
      seed: config.seed,
      state: { step: config.step, params: decodeWeights(bytes, model), optimizer: { name: "adamW", slots: {} } },
      notes: config.notes,
    };
  } catch (cause) {
    if (!(cause instanceof CheckpointError || cause instanceof ConfigError)) throw cause;
    const [at, remedy] = cause instanceof ConfigError
      ? [place, "restore it"]
      : [file, "restore it, or export it again"];
    throw new CommandError(`${at}: ${cause.message}: ${remedy}`, { cause });
  }
}

/** Checks what an export says of itself: nothing in the file is trusted. */
function factsOf(stored: unknown, place: string): ExportFacts {
  const { step, seed, notes = {}, model } = stored as Partial<ExportFacts>;
  const isRecord = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
  const areTexts = isRecord(notes) && Object.values(notes).every((note) => typeof note === "string");
  if (isExport(stored) && isRecord(model) && Number.isSafeInteger(step) && Number.isSafeInteger(seed) && areTexts) {
    return { ...stored as ExportFacts, notes };
  }
  throw new CommandError(
    `${place} is not the config.json of an exported model, which has model_type "${MODEL_TYPE}", model, step and seed: restore it`,
  );
}
