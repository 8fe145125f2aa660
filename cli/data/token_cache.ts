/**
 * Token files in the cache folder, for texts without random access: compressed files, records, tables, or other
 * vocabularies.
 *
 *     tokens-KEY.bin        the token ids, little-endian, 1, 2 or 4 bytes each
 *     tokens-KEY.documents  the number of the first token of each document, 64-bit floats, little-endian; absent if there is but one document
 *     tokens-KEY.json       how many there are, of how many bytes of text, and how many documents; written last
 */
import type { DocumentStarts } from "../../titans/mod.ts";
import { UsageError } from "../errors.ts";
import { readTextIfAny, writeAtomic } from "../files.ts";
import { writing } from "./cache.ts";
import type { DocumentPiece } from "./documents.ts";
import { type ReadFacts, readFactsOf } from "./rows.ts";
import { sha256Hex } from "./sha256.ts";
import { TokenEncoder } from "./token_encoder.ts";
import { JoinedFiles } from "./token_file.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A text as a file of tokens. */
export interface CachedTokens {
  readonly path: string;
  /** Size of the file. */
  readonly sizeBytes: number;
  /** Size of the text that the tokens encode. */
  readonly textBytes: number;
  /** Number of documents; absent if it was not needed when the file was written. */
  readonly documents?: number;
  /** What was read from the files; absent in files from older versions. */
  readonly read?: ReadFacts;
}

/** What is written to. */
export interface Sink {
  write(bytes: Uint8Array): Promise<number>;
  sync(): Promise<void>;
  close(): void;
}

const BUFFER_BYTES = 2 ** 20;
const START_BYTES = 8;

// No write in progress is a day old.
const ABANDONED_MS = 24 * 3600 * 1000;

/** How tokens are written. */
export interface BuildOptions {
  /** The cache folder; created if needed. */
  readonly folder: string;
  /** The name of the text in error messages. */
  readonly name: string;
  readonly vocabulary: Vocabulary;
  /** What was read, asked at the end. */
  readonly read?: () => ReadFacts;
  /** Opens a new file. */
  readonly create?: (path: string) => Promise<Sink>;
}

/**
 * A key for the tokens of a text, from everything they depend on.
 * @param facts Such as paths, sizes, times, options.
 */
export async function cacheKey(facts: unknown): Promise<string> {
  return (await sha256Hex(new TextEncoder().encode(JSON.stringify(facts)))).slice(0, 24);
}

/**
 * The tokens of a name, or undefined if they are not in the cache. @param documents Whether it must be known where
 * documents begin.
 */
