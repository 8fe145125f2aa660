/** From a place to the files in it: one file, or those of a folder in a fixed order. */
import { UsageError } from "../errors.ts";
import { readError } from "./read_file.ts";
import type { Format } from "./recipe.ts";

/** A file with text in it. */
export interface InputFile {
  readonly path: string;
  readonly format: Exclude<Format, "auto">;
  /** Whether it is packed with gzip. */
  readonly packed: boolean;
  readonly sizeBytes: number;
  /** When it was written last, in milliseconds. */
  readonly modifiedMs: number;
}

/** The ends of names by format. */
const EXTENSIONS: Readonly<Record<string, InputFile["format"]>> = {
  txt: "text",
  md: "text",
  jsonl: "jsonl",
  ndjson: "jsonl",
  csv: "csv",
  parquet: "parquet",
};

/** What a folder is listed with. */
export type ReadDir = (path: string) => AsyncIterable<Deno.DirEntry>;

/**
 * The files of a place. A folder is read with all below it, in the order of names; hidden files and folders are left out, and so are, unless a format is
 * given, files of unknown kinds.
 * @param path A file or a folder.
 * @param format What the files are; `auto` goes by their names, and takes a single file of an unknown kind for text.
 * @throws {UsageError} if there is no such place, it may not be read, or a folder holds nothing to read.
 */
export async function inputFiles(path: string, format: Format, readDir: ReadDir = Deno.readDir): Promise<InputFile[]> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    throw readError(error, path, "--data");
  }
  if (!info.isDirectory) return [describe(path, info, format)];
  const paths = await walk(path, readDir);
  const wanted = paths.filter((found) => format !== "auto" || formatOf(found).format !== undefined);
  if (wanted.length === 0) {
    const kinds = Object.keys(EXTENSIONS).map((end) => `.${end}`).join(" ");
    throw new UsageError(
      `the folder ${path} holds no text: there must be files that end in ${kinds} or in one of these and .gz, or say what they are with --format`,
    );
  }
  return await Promise.all(wanted.map(async (found) => describe(found, await Deno.stat(found), format)));
}

async function walk(folder: string, readDir: ReadDir): Promise<string[]> {
  const found: string[] = [];
  try {
    const entries = (await Array.fromAsync(readDir(folder))).filter(({ name }) => !name.startsWith("."));
    // By code units, not by language: the same order on every machine.
    for (const { name } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
      const path = `${folder.replace(/[/\\]$/, "")}/${name}`;
      const { isDirectory } = await Deno.stat(path);
      if (isDirectory) found.push(...await walk(path, readDir));
      else found.push(path);
    }
  } catch (error) {
    throw readError(error, folder, "--data");
  }
  return found;
}

/** What the end of a name says. */
export function formatOf(path: string): { readonly format?: InputFile["format"]; readonly packed: boolean } {
  const packed = /\.gz$/i.test(path);
  const end = /\.([^./\\]+)$/.exec(packed ? path.slice(0, -3) : path)?.[1].toLowerCase() ?? "";
  return { format: Object.hasOwn(EXTENSIONS, end) ? EXTENSIONS[end] : undefined, packed };
}

function describe(path: string, info: Deno.FileInfo, asked: Format): InputFile {
  const { format, packed } = formatOf(path);
  return { path, format: asked === "auto" ? format ?? "text" : asked, packed, sizeBytes: info.size, modifiedMs: info.mtime?.getTime() ?? 0 };
}
