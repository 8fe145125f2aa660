/** Token texts on disk, read in pieces: memory use does not depend on their length. */
import type { DocumentStarts, TokenSource } from "../../titans/mod.ts";
import { CommandError } from "../errors.ts";
import { readError } from "./read_file.ts";

/** A file of tokens, or of text whose bytes are the tokens. */
export interface TokenFilePart {
  readonly path: string;
  readonly sizeBytes: number;
}

/** A text on disk that must be closed. */
export interface ClosableSource extends TokenSource, Disposable {}

const OPEN_FILES = 32;

/**
 * Token ids that lie in a file one after the other, little-endian.
 * @param idBytes Bytes of an id.
 */
export class TokenFile implements ClosableSource {
  readonly length: number;
  readonly documents?: DocumentStarts & Disposable;
  readonly #bytes: JoinedFiles;
  readonly #idBytes: number;

  /** @param documents Where they begin; closed with the file. */
  constructor(part: TokenFilePart, idBytes: 1 | 2 | 4, documents?: DocumentStarts & Disposable) {
    this.documents = documents;
    this.#bytes = new JoinedFiles([part], new Uint8Array(0));
    this.#idBytes = idBytes;
    this.length = part.sizeBytes / idBytes;
  }

  read(start: number, into: Int32Array): void {
    const width = this.#idBytes, raw = this.#bytes.readBytes(start * width, into.length * width);
    if (width === 1) {
      into.set(raw);
      return;
    }
    const view = new DataView(raw.buffer, raw.byteOffset);
    for (let i = 0; i < into.length; i++) {
      into[i] = width === 2 ? view.getUint16(2 * i, true) : view.getInt32(4 * i, true);
    }
  }

  [Symbol.dispose](): void {
    this.documents?.[Symbol.dispose]();
    this.#bytes[Symbol.dispose]();
  }
}

/**
 * The bytes of several files as one text, with a separator between two of them; each file, with the separator behind
 * it, is a document.
 */
export class JoinedFiles implements ClosableSource {
  readonly length: number;
  readonly #parts: readonly TokenFilePart[];
  readonly #separator: Uint8Array;
  /** Where each file begins in the text. */
  readonly #begins: number[] = [];
  /** Open files, the one used last at the end. */
  readonly #open = new Map<string, Deno.FsFile>();

  /** @param parts The files; empty ones are left out. */
  constructor(parts: readonly TokenFilePart[], separator: Uint8Array) {
    this.#parts = parts.filter(({ sizeBytes }) => sizeBytes > 0);
    this.#separator = separator;
    let at = 0;
    for (const { sizeBytes } of this.#parts) {
      this.#begins.push(at);
      at += sizeBytes + separator.length;
    }
    this.length = Math.max(0, at - separator.length);
  }

  get documents(): DocumentStarts {
    const begins = this.#begins;
    return { count: begins.length, read: (first, into) => into.set(begins.slice(first, first + into.length)) };
  }

  read(start: number, into: Int32Array): void {
    into.set(this.readBytes(start, into.length));
  }

  /** Some bytes of the text. */
  readBytes(start: number, count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    let filled = 0, index = this.#fileAt(start);
    while (filled < count) {
      const part = this.#parts[index], offset = start + filled - this.#begins[index];
      if (offset < part.sizeBytes) {
        const piece = bytes.subarray(filled, filled + Math.min(count - filled, part.sizeBytes - offset));
        this.#readFile(part.path, offset, piece);
        filled += piece.length;
      } else {
        const rest = this.#separator.subarray(offset - part.sizeBytes).subarray(0, count - filled);
        bytes.set(rest, filled);
        filled += rest.length;
        index++;
      }
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }

  /** The last file that starts at or before a position. */
  #fileAt(at: number): number {
    let low = 0, high = this.#begins.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#begins[middle] <= at) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #readFile(path: string, offset: number, into: Uint8Array): void {
    const file = this.#file(path);
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let filled = 0; filled < into.length;) {
      const count = file.readSync(into.subarray(filled));
      if (count === null) {
        throw new CommandError(
          `${path} became shorter during training: restore it and continue with --resume`,
        );
      }
      filled += count;
    }
  }

  #file(path: string): Deno.FsFile {
    let file = this.#open.get(path);
    if (file) this.#open.delete(path);
    else {
      try {
        file = Deno.openSync(path);
      } catch (error) {
        throw readError(error, path, "--data");
      }
      if (this.#open.size >= OPEN_FILES) {
        const [oldest, unused] = this.#open.entries().next().value!;
        unused.close();
        this.#open.delete(oldest);
      }
    }
    this.#open.set(path, file);
    return file;
  }
}