export async function findTokens(key: string, folder: string, documents: boolean): Promise<CachedTokens | undefined> {
  const path = `${folder}/tokens-${key}.bin`, facts = await readTextIfAny(factsPath(path));
  const info = await Deno.stat(path).catch(() => undefined);
  if (facts === undefined || !info) return undefined;
  try {
    const { sizeBytes, textBytes, documents: count, read } = JSON.parse(facts) as Partial<CachedTokens>;
    const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
    if (!isCount(textBytes) || info.size !== sizeBytes || (count !== undefined && !isCount(count))) return undefined;
    const known = readFactsOf(read),
      found = { path, sizeBytes, textBytes: textBytes!, documents: count, ...known ? { read: known } : {} };
    return !documents || await knowsDocuments(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

async function knowsDocuments({ path, documents }: CachedTokens): Promise<boolean> {
  if (documents === undefined || documents < 2) return documents === 1;
  const info = await Deno.stat(startsPath(path)).catch(() => undefined);
  return info?.size === documents * START_BYTES;
}

/** Where the documents of cached tokens begin; undefined if there is one or it is not known. Keeps a file open. */
export function cachedStarts({ path, documents = 1 }: CachedTokens): (DocumentStarts & Disposable) | undefined {
  if (documents < 2) return undefined;
  const file = new JoinedFiles([{ path: startsPath(path), sizeBytes: documents * START_BYTES }], new Uint8Array(0));
  return {
    count: documents,
    read: (first, into) => {
      const bytes = file.readBytes(first * START_BYTES, into.length * START_BYTES),
        view = new DataView(bytes.buffer, bytes.byteOffset);
      for (let i = 0; i < into.length; i++) into[i] = view.getFloat64(i * START_BYTES, true);
    },
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

function storedStarts(starts: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(starts.length * START_BYTES));
  for (const [i, start] of starts.entries()) view.setFloat64(i * START_BYTES, start, true);
  return new Uint8Array(view.buffer);
}

/**
 * Writes the tokens of a text to the cache. The file appears completely or not at all.
 * @param key Their name, or a function that gives it once all has been read.
 * @param text UTF-8 in pieces that say where documents begin.
 * @throws {CommandError} if the file cannot be written, {UsageError} if the text is empty.
 */
export async function buildTokens(
  key: string | (() => string),
  text: AsyncIterable<DocumentPiece>,
  { vocabulary, folder, name, read, create = createFile }: BuildOptions,
): Promise<CachedTokens> {
  const part = `${folder}/tokens-${crypto.randomUUID()}.part`, startsPart = part.replace(/\.part$/, ".documents.part");
  let path: string | undefined;
  try {
    await writing(folder, () => Deno.mkdir(folder, { recursive: true }));
    await removeAbandoned(folder);
    using sinks = new DisposableStack();
    const open = async (place: string): Promise<BufferedSink> =>
      sinks.use(new BufferedSink(folder, await writing(folder, () => create(place))));
    const written = await writeTokens(text, vocabulary, { tokens: await open(part), starts: () => open(startsPart) });
    const facts = { ...written, ...read ? { read: read() } : {} };
    sinks.dispose();
    if (facts.textBytes === 0) {
      throw new UsageError(`the data ${name} is empty: give a text file with --data FILE, or --data sotu`);
    }
    path = `${folder}/tokens-${typeof key === "string" ? key : key()}.bin`;
    await writing(folder, async () => {
      if (facts.documents > 1) await Deno.rename(startsPart, startsPath(path!));
      await Deno.rename(part, path!);
      await writeAtomic(factsPath(path!), `${JSON.stringify({ ...facts, vocabulary: vocabulary.name })}\n`);
    });
    return { path, ...facts };
  } catch (error) {
    // In case of an error, no partial file remains.
    const left = [part, startsPart, ...path === undefined ? [] : [path, startsPath(path), `${factsPath(path)}.part`]];
    for (const leftover of left) await Deno.remove(leftover).catch(() => {});
    throw error;
  }
}

/** A file that is written in large pieces: documents, and their places, may be short. */
class BufferedSink implements Disposable {
  readonly #folder: string;
  readonly #sink: Sink;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  sizeBytes = 0;

  constructor(folder: string, sink: Sink) {
    this.#folder = folder;
    this.#sink = sink;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.sizeBytes += bytes.length;
    if (this.#filled + bytes.length > this.#buffer.length) await this.#flush();
    if (bytes.length > this.#buffer.length) return await this.#all(bytes);
    this.#buffer.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  /** Syncs everything to the disk. */
  async end(): Promise<void> {
    await this.#flush();
    await writing(this.#folder, () => this.#sink.sync());
  }

  [Symbol.dispose](): void {
    this.#sink.close();
  }

  async #flush(): Promise<void> {
    await this.#all(this.#buffer.subarray(0, this.#filled));
    this.#filled = 0;
  }

  async #all(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const written = await writing(this.#folder, () => this.#sink.write(rest));
      rest = rest.subarray(written);
    }
  }
}

async function writeTokens(
  text: AsyncIterable<DocumentPiece>,
  vocabulary: Vocabulary,
  to: { readonly tokens: BufferedSink; readonly starts: () => Promise<BufferedSink> },
): Promise<{ sizeBytes: number; textBytes: number; documents: number }> {
  const encoder = new TokenEncoder(vocabulary);
  let documents = 0, starts: BufferedSink | undefined;
  const write = async (tokens: Uint8Array): Promise<void> => {
    await to.tokens.write(tokens);
    const found = encoder.takeStarts();
    if (found.length === 0) return;
    // The first document begins where the text does; one that is alone has no file of its own.
    if (documents + found.length > 1) {
      if (!starts) found.unshift(...documents === 1 ? [0] : []);
      starts ??= await to.starts();
      await starts.write(storedStarts(found));
      documents = starts.sizeBytes / START_BYTES;
    } else documents = 1;
  };
  for await (const { bytes, starts } of text) {
    if (starts) encoder.begin();
    await write(encoder.next(bytes));
  }
  await write(encoder.end());
  await to.tokens.end();
  await starts?.end();
  return { sizeBytes: to.tokens.sizeBytes, textBytes: encoder.textBytes, documents };
}

/** Removes partial files left behind by killed processes. */
async function removeAbandoned(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.startsWith("tokens-") || !name.endsWith(".part")) continue;
    const { mtime } = await Deno.stat(`${folder}/${name}`).catch(() => ({ mtime: null }));
    if (mtime && Date.now() - mtime.getTime() > ABANDONED_MS) await Deno.remove(`${folder}/${name}`).catch(() => {});
  }
}

function createFile(path: string): Promise<Sink> {
  return Deno.open(path, { write: true, createNew: true });
}

function factsPath(path: string): string {
  return path.replace(/\.bin$/, ".json");
}

/** Where the places are at which documents begin; there is such a file if there is more than one document. */
function startsPath(path: string): string {
  return path.replace(/\.bin$/, ".documents");
}
