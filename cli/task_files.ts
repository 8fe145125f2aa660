/** Reads the files that the options of a task name. */
import {
  ConfigError,
  type FileReading,
  type TaskFacts,
  type TaskFile,
  type TaskFiles,
  taskFiles,
} from "../titans/mod.ts";
import type { OptionsOf, OptionTable } from "../titans/options/option_table.ts";
import { gunzip, readPieces, withHead } from "./data/read_file.ts";
import { CommandError, UsageError } from "./errors.ts";
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

/** All data of a task in memory. @throws {CommandError} naming the path that cannot be read. */
export async function readTaskFiles(task: TaskFacts, { name, options }: ChosenTask): Promise<TaskFiles> {
  const byPath: Record<string, readonly TaskFile[]> = {};
  for (const option of task.reads ?? []) {
    const path = String(options[option]);
    if (path !== "" && !Object.hasOwn(byPath, path)) {
      const reading = task.reading && ((name: string) => task.reading!(name, options as OptionsOf<OptionTable>));
      byPath[path] = await (builtInFiles(path) ?? filesAt(path, `${option} of the task ${name}`, reading));
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

/** The file at a path, unpacked. @throws {CommandError} if it cannot be read, or is a folder of several. */
export async function readTaskFile(path: string, what: string): Promise<TaskFile> {
  const files = await filesAt(path, what);
  if (files.length === 1) return files[0];
  throw new CommandError(`cannot use ${path} as ${what}: it is a folder of ${files.length} files, give one of them`);
}

async function filesAt(
  path: string,
  what: string,
  reading?: (name: string) => FileReading,
): Promise<readonly TaskFile[]> {
  const place = userPath(path), files: TaskFile[] = [];
  let total = 0;
  const read = async (path: string, name: string): Promise<void> => {
    const bytes = reading ? await readThrough(path, reading(name)) : await unpacked(await Deno.readFile(path), path);
    total += bytes.length;
    if (total > MAX_BYTES) {
      throw new CommandError(`cannot use ${place} as ${what}: it holds more than 2 GiB; give a part of it`);
    }
    files.push({ name: name.replace(/\.gz$/, ""), bytes });
  };
  const walk = async (folder: string, prefix: string): Promise<void> => {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    for (const { name } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
      if (name.startsWith(".")) continue;
      const path = `${folder}/${name}`, { isDirectory } = await Deno.stat(path);
      await (isDirectory ? walk(path, `${prefix}${name}/`) : read(path, `${prefix}${name}`));
    }
  };
  try {
    if ((await Deno.stat(place)).isDirectory) await walk(place, "");
    else await read(place, place.split(/[/\\]/).at(-1)!);
  } catch (error) {
    const isSaid = error instanceof CommandError || error instanceof UsageError || error instanceof ConfigError;
    if (!(error instanceof Error) || isSaid) throw error;
    throw new CommandError(`cannot read ${place} as ${what}: ${reasonOf(error)}`, { cause: error });
  }
  if (files.length === 0) throw new CommandError(`cannot use ${place} as ${what}: the folder has no files`);
  return files;
}

/** The bytes of a file, piece by piece and unpacked if it begins as gzip does; also of several members, as bgzip writes. */
export async function piecesOf(path: string): Promise<AsyncGenerator<Uint8Array>> {
  const { head, whole } = await withHead(readPieces(path, "--data"));
  return head[0] === 0x1f && head[1] === 0x8b ? gunzip(whole, path, "--data") : whole;
}

async function readThrough(path: string, reading: FileReading): Promise<Uint8Array<ArrayBuffer>> {
  for await (const piece of await piecesOf(path)) reading.add(piece);
  return reading.end();
}

/** What a file holds, unpacked if it begins as gzip does. */
export async function unpacked(bytes: Uint8Array<ArrayBuffer>, path: string): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).bytes();
  } catch (cause) {
    throw new CommandError(`cannot unpack ${path}: it begins as gzip does, but is none, or is cut off`, { cause });
  }
}
