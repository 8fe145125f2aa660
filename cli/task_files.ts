/** Reads the files that the options of a task name. */
import { type FileReading, type TaskFacts, type TaskFile, type TaskFiles, taskFiles } from "../titans/mod.ts";
import type { OptionsOf, OptionTable } from "../titans/options/option_table.ts";
import { requireText } from "./data/content.ts";
import { filesBelow } from "./data/input_files.ts";
import { gunzip, readPieces, withHead } from "./data/read_file.ts";
import { CommandError, isSelfExplaining, UsageError } from "./errors.ts";
import { reasonOf } from "./files.ts";
import type { ChosenTask } from "./task_flags.ts";
import { speeches } from "./sotu.ts";
import { madeUpSeries } from "../titans/tasks/series/made_up.ts";
import { userPath } from "./user_path.ts";

// Larger data belongs into windows that are read as they are needed, which no task does.
const MAX_BYTES = 2 ** 31;
/** What stands for the default text of `train`, a file for each speech. */
const STATE_OF_THE_UNION = "state-of-the-union";
/** What stands for made-up series. */
const MADE_UP_SERIES = "made-up-series";

/**
 * All data of a task in memory.
 * @param remark Receives notes about skipped files.
 * @throws {UsageError | CommandError} naming the path that cannot be read.
 */
export async function readTaskFiles(
  task: TaskFacts,
  { name, options }: ChosenTask,
  remark: (line: string) => void = () => {},
): Promise<TaskFiles> {
  const byPath: Record<string, readonly TaskFile[]> = {};
  for (const option of task.reads ?? []) {
    const path = String(options[option]);
    if (path !== "" && !Object.hasOwn(byPath, path)) {
      const reading = task.reading && ((name: string) => task.reading!(name, options as OptionsOf<OptionTable>));
      const what = `${option} of the task ${name}`;
      byPath[path] = await (builtInFiles(path) ?? filesAt(path, { what, reading, remark }));
    }
  }
  return taskFiles(byPath);
}

/** The data that a path stands for which is no path. */
function builtInFiles(path: string): Promise<TaskFile[]> | undefined {
  if (path === STATE_OF_THE_UNION) return speechFiles();
  if (path === MADE_UP_SERIES) return Promise.resolve([madeUpSeries()]);
  return undefined;
}

async function speechFiles(): Promise<TaskFile[]> {
  const encoder = new TextEncoder();
  return (await speeches()).map((text, i) => ({ name: `speech ${i + 1}`, bytes: encoder.encode(text) }));
}

/**
 * The file at a path, unpacked. @throws {UsageError | CommandError} if it cannot be read, or is a folder of several.
 */
export async function readTaskFile(path: string, what: string): Promise<TaskFile> {
  const files = await filesAt(path, { what });
  if (files.length === 1) return files[0];
  throw new CommandError(`cannot use ${path} as ${what}: it is a folder of ${files.length} files, give one of them`);
}

/** Which files, and who is told of those that are no data. */
interface Finding {
  /** What the files are, for error messages. */
  readonly what: string;
  /** Reads a file while it comes, so that its text is never in memory as a whole. */
  readonly reading?: (name: string) => FileReading;
  readonly remark?: (line: string) => void;
}

/** The files at a path, unpacked. @throws {UsageError | CommandError} naming the one that cannot be read. */
export async function filesAt(
  path: string,
  { what, reading, remark = () => {} }: Finding,
): Promise<readonly TaskFile[]> {
  const place = userPath(path), files: TaskFile[] = [];
  let total = 0;
  const read = async (path: string, name: string): Promise<void> => {
    const bytes = await (reading ? readThrough(path, reading(name)) : wholeFile(path));
    total += bytes.length;
    if (total > MAX_BYTES) {
      throw new CommandError(`cannot use ${place} as ${what}: it holds more than 2 GiB; give a part of it`);
    }
    files.push({ name: name.replace(/\.gz$/, ""), bytes });
  };
  try {
    if ((await Deno.stat(place)).isDirectory) {
      for (const file of await filesBelow(place, remark)) await read(file, nameBelow(place, file));
    } else await read(place, place.split(/[/\\]/).at(-1)!);
  } catch (error) {
    throw dataError(error, place, what);
  }
  if (files.length === 0) throw new CommandError(`cannot use ${place} as ${what}: the folder has no files`);
  return files;
}

/** The name of a file below a folder, relative to the folder. */
export function nameBelow(folder: string, file: string): string {
  return file.slice(folder.replace(/[/\\]$/, "").length + 1);
}

/** A failure to read data as a one-line error that says what to do; errors that already do are returned unchanged. */
export function dataError(error: unknown, place: string, what: string): unknown {
  if (error instanceof Deno.errors.NotCapable || isSelfExplaining(error) || !(error instanceof Error)) return error;
  return new UsageError(`cannot read ${place} as ${what}: ${reasonOf(error, "read")}`, { cause: error });
}

/**
 * The bytes of a text, piece by piece and unpacked if it begins as gzip does; also of several members, as bgzip writes.
 * @param path The file, or `-` for standard input.
 * @param least How many bytes to wait for before the first piece; fewer for what comes slowly.
 * @throws {UsageError} if it is no text.
 */
export async function piecesOf(path: string, least?: number): Promise<AsyncGenerator<Uint8Array>> {
  const { head, whole } = await withHead(readPieces(path, "other"), least);
  if (head[0] !== 0x1f || head[1] !== 0x8b) {
    requireText(head, path);
    return whole;
  }
  const unpacked = await withHead(gunzip(whole, path, "other"), least);
  requireText(unpacked.head, path);
  return unpacked.whole;
}

/** A whole text, unpacked. @throws As {@link piecesOf}. */
export async function wholeFile(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: BlobPart[] = [];
  for await (const piece of await piecesOf(path)) pieces.push(piece.slice());
  return await new Blob(pieces).bytes();
}

async function readThrough(path: string, reading: FileReading): Promise<Uint8Array<ArrayBuffer>> {
  for await (const piece of await piecesOf(path)) reading.add(piece);
  return reading.end();
}
