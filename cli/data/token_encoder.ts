/** From text in pieces to token ids in pieces, as they lie on disk. */
import type { Vocabulary } from "./vocabulary.ts";

// Text is encoded in stretches of about this many letters: a stretch ends where a line ends and the next one begins with a letter, so that tokens over the
// border are rare, and never depend on how the text came in pieces.
const STRETCH = 1 << 16;

// Tokenizers take time with the square of a word's length, and hours for a genome; a longer word or gap is encoded in parts.
const LONG = /\S{2048}|\s{2048}/gu;

/** Encodes a text that comes in pieces. */
export class TokenEncoder {
  readonly #vocabulary: Vocabulary;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #open = "";

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /** The ids that are sure with a further piece of UTF-8, little-endian. */
  next(piece: Uint8Array): Uint8Array {
    if (this.#vocabulary.idBytes === 1) return piece;
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
      parts.push(this.#encode(this.#open.slice(from, end)));
      from = end;
    }
    if (all && from < this.#open.length) {
      parts.push(this.#encode(this.#open.slice(from)));
      from = this.#open.length;
    }
    this.#open = this.#open.slice(from);
    return joined(parts);
  }

  #encode(text: string): Uint8Array {
    const ids = words(text).flatMap((part) => Array.from(this.#vocabulary.encode(part))), width = this.#vocabulary.idBytes;
    const bytes = new Uint8Array(ids.length * width), view = new DataView(bytes.buffer);
    for (let i = 0; i < ids.length; i++) {
      if (width === 2) view.setUint16(2 * i, ids[i], true);
      else view.setUint32(4 * i, ids[i], true);
    }
    return bytes;
  }
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

/** The first border at or after a place: behind a line's end; or after 16 stretches without one, anywhere. Undefined if it is not known yet. */
function borderAfter(text: string, from: number): number | undefined {
  const forced = from + 16 * STRETCH;
  for (let at = text.indexOf("\n", from); at >= 0 && at < forced && at + 1 < text.length; at = text.indexOf("\n", at + 1)) {
    if (/\S/.test(text[at + 1])) return at + 1;
  }
  if (text.length <= forced + 1) return undefined;
  // A pair of surrogates is one letter.
  return text.charCodeAt(forced) >>> 10 === 0b110111 ? forced + 1 : forced;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
