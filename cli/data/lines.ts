/** Splits pieces of bytes into lines and records of bounded length. */
import { GrowingBytes, LONGEST_RECORD } from "../../titans/text/growing_bytes.ts";
import { UsageError } from "../errors.ts";

const LF = 10, CR = 13;

/** Splits bytes into lines that end with LF, CR LF or CR. */
export class LineSplitter {
  readonly #path: string;
  readonly #longest: number;
  readonly #open = new GrowingBytes();
  /** Where the search continues in the current line. */
  #searched = 0;

  /**
   * @param path The path, for error messages.
   * @param longest Maximum number of bytes of a line.
   */
  constructor(path: string, longest: number = LONGEST_RECORD) {
    this.#path = path;
    this.#longest = longest;
  }

  /** The lines that end in the next piece; valid until the next call. */
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
      // A CR at the end may be the first half of a line break.
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
        `${this.#path} has a line of more than ${this.#longest} bytes: it is not a file of records; give its format with --format`,
      );
    }
    return lines;
  }
}

/** Decodes UTF-8; undefined if it is invalid. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });
