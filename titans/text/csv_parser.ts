/** Incremental CSV parser: pieces of bytes to rows of a table (RFC 4180; lines can end with LF, CR LF or CR). */
import { ConfigError } from "../errors.ts";
import { GrowingBytes, LONGEST_RECORD } from "./growing_bytes.ts";

/** A row of a table. */
export interface CsvRow {
  /** The line in which it begins, from 1. */
  readonly line: number;
  /** Its fields without quotes; valid until the next piece. */
  readonly fields: readonly Uint8Array[];
  /** What is wrong with it; its fields are then meaningless. */
  readonly fault?: string;
}

const LF = 10, CR = 13, QUOTE = 0x22;

// The UTF-8 byte order mark is not part of the first name.
const MARK = [0xef, 0xbb, 0xbf];

// Rows with more fields are not a table of texts, and their offsets would exhaust memory.
const MOST_FIELDS = 2 ** 16;
const QUOTES = "; quote fields that contain quotes, and double the quotes in them";

interface Field {
  readonly start: number;
  readonly end: number;
  readonly quoted: boolean;
}

/**
 * The state of the parser: at the start of a field, inside an unquoted or a quoted field, after a quote inside a quoted
 * field, or in a malformed row.
 */
type State = "begin" | "plain" | "quoted" | "quote" | "faulty";

/** Splits bytes into rows. A row is returned once its end has been seen, and no byte is scanned twice. */
export class CsvParser {
  readonly #separator: number;
  readonly #path: string;
  readonly #longest: number;
  readonly #open = new GrowingBytes();
  #state: State = "begin";
  /** Positions of the parser and of the current field in the pending bytes. */
  #at = 0;
  #fieldStart = 0;
  /** Positions of the finished fields; not views, because bytes move when more arrive. */
  #ends: Field[] = [];
  #fault: string | undefined;
  #line = 1;
  #hasBegun = false;

  /**
   * @param separator The character between two fields.
   * @param path The path, for error messages.
   * @param longest Maximum number of bytes of a row.
   */
  constructor(separator: number, path: string, longest: number = LONGEST_RECORD) {
    this.#longest = longest;
    this.#separator = separator;
    this.#path = path;
  }

  /** The rows that end in the next piece. */
  next(piece: Uint8Array): CsvRow[] {
    this.#open.add(piece);
    return this.#take(false);
  }

  /** The last row, if it does not end with a line break. */
  end(): CsvRow[] {
    return this.#take(true);
  }

  #take(last: boolean): CsvRow[] {
    const rows: CsvRow[] = [];
    let { bytes } = this.#open, start = 0;
    if (!this.#hasBegun) {
      if (!last && bytes.length < MARK.length) return [];
      this.#hasBegun = true;
      if (MARK.every((byte, i) => bytes[i] === byte)) {
        this.#open.drop(MARK.length);
        ({ bytes } = this.#open);
      }
    }
    for (;;) {
      const end = this.#rowEnd(bytes, last);
      if (end === undefined) break;
      const row = this.#row(bytes, start);
      if (row) rows.push(row);
      start = this.#at = end;
      this.#restart(start);
      if (end >= bytes.length) break;
    }
    this.#open.drop(start);
    this.#move(start);
    if (bytes.length - start > this.#longest) {
      throw new ConfigError(
        `${this.#path} has a row of more than ${this.#longest} bytes in line ${this.#line}: it is not CSV, or has an unclosed quote`,
        "data",
      );
    }
    return rows;
  }

  /** Advances to the end of the current row. @returns The position after it, or undefined if it has not arrived yet. */
  #rowEnd(bytes: Uint8Array, last: boolean): number | undefined {
    const separator = this.#separator;
    let at = this.#at, state = this.#state;
    for (; at < bytes.length; at++) {
      if (state === "quoted") {
        const quote = bytes.indexOf(QUOTE, at);
        at = quote < 0 ? bytes.length : quote;
        if (quote < 0) break;
        state = "quote";
        continue;
      }
      const byte = bytes[at];
      if (byte === LF || byte === CR) {
        // A CR at the end of a piece may be the first half of a line break.
        if (byte === CR && at + 1 === bytes.length && !last) break;
        this.#close(at, state);
        return byte === CR && bytes[at + 1] === LF ? at + 2 : at + 1;
      }
      if (state === "faulty") continue;
      if (byte === separator) {
        this.#close(at, state);
        state = "begin";
        this.#fieldStart = at + 1;
      } else if (byte === QUOTE) {
        if (state === "begin" || state === "quote") state = "quoted";
        else [state, this.#fault] = ["faulty", `has a quote in an unquoted field${QUOTES}`];
      } else if (state === "quote") {
        [state, this.#fault] = ["faulty", `has characters after a closing quote${QUOTES}`];
      } else state = "plain";
    }
    this.#at = at;
    this.#state = state;
    if (
      !last || bytes.length === 0 || (state === "begin" && this.#ends.length === 0 && this.#fieldStart === bytes.length)
    ) return undefined;
    if (state === "quoted") this.#fault = `has a quote that is never closed${QUOTES}`;
    this.#close(at, state);
    return bytes.length;
  }

  #close(end: number, state: State): void {
    if (this.#ends.length === MOST_FIELDS) {
      throw new ConfigError(
        `${this.#path} has a row of more than ${MOST_FIELDS} fields in line ${this.#line}: it is not CSV; give its format with --format`,
        "data",
      );
    }
    this.#ends.push({ start: this.#fieldStart, end, quoted: state === "quote" });
  }

  /** The finished row; undefined for an empty line. */
  #row(bytes: Uint8Array, start: number): CsvRow | undefined {
    const fault = this.#fault, line = this.#line, ends = this.#ends, end = ends[ends.length - 1].end;
    this.#line += 1 +
      (ends.some(({ quoted }) => quoted) || fault !== undefined ? linesIn(bytes.subarray(start, end)) : 0);
    if (fault !== undefined) return { line, fields: [], fault };
    if (ends.length === 1 && end === start) return undefined;
    return {
      line,
      fields: ends.map(({ start, end, quoted }) =>
        quoted ? unquoted(bytes.subarray(start + 1, end - 1)) : bytes.subarray(start, end)
      ),
    };
  }

  #restart(start: number): void {
    this.#state = "begin";
    this.#fieldStart = start;
    this.#ends = [];
    this.#fault = undefined;
  }

  /** Discards bytes at the start of the pending bytes. */
  #move(by: number): void {
    if (by === 0) return;
    this.#at -= by;
    this.#fieldStart -= by;
    this.#ends = this.#ends.map(({ start, end, quoted }) => ({ start: start - by, end: end - by, quoted }));
  }
}

function unquoted(bytes: Uint8Array): Uint8Array {
  if (!bytes.includes(QUOTE)) return bytes;
  const kept = new Uint8Array(bytes.length);
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    kept[length++] = bytes[i];
    if (bytes[i] === QUOTE) i++;
  }
  return kept.subarray(0, length);
}

/** The number of line breaks in bytes. */
function linesIn(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === LF || (bytes[i] === CR && bytes[i + 1] !== LF)) count++;
  return count;
}
