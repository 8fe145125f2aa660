/**
 * Packages for reading data. They are loaded when a text needs them, so that only used packages are downloaded.
 */
import { CommandError } from "../errors.ts";
import { STANDALONE } from "../program.ts";

/** The tokenizers' encodings by the name that a vocabulary gives them. */
export const ENCODINGS = { gpt2: "r50k_base", cl100k: "cl100k_base", o200k: "o200k_base" } as const;

/** Name of a tokenizer's encoding. */
export type EncodingName = keyof typeof ENCODINGS;

/** The part of a tokenizer that is used. */
export interface TokenizerPackage {
  /** Token ids of a text, without special tokens. */
  readonly encode: (text: string, options: { readonly disallowedSpecial: ReadonlySet<string> }) => number[];
  /** The text or the bytes of each token id; ids may be unused. */
  readonly pieces: readonly (string | readonly number[] | undefined)[];
}

/** The part of the Parquet reader that is used, by module: pages are checked and then read one at a time. */
export interface ParquetPackage {
  readonly parquetMetadataAsync: (
    file: AsyncBuffer,
    options: { readonly geoparquet: boolean },
  ) => Promise<ParquetMetadata>;
  readonly parquetSchema: (metadata: ParquetMetadata) => SchemaTree;
  readonly getTreePath: (tree: SchemaTree, path: readonly string[]) => SchemaTree[];
  readonly isFlatColumn: (path: readonly SchemaTree[]) => boolean;
  readonly parquetHeader: (reader: DataReader) => PageHeader;
  readonly readPage: (
    reader: DataReader,
    header: PageHeader,
    decoder: ColumnDecoder,
    dictionary: ArrayLike<unknown> | undefined,
    previous: undefined,
    start: number,
  ) => { readonly data?: ArrayLike<unknown> };
  readonly convert: (data: ArrayLike<unknown>, decoder: ColumnDecoder) => ArrayLike<unknown>;
  readonly decompressPage: (bytes: Uint8Array, size: number, codec: string, compressors: unknown) => Uint8Array;
  readonly deltaBinaryUnpack: (reader: DataReader, count: number, output: Int32Array) => void;
  readonly DEFAULT_PARSERS: Readonly<Record<string, (value: never) => unknown>>;
  readonly compressors: unknown;
}

/** A file as the Parquet reader sees it. */
export interface AsyncBuffer {
  readonly byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

/** Bytes and how far they have been read. */
export interface DataReader {
  readonly view: DataView;
  offset: number;
}

/** A node of the schema. */
export interface SchemaTree {
  readonly element: { readonly name: string; readonly type?: string; readonly repetition_type?: string };
  readonly children: readonly SchemaTree[];
}

/** The fields of a page header that are used. None of them can be trusted. */
export interface PageHeader {
  readonly type?: string;
  readonly uncompressed_page_size: number;
  readonly compressed_page_size: number;
  readonly data_page_header?: { readonly num_values: number; readonly encoding?: string };
  readonly dictionary_page_header?: { readonly num_values: number };
  readonly data_page_header_v2?: {
    readonly num_values: number;
    readonly num_nulls: number;
    readonly encoding?: string;
    readonly definition_levels_byte_length: number;
    readonly repetition_levels_byte_length: number;
    readonly is_compressed: boolean;
  };
}

/** How the pages of a column are read. */
export interface ColumnDecoder {
  readonly type: string | undefined;
  readonly element: SchemaTree["element"];
  readonly schemaPath: readonly SchemaTree[];
  readonly pathInSchema: readonly string[];
  readonly codec: string;
  readonly parsers: Readonly<Record<string, unknown>>;
}

/** The fields of a column's metadata in a row group that are used. */
export interface ColumnMetadata {
  readonly type?: string;
  readonly path_in_schema: readonly string[];
  readonly codec?: string;
  readonly data_page_offset: bigint;
  readonly dictionary_page_offset?: bigint;
  readonly total_compressed_size: bigint;
}

/** The fields of a Parquet file's metadata that are used. */
export interface ParquetMetadata {
  readonly schema: readonly { readonly num_children?: number }[];
  readonly row_groups: readonly {
    readonly num_rows: bigint;
    readonly columns: readonly { readonly meta_data?: ColumnMetadata; readonly file_path?: string }[];
  }[];
}

/** Loads a tokenizer. @throws {CommandError} if its package is not available. */
export async function loadTokenizer(name: EncodingName): Promise<TokenizerPackage> {
  const encoding = ENCODINGS[name];
  const { encode } = await load<TokenizerPackage>(`gpt-tokenizer/encoding/${encoding}`);
  const { default: pieces } = await load<{ default: TokenizerPackage["pieces"] }>(`gpt-tokenizer/bpeRanks/${encoding}`);
  return { encode, pieces };
}

/** Loads the Parquet reader with its decompressors. @throws {CommandError} if a package is not available. */
export async function loadParquet(): Promise<ParquetPackage> {
  const parts: Partial<ParquetPackage>[] = [];
  for (const name of ["metadata", "schema", "column", "convert", "datapage", "delta"]) {
    parts.push(await load(`hyparquet/src/${name}.js`));
  }
  parts.push(await load("hyparquet-compressors"));
  return Object.assign({}, ...parts);
}

// Not a literal in import(), so that a package is downloaded only when it is needed.
async function load<T>(specifier: string): Promise<T> {
  try {
    return await import(specifier) as T;
  } catch (cause) {
    const remedy = STANDALONE
      ? "this executable was built without it; take the one that has it (deno task compile)"
      : "connect to the network once, so that it can be downloaded";
    throw new CommandError(`cannot load the package ${specifier}: ${remedy}`, { cause });
  }
}
