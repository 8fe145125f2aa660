/** Bytes of input files as streams, unpacked if they are packed, and what goes wrong with them in one line. */
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { UsageError } from "../errors.ts";

/** The flag that named a file: error texts speak of it. */
export type TextFlag = "--data" | "--text";

const PIECE_BYTES = 1 << 18;

/**
 * The bytes of a file in pieces.
 * @param path The file, or `-` for standard input.
 * @param flag What named it.
 * @throws {UsageError} if it is not there or may not be read.
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
 * Unpacks gzip, also several packed files in one.
 * @param path For error texts, with the flag that named it.
 * @throws {UsageError} if it is no whole gzip file.
 */
export async function* gunzip(packed: AsyncIterable<Uint8Array>, path: string, flag: TextFlag): AsyncGenerator<Uint8Array> {
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
    throw new UsageError(`the ${WORDS[flag].file} ${path} cannot be unpacked: it is no whole gzip file; fetch or pack it again`, { cause });
  } finally {
    source.destroy();
    unpacked.destroy();
  }
}

const WORDS: Readonly<Record<TextFlag, { readonly file: string; readonly give: string; readonly other: string }>> = {
  "--data": { file: "data file", give: "give a text file with --data FILE, or --data sotu", other: "other data with --data" },
  "--text": { file: "text", give: "give a file with --text FILE, or --text - for standard input", other: "another text with --text" },
};

/** A failure to read a file or folder that a flag named, as one line that says what to do. */
export function readError(error: unknown, path: string, flag: TextFlag): unknown {
  const { file, give, other } = WORDS[flag];
  if (error instanceof Deno.errors.NotFound) return new UsageError(`no ${file} ${path}: ${give}`);
  if (error instanceof Deno.errors.PermissionDenied) {
    return new UsageError(`${path} may not be read: give yourself the permission to read it, or ${other}`, { cause: error });
  }
  return error;
}
