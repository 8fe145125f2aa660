/** The text of a file in pieces, whatever its format: documents joined by empty lines. */
import { CommandError, UsageError } from "../errors.ts";
import { readCsv } from "./csv.ts";
import type { InputFile } from "./input_files.ts";
import { readJsonl } from "./jsonl.ts";
import { readParquet } from "./parquet.ts";
import { gunzip, readPieces } from "./read_file.ts";

/** What stands between two documents. */
export const BETWEEN_DOCUMENTS: Uint8Array = new TextEncoder().encode("\n\n");

/** How files become text. */
export interface ReadingOptions {
  /** The field of records and the column of tables that hold the text. */
  readonly field: string;
  /** Whether somebody asked to stop. */
  readonly stopped?: () => boolean;
  /** Hears how many bytes of the files have been read. */
  readonly progress?: (bytes: number) => void;
}

/**
 * The text of files, in pieces of UTF-8 that say where documents begin: each file of text is one, and each record and row. What stands between two of them
 * belongs to the first.
 * @throws {UsageError} if a file cannot be read or understood, naming it and the line; {CommandError} if somebody asked to stop.
 */
export async function* readDocuments(files: readonly InputFile[], options: ReadingOptions): AsyncGenerator<DocumentPiece> {
  const { field, stopped = () => false, progress = () => {} } = options;
  let read = 0, first = true;
  const count = (bytes: number): void => progress(read += bytes);
  for (const file of files) {
    let fresh = true;
    for await (const { bytes, starts } of documentsOf(file, field, count)) {
      if (stopped()) throw new CommandError("stopped while the data was prepared: nothing was kept; run the command again");
      if (bytes.length === 0) continue;
      const begins = starts || fresh;
      if (begins && !first) yield { bytes: BETWEEN_DOCUMENTS, starts: false };
      fresh = first = false;
      yield { bytes, starts: begins };
    }
  }
}

/** A piece of a document. */
export interface DocumentPiece {
  readonly bytes: Uint8Array;
  /** Whether a document begins with it. */
  readonly starts: boolean;
}

async function* documentsOf({ path, format, packed }: InputFile, field: string, count: (bytes: number) => void): AsyncGenerator<DocumentPiece> {
  if (format === "parquet") {
    if (packed) throw new UsageError(`${path} is a packed Parquet file, which cannot be read in pieces: unpack it first with gunzip`);
    for await (const text of readParquet(path, field, count)) yield { bytes: encode(text), starts: true };
    return;
  }
  const raw = counted(readPieces(path, "--data"), count);
  const bytes = path === "-" ? unpackIfPacked(raw) : packed ? gunzip(raw, path, "--data") : raw;
  if (format === "text") {
    for await (const piece of bytes) yield { bytes: piece, starts: false };
    return;
  }
  for await (const text of format === "csv" ? readCsv(bytes, path, field) : readJsonl(bytes, path, field)) yield { bytes: encode(text), starts: true };
}

async function* counted(pieces: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    count(piece.length);
    yield piece;
  }
}

/** Standard input has no name that says whether it is packed; its first two bytes do. */
async function* unpackIfPacked(raw: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < 2) {
    const { value, done } = await raw.next();
    if (done) break;
    head = Uint8Array.from([...head, ...value]);
  }
  const whole = (async function* (): AsyncGenerator<Uint8Array> {
    yield head;
    yield* raw;
  })();
  yield* head[0] === 0x1f && head[1] === 0x8b ? gunzip(whole, "-", "--data") : whole;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
