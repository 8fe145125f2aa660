/** Streams the text of files of any format: documents joined by empty lines. */
import { CommandError } from "../errors.ts";
import { contentOf, nameOf } from "./content.ts";
import { readCsv } from "./csv.ts";
import type { InputFile } from "./input_files.ts";
import { readJsonl } from "./jsonl.ts";
import { readParquet } from "./parquet.ts";
import { fromUtf16, gunzip, readPieces, type TextFlag, withHead } from "./read_file.ts";
import type { RowOptions } from "./recipe.ts";
import { RowTally } from "./rows.ts";

/** The separator between two documents. */
export const BETWEEN_DOCUMENTS: Uint8Array = new TextEncoder().encode("\n\n");

/** Options for turning files into text. */
export interface ReadingOptions extends RowOptions {
  /** Counts what is read, and receives notes. */
  readonly tally?: RowTally;
  /** The flag that named the files. Default: `--data`. */
  readonly flag?: TextFlag;
  /** Whether a stop was requested. */
  readonly stopped?: () => boolean;
  /** Receives the number of bytes read from the files. */
  readonly progress?: (bytes: number) => void;
}

/** A piece of a document. */
export interface DocumentPiece {
  readonly bytes: Uint8Array;
  /** Whether it starts a document. */
  readonly starts: boolean;
}

/**
 * The text of files, in pieces of UTF-8 with document boundaries: each text file is a document, and so is each record
 * and row. The separator between two documents belongs to the first.
 * @throws {UsageError} if a file cannot be read or parsed, naming the file and the line; {CommandError} if a stop was
 * requested.
 */
export async function* readDocuments(
  files: readonly InputFile[],
  options: ReadingOptions,
): AsyncGenerator<DocumentPiece> {
  const { stopped = () => false, progress = () => {}, tally = new RowTally(options.skipBadRows) } = options;
  let read = 0, first = true;
  const count = (bytes: number): void => progress(read += bytes);
  for (const file of files) {
    let fresh = true;
    tally.files++;
    for await (const { bytes, starts } of documentsOf(file, { ...options, tally, count })) {
      if (stopped()) {
        throw new CommandError("stopped while preparing the data: nothing was saved; run the command again");
      }
      if (bytes.length === 0) {
        if (starts) tally.withoutText++;
        continue;
      }
      const begins = starts || fresh;
      if (begins && !first) yield { bytes: BETWEEN_DOCUMENTS, starts: false };
      fresh = first = false;
      yield { bytes, starts: begins };
    }
  }
}

interface FileReading extends ReadingOptions {
  readonly tally: RowTally;
  readonly count: (bytes: number) => void;
}

async function* documentsOf(file: InputFile, reading: FileReading): AsyncGenerator<DocumentPiece> {
  const { path } = file, { field, separator, header, flag = "--data", tally, count } = reading;
  if (file.content?.format === "parquet") {
    for await (const text of readParquet(path, { field, count, tally, flag })) {
      yield { bytes: encode(text), starts: true };
    }
    return;
  }
  let bytes = counted(readPieces(path, flag), count), { content } = file;
  if (!content) {
    // Input that can be read only once is inspected while it is read.
    const { head, whole } = await withHead(bytes);
    content = contentOf(head, { path, asked: file.asked, named: file.named, isStream: true });
    if (content.remark) tally.remark(`${nameOf(path)} ${content.remark}`);
    bytes = whole;
  }
  if (content.packed) bytes = gunzip(bytes, path, flag);
  if (content.encoding !== "utf-8") bytes = fromUtf16(bytes, content.encoding, path);
  if (content.format === "text") {
    for await (const piece of bytes) yield { bytes: piece, starts: false };
    return;
  }
  const name = nameOf(path);
  const texts = content.format === "jsonl"
    ? readJsonl(bytes, name, field, tally)
    : readCsv(bytes, name, field, { separator: separator ?? (content.format === "tsv" ? "\t" : ","), header, tally });
  for await (const text of texts) yield { bytes: encode(text), starts: true };
}

async function* counted(pieces: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    count(piece.length);
    yield piece;
  }
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
