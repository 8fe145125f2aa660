/** Parquet files, one group of rows after the other: only one group's column is in memory. */
import { UsageError } from "../errors.ts";
import { type AsyncBuffer, loadParquet, type ParquetMetadata } from "./packages.ts";
import { readError } from "./read_file.ts";

// Bytes of text to decode at once, about: a group of rows may be larger than memory.
const DECODED_BYTES = 2 ** 26;

/**
 * The texts of one column.
 * @param path The file.
 * @param column The column's name.
 * @param count Hears of bytes that were read.
 * @throws {UsageError} if the file is damaged, has no such column, or the column holds something other than text.
 */
export async function* readParquet(path: string, column: string, count: (bytes: number) => void): AsyncGenerator<string> {
  const { parquetMetadataAsync, parquetSchema, parquetRead, compressors } = await loadParquet();
  using file = await openFile(path);
  const buffer = asyncBuffer(file, count);
  const metadata = await understood(path, () => parquetMetadataAsync(buffer));
  const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
  if (!columns.includes(column)) {
    throw new UsageError(`${path} has no column ${column}: say which column holds the text with --field NAME (there are ${columns.slice(0, 20).join(", ")})`);
  }
  const read = async (rowStart: number, rowEnd: number): Promise<unknown[][]> => {
    let rows: unknown[][] = [];
    const onComplete = (found: unknown[][]): void => void (rows = found);
    await understood(path, () => parquetRead({ file: buffer, metadata, compressors, columns: [column], rowStart, rowEnd, useOffsetIndex: true, onComplete }));
    return rows;
  };
  for (const [rowStart, rowEnd] of rowRanges(metadata, column)) {
    const rows = await read(rowStart, rowEnd);
    if (rows.length !== rowEnd - rowStart) throw damaged(path, `rows ${rowStart} to ${rowEnd} are missing`);
    for (const [i, [text]] of rows.entries()) {
      // A row without a text is no document.
      if (text === null || text === undefined) continue;
      if (typeof text !== "string") {
        throw new UsageError(`${path} row ${rowStart + i + 1} has no text in its column ${column}: give the name of a text column with --field`);
      }
      yield text;
    }
  }
}

/** Ranges of rows, none of which spans two groups or decodes to much more than {@link DECODED_BYTES}. */
function* rowRanges(metadata: ParquetMetadata, column: string): Generator<[start: number, end: number]> {
  let start = 0;
  for (const { num_rows, columns } of metadata.row_groups) {
    const end = start + Number(num_rows);
    const sizes = columns.map(({ meta_data: meta }) => meta?.path_in_schema[0] === column ? Number(meta.total_uncompressed_size) : 0);
    const parts = Math.max(1, Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / DECODED_BYTES));
    const rows = Math.max(1, Math.ceil((end - start) / parts));
    for (; start < end; start = Math.min(end, start + rows)) yield [start, Math.min(end, start + rows)];
  }
}

async function openFile(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (error) {
    throw readError(error, path, "--data");
  }
}

function asyncBuffer(file: Deno.FsFile, count: (bytes: number) => void): AsyncBuffer {
  const { size } = file.statSync();
  return {
    byteLength: size,
    // Synchronous, so that reads that are asked for at once do not move each other's place.
    slice: (start, end = size) => {
      const bytes = new Uint8Array(Math.max(0, end - start));
      file.seekSync(start, Deno.SeekMode.Start);
      let filled = 0;
      while (filled < bytes.length) {
        const got = file.readSync(bytes.subarray(filled));
        if (got === null) return Promise.reject(new RangeError("the file ends too early"));
        filled += got;
      }
      count(filled);
      return Promise.resolve(bytes.buffer);
    },
  };
}

async function understood<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw damaged(path, cause instanceof Error ? cause.message.split("\n")[0] : String(cause), cause);
  }
}

function damaged(path: string, why: string, cause?: unknown): UsageError {
  return new UsageError(`${path} cannot be read as Parquet: ${why}; fetch or write the file again`, { cause });
}
