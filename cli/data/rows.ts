/**
 * Counts records and rows while files are read, and handles those that have no text or are malformed.
 */
import { UsageError } from "../errors.ts";
import { formatCount } from "../progress.ts";

/** What was read. */
export interface ReadFacts {
  readonly files: number;
  /** Records and rows, including skipped ones; 0 for plain text. */
  readonly rows: number;
  /** Those skipped because they have no text. */
  readonly withoutText: number;
  /** Those skipped because they are malformed. */
  readonly badRows: number;
  /** The error of the first malformed one. */
  readonly firstBad?: string;
}

/** The facts stored in a file, if it has them. */
export function readFactsOf(stored: unknown): ReadFacts | undefined {
  const { files, rows, withoutText, badRows, firstBad } = (stored ?? {}) as Partial<ReadFacts>;
  const counts = { files, rows, withoutText, badRows };
  if (!Object.values(counts).every((count) => Number.isSafeInteger(count))) return undefined;
  return { ...counts as Omit<ReadFacts, "firstBad">, ...typeof firstBad === "string" ? { firstBad } : {} };
}

/** Counts what is read, and decides about bad rows. */
export class RowTally {
  readonly #skipsBad: boolean;
  readonly #remarks: string[] = [];
  files = 0;
  rows = 0;
  withoutText = 0;
  badRows = 0;
  firstBad: string | undefined;

  /** @param skipsBad Whether malformed rows are skipped. */
  constructor(skipsBad = false) {
    this.#skipsBad = skipsBad;
  }

  /** Records a malformed row. @throws {UsageError} unless such rows are skipped. */
  bad(message: string): void {
    if (!this.#skipsBad) throw new UsageError(message);
    this.badRows++;
    this.firstBad ??= message.split(": ")[0];
  }

  /** Adds a note for the user. */
  remark(line: string): void {
    this.#remarks.push(line);
  }

  /** The notes so far. */
  get remarks(): readonly string[] {
    return this.#remarks;
  }

  /** What was read so far. */
  get facts(): ReadFacts {
    const { files, rows, withoutText, badRows, firstBad } = this;
    return { files, rows, withoutText, badRows, ...firstBad === undefined ? {} : { firstBad } };
  }
}

/** What was read if files are plain text. */
export function plainFacts(files: number): ReadFacts {
  return { files, rows: 0, withoutText: 0, badRows: 0 };
}

/** A line of text about what was read. @param documents Number of documents, if known. */
export function describeRead(
  place: string,
  read: ReadFacts | undefined,
  { documents, bytes }: { documents?: number; bytes: number },
): string {
  const count = (n: number, one: string): string => `${formatCount(n)} ${one}${n === 1 ? "" : "s"}`;
  const left: string[] = [];
  if (read && read.withoutText > 0) left.push(`${count(read.withoutText, "record")} without text skipped`);
  if (read && read.badRows > 0) left.push(`${count(read.badRows, "bad row")} skipped (the first: ${read.firstBad})`);
  const parts = [
    ...read && read.files > 0 ? [count(read.files, "file")] : [],
    ...read && read.rows > 0 ? [count(read.rows, "record")] : [],
    ...left,
    ...documents === undefined ? [] : [count(documents, "document")],
    count(bytes, "byte"),
  ];
  return `read ${place}: ${parts.join(", ")}`;
}
