/** A text that a command reads once from its beginning to its end: any file that `train` can learn from. */
import { UsageError } from "../errors.ts";
import { type DocumentPiece, readDocuments } from "./documents.ts";
import { inputFiles } from "./input_files.ts";
import type { Format, RowOptions } from "./recipe.ts";
import { RowTally } from "./rows.ts";

/** How a text is read. */
export interface TextOptions extends RowOptions {
  readonly format: Format;
  /** Hears what should be known of the text. */
  readonly remark?: (line: string) => void;
}

/** A text. */
export interface OpenedText {
  /** Bytes of the text, where that shows before its end. */
  readonly sizeBytes?: number;
  /** Its bytes, once. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** What was read so far. */
  readonly tally: RowTally;
}

/**
 * Opens what `--text` says: a file, a pipe, or `-` for standard input.
 * @throws {UsageError} if it is missing, a folder, or nothing that can be read; later, while it is read, if it is
 * damaged.
 */
export async function openText(place: string, { format, remark, ...rows }: TextOptions): Promise<OpenedText> {
  const info = place === "-" ? undefined : await Deno.stat(place).catch(() => undefined);
  if (info?.isDirectory) throw new UsageError(`${place} is a directory: give a text file with --text FILE`);
  const flag = "--text",
    files = await inputFiles(place, format, { flag, remark }),
    tally = new RowTally(rows.skipBadRows);
  const [{ content, sizeBytes }] = files,
    isPlain = content?.format === "text" && !content.packed && content.encoding === "utf-8";
  return { ...isPlain ? { sizeBytes } : {}, bytes: bytesOf(readDocuments(files, { ...rows, flag, tally })), tally };
}

async function* bytesOf(pieces: AsyncIterable<DocumentPiece>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of pieces) yield bytes;
}
