/** From a place to the files in it: one file, or those of a folder in a fixed order. */
import { UsageError } from "../errors.ts";
import { type Content, contentOf, type FileFormat, nameOf } from "./content.ts";
import { headOf, readError, type TextFlag } from "./read_file.ts";
import type { Format } from "./recipe.ts";

/** A file with text in it. */
export interface InputFile {
  /** The file, or `-` for standard input. */
  readonly path: string;
  /** What the user says that it is. */
  readonly asked: Format;
  /** What its name says that it is. */
  readonly named?: FileFormat;
  /** What it is; absent where it can be read but once, so that it shows while it is read. */
  readonly content?: Content;
  readonly sizeBytes: number;
  /** When it was written last, in milliseconds. */
  readonly modifiedMs: number;
}

/** The ends of names by format. */
const EXTENSIONS: Readonly<Record<string, FileFormat>> = {
  txt: "text",
  md: "text",
  jsonl: "jsonl",
  ndjson: "jsonl",
  csv: "csv",
  tsv: "tsv",
  parquet: "parquet",
};

/** What a folder is listed with. */
export type ReadDir = (path: string) => AsyncIterable<Deno.DirEntry>;

/** How files are found. */
export interface FindingOptions {
  /** What named the place; `--data` unless given. */
  readonly flag?: TextFlag;
  /** Hears of what is left out, and of what should be known of a file. */
  readonly remark?: (line: string) => void;
  readonly readDir?: ReadDir;
}

/** Standard input as a file. */
export function standardInput(asked: Format): InputFile {
  return { path: "-", asked, sizeBytes: 0, modifiedMs: 0 };
}

/** Whether a place can be read but once: standard input, or a pipe. */
export function isStream({ content }: InputFile): boolean {
  return content === undefined;
}

/**
 * The files of a place. A folder is read with all below it, in the order of names; hidden files and folders are left
 * out, and so are, unless a format is given, files of unknown kinds, links that lead nowhere or back, and files whose
 * names are no text.
 * @param path A file, a folder, a pipe, or `-` for standard input.
 * @param format What the files are; `auto` goes by their names and first bytes, and takes a single file of an unknown
 * kind for text.
 * @throws {UsageError} if there is no such place, it may not be read, a file is nothing that can be read, or a folder
 * holds nothing to read.
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
    if (!isKnown) left.add(path, "of an unknown kind");
    return isKnown;
  });
  if (wanted.length === 0) {
    const kinds = Object.keys(EXTENSIONS).map((end) => `.${end}`).join(" ");
    throw new UsageError(
      `the folder ${path} holds no text: there must be files that end in ${kinds} or in one of these and .gz, or say what they are with --format`,
    );
  }
  for (const line of left.lines(path)) remark(line);
  const files: InputFile[] = [];
  for (const { path, info } of wanted) files.push(await lookAt(path, info, { asked: format, flag, remark }));
  return files;
}

interface Found {
  readonly path: string;
  readonly info: Deno.FileInfo;
}

interface Walk extends FindingOptions {
  readonly flag: TextFlag;
  readonly left: LeftOut;
  /** The folders around this one, as they are without links. */
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
      if (above.includes(real)) left.add(path, "a link to a folder around it");
      else found.push(...await walk(path, { ...options, above: [...above, real] }));
    } else if (info.isFile) found.push({ path, info });
    else left.add(path, "no file");
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
    if (isSymlink && error instanceof Deno.errors.NotFound) left.add(path, "a link that leads nowhere");
    else if (error instanceof Deno.errors.FilesystemLoop) left.add(path, "a link that leads back to itself");
    // The system's name for it cannot be written as text, and so cannot be opened.
    else if (error instanceof Deno.errors.NotFound && path.includes("\ufffd")) {
      left.add(path, "a name that is not UTF-8: rename it to read it");
    } // Gone since the folder was listed.
    else if (error instanceof Deno.errors.NotFound) left.add(path, "removed meanwhile");
    else throw readError(error, path, flag);
    return undefined;
  }
}

/** What is left out of a folder, by reason. */
class LeftOut {
  readonly #paths = new Map<string, string[]>();

  add(path: string, reason: string): void {
    const paths = this.#paths.get(reason);
    if (paths) paths.push(path);
    else this.#paths.set(reason, [path]);
  }

  /** A line a reason. */
  lines(folder: string): string[] {
    return [...this.#paths].map(([reason, paths]) => {
      const shown = paths.slice(0, 3).map((path) => path.slice(folder.replace(/[/\\]$/, "").length + 1)).join(", ");
      return `left out of ${folder}: ${shown}${paths.length > 3 ? ` and ${paths.length - 3} more` : ""} (${reason})`;
    });
  }
}

interface Looking {
  readonly asked: Format;
  readonly flag?: TextFlag;
  readonly remark?: (line: string) => void;
}

/** A file with what it is by its first bytes. @throws {UsageError} if it is nothing that can be read. */
export async function lookAt(
  path: string,
  info: Deno.FileInfo,
  { asked, flag = "--data", remark = () => {} }: Looking,
): Promise<InputFile> {
  const { named, packed } = formatOf(path);
  const file = { path, asked, ...named ? { named } : {}, sizeBytes: info.size, modifiedMs: info.mtime?.getTime() ?? 0 };
  if (info.isFifo) return file;
  if (!info.isFile) {
    throw new UsageError(`${path} is no file but a device or a socket: give a file, or - for standard input`);
  }
  const head = await headOf(path, flag);
  // What its name says that it is packed must be, or it is cut short.
  const content = packed && !(head[0] === 0x1f && head[1] === 0x8b)
    ? { format: asked === "auto" ? named ?? "text" : asked, packed, encoding: "utf-8" as const }
    : contentOf(head, { path, asked, named });
  if ("remark" in content && content.remark) remark(`${nameOf(path)} ${content.remark}`);
  return { ...file, content };
}

/** What the end of a name says. */
export function formatOf(path: string): { readonly named?: FileFormat; readonly packed: boolean } {
  const packed = /\.gz$/i.test(path);
  const end = /\.([^./\\]+)$/.exec(packed ? path.slice(0, -3) : path)?.[1].toLowerCase() ?? "";
  return { ...Object.hasOwn(EXTENSIONS, end) ? { named: EXTENSIONS[end] } : {}, packed };
}
