/** Lists the files of a place: one file, or those of a folder in a fixed order. */
import { UsageError } from "../errors.ts";
import { type Content, contentOf, type FileFormat, nameOf } from "./content.ts";
import { headOf, readError, type TextFlag } from "./read_file.ts";
import type { Format } from "./recipe.ts";

/** A file with text in it. */
export interface InputFile {
  /** The file, or `-` for standard input. */
  readonly path: string;
  /** The format given by the user. */
  readonly asked: Format;
  /** The format suggested by its name. */
  readonly named?: FileFormat;
  /** Its contents; absent if it can be read only once and is inspected while it is read. */
  readonly content?: Content;
  readonly sizeBytes: number;
  /** Time of the last modification, in milliseconds. */
  readonly modifiedMs: number;
}

/** File extensions by format. */
const EXTENSIONS: Readonly<Record<string, FileFormat>> = {
  txt: "text",
  md: "text",
  jsonl: "jsonl",
  ndjson: "jsonl",
  csv: "csv",
  tsv: "tsv",
  parquet: "parquet",
};

/** Options for listing a folder. */
export type ReadDir = (path: string) => AsyncIterable<Deno.DirEntry>;

/** Options for finding files. */
export interface FindingOptions {
  /** The flag that named the place. Default: `--data`. */
  readonly flag?: TextFlag;
  /** Receives notes about skipped files and about files. */
  readonly remark?: (line: string) => void;
  readonly readDir?: ReadDir;
}

/** Standard input as a file. */
export function standardInput(asked: Format): InputFile {
  return { path: "-", asked, sizeBytes: 0, modifiedMs: 0 };
}

/** Whether a place can be read only once: standard input or a pipe. */
export function isStream({ content }: InputFile): boolean {
  return content === undefined;
}

/**
 * The files of a place. Folders are read recursively, in the order of names. Hidden files and folders are skipped, and
 * so are broken and circular links, files whose names are not valid text and, unless a format is given, files of
 * unknown types.
 * @param path A file, a folder, a pipe, or `-` for standard input.
 * @param format What the files are; `auto` detects it from names and first bytes, and reads a single file of unknown
 * type as text.
 * @throws {UsageError} if the place does not exist or is not readable, a file has no readable format, or a folder
 * contains nothing to read.
 */
export async function inputFiles(path: string, format: Format, options: FindingOptions = {}): Promise<InputFile[]> {
  const { flag = "--data", remark = () => {} } = options;
  if (path === "-" || path === "/dev/stdin") return [standardInput(format)];
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    throw readError(error, path, flag);
  }
  if (!info.isDirectory) return [await lookAt(path, info, { asked: format, flag, remark })];
  const left = new LeftOut();
  const found = await walk(path, { ...options, flag, left, above: [await Deno.realPath(path)] });
  const wanted = found.filter(({ path }) => {
    const isKnown = format !== "auto" || formatOf(path).named !== undefined;
    if (!isKnown) left.add(path, "unknown type");
    return isKnown;
  });
  if (wanted.length === 0) {
    const kinds = Object.keys(EXTENSIONS).map((end) => `.${end}`).join(" ");
    throw new UsageError(
      `the folder ${path} contains no text: it needs files that end in ${kinds}, or in one of these and .gz; or give their format with --format`,
    );
  }
  for (const line of left.lines(path)) remark(line);
  const files: InputFile[] = [];
  for (const { path, info } of wanted) files.push(await lookAt(path, info, { asked: format, flag, remark }));
  return files;
}

/**
 * All files below a folder, for commands that read formats of their own: as {@link inputFiles} finds them, whatever
 * their type.
 * @param remark Receives notes about skipped files.
 */
export async function filesBelow(folder: string, remark: (line: string) => void): Promise<readonly string[]> {
  const left = new LeftOut(), above = [await Deno.realPath(folder)];
  const found = await walk(folder, { flag: "other", left, above });
  left.lines(folder).forEach(remark);
  return found.map(({ path }) => path);
}

interface Found {
  readonly path: string;
  readonly info: Deno.FileInfo;
}

