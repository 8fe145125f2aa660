/** Vocabularies: convert text to token ids, and token ids back to bytes. */
import { UsageError } from "../errors.ts";
import { suggestion } from "../flags.ts";
import { type EncodingName, ENCODINGS, loadTokenizer } from "./packages.ts";

/** A vocabulary. */
export interface Vocabulary {
  /** `bytes`, or `bpe:` and the name of an encoding. */
  readonly name: string;
  /** How many token ids there are. */
  readonly size: number;
  /** Bytes of a token id on disk: enough for every id. */
  readonly idBytes: 1 | 2 | 4;
  /** The word for a token, such as `byte`. */
  readonly unit: "byte" | "token";
  /** The token ids of a whole text. */
  encode(text: string): ArrayLike<number>;
  /** The bytes of one token; empty for an unused id. */
  bytesOf(token: number): Uint8Array;
}

/** Names of all vocabularies. */
export const VOCABULARIES: readonly string[] = ["bytes", ...Object.keys(ENCODINGS).map((name) => `bpe:${name}`)];

/** The vocabulary of the 256 bytes. */
export const BYTES: Vocabulary = {
  name: "bytes",
  size: 256,
  idBytes: 1,
  unit: "byte",
  encode: (text) => new TextEncoder().encode(text),
  bytesOf: (token) => Uint8Array.of(token),
};

/**
 * The vocabulary of a name; a tokenizer is loaded only if the name asks for one.
 * @throws {UsageError} if there is no such vocabulary, {CommandError} if its package is not available.
 */
export async function openVocabulary(name: string): Promise<Vocabulary> {
  if (name === BYTES.name) return BYTES;
  const encoding = name.startsWith("bpe:") ? name.slice(4) : "";
  if (!Object.hasOwn(ENCODINGS, encoding)) {
    throw new UsageError(
      `there is no vocabulary ${JSON.stringify(name)}: choose one of ${VOCABULARIES.join(", ")}${
        suggestion(name, VOCABULARIES)
      }`,
    );
  }
  const { encode, pieces } = await loadTokenizer(encoding as EncodingName);
  const encoder = new TextEncoder(), none: ReadonlySet<string> = new Set();
  return {
    name,
    size: pieces.length,
    idBytes: pieces.length <= 2 ** 16 ? 2 : 4,
    unit: "token",
    encode: (text) => encode(text, { disallowedSpecial: none }),
    bytesOf: (token) => {
      const piece = pieces[token] ?? "";
      return typeof piece === "string" ? encoder.encode(piece) : Uint8Array.from(piece);
    },
  };
}

/** The notes of a checkpoint about its vocabulary: none for bytes. */
export function vocabularyNote({ name }: Vocabulary): Record<string, string> {
  return name === BYTES.name ? {} : { vocabulary: name };
}

/** The vocabulary of a checkpoint's notes. @throws {UsageError} for models of other tasks; as {@link openVocabulary}. */
export async function notedVocabulary(notes: Readonly<Record<string, string>> = {}): Promise<Vocabulary> {
  if (notes.task !== undefined && notes.vocabulary === undefined) {
    throw new UsageError(
      "this model was trained on a task, not on text, and neither reads nor writes any: measure it with deno task evaluate",
    );
  }
  return await openVocabulary(notes.vocabulary ?? BYTES.name);
}

/** The bytes of many tokens, one after the other. */
export function bytesOfTokens(vocabulary: Vocabulary, tokens: ArrayLike<number>): Uint8Array {
  if (vocabulary.idBytes === 1) return Uint8Array.from(tokens);
  return joinBytes(Array.from(tokens, (token) => vocabulary.bytesOf(token)));
}

/** Pieces of bytes, one after the other. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Decodes tokens into text as they arrive: a character that spans tokens appears with its last one. */
export class TokenDecoder {
  readonly #vocabulary: Vocabulary;
  // A mark at the beginning is a character like any other: what is written follows a prompt.
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /** The text completed by the next token; may be empty. */
  next(token: number): string {
    return this.#decoder.decode(this.#vocabulary.bytesOf(token), { stream: true });
  }

  /** The rest at the end: replacement characters for incomplete characters. */
  end(): string {
    return this.#decoder.decode();
  }
}
