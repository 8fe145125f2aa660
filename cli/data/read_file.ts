/** Streams the bytes of input files, decompressed if needed, and turns failures into one-line errors. */
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { UsageError } from "../errors.ts";
import { type Encoding, HEAD_BYTES, nameOf } from "./content.ts";

/** The flag that named a file, for error messages; `other` for files that are no text to train on or to read. */
export type TextFlag = "--data" | "--text" | "other";

const PIECE_BYTES = 1 << 18;

/**
 * The bytes of a file in pieces.
 * @param path The file, or `-` for standard input.
 * @param flag The flag that named it.
 * @throws {UsageError} if it does not exist or is not readable.
 */
export async function* readPieces(path: string, flag: TextFlag): AsyncGenerator<Uint8Array> {
  if (path === "-") {
    yield* Deno.stdin.readable;
    return;
  }
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    throw readError(error, path, flag);
  }
  try {
    for (;;) {
      const piece = new Uint8Array(PIECE_BYTES);
      const count = await file.read(piece).catch((error) => {
        throw readError(error, path, flag);
      });
      if (count === null) return;
      yield piece.subarray(0, count);
    }
  } finally {
    file.close();
  }
}

/**
 * Decompresses gzip, including files with several members.
 * @param path The path, for error messages, with the flag that named it.
 * @throws {UsageError} if it is not a complete gzip file.
 */
export async function* gunzip(
  packed: AsyncIterable<Uint8Array>,
  path: string,
  flag: TextFlag,
): AsyncGenerator<Uint8Array> {
  const source = Readable.from(packed), unpacked = source.pipe(createGunzip());
  let reading: unknown;
  source.on("error", (error: unknown) => {
    reading = error;
    unpacked.destroy(error as Error);
  });
  try {
    for await (const piece of unpacked) yield piece as Uint8Array;
  } catch (cause) {
    if (reading !== undefined) throw reading;
    throw new UsageError(
      `the ${WORDS[flag].file} ${
        nameOf(path)
      } cannot be decompressed: it is not a complete gzip file; download or compress it again`,
      { cause },
    );
  } finally {
    source.destroy();
    unpacked.destroy();
  }
}

/** Peeks at the start of a stream of bytes. @param least How many of them, if there are that many. */
export async function withHead(
  pieces: AsyncGenerator<Uint8Array>,
  least: number = HEAD_BYTES,
): Promise<{ readonly head: Uint8Array; readonly whole: AsyncGenerator<Uint8Array> }> {
  const read: Uint8Array[] = [];
  let length = 0;
  while (length < least) {
    const { value, done } = await pieces.next();
    if (done) break;
    read.push(value);
    length += value.length;
  }
  const head = new Uint8Array(length);
  read.reduce((at, piece) => (head.set(piece, at), at + piece.length), 0);
  const whole = (async function* (): AsyncGenerator<Uint8Array> {
    if (length > 0) yield head;
    yield* pieces;
  })();
  return { head: head.subarray(0, HEAD_BYTES), whole };
}

/** The beginning of a file. @throws As {@link readPieces}. */
export async function headOf(path: string, flag: TextFlag): Promise<Uint8Array> {
  const head = new Uint8Array(HEAD_BYTES);
  let filled = 0;
  try {
    using file = await Deno.open(path);
    for (let count: number | null = 0; count !== null && filled < head.length; filled += count ?? 0) {
      count = await file.read(head.subarray(filled));
    }
  } catch (error) {
    throw readError(error, path, flag);
  }
  return head.subarray(0, filled);
}

/**
 * Text in UTF-16 as UTF-8, without the mark at its beginning.
 * @param path The path, for error messages.
 * @throws {UsageError} if it is not valid.
 */
export async function* fromUtf16(
  bytes: AsyncIterable<Uint8Array>,
  encoding: Encoding,
  path: string,
): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder(encoding, { fatal: true }), encoder = new TextEncoder();
  try {
    for await (const piece of bytes) yield encoder.encode(decoder.decode(piece, { stream: true }));
    yield encoder.encode(decoder.decode());
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new UsageError(`${nameOf(path)} begins like UTF-16 text but is not valid UTF-16: convert it to UTF-8`, {
      cause,
    });
  }
}

const WORDS: Readonly<Record<TextFlag, { readonly file: string; readonly give: string; readonly other: string }>> = {
  "--data": {
    file: "data file",
    give: "give a text file with --data FILE, or --data sotu",
    other: "other data with --data",
  },
  "--text": {
    file: "text",
    give: "give a file with --text FILE, or --text - for standard input",
    other: "another text with --text",
  },
  other: { file: "file", give: "give a file", other: "another" },
};

/** Turns a failure to read a file or folder named by a flag into a one-line error that says what to do. */
export function readError(error: unknown, path: string, flag: TextFlag): unknown {
  const { file, give, other } = WORDS[flag];
  if (error instanceof Deno.errors.NotFound) return new UsageError(`no ${file} ${path}: ${give}`);
  if (error instanceof Deno.errors.FilesystemLoop) {
    return new UsageError(`${path} is a circular link: repair it, or give ${other}`, { cause: error });
  }
  if (error instanceof Deno.errors.NotADirectory) {
    return new UsageError(`no ${file} ${path}: a part of it is a file, not a folder; ${give}`, { cause: error });
  }
  if (error instanceof Deno.errors.IsADirectory) {
    return new UsageError(`${path} is a directory: ${give}`, { cause: error });
  }
  const { code, message } = error as { code?: string; message?: string };
  if (code === "ENAMETOOLONG" || /name too long/i.test(message ?? "")) {
    return new UsageError(`no ${file} ${path.slice(0, 80)}...: the name is too long; ${give}`, { cause: error });
  }
  if (code === "EINVAL" || error instanceof TypeError) {
    return new UsageError(`${JSON.stringify(path)} cannot be the name of a file: ${give}`, { cause: error });
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new UsageError(`${path} is not readable: grant read permission, or give ${other}`, {
      cause: error,
    });
  }
  return error;
}
