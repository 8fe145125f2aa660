/** Detects the format of a file from its first bytes, so that archives, images and tables are not read as text. */
import { constants, gunzipSync } from "node:zlib";
import { UsageError } from "../errors.ts";
import { shellWord } from "../program.ts";
import type { Format } from "./recipe.ts";

/** A file format. */
export type FileFormat = Exclude<Format, "auto">;

/** A text encoding. */
export type Encoding = "utf-8" | "utf-16le" | "utf-16be";

/** The contents of a file. */
export interface Content {
  readonly format: FileFormat;
  /** Whether it is compressed with gzip. */
  readonly packed: boolean;
  readonly encoding: Encoding;
  /** A note for the user. */
  readonly remark?: string;
}

/** What is known about a file before it is opened. */
export interface Expected {
  /** The file, or `-` for standard input. */
  readonly path: string;
  /** The format given by the user. */
  readonly asked: Format;
  /** The format suggested by its extension. */
  readonly named?: FileFormat;
  /** Whether it can be read only once, sequentially. */
  readonly isStream?: boolean;
  /** Whether the command has no `--format text`, which takes the bytes of anything. */
  readonly isTextOnly?: boolean;
}

/** How many of the first bytes {@link contentOf} needs, if there are that many. */
export const HEAD_BYTES = 4096;

/**
 * Contents that are rejected: their first bytes, what they are, and how to convert them to text. `FILE` stands for the
 * file's name.
 */
