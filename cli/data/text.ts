/** A text that a command reads once, sequentially, in any format that `train` accepts. */
import { UsageError } from "../errors.ts";
import { type DocumentPiece, readDocuments } from "./documents.ts";
import { inputFiles } from "./input_files.ts";
import type { Format, RowOptions } from "./recipe.ts";
import { RowTally } from "./rows.ts";

/** Options for reading a text. */
export interface TextOptions extends RowOptions {
  readonly format: Format;
  /** Receives notes about the text. */
  readonly remark?: (line: string) => void;
}

/** A text. */
export interface OpenedText {
  /** Size of the text, if known in advance. */
  readonly sizeBytes?: number;
  /** Its bytes, once. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** What was read so far. */
  readonly tally: RowTally;
}

/**
 * Opens the value of `--text`: a file, a pipe, or `-` for standard input.
 * @throws {UsageError} if it is missing, a folder, or has no readable format; later, while it is read, if it is
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
