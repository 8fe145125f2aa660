/**
 * Files of tokens in the cache folder, made from texts that cannot be read at any place: packed, as records, as tables, or in another vocabulary.
 *
 *     tokens-KEY.bin    the token ids, little-endian, 1, 2 or 4 bytes each
 *     tokens-KEY.json   how many there are and of how many bytes of text; written last
 */
import { UsageError } from "../errors.ts";
import { readTextIfAny, writeAtomic } from "../files.ts";
import { writing } from "./cache.ts";
import { sha256Hex } from "./sha256.ts";
import { TokenEncoder } from "./token_encoder.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A text as a file of tokens. */
export interface CachedTokens {
  readonly path: string;
  /** Size of the file. */
  readonly sizeBytes: number;
  /** Bytes of the text that the tokens stand for. */
  readonly textBytes: number;
}

/** What is written to. */
export interface Sink {
  write(bytes: Uint8Array): Promise<number>;
  sync(): Promise<void>;
  close(): void;
}

const BUFFER_BYTES = 2 ** 20;

// Nothing takes a day without a write.
const ABANDONED_MS = 24 * 3600 * 1000;

/** How tokens are written. */
export interface BuildOptions {
  /** The cache folder; made if needed. */
  readonly folder: string;
  /** What the text is called in error texts. */
  readonly name: string;
  readonly vocabulary: Vocabulary;
  /** Opens a new file. */
  readonly create?: (path: string) => Promise<Sink>;
}

/**
 * A name for the tokens of a text, from all that they depend on.
 * @param facts Such as paths, sizes, times, options.
 */
export async function cacheKey(facts: unknown): Promise<string> {
  return (await sha256Hex(new TextEncoder().encode(JSON.stringify(facts)))).slice(0, 24);
}

/** The tokens of a name, or undefined if they are not in the cache. */
export async function findTokens(key: string, folder: string): Promise<CachedTokens | undefined> {
  const path = `${folder}/tokens-${key}.bin`, facts = await readTextIfAny(factsPath(path));
  const info = await Deno.stat(path).catch(() => undefined);
  if (facts === undefined || !info) return undefined;
  try {
    const { sizeBytes, textBytes } = JSON.parse(facts) as Partial<CachedTokens>;
    return typeof textBytes === "number" && info.size === sizeBytes ? { path, sizeBytes, textBytes } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Writes the tokens of a text to the cache. There is either a whole file afterwards or none.
 * @param key Their name, or a function that gives it once all has been read.
 * @param text UTF-8 in pieces.
 * @throws {CommandError} if the file cannot be written, {UsageError} if the text is empty.
 */
export async function buildTokens(
  key: string | (() => string),
  text: AsyncIterable<Uint8Array>,
  { vocabulary, folder, name, create = createFile }: BuildOptions,
): Promise<CachedTokens> {
  const part = `${folder}/tokens-${crypto.randomUUID()}.part`;
  let path: string | undefined;
  try {
    await writing(folder, () => Deno.mkdir(folder, { recursive: true }));
    await removeAbandoned(folder);
    const { sizeBytes, textBytes } = await writeTokens(await writing(folder, () => create(part)), text, { vocabulary, folder });
    if (textBytes === 0) throw new UsageError(`the data ${name} is empty: give a text file with --data FILE, or --data sotu`);
    path = `${folder}/tokens-${typeof key === "string" ? key : key()}.bin`;
    await writing(folder, async () => {
      await Deno.rename(part, path!);
      await writeAtomic(factsPath(path!), `${JSON.stringify({ sizeBytes, textBytes, vocabulary: vocabulary.name })}\n`);
    });
    return { path, sizeBytes, textBytes };
  } catch (error) {
    // Whatever went wrong: nothing half-written stays.
    for (const leftover of [part, ...path === undefined ? [] : [path, `${factsPath(path)}.part`]]) await Deno.remove(leftover).catch(() => {});
    throw error;
  }
}

async function writeTokens(
  sink: Sink,
  text: AsyncIterable<Uint8Array>,
  { vocabulary, folder }: { vocabulary: Vocabulary; folder: string },
): Promise<{ sizeBytes: number; textBytes: number }> {
  const encoder = new TokenEncoder(vocabulary);
  let sizeBytes = 0, textBytes = 0;
  // Documents may be short: many of them are one write.
  const buffer = new Uint8Array(BUFFER_BYTES);
  let filled = 0;
  const flush = async (bytes: Uint8Array): Promise<void> => {
    for (let rest = bytes; rest.length > 0;) {
      const written = await writing(folder, () => sink.write(rest));
      rest = rest.subarray(written);
    }
  };
  const write = async (bytes: Uint8Array): Promise<void> => {
    sizeBytes += bytes.length;
    if (filled + bytes.length > buffer.length) {
      await flush(buffer.subarray(0, filled));
      filled = 0;
    }
    if (bytes.length > buffer.length) return await flush(bytes);
    buffer.set(bytes, filled);
    filled += bytes.length;
  };
  try {
    for await (const piece of text) {
      textBytes += piece.length;
      await write(encoder.next(piece));
    }
    await write(encoder.end());
    await flush(buffer.subarray(0, filled));
    await writing(folder, () => sink.sync());
  } finally {
    sink.close();
  }
  return { sizeBytes, textBytes };
}

/** Removes what programs that were killed while they wrote have left. */
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
