/** Bytes that come in pieces as lines and records, of which none may be longer than memory is large. */
import { UsageError } from "../errors.ts";

/** More bytes in one line or row are no record of a text but a file of another format. */
export const LONGEST_RECORD = 2 ** 27;

const LF = 10, CR = 13;

/** Bytes of which the beginning is used up while more come behind. */
export class GrowingBytes {
  #bytes = new Uint8Array(2 ** 12);
  #start = 0;
  #end = 0;

  /** What is left; another one after {@link add}. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  add(piece: Uint8Array): void {
    if (this.#end + piece.length > this.#bytes.length) {
      const left = this.bytes, needed = left.length + piece.length;
      const room = needed > this.#bytes.length ? new Uint8Array(2 * needed) : this.#bytes;
      room.set(left);
      [this.#bytes, this.#start, this.#end] = [room, 0, left.length];
    }
    this.#bytes.set(piece, this.#end);
    this.#end += piece.length;
  }

  /** Forgets bytes at the beginning. */
  drop(count: number): void {
    this.#start += count;
  }
}

/** Cuts bytes into lines, which end with LF, CR LF or CR. */
export class LineSplitter {
  readonly #path: string;
  readonly #longest: number;
  readonly #open = new GrowingBytes();
  /** Where the search goes on in the open line. */
  #searched = 0;

  /**
   * @param path For error texts.
   * @param longest The most bytes of a line.
   */
  constructor(path: string, longest: number = LONGEST_RECORD) {
    this.#path = path;
    this.#longest = longest;
  }

  /** The lines that end within a further piece; they are good until the next call. */
  next(piece: Uint8Array): Uint8Array[] {
    this.#open.add(piece);
    return this.#take(false);
  }

  /** The last line; there is one even if it is empty. */
  end(): Uint8Array[] {
    const lines = this.#take(true);
    return [...lines, this.#open.bytes];
  }

  #take(all: boolean): Uint8Array[] {
    const { bytes } = this.#open, lines: Uint8Array[] = [];
    let start = 0, at = this.#searched, lf = bytes.indexOf(LF, at), cr = bytes.indexOf(CR, at);
    while (lf >= 0 || cr >= 0) {
      const end = cr < 0 || (lf >= 0 && lf < cr) ? lf : cr;
      // A CR at the end may be the first half of a line's end.
      if (end === cr && end === bytes.length - 1 && !all) break;
      lines.push(bytes.subarray(start, end));
      start = end === cr && bytes[end + 1] === LF ? end + 2 : end + 1;
      if (lf >= 0 && lf < start) lf = bytes.indexOf(LF, start);
      if (cr >= 0 && cr < start) cr = bytes.indexOf(CR, start);
    }
    at = bytes.length - start - (cr >= 0 ? 1 : 0);
    this.#open.drop(start);
    this.#searched = Math.max(0, at);
    if (bytes.length - start > this.#longest) {
      throw new UsageError(
        `${this.#path} has a line of more than ${this.#longest} bytes: it is no file of records; say what it is with --format`,
      );
    }
    return lines;
  }
}

/** UTF-8 as text, or undefined if it is none. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });
