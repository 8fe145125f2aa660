/** Encodes pieces of text into pieces of token ids, in their on-disk form. */
import { joinBytes, type Vocabulary } from "./vocabulary.ts";

// Text is encoded in stretches of about this many letters: a stretch ends where a line ends and the next one begins
// with a letter, so that tokens over the border are rare, and never depend on how the text came in pieces.
const STRETCH = 1 << 16;

// Tokenizers take time quadratic in the length of a word, and hours for a genome; longer words and gaps are encoded in parts.
const LONG = /\S{2048}|\s{2048}/gu;

/**
 * Encodes a text that comes in pieces, and tells where documents begin in tokens. Documents do not change the tokens:
 * one begins with the first token that has none of the text before it.
 */
export class TokenEncoder {
  readonly #vocabulary: Vocabulary;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #open = "";
  /** Tokens given so far. */
  #count = 0;
  #textBytes = 0;
  /** Where documents begin in the open text. */
  #marks: number[] = [];
  #starts: number[] = [];
  /** Cached byte counts of tokens, 0 if not known yet. */
  #lengths?: Uint16Array;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /**
   * Bytes that the tokens given so far stand for: of text that is not UTF-8 others than came, in other vocabularies
   * than bytes.
   */
  get textBytes(): number {
    return this.#textBytes;
  }

  /** Says that a document begins with the next piece. */
  begin(): void {
    if (this.#vocabulary.idBytes === 1) this.#starts.push(this.#count);
    else this.#marks.push(this.#open.length);
  }

  /** New document starts, in tokens, since the last call. */
  takeStarts(): number[] {
    return this.#starts.splice(0);
  }

  /** The ids that are final after the next piece of UTF-8, little-endian. */
  next(piece: Uint8Array): Uint8Array {
    if (this.#vocabulary.idBytes === 1) {
      this.#count += piece.length;
      this.#textBytes += piece.length;
      return piece;
    }
    this.#open += this.#decoder.decode(piece, { stream: true });
    return this.#take(false);
  }

  /** The rest. */
  end(): Uint8Array {
    if (this.#vocabulary.idBytes === 1) return new Uint8Array(0);
    this.#open += this.#decoder.decode();
    return this.#take(true);
  }

  #take(all: boolean): Uint8Array {
    const parts: Uint8Array[] = [];
    let from = 0;
    for (;;) {
      const end = borderAfter(this.#open, from + STRETCH);
      if (end === undefined) break;
      parts.push(this.#encode(from, end));
      from = end;
    }
    if (all && from < this.#open.length) {
      parts.push(this.#encode(from, this.#open.length));
      from = this.#open.length;
    }
    if (from > 0) {
      this.#open = this.#open.slice(from);
      this.#marks = this.#marks.map((mark) => mark - from);
    }
    return joinBytes(parts);
  }

  /** Encodes a stretch of the open text. */
  #encode(from: number, to: number): Uint8Array {
    const ids: number[] = [], width = this.#vocabulary.idBytes, stretch = this.#open.slice(from, to);
    let at = from;
    this.#textBytes += sizeOf(stretch);
    for (const part of words(stretch)) {
      const own = Array.from(this.#vocabulary.encode(part)), end = at + part.length;
      const marked = this.#marks.findIndex((mark) => mark >= end),
        inside = this.#marks.splice(0, marked < 0 ? this.#marks.length : marked);
      this.#starts.push(
        ...this.#places(part, own, inside.map((mark) => mark - at)).map((place) => this.#count + place),
      );
      this.#count += own.length;
      for (const id of own) ids.push(id);
      at = end;
    }
    const bytes = new Uint8Array(ids.length * width), view = new DataView(bytes.buffer);
    for (let i = 0; i < ids.length; i++) {
      if (width === 2) view.setUint16(2 * i, ids[i], true);
      else view.setUint32(4 * i, ids[i], true);
    }
    return bytes;
  }

  /** Of places in a text, ascending, the numbers of the first tokens that begin there or later. */
  #places(text: string, ids: readonly number[], marks: readonly number[]): number[] {
    let token = 0, bytes = 0, letters = 0, wanted = 0;
    return marks.map((mark) => {
      wanted += sizeOf(text.slice(letters, mark));
      letters = mark;
      while (bytes < wanted && token < ids.length) bytes += this.#lengthOf(ids[token++]);
      return token;
    });
  }

  #lengthOf(token: number): number {
    const lengths = this.#lengths ??= new Uint16Array(this.#vocabulary.size);
    return lengths[token] ||= this.#vocabulary.bytesOf(token).length;
  }
}

/** A text in pieces of UTF-8 as token ids. */
export async function* tokensOf(bytes: AsyncIterable<Uint8Array>, vocabulary: Vocabulary): AsyncGenerator<Int32Array> {
  const encoder = new TokenEncoder(vocabulary), { idBytes } = vocabulary;
  const ids = (stored: Uint8Array): Int32Array => {
    const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
    const at = (i: number): number =>
      idBytes === 1 ? view.getUint8(i) : idBytes === 2 ? view.getUint16(2 * i, true) : view.getUint32(4 * i, true);
    return Int32Array.from({ length: stored.length / idBytes }, (_, i) => at(i));
  };
  for await (const piece of bytes) yield ids(encoder.next(piece));
  yield ids(encoder.end());
}

/** The bytes of a text as UTF-8. */
function sizeOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** A text in parts, so that no part has a longer word or gap than is good. */
function words(text: string): string[] {
  const parts: string[] = [];
  let from = 0;
  for (const { 0: long, index } of text.matchAll(LONG)) {
    parts.push(text.slice(from, index + long.length));
    from = index + long.length;
  }
  return [...parts, text.slice(from)];
}

/**
 * The first border at or after a place: behind a line's end; or after 16 stretches without one, anywhere. Undefined if
 * it is not known yet.
 */
function borderAfter(text: string, from: number): number | undefined {
  const forced = from + 16 * STRETCH;
  for (
    let at = text.indexOf("\n", from);
    at >= 0 && at < forced && at + 1 < text.length;
    at = text.indexOf("\n", at + 1)
  ) {
    if (/\S/.test(text[at + 1])) return at + 1;
  }
  if (text.length <= forced + 1) return undefined;
  // A pair of surrogates is one letter.
  return text.charCodeAt(forced) >>> 10 === 0b110111 ? forced + 1 : forced;
}
