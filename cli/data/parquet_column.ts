/** One column of a group of rows of a Parquet file, page after page: only one page and its dictionary are in memory. */
import type { AsyncBuffer, ColumnDecoder, ColumnMetadata, PageHeader, ParquetPackage, SchemaTree } from "./packages.ts";
import { checkDelta, checkRuns, checkStruct, MOST_PAGE_BYTES, MOST_VALUES } from "./parquet_check.ts";

/** A column of a group. */
export interface ParquetColumn {
  readonly file: AsyncBuffer;
  readonly meta: ColumnMetadata;
  /** From the schema's root to the column. */
  readonly schemaPath: readonly SchemaTree[];
  /** Rows of the group. */
  readonly rows: number;
}

/** What stands for a text that is not valid UTF-8. */
export const NOT_UTF8: unique symbol = Symbol("not UTF-8");

// Headers hold the least and the greatest value of their page: most are short, and some are very long.
const HEADER_BYTES = [2 ** 10, 2 ** 16, 2 ** 24];

/**
 * The values of a column, null where there is none, in pieces.
 * @throws {Error} if the column is damaged.
 */
export async function* columnValues(
  library: ParquetPackage,
  { file, meta, schemaPath, rows }: ParquetColumn,
): AsyncGenerator<ArrayLike<unknown>> {
  const { element } = schemaPath[schemaPath.length - 1], codec = meta.codec ?? "unknown";
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const stringFromBytes = (bytes: unknown): unknown => {
    if (bytes === undefined) return undefined;
    if (!(bytes instanceof Uint8Array)) throw new Error("a page refers to a dictionary that is not there");
    try {
      return utf8.decode(bytes);
    } catch {
      return NOT_UTF8;
    }
  };
  const parsers = { ...library.DEFAULT_PARSERS, stringFromBytes };
  const decoder: ColumnDecoder = {
    type: meta.type,
    element,
    schemaPath,
    pathInSchema: meta.path_in_schema,
    codec: "UNCOMPRESSED",
    parsers,
  };
  const [start, end] = rangeOf(meta, file.byteLength);
  let dictionary: ArrayLike<unknown> | undefined, given = 0;
  for (let at = start; given < rows;) {
    const { header, behind } = await readHeader(library, file, at, end);
    checkHeader(header, end - behind);
    at = behind + header.compressed_page_size;
    const raw = new Uint8Array(await file.slice(behind, at)), plain = unpackPage(library, header, { raw, codec });
    checkPage(library, header, { page: plain.page, decoder });
    const reader = { view: new DataView(plain.page.buffer, plain.page.byteOffset, plain.page.length), offset: 0 };
    const { data } = library.readPage(reader, plain.header, decoder, dictionary, undefined, 0);
    if (header.type === "DICTIONARY_PAGE") dictionary = data && library.convert(data, decoder);
    else {
      const count = (header.data_page_header ?? header.data_page_header_v2)!.num_values;
      if (!data || data.length !== count) throw new Error(`a page has ${data?.length ?? 0} values and says ${count}`);
      given += count;
      if (given > rows) throw new Error(`a column has more than the ${rows} rows of its group`);
      yield data;
    }
  }
}

function rangeOf(meta: ColumnMetadata, size: number): [start: number, end: number] {
  const start = Number(meta.dictionary_page_offset || meta.data_page_offset),
    end = start + Number(meta.total_compressed_size);
  if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end <= size)) {
    throw new Error(`a column lies at bytes ${start} to ${end} of ${size}`);
  }
  return [start, end];
}

async function readHeader(
  library: ParquetPackage,
  file: AsyncBuffer,
  at: number,
  end: number,
): Promise<{ header: PageHeader; behind: number }> {
  if (at >= end) throw new Error("a column ends before the rows of its group");
  for (const size of HEADER_BYTES) {
    const bytes = new Uint8Array(await file.slice(at, Math.min(end, at + size)));
    try {
      const length = checkStruct(bytes, 0);
      return { header: library.parquetHeader({ view: new DataView(bytes.buffer), offset: 0 }), behind: at + length };
    } catch (error) {
      if (at + size >= end || size === HEADER_BYTES.at(-1)) throw error;
    }
  }
  throw new Error("a page has no header");
}

/** Checks the numbers of a header. @param left Bytes of the column behind it. */
function checkHeader(header: PageHeader, left: number): void {
  const { type, compressed_page_size: packed, uncompressed_page_size: plain, data_page_header_v2: v2 } = header;
  const isCount = (value: unknown): value is number =>
    typeof value === "number" && Number.isInteger(value) && value >= 0;
  const own = {
    DATA_PAGE: header.data_page_header,
    DATA_PAGE_V2: v2,
    DICTIONARY_PAGE: header.dictionary_page_header,
  }[type ?? ""];
  if (!own) throw new Error(`a page is of the unknown type ${type}`);
  if (!isCount(packed) || packed > left) {
    throw new Error(`a page says that it has ${packed} bytes where ${left} are left`);
  }
  if (!isCount(plain) || plain > MOST_PAGE_BYTES) {
    throw new Error(`a page says that it has ${plain} bytes unpacked, more than ${MOST_PAGE_BYTES} are not read`);
  }
  if (!isCount(own.num_values) || own.num_values > MOST_VALUES) {
    throw new Error(`a page says that it has ${own.num_values} values, more than ${MOST_VALUES} are not read`);
  }
  if (type !== "DATA_PAGE_V2") return;
  const { definition_levels_byte_length: definition, repetition_levels_byte_length: repetition, num_nulls: nulls } =
    v2!;
  if (!isCount(definition) || !isCount(repetition) || definition + repetition > Math.min(packed, plain)) {
    throw new Error("a page is shorter than its levels");
  }
  if (!isCount(nulls) || nulls > own.num_values) {
    throw new Error(`a page has ${own.num_values} values and ${nulls} of them are null`);
  }
}

