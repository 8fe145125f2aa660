/** Reads Parquet files, one page at a time. */
import { UsageError } from "../errors.ts";
import { type FieldTemplate, parseField, valueText } from "./field.ts";
import { shortName } from "./jsonl.ts";
import { type AsyncBuffer, loadParquet, type ParquetMetadata, type ParquetPackage } from "./packages.ts";
import { checkStruct } from "./parquet_check.ts";
import { columnValues, NOT_UTF8 } from "./parquet_column.ts";
import { readError, type TextFlag } from "./read_file.ts";
import { RowTally } from "./rows.ts";

/** Options for reading a file. */
export interface ParquetReading {
  /** The columns that form the text: see {@link parseField}. */
  readonly field: string;
  /** Receives the number of bytes read. */
  readonly count?: (bytes: number) => void;
  /** Counts the rows, and decides whether bad ones are skipped. */
  readonly tally?: RowTally;
  /** The flag that named the file. */
  readonly flag?: TextFlag;
}

/**
 * The texts of a file's columns. Rows without text are skipped.
 * @throws {UsageError} if the file is damaged, has no such column, or the column holds something other than text.
 */
export async function* readParquet(
  path: string,
  { count = () => {}, flag = "--data", ...reading }: ParquetReading,
): AsyncGenerator<string> {
  using file = await Deno.open(path).catch((error) => {
    throw readError(error, path, flag);
  });
  yield* readParquetBuffer(asyncBuffer(file, count), path, reading);
}

/** The same for an open file. @param path For error messages. */
export async function* readParquetBuffer(
  file: AsyncBuffer,
  path: string,
  { field, tally = new RowTally() }: Pick<ParquetReading, "field" | "tally">,
): AsyncGenerator<string> {
  const library = await loadParquet(), template = parseField(field);
  const metadata = await understood(path, () => readMetadata(library, file));
  const columns = await understood(
    path,
    () => library.parquetSchema(metadata).children.map(({ element }) => element.name),
  );
  if (columns.some((name) => typeof name !== "string")) {
    throw new UsageError(`${path} cannot be read as Parquet: a column has no name; download or write the file again`);
  }
  const missing = template.names.find((name) => !columns.includes(name));
  if (missing !== undefined) {
    const there = columns.slice(0, 20).map(shortName).join(", ");
    throw new UsageError(
      `${path} has no column ${missing}: choose the text column with --field NAME (there are ${there})`,
    );
  }
  let number = 0;
  for (const group of metadata.row_groups) {
    const rows = groupRows(library, file, { metadata, group, template });
    for (;;) {
      const { value, done } = await understood(path, () => rows.next());
      if (done) break;
      for (const row of value) {
        tally.rows++;
        const text = textOf(row, { template, tally, where: `${path} row ${++number}` });
        if (text !== undefined) yield text;
      }
    }
  }
}

function textOf(
  values: readonly unknown[],
  { template, tally, where }: { readonly template: FieldTemplate; readonly tally: RowTally; readonly where: string },
): string | undefined {
  const texts: (string | undefined)[] = [];
  for (const [i, value] of values.entries()) {
    const name = template.names[i], text = valueText(value, template);
    if (text === null) {
      const why = value === NOT_UTF8 ? "a text that is not valid UTF-8" : "no text";
      tally.bad(`${where} has ${why} in its column ${name}: give the name of a text column with --field`);
      return undefined;
    }
    texts.push(text);
  }
  const text = template.fill(texts);
  if (text === undefined) tally.withoutText++;
  return text;
}

interface Group {
  readonly metadata: ParquetMetadata;
  readonly group: ParquetMetadata["row_groups"][number];
  readonly template: FieldTemplate;
}

const ROWS_AT_ONCE = 1024;

/** The wanted values of a group, some rows at once. */
async function* groupRows(
  library: ParquetPackage,
  file: AsyncBuffer,
  { metadata, group, template }: Group,
): AsyncGenerator<unknown[][]> {
  const rows = Number(group.num_rows), tree = library.parquetSchema(metadata);
  if (!(rows >= 0 && Number.isSafeInteger(rows))) throw new Error(`a group has ${rows} rows`);
  const columns = template.names.map((name) => {
    const schemaPath = library.getTreePath(tree, [name]);
    if (!library.isFlatColumn(schemaPath)) {
      throw new UsageError(
        `its column ${name} contains lists or records, not text; give the name of a text column with --field`,
      );
    }
    const meta = group.columns.find(({ meta_data: meta }) =>
      meta?.path_in_schema.length === 1 && meta.path_in_schema[0] === name
    )?.meta_data;
    if (!meta) throw new Error(`a group has no column ${name}`);
    return new Values(columnValues(library, { file, meta, schemaPath, rows }));
  });
  for (let row = 0; row < rows;) {
    const some: unknown[][] = [];
    for (; row < rows && some.length < ROWS_AT_ONCE; row++) {
      const values: unknown[] = [];
      for (const column of columns) values.push(column.hasNext ? column.next() : await column.more());
      some.push(values);
    }
    yield some;
  }
}

/** Values that come in pieces, one by one. */
class Values {
  readonly #pieces: AsyncGenerator<ArrayLike<unknown>>;
  #piece: ArrayLike<unknown> = [];
  #at = 0;

  constructor(pieces: AsyncGenerator<ArrayLike<unknown>>) {
    this.#pieces = pieces;
  }

  get hasNext(): boolean {
    return this.#at < this.#piece.length;
  }

  next(): unknown {
    const value = this.#piece[this.#at++];
    // Null is a value; undefined means an index beyond the end of the dictionary.
    if (value === undefined) throw new Error("a value is missing");
    return value;
  }

  async more(): Promise<unknown> {
    while (!this.hasNext) {
      const { value, done } = await this.#pieces.next();
      if (done) throw new Error("a column ends before the rows of its group");
      [this.#piece, this.#at] = [value, 0];
    }
    return this.next();
  }
}

const FOOTER_BYTES = 8;

async function readMetadata(library: ParquetPackage, file: AsyncBuffer): Promise<ParquetMetadata> {
  const size = file.byteLength;
  if (size < FOOTER_BYTES + 4) throw new Error("the file is too short");
  const end = new Uint8Array(await file.slice(size - FOOTER_BYTES, size)),
    length = new DataView(end.buffer).getUint32(0, true);
  if (String.fromCharCode(...end.subarray(4)) !== "PAR1") throw new Error("it does not end as a Parquet file does");
  if (length > size - FOOTER_BYTES - 4) throw new Error(`its metadata have ${length} bytes, and the file ${size}`);
  checkStruct(new Uint8Array(await file.slice(size - FOOTER_BYTES - length, size - FOOTER_BYTES)), 0);
  return await library.parquetMetadataAsync(file, { geoparquet: false });
}

function asyncBuffer(file: Deno.FsFile, count: (bytes: number) => void): AsyncBuffer {
  const { size } = file.statSync();
  return {
    byteLength: size,
    // Synchronous, so that concurrent reads do not change each other's file position.
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

async function understood<T>(path: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    if (cause instanceof UsageError) throw new UsageError(`${path} cannot be read: ${why}`, { cause });
    throw new UsageError(`${path} cannot be read as Parquet: ${why}; download or write the file again`, { cause });
  }
}
