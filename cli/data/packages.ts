/** The packages that reading data takes, loaded when a text asks for them, so that nobody downloads what they do not use. */
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

/** What is used of the Parquet reader. */
export interface ParquetPackage {
  readonly parquetMetadataAsync: (file: AsyncBuffer) => Promise<ParquetMetadata>;
  readonly parquetSchema: (metadata: ParquetMetadata) => { readonly children: readonly { readonly element: { readonly name: string } }[] };
  readonly parquetRead: (options: {
    readonly file: AsyncBuffer;
    readonly metadata: ParquetMetadata;
    readonly compressors: unknown;
    readonly columns: readonly string[];
    readonly rowStart: number;
    readonly rowEnd: number;
    readonly useOffsetIndex: boolean;
    readonly onComplete: (rows: unknown[][]) => void;
  }) => Promise<void>;
  readonly compressors: unknown;
}

/** A file as the Parquet reader sees it. */
export interface AsyncBuffer {
  readonly byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

/** What is used of a Parquet file's metadata. */
export interface ParquetMetadata {
  readonly row_groups: readonly {
    readonly num_rows: bigint;
    readonly columns: readonly { readonly meta_data?: { readonly path_in_schema: readonly string[]; readonly total_uncompressed_size: bigint } }[];
  }[];
}

/** A transformer from text to rows of fields, which throws a SyntaxError with the line's number. */
export type CsvParseStream = new () => TransformStream<string, string[]>;

/** Loads a tokenizer. @throws {CommandError} if its package cannot be had. */
export async function loadTokenizer(name: EncodingName): Promise<TokenizerPackage> {
  const encoding = ENCODINGS[name];
  const { encode } = await load<TokenizerPackage>(`gpt-tokenizer/encoding/${encoding}`);
  const { default: pieces } = await load<{ default: TokenizerPackage["pieces"] }>(`gpt-tokenizer/bpeRanks/${encoding}`);
  return { encode, pieces };
}

/** Loads the Parquet reader with its decompressors. @throws {CommandError} if a package cannot be had. */
export async function loadParquet(): Promise<ParquetPackage> {
  const reader = await load<Omit<ParquetPackage, "compressors">>("hyparquet/src/index.js");
  const { compressors } = await load<Pick<ParquetPackage, "compressors">>("hyparquet-compressors");
  return { ...reader, compressors };
}

/** Loads the CSV reader. @throws {CommandError} if its package cannot be had. */
export async function loadCsv(): Promise<CsvParseStream> {
  return (await load<{ CsvParseStream: CsvParseStream }>("@std/csv")).CsvParseStream;
}

// Not a literal in import(): only who needs a package downloads it.
async function load<T>(specifier: string): Promise<T> {
  try {
    return await import(specifier) as T;
  } catch (cause) {
    throw new CommandError(`cannot load the package ${specifier}: connect to the network once, so that it can be downloaded`, { cause });
  }
}