const FOREIGN: readonly (readonly [bytes: string, name: string, remedy: string, at?: number])[] = [
  ["BZh", "compressed with bzip2", "decompress it with bunzip2 FILE"],
  ["\xfd7zXZ\0", "compressed with xz", "decompress it with unxz FILE"],
  ["\x28\xb5\x2f\xfd", "compressed with Zstandard", "decompress it with unzstd FILE"],
  ["\x04\x22\x4d\x18", "compressed with LZ4", "decompress it with unlz4 FILE"],
  ["\x1f\x9d", "compressed with compress", "decompress it with uncompress FILE"],
  ["LZIP", "compressed with lzip", "decompress it with lzip -d FILE"],
  ["PK\x03\x04", "a zip archive", "extract it with unzip FILE and give its contents; for a document, export the text"],
  ["PK\x05\x06", "an empty zip archive", "give a file with text"],
  ["7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "extract it with 7z x FILE and give its contents"],
  ["Rar!\x1a\x07", "a RAR archive", "extract it with unrar x FILE and give its contents"],
  ["ustar", "a tar archive", "extract it with tar -xf FILE and give the folder", 257],
  ["%PDF-", "a PDF document", "extract its text with pdftotext FILE"],
  ["{\\rtf", "a document in Rich Text Format", "export it as plain text"],
  ["\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", "export it as plain text"],
  ["\x89PNG\r\n\x1a\n", "an image (PNG)", "give a file with text"],
  ["\xff\xd8\xff", "an image (JPEG)", "give a file with text"],
  ["GIF8", "an image (GIF)", "give a file with text"],
  ["\x7fELF", "a program", "give a file with text"],
  ["SQLite format 3\0", "an SQLite database", "export a table as CSV"],
  ["ARROW1\0\0", "an Arrow file", "convert it to Parquet"],
  ["Obj\x01", "an Avro file", "convert it to Parquet or JSON Lines"],
  ["ORC", "an ORC file", "convert it to Parquet"],
  ["\xff\xfe\0\0", "text in UTF-32", "convert it with iconv -f UTF-32 -t UTF-8 FILE"],
  ["\0\0\xfe\xff", "text in UTF-32", "convert it with iconv -f UTF-32 -t UTF-8 FILE"],
];

/** Determines what a file contains.
 * @param head Its first {@link HEAD_BYTES} bytes, or all of them.
 * @throws {UsageError} if it cannot be read, with a remedy.
 */
export function contentOf(head: Uint8Array, expected: Expected): Content {
  const { asked, named } = expected, packed = isGzip(head), inner = packed ? unpackedHead(head) : head;
  if (packed && isGzip(inner)) {
    throw refusal(expected, "compressed with gzip twice", "decompress it once with gunzip FILE");
  }
  const isParquet = startsWith(inner, "PAR1"), said = asked === "auto" ? named : asked;
  // A format given by the user is used, unless it is impossible.
  if (asked === "parquet" || (isParquet && asked === "auto") || (named === "parquet" && asked === "auto")) {
    if (packed) {
      throw new UsageError(
        `${
          nameOf(expected.path)
        } is a compressed Parquet file, which cannot be read in pieces: decompress it first with gunzip`,
      );
    }
    if (expected.isStream) {
      throw new UsageError(
        `${nameOf(expected.path)} is a Parquet file, which is read from its end: save it to a file and give that`,
      );
    }
    return { format: "parquet", packed, encoding: "utf-8" };
  }
  const encoding = startsWith(inner, "\xff\xfe\0\0")
    ? "utf-8"
    : startsWith(inner, "\xff\xfe")
    ? "utf-16le"
    : startsWith(inner, "\xfe\xff")
    ? "utf-16be"
    : "utf-8";
  if (asked === "text") return { format: "text", packed, encoding };
  if (encoding !== "utf-8") {
    return { format: said ?? "text", packed, encoding, remark: "is text in UTF-16, read as UTF-8" };
  }
  refuseForeign(inner, expected);
  if (isParquet) throw refusal(expected, "a Parquet file", "omit --format");
  if (said !== undefined) return { format: said, packed, encoding, ...said === "text" ? remarkOn(inner) : {} };
  const guess = guessRecords(inner, expected);
  return {
    format: guess,
    packed,
    encoding,
    ...guess === "text"
      ? remarkOn(inner)
      : { remark: "begins with a JSON record and is read as JSON Lines; use --format text to read it as plain text" },
  };
}

/**
 * Refuses what is not text, for commands that read formats of their own.
 * @param head The first {@link HEAD_BYTES} bytes, decompressed, or all of them.
 * @throws {UsageError} with a remedy.
 */
export function requireText(head: Uint8Array, path: string): void {
  const expected: Expected = { path, asked: "auto", isTextOnly: true };
  refuseForeign(head, expected);
  if (startsWith(head, "PAR1")) throw refusal(expected, "a Parquet file", "convert it to CSV or JSON Lines");
  if (startsWith(head, "\xff\xfe") || startsWith(head, "\xfe\xff")) {
    throw refusal(expected, "text in UTF-16", "convert it with iconv -f UTF-16 -t UTF-8 FILE");
  }
}

function refuseForeign(head: Uint8Array, expected: Expected): void {
  const found = FOREIGN.find(([bytes, , , at = 0]) => startsWith(head.subarray(at), bytes));
  // "BZh", "ORC" and "GIF8" can start a text, but what follows them in these formats cannot.
  const isText = found && ["BZh", "ORC", "GIF8", "LZIP", "Obj\x01"].includes(found[0]) &&
    !head.some((byte) => byte < 9 || byte === 0x7f || byte > 0xf4);
  if (found && !isText) throw refusal(expected, found[1], found[2]);
  if (isSafetensors(head)) {
    throw refusal(
      expected,
      "a safetensors file",
      "give a file with text; checkpoints go to --checkpoint and memory files to --memory",
    );
  }
  const endian = unmarkedUtf16(head);
  if (endian) throw refusal(expected, "text in UTF-16", `convert it with iconv -f UTF-16${endian} -t UTF-8 FILE`);
}

/** Whether a text of unknown format is records or plain text. @throws {UsageError} if it is one array of records. */
function guessRecords(head: Uint8Array, expected: Expected): "text" | "jsonl" {
  const text = new TextDecoder().decode(head).trimStart(), isJson = /\.json(\.gz)?$/i.test(expected.path);
  if (isJson ? text.startsWith("[") : /^\[\s*\{\s*"/.test(text)) {
    throw refusal(expected, "one JSON array", "write one record per line with jq -c '.[]' FILE > records.jsonl");
  }
  if (!/^\{\s*("|\})/.test(text)) return "text";
  const [line, ...more] = text.split(/\r\n?|\n/);
  // A record longer than the inspected bytes counts if its line does not end within them.
  const isRecord = more.length === 0 && head.length >= HEAD_BYTES ? /^\{"[^"]*":/.test(line) : isObject(line);
  if (isRecord) return "jsonl";
  if (isJson) {
    throw refusal(
      expected,
      "JSON, but not one record per line",
      "write one record per line with jq -c . FILE > records.jsonl",
    );
  }
  return "text";
}

function isObject(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** A text with NUL bytes is accepted, since it may be intended, but with a note. */
function remarkOn(head: Uint8Array): { readonly remark?: string } {
  return head.includes(0)
    ? { remark: "contains NUL bytes and is used byte by byte; if it is not text, leave it out" }
    : {};
}

function refusal({ path, isTextOnly }: Expected, what: string, remedy: string): UsageError {
  const name = path === "-" ? "it" : shellWord(path),
    isText = isTextOnly || /^(packed|a zip|a tar|a 7|a RAR|text in|one JSON|JSON|a Parquet|an empty)/.test(what);
  const anyway = isText ? "" : ", or give --format text to use its bytes unchanged";
  return new UsageError(`${nameOf(path)} is ${what}, not text: ${remedy.replace("FILE", () => name)}${anyway}`);
}

/** The name of a file in error messages. */
export function nameOf(path: string): string {
  return path === "-" ? "standard input" : path;
}

function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/** The first decompressed bytes; empty if the file is damaged, which is reported when it is read. */
function unpackedHead(head: Uint8Array): Uint8Array {
  try {
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 2 ** 24 }).subarray(0, HEAD_BYTES);
  } catch {
    return new Uint8Array(0);
  }
}

function isSafetensors(head: Uint8Array): boolean {
  if (head.length < 10) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  return view.getUint32(4, true) === 0 && view.getUint32(0, true) < 1e8 && head[8] === 0x7b &&
    (head[9] === 0x22 || head[9] === 0x7d || head[9] === 0x20);
}

/** Detects ASCII text in UTF-16 without a byte order mark: exactly every second byte is NUL. */
function unmarkedUtf16(head: Uint8Array): "LE" | "BE" | undefined {
  const zeros = [0, 0], pairs = head.length >> 1;
  if (pairs < 4) return undefined;
  for (let i = 0; i < 2 * pairs; i++) if (head[i] === 0) zeros[i & 1]++;
  const [even, odd] = zeros;
  if (even === 0 && odd > 0.6 * pairs) return "LE";
  return odd === 0 && even > 0.6 * pairs ? "BE" : undefined;
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  if (bytes.length < text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[i] !== text.charCodeAt(i)) return false;
  return true;
}
