/**
 * The packages that reading data takes, loaded when a text asks for them, so that nobody downloads what they do not
 * use.
 */
import { CommandError } from "../errors.ts";

/** The tokenizers' encodings by the name that a vocabulary gives them. */
export const ENCODINGS = { gpt2: "r50k_base", cl100k: "cl100k_base", o200k: "o200k_base" } as const;

/** Name of a tokenizer's encoding. */
export type EncodingName = keyof typeof ENCODINGS;

/** What is used of a tokenizer. */
export interface TokenizerPackage {
  /** Token ids of a text; nothing in it is taken for a special token. */
  readonly encode: (text: string, options: { readonly disallowedSpecial: ReadonlySet<string> }) => number[];
  /** The text or the bytes of each token id; ids may be unused. */
  readonly pieces: readonly (string | readonly number[] | undefined)[];
}

/** What is used of the Parquet reader, module by module: pages are read one at a time, after they were checked. */
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

/** What is used of a page's header. Nothing in it can be trusted. */
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

/** What is used of the metadata of a column in a group of rows. */
export interface ColumnMetadata {
  readonly type?: string;
  readonly path_in_schema: readonly string[];
  readonly codec?: string;
  readonly data_page_offset: bigint;
  readonly dictionary_page_offset?: bigint;
  readonly total_compressed_size: bigint;
}

/** What is used of a Parquet file's metadata. */
export interface ParquetMetadata {
  readonly schema: readonly { readonly num_children?: number }[];
  readonly row_groups: readonly {
    readonly num_rows: bigint;
    readonly columns: readonly { readonly meta_data?: ColumnMetadata; readonly file_path?: string }[];
  }[];
}

/** Loads a tokenizer. @throws {CommandError} if its package cannot be had. */
export async function loadTokenizer(name: EncodingName): Promise<TokenizerPackage> {
  const encoding = ENCODINGS[name];
  const { encode } = await load<TokenizerPackage>(`gpt-tokenizer/encoding/${encoding}`);
  const { default: pieces } = await load<{ default: TokenizerPackage["pieces"] }>(`gpt-tokenizer/bpeRanks/${encoding}`);
  return { encode, pieces };
}

/** Loads the Parquet reader with its decompressors. @throws {CommandError} if a package cannot be had. */
export async function loadParquet(): Promise<ParquetPackage> {
  const parts: Partial<ParquetPackage>[] = [];
  for (const name of ["metadata", "schema", "column", "convert", "datapage", "delta"]) {
    parts.push(await load(`hyparquet/src/${name}.js`));
  }
  parts.push(await load("hyparquet-compressors"));
  return Object.assign({}, ...parts);
}

// Not a literal in import(): only who needs a package downloads it.
async function load<T>(specifier: string): Promise<T> {
  try {
    return await import(specifier) as T;
  } catch (cause) {
    throw new CommandError(
      `cannot load the package ${specifier}: connect to the network once, so that it can be downloaded`,
      { cause },
    );
  }
}