/** A page as it is unpacked, and the header of such a page. */
function unpackPage(
  library: ParquetPackage,
  header: PageHeader,
  { raw, codec }: { raw: Uint8Array; codec: string },
): { header: PageHeader; page: Uint8Array } {
  const { data_page_header_v2: v2, uncompressed_page_size: size } = header;
  // Of nothing, not every codec makes nothing again.
  const unpack = (bytes: Uint8Array, length: number): Uint8Array =>
    length === 0 ? new Uint8Array(0) : library.decompressPage(bytes, length, codec, library.compressors);
  if (header.type !== "DATA_PAGE_V2") {
    const page = unpack(raw, size);
    return { header: { ...header, compressed_page_size: page.length, uncompressed_page_size: page.length }, page };
  }
  // Levels are never packed.
  const levels = v2!.definition_levels_byte_length + v2!.repetition_levels_byte_length, values = raw.subarray(levels);
  const plain = v2!.is_compressed === false ? values : unpack(values, size - levels);
  const page = new Uint8Array(levels + plain.length);
  page.set(raw.subarray(0, levels));
  page.set(plain, levels);
  const unpacked = {
    compressed_page_size: page.length,
    uncompressed_page_size: page.length,
    data_page_header_v2: { ...v2!, is_compressed: false },
  };
  return { header: { ...header, ...unpacked }, page };
}

/** Checks the runs and lengths in a page. */
function checkPage(
  library: ParquetPackage,
  header: PageHeader,
  { page, decoder }: { page: Uint8Array; decoder: ColumnDecoder },
): void {
  const v2 = header.type === "DATA_PAGE_V2" ? header.data_page_header_v2 : undefined,
    own = header.type === "DATA_PAGE" ? header.data_page_header : v2;
  if (!own) return;
  const count = own.num_values, isNullable = decoder.element.repetition_type !== "REQUIRED";
  let at = v2 ? v2.repetition_levels_byte_length + v2.definition_levels_byte_length : 0;
  if (isNullable) {
    if (v2) checkRuns(page.subarray(0, at), v2.repetition_levels_byte_length, { count, width: 1 });
    else {
      const length = page.length >= 4 ? new DataView(page.buffer, page.byteOffset).getUint32(0, true) : Infinity;
      if (length > page.length - 4) throw new Error(`a page of ${page.length} bytes has levels of ${length}`);
      at = 4 + length;
      checkRuns(page, 4, { count, width: 1 });
    }
  }
  if (/DICTIONARY$|^RLE$/.test(own.encoding ?? "")) {
    const isBoolean = decoder.type === "BOOLEAN", width = isBoolean ? 1 : page[at] ?? 0;
    if (width > 32) throw new Error(`a page has indices of ${width} bits`);
    checkRuns(page, at + (isBoolean ? (v2 ? 0 : 4) : 1), { count, width });
  } else if (own.encoding?.startsWith("DELTA_")) {
    const values = v2 ? count - v2.num_nulls : count;
    if (values > 0) checkDelta(page, at);
    if (own.encoding === "DELTA_BYTE_ARRAY") checkPrefixes(library, page, { at, count: values });
  }
}

/** Values that begin as the ones before them do could become very long. */
function checkPrefixes(library: ParquetPackage, page: Uint8Array, { at, count }: { at: number; count: number }): void {
  if (count === 0) return;
  const reader = { view: new DataView(page.buffer, page.byteOffset, page.length), offset: at };
  // Of a page with nulls there are fewer values than it says.
  const stored = Math.min(count, checkDelta(page, at)),
    prefixes = new Int32Array(stored),
    suffixes = new Int32Array(stored);
  library.deltaBinaryUnpack(reader, stored, prefixes);
  checkDelta(page, reader.offset);
  library.deltaBinaryUnpack(reader, stored, suffixes);
  for (let i = 0, before = 0, total = 0; i < stored; i++) {
    if (prefixes[i] < 0 || suffixes[i] < 0 || prefixes[i] > before) {
      throw new Error("a page has a value that begins with more than the one before it has");
    }
    before = prefixes[i] + suffixes[i];
    total += before;
    if (total > MOST_PAGE_BYTES) throw new Error(`the values of a page have more than ${MOST_PAGE_BYTES} bytes`);
  }
}