interface Walk extends FindingOptions {
  readonly flag: TextFlag;
  readonly left: LeftOut;
  /** The real paths of the parent folders. */
  readonly above: readonly string[];
}

async function walk(folder: string, options: Walk): Promise<Found[]> {
  const { readDir = Deno.readDir, left, flag, above } = options, found: Found[] = [];
  let entries: Deno.DirEntry[];
  try {
    entries = (await Array.fromAsync(readDir(folder))).filter(({ name }) => !name.startsWith("."));
  } catch (error) {
    throw readError(error, folder, flag);
  }
  // By code units, not by language: the same order on every machine.
  for (const { name, isSymlink } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${folder.replace(/[/\\]$/, "")}/${name}`, info = await statFound(path, { isSymlink, left, flag });
    if (!info) continue;
    if (info.isDirectory) {
      const real = await Deno.realPath(path);
      if (above.includes(real)) left.add(path, "a link to a parent folder");
      else found.push(...await walk(path, { ...options, above: [...above, real] }));
    } else if (info.isFile) found.push({ path, info });
    else left.add(path, "not a file");
  }
  return found;
}

async function statFound(
  path: string,
  { isSymlink, left, flag }: { isSymlink: boolean; left: LeftOut; flag: TextFlag },
): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (isSymlink && error instanceof Deno.errors.NotFound) left.add(path, "a broken link");
    else if (error instanceof Deno.errors.FilesystemLoop) left.add(path, "a circular link");
    // Its name cannot be represented as a string, so it cannot be opened.
    else if (error instanceof Deno.errors.NotFound && path.includes("\ufffd")) {
      left.add(path, "a name that is not UTF-8: rename it to read it");
    } // Gone since the folder was listed.
    else if (error instanceof Deno.errors.NotFound) left.add(path, "removed in the meantime");
    else throw readError(error, path, flag);
    return undefined;
  }
}

/** Files skipped in a folder, by reason. */
class LeftOut {
  readonly #paths = new Map<string, string[]>();

  add(path: string, reason: string): void {
    const paths = this.#paths.get(reason);
    if (paths) paths.push(path);
    else this.#paths.set(reason, [path]);
  }

  /** One line per reason. */
  lines(folder: string): string[] {
    return [...this.#paths].map(([reason, paths]) => {
      const shown = paths.slice(0, 3).map((path) => path.slice(folder.replace(/[/\\]$/, "").length + 1)).join(", ");
      return `skipped in ${folder}: ${shown}${paths.length > 3 ? ` and ${paths.length - 3} more` : ""} (${reason})`;
    });
  }
}

interface Looking {
  readonly asked: Format;
  readonly flag?: TextFlag;
  readonly remark?: (line: string) => void;
}

/** A file with its contents, detected from the first bytes. @throws {UsageError} if it has no readable format. */
export async function lookAt(
  path: string,
  info: Deno.FileInfo,
  { asked, flag = "--data", remark = () => {} }: Looking,
): Promise<InputFile> {
  const { named, packed } = formatOf(path);
  const file = { path, asked, ...named ? { named } : {}, sizeBytes: info.size, modifiedMs: info.mtime?.getTime() ?? 0 };
  if (info.isFifo) return file;
  if (!info.isFile) {
    throw new UsageError(`${path} is not a file but a device or a socket: give a file, or - for standard input`);
  }
  const head = await headOf(path, flag);
  // A file whose name ends in .gz must be compressed, or it is truncated.
  const content = packed && !(head[0] === 0x1f && head[1] === 0x8b)
    ? { format: asked === "auto" ? named ?? "text" : asked, packed, encoding: "utf-8" as const }
    : contentOf(head, { path, asked, named });
  if ("remark" in content && content.remark) remark(`${nameOf(path)} ${content.remark}`);
  return { ...file, content };
}

/** The format suggested by a file extension. */
export function formatOf(path: string): { readonly named?: FileFormat; readonly packed: boolean } {
  const packed = /\.gz$/i.test(path);
  const end = /\.([^./\\]+)$/.exec(packed ? path.slice(0, -3) : path)?.[1].toLowerCase() ?? "";
  return { ...Object.hasOwn(EXTENSIONS, end) ? { named: EXTENSIONS[end] } : {}, packed };
}
